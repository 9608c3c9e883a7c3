"""Which faces are in one picture: two faces of a photo are hardly ever one person, but the tracks of a video may be one at two times."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.store import FaceIds, Ids, Store

_PHOTO_CHARS = 24  # first characters of a face_id, which stand for the photo


def picture_numbers(store: Store, ids: Ids) -> NDArray[np.int64]:
    """For each of the faces `ids` (n,), in rising order, the number of its picture: its photo, or its frame of a video."""
    faces = FaceIds.of(ids)
    photos = faces.starts(_PHOTO_CHARS)
    number = photos.rows_of(FaceIds(faces.keys.astype(f"S{_PHOTO_CHARS}")))
    at: dict[int, str] = {}  # row -> its time
    for shard in store.shards("faces"):
        table = store.read("faces", shard, ["face_id", "at_ms"])
        if "at_ms" in table.column_names and table["at_ms"].null_count < table.num_rows:  # older versions wrote none
            moving = table.filter(pc.is_valid(table["at_ms"]))
            at.update(zip(faces.rows_of(moving["face_id"]).tolist(), map(str, moving["at_ms"].to_pylist()), strict=True))
    at.pop(-1, None)
    if not at:
        return number
    times = {text: i for i, text in enumerate(sorted(set(at.values())), start=1)}  # 0: a photo
    key = number * (len(times) + 1)
    key[list(at)] += [times[text] for text in at.values()]
    return np.unique(key, return_inverse=True)[1].astype(np.int64)
