"""Read any range of a file, by several threads, without holding the file in memory.

A compressed file is read forwards only: going back further than the last 16 MiB starts it anew. One that is damaged ends there. One that
grows more than 200-fold, and by more than 1 GiB, is refused: photos do not.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import threading
import zlib
from collections import OrderedDict
from typing import BinaryIO, Protocol

from facecluster.errors import PhotoError
from facecluster.photos.archives.uris import file_name
from facecluster.photos.files import local_path, open_plain, saying_why

_COMPRESSED = ("gz", "bz2", "xz")
_CHUNK = 1 << 20
_CHUNKS_KEPT = 16
_MOST_GROWTH = 200
_ALWAYS_ALLOWED = 1 << 30  # bytes


class RandomFile(Protocol):
    """A file that is read by range."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end of the file."""
        ...

    def reaches(self, end: int) -> bool:
        """Whether the file has so many bytes, 1 or more."""
        ...


class _LocalFile:
    def __init__(self, path: str) -> None:
        self._handle = -1
        self._handle = os.open(path, os.O_RDONLY)
        self._size = os.fstat(self._handle).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        data = os.pread(self._handle, length, offset)
        while data and len(data) < length:  # a call reads 2 GiB at most
            more = os.pread(self._handle, length - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def reaches(self, end: int) -> bool:
        return end <= self._size

    def __del__(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)


class _SharedFile:
    """A file of a remote filesystem, which reads ahead and keeps what it read."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self._lock = threading.Lock()

    def read_at(self, offset: int, length: int) -> bytes:
        with self._lock:
            self._file.seek(offset)
            return self._file.read(length)

    def reaches(self, end: int) -> bool:
        return end <= self._size


class _CompressedFile:
    def __init__(self, uri: str, size: int) -> None:
        self._uri = uri
        self._most = max(_ALWAYS_ALLOWED, _MOST_GROWTH * size)
        self._lock = threading.Lock()
        self._chunks: OrderedDict[int, bytes] = OrderedDict()
        self._next = 0  # number of the chunk that the stream gives next
        self._file = open_plain(uri)
        self._stream = self._unpacked()

    def _unpacked(self) -> gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile:
        name = file_name(self._uri).lower()
        if name.endswith("gz"):
            return gzip.GzipFile(fileobj=self._file)
        return bz2.BZ2File(self._file) if name.endswith("bz2") else lzma.LZMAFile(self._file)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def read_at(self, offset: int, length: int) -> bytes:
        parts = []
        with self._lock:
            for number in range(offset // _CHUNK, (offset + max(length, 1) - 1) // _CHUNK + 1):
                chunk = self._chunk(number)
                start = max(0, offset - number * _CHUNK)
                parts.append(chunk[start : offset + length - number * _CHUNK])
                if len(chunk) < _CHUNK:
                    break
        return b"".join(parts)

    def reaches(self, end: int) -> bool:
        return len(self.read_at(end - 1, 1)) == 1

    def _chunk(self, number: int) -> bytes:
        if number in self._chunks:
            return self._chunks[number]
        if number < self._next:
            self._file.seek(0)
            self._stream, self._next = self._unpacked(), 0
        chunk = b""
        while self._next <= number:
            if self._next * _CHUNK >= self._most:
                raise PhotoError(f"expected an archive of photos, found one that grows by more than {_MOST_GROWTH} times when unpacked")
            chunk = self._read_chunk()
            self._chunks[self._next] = chunk
            self._next += 1
            while len(self._chunks) > _CHUNKS_KEPT:
                self._chunks.popitem(last=False)
            if len(chunk) < _CHUNK:
                self._next += 1 << 40  # nothing follows: a chunk before is read from the start again
                break
        return chunk

    def _read_chunk(self) -> bytes:
        parts, missing = [], _CHUNK
        try:
            while missing and (part := self._stream.read1(missing)):
                parts.append(part)
                missing -= len(part)
        except (EOFError, OSError, zlib.error, lzma.LZMAError):  # what came before it counts
            pass
        return b"".join(parts)


def open_random(uri: str, size: int) -> RandomFile:
    """Open a file of `size` bytes to be read by range; one that is named like a compressed file is unpacked. Raises PhotoError."""
    path = local_path(uri)
    with saying_why(path):
        if file_name(uri).lower().endswith(_COMPRESSED):
            return _CompressedFile(uri, size)
        return _SharedFile(open_plain(uri), size) if path is None else _LocalFile(path)


class RangeReader(io.RawIOBase):
    """A range of a file as a file of its own."""

    def __init__(self, file: RandomFile, offset: int, size: int) -> None:
        self._file, self._offset, self._size, self._at = file, offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + (0 if whence == io.SEEK_SET else self._at if whence == io.SEEK_CUR else self._size))
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._file.read_at(self._offset + self._at, max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
