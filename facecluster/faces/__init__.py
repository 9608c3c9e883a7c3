"""Faces: find and align them (STAGE detect), turn them into vectors (STAGE embed)."""
