"""Sorted ids of faces (or of anything else) in one array: 29 bytes a face_id, where a list and a dictionary of texts take 250."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_BLOCK = 65_536  # ids that are made texts at a time
_KNOWN = 100_000  # ids whose rows are kept once they were looked up: 10 MB
_KNOWN_LISTS = 50_000  # lists of ids likewise: 60 MB if each has 64; with more names each act looks up all of them again

Ids: TypeAlias = "FaceIds | Sequence[str] | pa.Array | pa.ChunkedArray"


class FaceIds(Sequence[str]):
    """Ids in rising order, each once. It is a sequence of texts, and finds the rows of many ids at once."""

    def __init__(self, keys: NDArray[np.bytes_]) -> None:
        """`keys`: (n,) UTF-8, whose order is that of the texts."""
        self.keys = keys
        self._known: dict[str, int] = {}  # rows that were looked up: those of the faces of decisions are wanted again after each act
        self._lists: dict[tuple[str, ...], NDArray[np.int64]] = {}

    @staticmethod
    def of(ids: Ids) -> FaceIds:
        """`ids` (n,), which are in rising order."""
        return ids if isinstance(ids, FaceIds) else FaceIds(_keys(ids))

    @staticmethod
    def among(ids: Ids) -> FaceIds:
        """The ids of `ids`, which may be in any order and stand several times."""
        return FaceIds(np.unique(_keys(ids)))

    @property
    def rows(self) -> FaceRows:
        """The row of each id."""
        return FaceRows(self)

    def rows_of(self, ids: Ids) -> NDArray[np.int64]:
        """Rows (m,) of `ids` (m,), which may be in any order; -1 for one that is not there."""
        wanted = _keys(ids)
        if not len(self.keys):
            return np.full(len(wanted), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[at] == wanted, at, -1).astype(np.int64)

    def has(self, ids: Ids) -> NDArray[np.bool_]:
        """Which of `ids` (m,) are there: (m,)."""
        return np.asarray(self.rows_of(ids) >= 0)

    def without(self, ids: Ids) -> FaceIds:
        """Those ids that are not in `ids`."""
        return FaceIds(self.keys[~FaceIds.of(ids).has(self)])

    def starts(self, length: int) -> FaceIds:
        """The first `length` characters (of one byte) of the ids, each once."""
        begin = self.keys.astype(f"S{length}")
        return FaceIds(begin[np.r_[True, begin[1:] != begin[:-1]]] if len(begin) else begin)

    def starting_with(self, text: str) -> range:
        """Rows of the ids that begin with a text."""
        first, last = (int(np.searchsorted(self.keys, key)) for key in (text.encode(), text.encode() + b"\xff"))
        return range(first, last)

    def arrow(self) -> pa.Array:
        """The ids as an array of texts."""
        n, width = len(self.keys), self.keys.itemsize
        if n and (self.keys.view(np.uint8).reshape(n, width)[:, -1] != 0).all() and n * width < 2**31:
            offsets = pa.py_buffer(np.arange(0, (n + 1) * width, width, dtype=np.int32))
            return pa.StringArray.from_buffers(n, offsets, pa.py_buffer(self.keys))
        return pa.array(list(self), pa.string())

    def __arrow_array__(self, type: pa.DataType | None = None) -> pa.Array:
        return self.arrow() if type is None else self.arrow().cast(type)

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice | NDArray[np.integer] | NDArray[np.bool_]) -> FaceIds: ...
    def __getitem__(self, at: int | slice | NDArray[np.integer] | NDArray[np.bool_]) -> str | FaceIds:
        found = self.keys[at]
        return found.decode() if isinstance(found, bytes) else FaceIds(found)

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self.keys), _BLOCK):
            yield from (key.decode() for key in self.keys[start : start + _BLOCK].tolist())

    def __contains__(self, face: object) -> bool:
        return isinstance(face, str) and self.find(face) >= 0

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FaceIds):
            return bool(np.array_equal(self.keys, other.keys))
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def find(self, face: str) -> int:
        """The row of an id; -1 if it is not there."""
        known = self._known.get(face)
        if known is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            known = self._known[face] = self._search(face)
        return known

    def find_all(self, faces: tuple[str, ...]) -> NDArray[np.int64]:
        """The rows (m,) of the ids of a decision, -1 for one that is not there: kept, as it is asked again after each act."""
        found = self._lists.get(faces)
        if found is None:
            if len(self._lists) >= _KNOWN_LISTS:
                self._lists.clear()
            found = self._lists[faces] = np.array([self.find(face) for face in faces], np.int64)
        return found

    def _search(self, face: str) -> int:
        key = face.encode("utf-8", "replace")
        if len(key) > self.keys.itemsize or not len(self.keys):
            return -1
        at = int(self.keys.searchsorted(key))  # a third of the time of the function: thousands of faces are looked up after an act
        return at if at < len(self.keys) and self.keys[at] == key else -1


class FaceRows(Mapping[str, int]):
    """The rows of ids, as a mapping."""

    def __init__(self, ids: FaceIds) -> None:
        self._ids = ids

    def __getitem__(self, face: str) -> int:
        if (row := self._ids.find(face)) < 0:
            raise KeyError(face)
        return row

    @overload  # type: ignore[override]
    def get(self, face: str) -> int | None: ...
    @overload
    def get(self, face: str, default: int) -> int: ...
    def get(self, face: str, default: int | None = None) -> int | None:
        return row if (row := self._ids.find(face)) >= 0 else default

    def of_all(self, faces: tuple[str, ...]) -> NDArray[np.int64]:
        """The rows (m,) of some ids, -1 for one that is not there."""
        return self._ids.find_all(faces)

    def __contains__(self, face: object) -> bool:
        return face in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def _keys(ids: Ids) -> NDArray[np.bytes_]:
    """UTF-8 (n,) of texts."""
    if isinstance(ids, FaceIds):
        return ids.keys
    if isinstance(ids, pa.ChunkedArray):
        return np.concatenate([np.zeros(0, "S1"), *map(_keys, ids.chunks)])
    if isinstance(ids, pa.Array):
        return _arrow_keys(ids)
    return _bytes(ids)


def _arrow_keys(ids: pa.Array) -> NDArray[np.bytes_]:
    """Texts of one length lie one after the other: they are taken as they are."""
    ids = ids.cast(pa.large_string())
    offsets = np.frombuffer(ids.buffers()[1], np.int64)[ids.offset : ids.offset + len(ids) + 1] if len(ids) else np.zeros(1, np.int64)
    width = int(offsets[-1] - offsets[0]) // max(len(ids), 1)
    if ids.null_count or not width or not (np.diff(offsets) == width).all():
        return _bytes(ids.to_pylist())
    return np.frombuffer(ids.buffers()[2], f"S{width}", len(ids), int(offsets[0]))


def _bytes(ids: Iterable[str]) -> NDArray[np.bytes_]:
    found = [face.encode() for face in ids]
    return np.array(found, np.bytes_) if found else np.zeros(0, "S1")
