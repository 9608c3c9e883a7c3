"""Tar archives: POSIX ustar and pax, GNU and V7 (POSIX.1-2017, "pax", ustar Interchange Format; GNU tar manual, "Basic Tar Format").

Not Python's `tarfile`: it ends silently at a damaged header, holds every member in memory, reads a long name whatever its length, and takes
twice the time for a header (docs/decisions.md).

Odd inputs: a damaged header is passed over up to the next whole one; a truncated archive gives the members before; of two members of one
name the last counts, as when the archive is unpacked; an archive that was appended to another by `cat` is read too.
"""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

from facecluster.errors import PhotoError
from facecluster.photos.archives.random_file import RandomFile, RangeReader, open_random
from facecluster.photos.archives.uris import Member, Range

BLOCK = 512
_ZEROS = bytes(BLOCK)
_PADDING = 128  # blocks of zeros between two archives that were joined
_MOST_HEADER = 1 << 20  # bytes of a long name or of pax records
_FILES = (b"0", b"\0", b"7")
_NO_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")  # links, devices, folders and pipes: whatever size they state, no bytes follow


class TarArchive:
    """An open tar archive."""

    def __init__(self, uri: str, size: int) -> None:
        self._file = open_random(uri, size)
        self._lock = threading.Lock()
        self._index: dict[str, tuple[int, int]] | None = None

    def members(self, is_photo: Callable[[bytes], bool], passed: Counter[str]) -> Iterator[Member]:
        return read_headers(self._file, passed)

    def open(self, key: str, at: Range | None) -> BinaryIO:
        offset, size = self._find(key, at)
        return cast(BinaryIO, io.BufferedReader(RangeReader(self._file, offset, size), 1 << 16))

    def read(self, key: str, at: Range | None) -> bytes:
        offset, size = self._find(key, at)
        data = self._file.read_at(offset, size)
        if len(data) < size:
            raise PhotoError(f"expected {size:,} bytes in the archive, found {len(data):,}: it is truncated")
        return data

    def size(self, key: str, at: Range | None) -> int:
        return self._find(key, at)[1]

    def _find(self, key: str, at: Range | None) -> tuple[int, int]:
        if at is not None:
            return at.offset, at.size
        with self._lock:
            if self._index is None:
                self._index = {m.key: (m.offset, m.size) for m in read_headers(self._file, Counter()) if m.error is None}
        if key not in self._index:
            raise PhotoError("expected a photo, found none of that name in the archive")
        return self._index[key]


class _Next:
    """What the headers before a member say of it."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.size: int | None = None
        self.sparse = False


def read_headers(file: RandomFile, passed: Counter[str]) -> Iterator[Member]:
    """The files of a tar archive in its order; damaged places are members with an error and no key."""
    at, zeros, damaged, following = 0, 0, False, _Next()
    while True:
        head = file.read_at(at, BLOCK)
        if len(head) < BLOCK:
            if head or not zeros:
                yield Member("", error=f"the archive ends at byte {at + len(head):,} without its end mark: it is truncated")
            return
        if head == _ZEROS:
            zeros += 1
            if zeros > _PADDING:
                return
            at += BLOCK
            continue
        if not _is_header(head):
            if zeros > 1:  # what follows the end of an archive need not be another one
                return
            if not damaged:
                yield Member("", error=f"the header at byte {at:,} is damaged")
            damaged, following = True, _Next()
            at += BLOCK
            continue
        damaged, zeros = False, 0
        kind, start = head[156:157], at + BLOCK
        size = _number(head[124:136]) if following.size is None or kind in (b"x", b"g", b"L", b"K") else following.size
        if size < 0:
            yield Member("", error=f"the header at byte {at:,} states a negative size")
            at, following = start, _Next()
            continue
        if kind in (b"x", b"g", b"L", b"K"):
            at = start + -(-size // BLOCK) * BLOCK
            data = file.read_at(start, size) if size <= _MOST_HEADER else b""
            if len(data) < size:
                yield Member("", error=f"the name at byte {start:,} is truncated or longer than {_MOST_HEADER >> 20} MiB")
                following = _Next()
            elif kind == b"L":
                following.name = text(data.split(b"\0")[0])
            elif kind == b"x":
                _read_pax(data, following)
            continue
        name = _name(head) if following.name is None else following.name
        sparse = following.sparse or kind == b"S"
        following = _Next()
        if kind == b"S":
            start = _after_sparse_map(file, head, start)
        at = start + (0 if kind in _NO_DATA else -(-size // BLOCK) * BLOCK)
        if kind == b"5" or name.endswith("/"):
            continue
        if sparse or kind not in _FILES:
            passed["links, devices and sparse files"] += 1
        elif size and not file.reaches(start + size):
            yield Member("", error=f"the archive ends within {name!r}")
            return
        else:
            yield Member(name.removeprefix("./"), size, start)


def _is_header(head: bytes) -> bool:
    """Whether the checksum is right: the sum of the bytes, its own field as blanks; some programs summed signed bytes."""
    try:
        stated = int(head[148:156].split(b"\0")[0].strip() or b"x", 8)
    except ValueError:
        return False
    total = sum(head) - sum(head[148:156]) + 8 * 32
    return stated == total or stated == total - 256 * sum(b > 127 for b in head[:148] + head[156:])


def _number(field: bytes) -> int:
    """A number: octal digits, or in base 256 if the first bit is set; -1 if it is neither."""
    if field[0] & 0x80:
        value = int.from_bytes(field[1:], signed=False)
        return value if field[0] == 0x80 else -1
    try:
        return int(field.split(b"\0")[0].strip() or b"0", 8)
    except ValueError:
        return -1


def _name(head: bytes) -> str:
    name = head[:100].split(b"\0")[0]
    prefix = head[345:500].split(b"\0")[0] if head[257:263] == b"ustar\0" else b""
    return text(prefix + b"/" + name if prefix else name)


def text(name: bytes) -> str:
    """A name as text; bytes that are not UTF-8 are written as \\xff."""
    return name.decode("utf-8", "backslashreplace")


def _read_pax(data: bytes, following: _Next) -> None:
    """Records `LENGTH KEY=VALUE\\n`."""
    at = 0
    while at < len(data):
        length, blank, _ = data[at : at + 20].partition(b" ")
        if not blank or not length.isdigit() or int(length) <= len(length) + 1:
            return
        key, _, value = data[at + len(length) + 1 : at + int(length) - 1].partition(b"=")
        at += int(length)
        if key in (b"path", b"GNU.sparse.name"):
            following.name = text(value)
        elif key == b"size":
            following.size = int(value) if value.isdigit() else -1
        following.sparse |= key.startswith(b"GNU.sparse.")


def _after_sparse_map(file: RandomFile, head: bytes, start: int) -> int:
    """Where the bytes of GNU's old sparse file begin: after further blocks of its map, each of which says whether another follows."""
    more = head[482:483] != b"\0"
    while more:
        block = file.read_at(start, BLOCK)
        start += BLOCK
        more = len(block) == BLOCK and block[504:505] != b"\0"
    return start
