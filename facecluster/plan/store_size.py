"""How much a store holds, for a plan of its growth. Stores hold no times: how fast it went is not known from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecluster.photos.places import current_photos
from facecluster.store import Store


@dataclass(frozen=True, slots=True)
class StoreSize:
    """Of the photos that could be used and count, each once."""

    photos: int
    faces: int
    megapixels: float  # a photo, the mean; 0 without photos
    mb_a_photo: float  # 1e6 bytes


def size_of_store(store: Store) -> StoreSize:
    """Count. Raises StoreError if there is no store."""
    store.check()
    table = current_photos(store, ["photo_id", "faces", "size", "width", "height", "error"])
    ids = np.asarray(table["photo_id"].to_pylist(), dtype=str)
    first = np.unique(ids, return_index=True)[1]
    good = first[[table["error"][int(i)].as_py() is None and bool(ids[i]) for i in first]]
    faces, bytes_, width, height = (
        np.nan_to_num(table[name].to_numpy().astype(np.float64))[good] for name in ("faces", "size", "width", "height")
    )
    n = max(1, len(good))
    return StoreSize(len(good), int(faces.sum()), float((width * height).sum() / 1e6 / n), float(np.maximum(bytes_, 0).sum() / 1e6 / n))
