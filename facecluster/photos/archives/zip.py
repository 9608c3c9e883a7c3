"""Zip archives, by their central directory, with Python's zipfile.

Odd inputs: of two members of one name the last counts; an encrypted member, and one whose size says that it is a bomb, have an error.
"""

from __future__ import annotations

import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

from facecluster.errors import PhotoError
from facecluster.photos.archives.uris import Member, Range
from facecluster.photos.files import local_path, open_plain, saying_why

_MOST_GROWTH = 200  # photos hardly shrink when they are packed; one of a single colour may
_ALWAYS_ALLOWED = 64 << 20  # bytes


class ZipArchive:
    """An open zip archive."""

    def __init__(self, uri: str, size: int) -> None:
        path = local_path(uri)
        with saying_why(path):
            self._zip = zipfile.ZipFile(open_plain(uri) if path is None else path)

    def members(self, is_photo: Callable[[bytes], bool], passed: Counter[str]) -> Iterator[Member]:
        for info in self._zip.infolist():
            mode = info.external_attr >> 16 if info.create_system == 3 else 0  # 3: Unix
            if info.is_dir():
                continue
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                passed["links, devices and sparse files"] += 1
                continue
            yield Member(info.filename, info.file_size, info.header_offset, _problem(info))

    def open(self, key: str, at: Range | None) -> BinaryIO:
        info = self._find(key)
        return cast(BinaryIO, self._zip.open(info))

    def read(self, key: str, at: Range | None) -> bytes:
        with self._zip.open(self._find(key)) as file:
            return file.read()

    def size(self, key: str, at: Range | None) -> int:
        return self._find(key).file_size

    def _find(self, key: str) -> zipfile.ZipInfo:
        try:
            info = self._zip.getinfo(key)
        except KeyError:
            raise PhotoError("expected a photo, found none of that name in the archive") from None
        if problem := _problem(info):
            raise PhotoError(problem)
        return info


def _problem(info: zipfile.ZipInfo) -> str | None:
    """Why a member must not be opened. The bytes that zipfile gives are never more than `file_size`."""
    if info.flag_bits & 1:
        return "expected a photo, found one that is encrypted: unpack the archive"
    if info.file_size > max(_ALWAYS_ALLOWED, _MOST_GROWTH * info.compress_size):
        return f"expected a photo, found {info.compress_size:,} bytes that unpack to {info.file_size:,}"
    return None
