"""How open the eyes of faces are, measured on aligned crops, to rank the photos of one burst: the same people in the same light.

An open eye has an iris, whose sides are horizontal changes of brightness; a closed eye leaves the line of the lid, which has vertical
changes alone. So the measure is the energy of horizontal changes over that of vertical changes, around the eyes.

It also differs between people (narrow eyes, glasses): of 120 sharp faces labelled by hand, those with shut or nearly shut eyes scored lower
in 79 of 100 pairs. So only a clear difference within a burst counts (keeper.BURST_RULES); it is no measure of a single face.
"""

from __future__ import annotations

from collections.abc import Set

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.geometry import TEMPLATE
from facecluster.photos.images import decode_crop
from facecluster.store import Store

_ACROSS, _DOWN = 11, 9  # px of a crop from the centre of an eye to the border of the region


def openness(crop: NDArray[np.uint8]) -> float:
    """How open the eyes of an aligned face (112, 112, 3) are: about .1 shut, .2 to .9 open."""
    grey = crop.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    found = []
    for x, y in TEMPLATE[:2].round().astype(int).tolist():
        eye = grey[y - _DOWN : y + _DOWN + 1, x - _ACROSS : x + _ACROSS + 1]
        across, down = np.diff(eye[3:-3], axis=1), np.diff(eye[:, 4:-4], axis=0)
        found.append(float((across**2).mean() / ((down**2).mean() + 1)))
    return float(np.mean(found))


class EyeOpenness:
    """The mean openness over the faces of a photo, for some photos."""

    def __init__(self, store: Store, photo_ids: Set[str]) -> None:
        """Reads the crops of these photos."""
        wanted = pa.array(sorted(photo_ids), pa.string())
        faces: dict[str, dict[str, float]] = {}
        for shard in store.shards("faces") if photo_ids else []:
            table = store.read("faces", shard, ["face_id", "photo_id", "crop"])
            for row in table.filter(pc.is_in(table["photo_id"], value_set=wanted)).to_pylist():
                faces.setdefault(row["photo_id"], {})[row["face_id"]] = openness(decode_crop(row["crop"]))
        self._mean = {photo_id: float(np.mean(list(found.values()))) for photo_id, found in faces.items()}

    def of(self, photo_id: str) -> float | None:
        """The mean openness in a photo; None if it has no faces."""
        return self._mean.get(photo_id)
