"""Stores of synthetic people with pictures, for the tests of curate."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from facecluster.store import FACES, PHOTOS, Store, embeddings_schema, table_of


def people(sizes: Sequence[int], seed: int = 0, noise: float = 0.8, dim: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (n, dim) of length 1 around random centroids, and the person of each.

    Two faces of a person have a cosine of about 1 / (1 + noise^2).
    """
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.normal(size=(len(sizes), dim))[truth] + noise * rng.normal(size=(len(truth), dim))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), truth


def picture(seed: int) -> np.ndarray:
    """A smooth random picture (112, 112, 3): no two are alike."""
    small = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((112, 112), Image.Resampling.BICUBIC))


def coded(pixels: np.ndarray, quality: int = 90) -> bytes:
    """As WebP."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "WEBP", quality=quality)
    return out.getvalue()


def write(
    folder: Path, vectors: np.ndarray, uris: Sequence[str], crops: Sequence[bytes], *, quality: np.ndarray | None = None,
    photo: Sequence[int] | None = None,
) -> tuple[Store, list[str]]:  # fmt: skip
    """A store with a face for each row, and their face_ids in order of the rows; `photo` gives the number of each face's photo."""
    store = Store(str(folder))
    store.create()
    n = len(vectors)
    of = list(range(n)) if photo is None else list(photo)
    photo_ids = [hashlib.sha256(str(i).encode()).hexdigest() for i in of]
    faces = [f"{p[:24]}-{of[:i].count(of[i]):04x}" for i, p in enumerate(photo_ids)]
    rows = {p: u for p, u in zip(photo_ids, uris, strict=True)}
    m = len(rows)
    columns = {
        "photo_id": list(rows), "uri": list(rows.values()), "size": [9] * m, "mtime_ns": [0] * m, "format": ["JPEG"] * m,
        "width": [400] * m, "height": [300] * m, "orientation": [1] * m, "taken_at": [None] * m,
        "phash": np.zeros(m, np.uint64), "faces": [1] * m,
        "error": [None] * m,
    }  # fmt: skip
    store.write("photos", "00000", table_of(PHOTOS, columns), {"stage": "collect"})
    flat = np.zeros(n, np.float32)
    columns = {
        "face_id": faces, "photo_id": photo_ids, "box": np.tile(np.float32([50, 60, 100, 120]), (n, 1)),
        "landmarks": np.zeros((n, 10), np.float32),
        "score": flat + 0.75, "sharpness": flat + 5, "yaw": flat - 12.5,
        "quality": flat + 0.5 if quality is None else quality.astype(np.float32), "crop": list(crops),
    }  # fmt: skip
    store.write("faces", "00000", table_of(FACES, columns), {"stage": "detect"})
    columns = {"face_id": faces, "embedding": vectors.astype(np.float16)}
    store.write("embeddings/bundled", "00000", table_of(embeddings_schema(vectors.shape[1]), columns), {"table": "embeddings"})
    return store, faces
