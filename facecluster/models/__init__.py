"""The bundled models: an attention embedder and a face detector. Only this package imports torch.

attention  scaled dot-product attention and a transformer block
embedder   the embedding network
int8       the embedding network in 8-bit integers
detector   the detection network, and how its output becomes faces
registry   model cards, and loading an embedder
"""
