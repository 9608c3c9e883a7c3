"""Which faces are in one picture: two faces of a photo are hardly ever one person, but the tracks of a video may be one at two times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.store import Store

_PHOTO_CHARS = 24  # first characters of a face_id, which stand for the photo


def picture_numbers(store: Store, ids: Sequence[str]) -> NDArray[np.int64]:
    """For each of the faces `ids` (n,) the number of its picture: its photo, or its frame of a video."""
    at: dict[str, int] = {}
    for shard in store.shards("faces"):
        table = store.read("faces", shard, ["face_id", "at_ms"])
        if "at_ms" in table.column_names:  # older versions wrote none
            moving = table.filter(pc.is_valid(table["at_ms"]))
            at.update(zip(moving["face_id"].to_pylist(), moving["at_ms"].to_pylist(), strict=True))
    keys = [f"{face[:_PHOTO_CHARS]} {at[face]}" if face in at else face[:_PHOTO_CHARS] for face in ids]
    return np.unique(keys, return_inverse=True)[1].astype(np.int64) if keys else np.zeros(0, dtype=np.int64)
