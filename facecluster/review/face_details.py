"""What the page shows of faces: photo, date and crop. Everything but the crops is held in memory, about 150 bytes a face.

The order of the crops in the shards is not the order in which a page needs them. The first request for a crop of a shard copies all crops
of the shard to a temporary file, which is deleted when the program ends. Later requests read from that file.

Odd inputs: a face that is in no shard any more has no photo and no crop; a photo without a date has year 0.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.photos.places import places_by_photo
from facecluster.report.text import short_name
from facecluster.store import Store

Ints = NDArray[np.int64]


class FaceDetails:
    """Quality, photo and crop of the n faces of a run. Arrays are (n,)."""

    def __init__(self, store: Store, ids: Sequence[str]) -> None:
        self.store = store
        n = len(ids)
        self.quality = np.zeros(n, np.float32)
        self.photo: Ints = np.full(n, -1, dtype=np.int64)  # index into uris; -1 = unknown
        self._shard: Ints = np.full(n, -1, dtype=np.int64)
        self._row: Ints = np.zeros(n, dtype=np.int64)  # in the shard
        self._shards = store.shards("faces")
        self._lock = threading.Lock()
        self._spool = tempfile.TemporaryFile()
        self._spooled: dict[int, tuple[Ints, Ints]] = {}  # of a shard: start and size of its crops in the file
        photo_ids, self.uris, self.taken = _read_photos(store)
        parts = [store.read("faces", shard, ["face_id", "photo_id", "quality"]).replace_schema_metadata() for shard in self._shards]
        if parts:
            table = pa.concat_tables(parts)
            at = _index_in(table["face_id"], ids)
            first = np.full(n, table.num_rows, dtype=np.int64)  # of a face_id that occurs twice the first row counts
            known = np.flatnonzero(at >= 0)
            np.minimum.at(first, at[known], known)
            mine = np.flatnonzero(first < table.num_rows)
            rows = first[mine]
            sizes = [part.num_rows for part in parts]
            self.quality[mine] = np.nan_to_num(np.asarray(table["quality"], np.float32))[rows]
            self.photo[mine] = _index_in(table["photo_id"], photo_ids)[rows]
            self._shard[mine] = np.repeat(np.arange(len(parts)), sizes)[rows]
            self._row[mine] = np.concatenate([np.arange(size) for size in sizes])[rows]
        self.year = self._years()

    def _years(self) -> NDArray[np.int16]:
        years = np.array([int(t[:4]) if t else 0 for t in self.taken] + [0], np.int16)
        return np.asarray(years[self.photo])

    def photo_of(self, row: int) -> tuple[str, str, str]:
        """Short name, uri and date (ISO 8601, or '') of the photo of a face."""
        photo = int(self.photo[row])
        return (short_name(self.uris[photo], 40), self.uris[photo], self.taken[photo]) if photo >= 0 else ("", "", "")

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


def _index_in(column: pa.ChunkedArray, values: Sequence[str]) -> Ints:
    """The index in `values` of each entry of a column; -1 if it is not among them."""
    return np.asarray(pc.fill_null(pc.index_in(column, value_set=pa.array(values, pa.string())), -1), np.int64)


def _read_photos(store: Store) -> tuple[list[str], list[str], list[str]]:
    """photo_id, uri and date of each photo that could be used and counts; its first place that is there."""
    photos = places_by_photo(store, ["taken_at"], look=True)
    first = [places[0] for places in photos.values()]
    taken = [row["taken_at"].isoformat(timespec="seconds") if row["taken_at"] else "" for row in first]
    return list(photos), [row["uri"] for row in first], taken
