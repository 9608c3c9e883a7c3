"""RecordIO files of images, as MXNet's im2rec and insightface write them: NAME.rec, with NAME.idx beside it.

A record is `0xced7230a` and a word, both little-endian and of 4 bytes, then its bytes, filled up to a multiple of 4. The lower 29 bits of
the word are the number of bytes, the upper 3 say whether it is whole (0) or the first (1), a middle (2) or the last (3) part of one that
was cut where its bytes held the mark, which is left out (dmlc-core, recordio.h). The bytes of a record begin with flag (uint32), label
(float32), id and id2 (uint64); with a flag above 0, that many float32 labels follow; then the file of the image (MXNet, recordio.py,
IRHeader). A line of NAME.idx is the record's key, a tab and its place.

Odd inputs: records without an image (insightface keeps its index of people in such) are left out; without NAME.idx records are found in
their order and have numbers from 0; a damaged record is left out, without NAME.idx up to the next mark.
"""

from __future__ import annotations

import io
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from facecluster.errors import PhotoError
from facecluster.photos.archives.random_file import open_random
from facecluster.photos.archives.uris import Member, NotAnArchiveError, Range
from facecluster.photos.files import MAX_BYTES, read_plain

_MARK = struct.pack("<I", 0xCED7230A)
_HEADER = struct.Struct("<IfQQ")
_SCAN = 1 << 20  # bytes read at once in search of the next mark


def index_of(uri: str) -> str:
    """The place of the NAME.idx of a NAME.rec."""
    return uri[: -len("rec")] + ("IDX" if uri.endswith("REC") else "idx")


class RecordArchive:
    """An open .rec file."""

    def __init__(self, uri: str, size: int) -> None:
        self._uri, self._size = uri, size
        self._file = open_random(uri, size)
        self._lock = threading.Lock()
        self._index: dict[str, int] | None = None
        if self._file.read_at(0, 4) != _MARK:
            raise NotAnArchiveError("expected a RecordIO file, found something else")

    def members(self, is_photo: Callable[[bytes], bool], passed: Counter[str]) -> Iterator[Member]:
        for key, at in self._records():
            if at < 0:
                yield Member("", error=key)
                continue
            try:
                size, _, label = self._image_at(at, head_only=True)
            except PhotoError as e:
                yield Member("", error=str(e))
                continue
            if size > 0:
                yield Member(key, size, at, label=label)

    def open(self, key: str, at: Range | None) -> BinaryIO:
        return io.BytesIO(self.read(key, at))

    def read(self, key: str, at: Range | None) -> bytes:
        return self._image_at(self._find(key, at))[1]

    def size(self, key: str, at: Range | None) -> int:
        return 0

    def _find(self, key: str, at: Range | None) -> int:
        if at is not None:
            return at.offset
        with self._lock:
            if self._index is None:
                self._index = {k: place for k, place in self._records() if place >= 0}
        if key not in self._index:
            raise PhotoError("expected a photo, found no record of that key in the archive")
        return self._index[key]

    def _records(self) -> Iterator[tuple[str, int]]:
        """Key and place of each record in order of the places; what is wrong, and -1, for a damaged place."""
        try:
            lines = read_plain(index_of(self._uri)).splitlines()
        except PhotoError:
            yield from self._scan()
            return
        found = []
        for line in filter(None, lines):
            key, _, place = line.partition(b"\t")
            if place.strip().isdigit():
                found.append((int(place), key.decode("utf-8", "backslashreplace")))
            else:
                yield f"the line {line[:40]!r} of the .idx has no place", -1
        for at, name in sorted(found):
            yield name, at

    def _scan(self) -> Iterator[tuple[str, int]]:
        at, number = 0, 0
        while at < self._size:
            try:
                parts, end = self._parts(at)
            except PhotoError as e:
                yield str(e), -1
                at = self._next_mark(at + 4)
                continue
            if parts:
                yield str(number), at
                number += 1
            at = end

    def _next_mark(self, at: int) -> int:
        """The place of the next mark at a multiple of 4; the end of the file if there is none."""
        while data := self._file.read_at(at, _SCAN):
            marks = np.flatnonzero(np.frombuffer(data[: len(data) // 4 * 4], "<u4") == 0xCED7230A)
            if len(marks):
                return at + 4 * int(marks[0])
            at += _SCAN
        return self._size

    def _parts(self, at: int) -> tuple[list[tuple[int, int]], int]:
        """Place and length of each part of the record at a place, and where the next record begins."""
        parts, start = list[tuple[int, int]](), at
        while True:
            head = self._file.read_at(at, 8)
            kind, length = (word := int.from_bytes(head[4:], "little")) >> 29, word & 0x1FFFFFFF
            if len(head) < 8 or head[:4] != _MARK or kind not in ((0, 1) if not parts else (2, 3)):
                raise PhotoError(f"the record at byte {start:,} is damaged")
            if at + 8 + length > self._size:
                raise PhotoError(f"the archive ends within the record at byte {start:,}")
            parts.append((at + 8, length))
            at += 8 + -(-length // 4) * 4
            if kind in (0, 3):
                return parts, at

    def _image_at(self, at: int, head_only: bool = False) -> tuple[int, bytes, str]:
        """Size, bytes and label of the image of the record at a place; without the bytes if `head_only`."""
        parts, _ = self._parts(at)
        total = sum(length for _, length in parts) + 4 * (len(parts) - 1)
        if total > MAX_BYTES:
            raise PhotoError(f"expected a photo file of at most {MAX_BYTES >> 20} MiB, found {total >> 20} MiB")
        wanted = parts[:1] if head_only and parts[0][1] >= _HEADER.size + 8 else parts
        data = _MARK.join(self._file.read_at(start, min(length, 256) if head_only else length) for start, length in wanted)
        if len(data) < _HEADER.size:
            raise PhotoError(f"the record at byte {at:,} is shorter than the header of an image")
        flag, label, _, _ = _HEADER.unpack_from(data)
        begin = _HEADER.size + 4 * flag
        if begin > total:
            raise PhotoError(f"the record at byte {at:,} states {flag:,} labels, which it is too short for")
        if flag and len(data) >= _HEADER.size + 4:
            label = struct.unpack_from("<f", data, _HEADER.size)[0]
        return total - begin, b"" if head_only else data[begin:], f"{label:g}"
