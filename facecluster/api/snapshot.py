"""What is read of an opened store: each table once, when it is first asked for, and which rows belong to whom.

All that is read is of one run: the one that is the current one when something of it is first asked for. Where the store has changed since,
so that what is read later would not fit what was read before, a StoreError says to open it again.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.api import tables
from facecluster.errors import StoreError
from facecluster.matching.recognition import Recognition, read_recognition
from facecluster.people import Run, current_run, read_followed
from facecluster.photos.followed import Followed
from facecluster.store import Store


class Snapshot:
    """A store as it is read. Faces and photos are given by row and photo_id, people by index into `recognition.people`."""

    def __init__(self, store: Store, model: str | None) -> None:
        self.store = store
        self._model = model
        self._crops = lru_cache(maxsize=4)(self._read_crops)

    @cached_property
    def run(self) -> Run | None:
        return current_run(self.store)

    @property
    def model(self) -> str:
        return self._model or (self.run.model if self.run else "bundled")

    @property
    def identities(self) -> str:
        return self.run.identities if self.run is not None and self.run.model == self.model else f"identities/{self.model}"

    @cached_property
    def grouped(self) -> bool:
        """Whether there are people."""
        found = bool(self.store.shards(self.identities))
        self._check_run()
        return found

    @cached_property
    def recognition(self) -> Recognition:
        """Who is on which face. Raises StoreError if the store was never grouped."""
        self._check_run()
        found = read_recognition(self.store, self.model)
        self._check_run()
        return found

    @cached_property
    def photos(self) -> pa.Table:
        return tables.photos(self.store)

    @property
    def faces(self) -> pa.Table:
        return self._faces[0]

    @cached_property
    def _faces(self) -> tuple[pa.Table, list[str], NDArray[np.int64], NDArray[np.int64]]:
        found = tables.faces(self.store, self.photos, self.recognition if self.grouped else None, self.identities)
        if self.grouped and not self.store.shards(self.identities):
            raise self._changed()
        return found

    @cached_property
    def people(self) -> pa.Table:
        return tables.people(self.recognition.people, self.faces)

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row of each face_id."""
        return {face: row for row, face in enumerate(self.faces["face_id"].to_pylist())}

    @cached_property
    def followed(self) -> Followed:
        """face_ids from before photos were edited."""
        return read_followed(self.store)

    @cached_property
    def person_of(self) -> NDArray[np.int32]:
        """(n,) person of each face; -1 = nobody."""
        if not self.grouped:
            return np.full(self.faces.num_rows, -1, np.int32)
        return self.recognition.people_of(self.faces["face_id"].combine_chunks())[0]

    @cached_property
    def faces_of(self) -> list[list[int]]:
        """Rows of the faces of each person, the most probable first."""
        probability = np.asarray(self.faces["probability"], np.float64)
        order = np.lexsort((-probability, self.person_of))
        starts = np.searchsorted(self.person_of[order], np.arange(len(self.recognition.people) + 1))
        return [order[a:b].tolist() for a, b in zip(starts[:-1], starts[1:], strict=True)]

    @cached_property
    def faces_in(self) -> dict[str, list[int]]:
        """Rows of the faces of each photo_id, from left to right; photos without faces are not in it."""
        left = np.asarray(pc.list_element(self.faces["box"], 0))
        ids = self.faces["photo_id"].to_pylist()
        found: dict[str, list[int]] = {}
        for row in np.argsort(left, kind="stable").tolist():
            found.setdefault(ids[row], []).append(row)
        return found

    @cached_property
    def places(self) -> dict[str, tuple[tuple[str, ...], int, int, Any]]:
        """Of each photo_id: its places, width, height, and when it was taken."""
        return tables.places(self.photos)

    @cached_property
    def photo_at(self) -> dict[str, str]:
        """photo_id of each place."""
        return {uri: photo for photo, (uris, *_) in self.places.items() for uri in uris}

    def orientation(self, uri: str) -> int | None:
        """EXIF's number, 1 to 8, of what turned the photo at a place upright when its faces were found; None if it is not known."""
        found = self.photos["orientation"].filter(pc.equal(self.photos["uri"], uri)).drop_null()
        return int(found[0].as_py()) if len(found) else None

    def crop(self, row: int) -> bytes:
        """The coded crop of a face. The crops of a few shards are kept in memory."""
        faces, shards, shard, place = self._faces
        of_shard, at = self._crops(shards[int(shard[row])]), int(place[row])
        if at >= of_shard.num_rows or of_shard["face_id"][at] != faces["face_id"][row]:
            raise self._changed()
        return bytes(of_shard["crop"][at].as_py())

    def _read_crops(self, shard: str) -> pa.Table:
        try:
            return self.store.read("faces", shard, ["face_id", "crop"])
        except StoreError:
            if shard in self.store.shards("faces"):
                raise
            raise self._changed() from None

    def _check_run(self) -> None:
        now, run = current_run(self.store), self.run
        if (now and (now.number, now.model)) != (run and (run.number, run.model)):
            raise self._changed()

    def _changed(self) -> StoreError:
        return StoreError(f"expected {self.store.url} as it was first read, found that its faces or people changed since: open it again")
