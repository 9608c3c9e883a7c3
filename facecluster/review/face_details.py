"""What the page shows of faces: photo, date and crop. Everything but the crops is held in memory, as arrays.

The order of the crops in the shards is not the order in which a page needs them. The first request for a crop of a shard copies all crops
of the shard to a temporary file, which is deleted when the program ends. Later requests read from that file.

Odd inputs: a face that is in no shard any more has no photo and no crop; a photo without a date has year 0.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

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
        self._shards = store.shards("faces")
        self._lock = threading.Lock()
        self._spool = scratch_file(store)
        self._spooled: dict[int, tuple[Ints, Ints]] = {}  # of a shard: start and size of its crops in the file
        columns = ["taken_at", "orientation", "turn", "width", "height", "picture"]
        places, faces = places_by_photo(store, columns, look=True), FaceIds.of(ids)
        self.places, self._ids = places, faces
        self._uris, self._taken = places.first("uri"), np.asarray(places.first("taken_at"), "datetime64[s]")  # of the photos
        for number, shard in enumerate(self._shards):
            part = store.read("faces", shard, ["face_id", "photo_id", "quality"])
            at = faces.rows_of(part["face_id"])
            mine, rows = np.unique(at, return_index=True)  # of a face_id that occurs twice the first row counts
            mine, rows = mine[mine >= 0], rows[mine >= 0]
            new = self._shard[mine] < 0
            mine, rows = mine[new], rows[new]
            self.quality[mine] = np.nan_to_num(np.asarray(part["quality"], np.float32))[rows]
            self.photo[mine] = places.ids.rows_of(part["photo_id"])[rows]
            self._shard[mine], self._row[mine] = number, rows
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
        shard = int(self._shard[row])
        if shard < 0:
            return b""
        with self._lock:
            if self._spool.closed:
                return b""
            if shard not in self._spooled:
                self._spooled[shard] = self._spool_shard(shard)
            start, size = (int(v[self._row[row]]) for v in self._spooled[shard])
            self._spool.seek(start)
            return self._spool.read(size)

    def _spool_shard(self, shard: int) -> tuple[Ints, Ints]:
        crops = self.store.read("faces", self._shards[shard], ["crop"])["crop"]
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
