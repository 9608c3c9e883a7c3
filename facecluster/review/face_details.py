"""What the page shows of faces: photo, date and crop. Everything but the crops is held in memory, as arrays.

The order of the crops in the shards is not the order in which a page needs them. The first request for a crop of a shard copies all crops
of the shard to a temporary file, which is deleted when the program ends. Later requests read from that file.

Odd inputs: a face that is in no shard any more has no photo and no crop; a photo without a date has year 0. If another program merges
shards or takes faces out of them meanwhile, the faces are looked for again: each shard is compared when it is read.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.errors import StoreError
from facecluster.faces.attribute_labels import AttributeLabels, attribute_labels
from facecluster.photos.places import places_by_photo
from facecluster.report.photos import iso_date
from facecluster.report.text import short_name
from facecluster.store import FaceIds, Store
from facecluster.store.scratch import scratch_file

Ints = NDArray[np.int64]


class FaceDetails:
    """Quality, photo and crop of the n faces of a run. Arrays are (n,)."""

    def __init__(self, store: Store, ids: Sequence[str]) -> None:
        self.store = store
        n = len(ids)
        self.quality = np.zeros(n, np.float32)
        self.photo: Ints = np.full(n, -1, dtype=np.int64)  # number of the photo; -1 = unknown
        self._shard: Ints = np.full(n, -1, dtype=np.int64)
        self._row: Ints = np.zeros(n, dtype=np.int64)  # in the shard
        self._shards: list[str] = []
        self._lock = threading.Lock()
        self._spool = scratch_file(store)
        self._spooled: dict[int, tuple[Ints, Ints]] = {}  # of a shard: start and size of its crops in the file
        columns = ["taken_at", "orientation", "turn", "width", "height", "picture"]
        places, self._ids = places_by_photo(store, columns, look=True), FaceIds.of(ids)
        self.places = places
        self._uris, self._taken = places.first("uri"), np.asarray(places.first("taken_at"), "datetime64[s]")  # of the photos
        for part, mine, rows in self._find(["photo_id", "quality"]):
            self.quality[mine] = np.nan_to_num(np.asarray(part["quality"], np.float32))[rows]
            self.photo[mine] = places.ids.rows_of(part["photo_id"])[rows]
        years = self._taken.astype("datetime64[Y]").astype(np.int64) + 1970
        self.year = np.append(np.where(np.isnat(self._taken), 0, years), 0).astype(np.int16)[self.photo]  # 0: unknown

    @cached_property
    def taken(self) -> NDArray[np.datetime64]:
        """When the photo of each face was taken (n,), in seconds; NaT: not known."""
        return np.append(self._taken, np.datetime64("NaT", "s"))[self.photo]

    def photo_of(self, row: int) -> tuple[str, str, str]:
        """Short name, uri and date (ISO 8601, or '') of the photo of a face."""
        photo = int(self.photo[row])
        if photo < 0:
            return "", "", ""
        uri = self._uris[photo].as_py()
        return short_name(uri, 40), uri, iso_date(self._taken[photo])

    @cached_property
    def shown(self) -> Ints:
        """Numbers of the photos with faces, by date and then by place, at the end those without a date."""
        return self.every[np.isin(self.every, self.photo)]

    @cached_property
    def every(self) -> Ints:
        """Numbers of all photos in that order."""
        return self.places.by_date()

    @cached_property
    def labels(self) -> AttributeLabels:
        """What models of attributes said of the faces. Raises StoreError if a table can't be read."""
        return attribute_labels(self.store, self._ids)

    def crop(self, row: int) -> bytes:
        """The crop of a face as stored; b'' if it does not exist. Raises StoreError if the shard can't be read."""
        with self._lock:
            if self._spool.closed:
                return b""
            try:
                return self._crop(row)
            except StoreError:  # shards were merged, or made anew without some faces: they are looked for once more
                self._spooled.clear()
                for _ in self._find([]):
                    pass
                return self._crop(row)

    def _crop(self, row: int) -> bytes:
        shard = int(self._shard[row])
        if shard < 0:
            return b""
        if shard not in self._spooled:
            self._spooled[shard] = self._spool_shard(shard)
        start, size = (int(v[self._row[row]]) for v in self._spooled[shard])
        self._spool.seek(start)
        return self._spool.read(size)

    def _find(self, columns: list[str]) -> Iterator[tuple[pa.Table, Ints, Ints]]:
        """Find the faces in the shards; gives columns of each shard, the faces that are in it, and their rows there."""
        self._shards = self.store.shards("faces")
        self._shard[:] = -1
        for number, shard in enumerate(self._shards):
            part = self.store.read("faces", shard, ["face_id", *columns])
            at = self._ids.rows_of(part["face_id"])
            mine, rows = np.unique(at, return_index=True)  # of a face_id that occurs twice the first row counts
            new = mine >= 0
            new[new] = self._shard[mine[new]] < 0
            self._shard[mine[new]], self._row[mine[new]] = number, rows[new]
            yield part, mine[new], rows[new]

    def _spool_shard(self, shard: int) -> tuple[Ints, Ints]:
        """Copy the crops of a shard to the file. Raises StoreError if its faces are not where they were found."""
        part = self.store.read("faces", self._shards[shard], ["face_id", "crop"])
        mine, there, crops = np.flatnonzero(self._shard == shard), self._ids.rows_of(part["face_id"]), part["crop"]
        if len(mine) and (self._row[mine].max() >= len(there) or (there[self._row[mine]] != mine).any()):
            raise StoreError(f"expected the faces of {self._shards[shard]} where they were, found others: load the page again")
        size = np.nan_to_num(np.asarray(pc.fill_null(pc.binary_length(crops), 0), np.int64))
        start = self._spool.seek(0, 2) + np.cumsum(size) - size
        for chunk in crops.iterchunks():
            for crop in chunk:
                self._spool.write(crop.as_py() or b"")
        return start, size

    def close(self) -> None:
        """Delete the temporary file of crops."""
        with self._lock:
            self._spool.close()
