"""Parquet files with columns of images: Hugging Face's struct {bytes, path}, and plain binary. A key is COLUMN/ROW, from row 0.

A column of images is a struct with a binary field `bytes`, or a binary column whose first value begins like a photo. Rows are read a few at
a time, never a whole row group. Odd inputs: a row without bytes is left out, and counted; a negative number in a column of Hugging Face's
ClassLabel is no label; whole numbers may be stored as floating point, as pandas does if some are missing, and other ones are no labels.
"""

from __future__ import annotations

import io
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facecluster.errors import PhotoError
from facecluster.photos.archives.uris import Member, NotAnArchiveError, Range
from facecluster.photos.files import check_size, local_path, open_plain, saying_why

_ROWS = 16  # read at once
# columns of labels; if there are several, the first of these counts
_LABELS = ("person", "identity", "label", "person_id", "identity_id", "labels", "class", "target", "name")


class ParquetArchive:
    """An open Parquet file."""

    def __init__(self, uri: str, size: int) -> None:
        path = local_path(uri)
        with saying_why(path):
            # without buffering threads: they can end the interpreter at exit
            self._file = pq.ParquetFile(open_plain(uri) if path is None else path, pre_buffer=False, buffer_size=1 << 16)
        self._lock = threading.Lock()
        self._starts = [0]
        for group in range(self._file.num_row_groups):
            self._starts.append(self._starts[-1] + self._file.metadata.row_group(group).num_rows)
        self._readers: dict[str, _Rows] = {}

    def members(self, is_photo: Callable[[bytes], bool], passed: Counter[str]) -> Iterator[Member]:
        columns = [field.name for field in self._file.schema_arrow if self._has_images(field, is_photo)]
        if not columns:
            found = ", ".join(self._file.schema_arrow.names[:10]) or "none"
            raise NotAnArchiveError(f"expected a column of images, found the columns {found}")
        plain = [f.name for f in self._file.schema_arrow if f.name.lower() in _LABELS and _is_plain(f.type)]
        label = min(plain, key=lambda name: _LABELS.index(name.lower()), default=None)
        names = class_names(self._file.schema_arrow, label)
        for column in columns:
            for group in range(self._file.num_row_groups):
                first = self._starts[group]
                try:
                    labels = self._read(group, label) if label else None
                    empty = self._empty_rows(group, self._leaf(column))
                except (pa.ArrowException, OSError) as e:
                    yield Member("", error=f"the rows from {first:,} are damaged: {' '.join(str(e).split())[:200]}")
                    continue
                for row in range(self._starts[group + 1] - first):
                    if row in empty:
                        passed["rows without an image"] += 1
                        continue
                    said = None if labels is None else _label(labels[row].as_py(), names)
                    yield Member(f"{column}/{first + row}", offset=first + row, label=said)

    def open(self, key: str, at: Range | None) -> BinaryIO:
        return io.BytesIO(self.read(key, at))

    def read(self, key: str, at: Range | None) -> bytes:
        column, _, row = key.rpartition("/")
        if column not in self._file.schema_arrow.names or not row.isdigit() or int(row) >= self._starts[-1]:
            raise PhotoError("expected a photo, found no such column or row in the file")
        with self._lock:
            if column not in self._readers:
                self._readers[column] = _Rows(self._file, self._leaf(column), self._starts)
            data = self._readers[column].read(int(row))
        if data is None:
            raise PhotoError("expected an image, found a row without one")
        return data

    def size(self, key: str, at: Range | None) -> int:
        return 0

    def _has_images(self, field: pa.Field, is_photo: Callable[[bytes], bool]) -> bool:
        if not pa.types.is_struct(field.type):
            return _is_binary(field.type) and is_photo(self._first_value(field.name))
        inner = field.type.get_field_index("bytes")
        # of sound, Hugging Face's struct is the same
        return inner >= 0 and _is_binary(field.type.field(inner).type) and is_photo(self._first_value(f"{field.name}.bytes"))

    def _first_value(self, leaf: str) -> bytes:
        for group in range(self._file.num_row_groups):
            with suppress(pa.ArrowException, OSError):  # damaged: another group may be whole
                for batch in self._file.iter_batches(_ROWS, row_groups=[group], columns=[leaf], use_threads=False):
                    values = _values(batch.column(0)).drop_null()
                    if len(values):
                        return bytes(values[0].as_buffer()[:256])
        return b""

    def _leaf(self, column: str) -> str:
        return f"{column}.bytes" if pa.types.is_struct(self._file.schema_arrow.field(column).type) else column

    def _read(self, group: int, column: str) -> pa.ChunkedArray:
        return self._file.read_row_group(group, columns=[column], use_threads=False).column(0)

    def _empty_rows(self, group: int, leaf: str) -> set[int]:
        """Rows of a group without bytes. The column is read only if the file does not say that there are none."""
        metadata = self._file.metadata.row_group(group)
        chunks = (metadata.column(i) for i in range(metadata.num_columns))
        statistics = next((c.statistics for c in chunks if c.path_in_schema == leaf), None)
        if statistics is not None and statistics.has_null_count and statistics.null_count == 0:
            return set()
        found, first = set[int](), 0
        for batch in self._file.iter_batches(_ROWS, row_groups=[group], columns=[leaf], use_threads=False):
            for i, valid in enumerate(pc.is_valid(_values(batch.column(0))).to_pylist()):
                if not valid:
                    found.add(first + i)
            first += batch.num_rows
        return found


def class_names(schema: pa.Schema, label: str | None) -> list[str]:
    """The names that Hugging Face's metadata gives to the numbers of a column of labels; a negative number there is no label."""
    try:
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError):
        return []
    return [str(name) for name in found] if isinstance(found, list) else []


class _Rows:
    """Reads the rows of a column in nearly rising order: two batches are kept, for threads that overtake each other."""

    def __init__(self, file: pq.ParquetFile, leaf: str, starts: list[int]) -> None:
        self._file, self._leaf, self._starts = file, leaf, starts
        self._kept: list[tuple[int, pa.Array]] = []
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._next = self._end = 0  # rows of the group that is being read: the next, and the one after the last

    def read(self, row: int) -> bytes | None:
        while True:
            for first, values in self._kept:
                if first <= row < first + len(values):
                    value = values[row - first]
                    if not value.is_valid:
                        return None
                    check_size(len(value.as_buffer()))
                    return bytes(value.as_buffer())
            if not self._next <= row < self._end:
                group = next(g for g in range(len(self._starts) - 1) if self._starts[g] <= row < self._starts[g + 1])
                self._next, self._end = self._starts[group], self._starts[group + 1]
                self._batches = self._file.iter_batches(_ROWS, row_groups=[group], columns=[self._leaf], use_threads=False)
            try:
                values = _values(next(self._batches).column(0))
            except BaseException:
                self._next = self._end = 0
                raise
            self._kept = [*self._kept[-1:], (self._next, values)]
            self._next += len(values)


def _values(column: pa.Array) -> pa.Array:
    """The binary values of a column, or of the only field of a struct; null where the struct is."""
    return pc.struct_field(column, [0]) if pa.types.is_struct(column.type) else column


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_plain(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):  # a category of pandas
        kind = kind.value_type
    return any(is_one(kind) for is_one in (pa.types.is_integer, pa.types.is_floating, pa.types.is_string, pa.types.is_large_string))


def _label(value: str | float | None, names: Sequence[str]) -> str | None:
    """What a value of the column of labels says. `names`: of its numbers, if it has some."""
    if isinstance(value, float):
        if not value.is_integer():
            return None
        value = int(value)
    if isinstance(value, int) and names:
        return names[value] if 0 <= value < len(names) else None if value < 0 else str(value)
    return None if value is None else str(value)
