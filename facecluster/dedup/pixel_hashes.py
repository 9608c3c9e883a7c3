"""Whether two files hold the same pixels, bit by bit, and differ only in metadata or compression. The table dedup/pixels keeps the hashes.

Only photos with a copy of the same size are decoded in full, so a collection without such copies costs nothing. Pixels are compared upright
and in sRGB, as they are shown: a photo that was rotated without loss has the same pixels.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa

from facecluster.dedup.content_table import ContentTable
from facecluster.dedup.store_photos import Photos, open_file
from facecluster.errors import PhotoError
from facecluster.photos.images import MAX_PIXELS_JPEG
from facecluster.store import Stamp, Store

STAMP: Stamp = {"table": "dedup/pixels", "version": 1}
PIXELS = pa.schema(
    [
        pa.field("photo_id", pa.string(), nullable=False, metadata={"description": "SHA-256 of the file's bytes"}),
        pa.field("pixels", pa.string(), nullable=False, metadata={"description": "SHA-256 of width, height and the upright RGB values"}),
    ]
)


class PixelHashes:
    """Hashes of the pixels of photos, by number of the photo."""

    def __init__(self, store: Store, photos: Photos) -> None:
        self._photos = photos
        self._table = ContentTable(store, photos, PIXELS, STAMP, self._compute)
        self.save = self._table.save

    def same(self, a: int, b: int) -> bool:
        """Whether two photos have the same pixels; False if one of them can't be opened."""
        size = [(self._photos.width[p], self._photos.height[p]) for p in (a, b)]
        return size[0] == size[1] and (found := self._table.of(a)) is not None and found == self._table.of(b)

    def _compute(self, photo: int) -> dict[str, Any] | None:
        try:
            pixels = open_file(self._photos, photo, MAX_PIXELS_JPEG).pixels
        except PhotoError:
            return None
        return {"pixels": hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()}
