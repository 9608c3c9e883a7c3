"""The bundled models: an attention embedder and a face detector. The only package that imports torch."""
