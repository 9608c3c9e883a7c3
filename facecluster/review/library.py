"""What the page shows of faces: photo, date and crop. All but the crops are held in memory, about 150 bytes a face.

Crops lie in the shards of faces in no order that a page asks for. The first crop that is asked of a shard moves all of its crops to a
file without a name, which is gone when the program ends; later ones are read from there.

Odd inputs: a face that no shard has any more has no photo and no crop; a photo without a date is of year 0.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.report.text import short_name
from facecluster.store import Store

Ints = NDArray[np.int64]


class Library:
    """Quality, photo and crop of the n faces of a run. Arrays are (n,)."""

    def __init__(self, store: Store, ids: Sequence[str]) -> None:
        self.store = store
        n = len(ids)
        self.quality = np.zeros(n, np.float32)
        self.photo: Ints = np.full(n, -1, dtype=np.int64)  # index of uris; -1 = not known
        self._shard: Ints = np.full(n, -1, dtype=np.int64)
        self._row: Ints = np.zeros(n, dtype=np.int64)  # in the shard
        self._shards = store.shards("faces")
        self._lock = threading.Lock()
        self._spool = tempfile.TemporaryFile()
        self._moved: dict[int, tuple[Ints, Ints]] = {}  # of a shard: start and size of its crops in the file
        photo_ids, self.uris, self.taken = _photos(store)
        parts = [store.read("faces", shard, ["face_id", "photo_id", "quality"]).replace_schema_metadata() for shard in self._shards]
        if parts:
            table = pa.concat_tables(parts)
            at = _places(table["face_id"], ids)
            first = np.full(n, table.num_rows, dtype=np.int64)  # a face that is there twice counts once
            known = np.flatnonzero(at >= 0)
            np.minimum.at(first, at[known], known)
            mine = np.flatnonzero(first < table.num_rows)
            rows = first[mine]
            sizes = [part.num_rows for part in parts]
            self.quality[mine] = np.nan_to_num(np.asarray(table["quality"], np.float32))[rows]
            self.photo[mine] = _places(table["photo_id"], photo_ids)[rows]
            self._shard[mine] = np.repeat(np.arange(len(parts)), sizes)[rows]
            self._row[mine] = np.concatenate([np.arange(size) for size in sizes])[rows]
        self.year = self._years()

    def _years(self) -> NDArray[np.int16]:
        years = np.array([int(t[:4]) if t else 0 for t in self.taken] + [0], np.int16)
        return np.asarray(years[self.photo])

    def place(self, row: int) -> tuple[str, str, str]:
        """Of a face: short name of its photo, its whole address, and when it was taken (ISO 8601, or '')."""
        photo = int(self.photo[row])
        return (short_name(self.uris[photo], 40), self.uris[photo], self.taken[photo]) if photo >= 0 else ("", "", "")

    def crop(self, row: int) -> bytes:
        """The crop of a face as it was stored; b'' if it is gone. Raises StoreError if the shard is."""
        shard = int(self._shard[row])
        if shard < 0:
            return b""
        with self._lock:
            if self._spool.closed:
                return b""
            if shard not in self._moved:
                self._moved[shard] = self._move(shard)
            start, size = (int(v[self._row[row]]) for v in self._moved[shard])
            self._spool.seek(start)
            return self._spool.read(size)

    def _move(self, shard: int) -> tuple[Ints, Ints]:
        crops = self.store.read("faces", self._shards[shard], ["crop"])["crop"]
        size = np.nan_to_num(np.asarray(pc.fill_null(pc.binary_length(crops), 0), np.int64))
        start = self._spool.seek(0, 2) + np.cumsum(size) - size
        for chunk in crops.iterchunks():
            for crop in chunk:
                self._spool.write(crop.as_py() or b"")
        return start, size

    def close(self) -> None:
        """Give the crops' file back."""
        with self._lock:
            self._spool.close()


def _places(column: pa.ChunkedArray, values: Sequence[str]) -> Ints:
    """Where each entry of a column stands in `values`; -1 = nowhere."""
    return np.asarray(pc.fill_null(pc.index_in(column, value_set=pa.array(values, pa.string())), -1), np.int64)


def _photos(store: Store) -> tuple[list[str], list[str], list[str]]:
    """photo_id, address and date of each photo that could be used, the last row of each that counts."""
    parts = [store.read("photos", shard, ["photo_id", "uri", "taken_at", "error"]) for shard in store.shards("photos")]
    if not parts:
        return [], [], []
    table = pa.concat_tables([p.replace_schema_metadata() for p in parts])
    table = table.filter(pc.is_null(table["error"]))
    taken = pc.fill_null(pc.strftime(table["taken_at"], "%Y-%m-%dT%H:%M:%S"), "")
    rows = zip(table["photo_id"].to_pylist(), table["uri"].to_pylist(), taken.to_pylist(), strict=True)
    last = {photo: (uri, at[:19]) for photo, uri, at in rows}
    return list(last), [uri for uri, _ in last.values()], [at for _, at in last.values()]
