"""Whether two files hold the same pixels, bit by bit, and differ only in metadata or compression. The table dedup/pixels keeps the hashes.

Only photos with a copy of the same size are decoded in full, so a collection without such copies costs nothing. Pixels are compared upright
and in sRGB, as they are shown: a photo that was rotated without loss has the same pixels.
"""

from __future__ import annotations

import hashlib

import pyarrow as pa

from facecluster.dedup.store_photos import Photos, open_file
from facecluster.errors import PhotoError
from facecluster.photos.images import MAX_PIXELS_JPEG
from facecluster.store import Stamp, Store, table_of

TABLE = "dedup/pixels"
STAMP: Stamp = {"table": TABLE, "version": 1}
PIXELS = pa.schema(
    [
        pa.field("photo_id", pa.string(), nullable=False, metadata={"description": "the photo"}),
        pa.field("pixels", pa.string(), nullable=False, metadata={"description": "SHA-256 of width, height and the upright RGB values"}),
    ]
)


class PixelHashes:
    """Hashes of the pixels of photos, by number of the photo."""

    def __init__(self, store: Store, photos: Photos) -> None:
        self._store, self._photos = store, photos
        self._known: dict[str, str] = {}
        for shard in store.shards(TABLE):
            if store.stamp(TABLE, shard) == dict(STAMP):
                table = store.read(TABLE, shard)
                self._known.update(zip(table["photo_id"].to_pylist(), table["pixels"].to_pylist(), strict=True))
        self._new: dict[str, str] = {}

    def same(self, a: int, b: int) -> bool:
        """Whether two photos have the same pixels; False if one of them can't be opened."""
        size = [(self._photos.width[p], self._photos.height[p]) for p in (a, b)]
        return size[0] == size[1] and self._hash_of(a) == self._hash_of(b) != ""

    def save(self) -> None:
        """Write the hashes that were computed since the last call."""
        if self._new:
            shard = f"{max((int(s) for s in self._store.shards(TABLE)), default=-1) + 1:05d}"
            columns = {"photo_id": list(self._new), "pixels": list(self._new.values())}
            self._store.write(TABLE, shard, table_of(PIXELS, columns), STAMP)
            self._new = {}

    def _hash_of(self, photo: int) -> str:
        photo_id = self._photos.ids[photo]
        if photo_id not in self._known:
            found = self._compute(photo)
            self._known[photo_id] = found
            if found:
                self._new[photo_id] = found
        return self._known[photo_id]

    def _compute(self, photo: int) -> str:
        """The hash; '' if no file of the photo can be opened."""
        try:
            pixels = open_file(self._photos, photo, MAX_PIXELS_JPEG).pixels
        except PhotoError:
            return ""
        return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
