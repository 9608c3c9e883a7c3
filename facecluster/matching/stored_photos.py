"""The photos of a store by the bytes of their files: whether a photo is in the store already, and where."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from facecluster.photos.copy_names import by_place
from facecluster.photos.places import current_photos
from facecluster.store import Store


@dataclass(frozen=True, slots=True)
class StoredPhoto:
    """A photo of a store."""

    photo_id: str  # that of its faces
    uris: list[str]  # where it is, or was if it is gone; the one to show first


class StoredPhotos:
    """Finds photos by the SHA-256 of a file's bytes. A file with the same picture and other metadata is another one."""

    def __init__(self, store: Store) -> None:
        table = current_photos(store, ["photo_id", "content", "uri", "error"], look=True)
        table = table.filter(pc.and_(pc.is_null(table["error"]), pc.not_equal(table["photo_id"], ""))).combine_chunks()
        self._table = table.take(by_place(table))
        self._contents = self._table["content"].combine_chunks()

    def find(self, content: str) -> StoredPhoto | None:
        """The photo of which some file has this hash."""
        row = self._contents.index(pa.scalar(content, self._contents.type)).as_py()
        if row < 0:
            return None
        photo_id = self._table["photo_id"][row].as_py()
        places = self._table.filter(pc.equal(self._table["photo_id"], photo_id))
        return StoredPhoto(photo_id, places["uri"].to_pylist())
