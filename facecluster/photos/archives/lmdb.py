"""LMDB environments of images: each value that begins like a photo, under its key. They need the package lmdb (OpenLDAP Public License).

A key is its text, or `0x` and hex digits where it is no printable UTF-8. LMDB maps the file into memory: a damaged page ends the process
that touches it. So every value is touched once in a process of its own before any is taken. Only files of this machine can be opened.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO
from weakref import WeakValueDictionary

from facecluster.errors import PhotoError
from facecluster.photos import extras
from facecluster.photos.archives.uris import Member, NotAnArchiveError, Range
from facecluster.photos.files import check_size, local_path, saying_why

_HEAD = 64  # bytes of a value by which a photo is known
_MAGIC = bytes.fromhex("dec0efbe")


class _ClosedError(Exception):
    """An environment was opened anew by another reader."""


class _Environment:
    """An open environment. LMDB opens a file once a process; one whose file was replaced, or whose pages have outgrown its map, is opened
    anew: what was read by it is read by the new one. A sparse file is larger than its pages, and may be larger than its map."""

    opened: WeakValueDictionary[str, _Environment] = WeakValueDictionary()
    lock = threading.Lock()

    def __init__(self, path: str) -> None:
        lmdb = extras.load(extras.LMDB)
        status = os.stat(path)
        self._file = status.st_dev, status.st_ino
        self._reading = threading.Lock()  # what is being read must not be closed
        self.is_closed = False
        self.env: Any = lmdb.open(path, subdir=False, readonly=True, lock=False, create=False, readahead=False)

    def __del__(self) -> None:
        if hasattr(self, "env"):
            self.env.close()

    @classmethod
    def of(cls, path: str) -> _Environment:
        with cls.lock:
            found = cls.opened.get(path)
            if found is not None and not found._is_of(os.stat(path)):
                del cls.opened[path]
                with found._reading:
                    found.is_closed = True
                    found.env.close()
                found = None
            if found is None:
                found = cls.opened[path] = cls(path)
            return found

    def _is_of(self, status: os.stat_result) -> bool:
        return (status.st_dev, status.st_ino) == self._file and self.needed() <= self.env.info()["map_size"]

    def needed(self) -> int:
        """Bytes of the pages that are in use."""
        return int((self.env.info()["last_pgno"] + 1) * self.env.stat()["psize"])

    def value(self, key: bytes) -> bytes | None:
        """The value of a key; None if there is none. Raises PhotoError if it is too large for a photo, _ClosedError if it was closed."""
        with self._reading:
            if self.is_closed:
                raise _ClosedError
            with self.env.begin(buffers=True) as transaction:
                data = transaction.get(key)
                if data is None:
                    return None
                check_size(len(data))
                return bytes(data)


class LmdbArchive:
    """An open LMDB environment."""

    def __init__(self, uri: str, size: int) -> None:
        path = local_path(uri)
        if path is None:
            raise PhotoError("expected an LMDB file on this machine, found one elsewhere: copy it here")
        self._path = path
        with saying_why(path):
            with open(path, "rb") as file:
                if file.read(20)[16:] != _MAGIC:
                    raise NotAnArchiveError("expected an LMDB file, found something else")
            self._environment = _Environment.of(os.path.realpath(path))
            needed = self._environment.needed()
            if size < needed:  # touching what is missing would end the process
                raise PhotoError(f"expected an LMDB file of {needed:,} bytes, found {size:,}: it is truncated")

    def members(self, is_photo: Callable[[bytes], bool], passed: Counter[str]) -> Iterator[Member]:
        # -P: a module in the current folder must not stand for another
        command = [sys.executable, "-P", "-c", f"import {__name__} as reader; reader.write_heads()", self._path]
        found, others, line = list[Member](), 0, b""
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            for line in process.stdout or ():
                if line.count(b" ") == 2 and line.endswith(b"\n"):
                    key, size, head = line.split()
                    if is_photo(bytes.fromhex(head.decode())):
                        found.append(Member(key_text(bytes.fromhex(key.decode())), int(size)))
                    else:
                        others += 1
            said = (process.stderr.read() if process.stderr else b"").decode(errors="replace").strip().splitlines()[-1:]
        if line != b"end\n":
            reason = "".join(said)[:200] or "reading it ends the process"
            yield Member("", error=f"it is damaged ({reason}): none of its photos is looked at")
            return
        passed["values that are no photos"] += others
        yield from found

    def open(self, key: str, at: Range | None) -> BinaryIO:
        return io.BytesIO(self.read(key, at))

    def read(self, key: str, at: Range | None) -> bytes:
        while True:
            try:
                data = self._environment.value(key_bytes(key))
                break
            except _ClosedError:
                self._environment = _Environment.of(os.path.realpath(self._path))
        if data is None:
            raise PhotoError("expected a photo, found no such key in the LMDB file")
        return data

    def size(self, key: str, at: Range | None) -> int:
        return 0


def write_heads() -> None:
    """Write a line for each value of the LMDB file in the arguments: key, size and first bytes; then `end`.

    Every page is touched. A damaged one may end the process.
    """
    environment, out = _Environment.of(sys.argv[1]), sys.stdout.buffer
    with environment.env.begin(buffers=True) as transaction:
        for key, value in transaction.cursor():
            bytes(value[::4096])
            out.write(b"%s %d %s\n" % (bytes(key).hex().encode(), len(value), bytes(value[:_HEAD]).hex().encode()))
    out.write(b"end\n")


def key_text(key: bytes) -> str:
    """A key as text."""
    try:
        text = key.decode()
    except UnicodeDecodeError:
        text = ""
    return text if text.isprintable() and text and not text.startswith("0x") else f"0x{key.hex()}"


def key_bytes(text: str) -> bytes:
    """The key that `key_text` wrote."""
    return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()
