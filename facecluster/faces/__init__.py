"""Faces: find and align them (STAGE detect), compute their vectors (STAGE embed)."""
