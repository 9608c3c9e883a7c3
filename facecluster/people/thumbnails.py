"""The thumbnails of photos, by the beginnings of their ids, and whether two that are laid over each other show the same.

Stores of older versions have no thumbnails, and videos have none; then nothing is said.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from facecluster.photos.exif import turn
from facecluster.photos.fingerprint import LOOKS_TABLE, grey_thumbnail
from facecluster.photos.followed import PHOTO_CHARS
from facecluster.photos.registration import Placement, correlation, register_pictures
from facecluster.store import Store

MARGIN = 0.06  # share of the smaller picture's sides that is not compared, on each side: boxes of faces are not more exact
SIDE = 64  # px at which pictures are compared
MAX_SHIFT = 0.15  # share of the smaller picture's longer side by which it may lie elsewhere than said, and be larger or smaller


class Thumbnails:
    """Thumbnails of a store, read when they are asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._column = lru_cache(maxsize=4)(self._read)
        self._grey = lru_cache(maxsize=256)(self._decode)

    @cached_property
    def _at(self) -> dict[str, tuple[str, int]]:
        """Shard and row of each photo."""
        found: dict[str, tuple[str, int]] = {}
        for shard in self._store.shards(LOOKS_TABLE):
            ids = self._store.read(LOOKS_TABLE, shard, ["photo_id"])["photo_id"].to_pylist()
            found.update((photo[:PHOTO_CHARS], (shard, row)) for row, photo in enumerate(ids))
        return found

    def _read(self, shard: str) -> pa.ChunkedArray:
        return self._store.read(LOOKS_TABLE, shard, ["thumb"])["thumb"]

    def picture(self, photo_id: str) -> bytes:
        """The thumbnail of a photo, a small upright picture in WebP; b"" if there is none."""
        shard, row = self._at.get(photo_id[:PHOTO_CHARS], ("", 0))
        return self._column(shard)[row].as_py() or b"" if shard else b""

    def _decode(self, photo: str) -> NDArray[np.uint8] | None:
        data = self.picture(photo)
        return grey_thumbnail(data) if data else None

    def likeness(self, old: str, new: str, turned: int, place: Placement) -> float | None:
        """Correlation, -1 to 1, of two photos where the old one is laid over the new one; None if they have no thumbnails.

        Args:
            old, new: the first PHOTO_CHARS of the ids.
            turned: EXIF's number of how the old one is turned first.
            place: left, width, top, height of the old one in the new one, as shares of the new one's sides: nearly.
        """
        one, two = self._grey(old), self._grey(new)
        if one is None or two is None:
            return None
        one = np.asarray(turn(Image.fromarray(one), turned))
        left, width, top, height = place
        if width * height > 1:  # the smaller picture is looked for in the larger one
            one, two, place = two, one, (-left / width, 1 / width, -top / height, 1 / height)
        down, across = (round(MARGIN * side) for side in one.shape)
        x, y = across / one.shape[1], down / one.shape[0]  # of `one`, which is cut: a frame around it must not count
        place = (place[0] + x * place[1], (1 - 2 * x) * place[1], place[2] + y * place[3], (1 - 2 * y) * place[3])
        found = register_pictures(two, one[down : one.shape[0] - down, across : one.shape[1] - across], place, side=SIDE)
        if found is None or max(abs(a - b) for a, b in zip(found.placement, place, strict=True)) > MAX_SHIFT * max(place[1], place[3]):
            return 0.0
        return correlation(found)
