"""Lists of photos: a path or an address on each line. Marks of UTF-8 and UTF-16 at the beginning, as Windows programs write them, are no
part of the first path.
"""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Iterator
from typing import BinaryIO

from facecluster.errors import InputError, PhotoError
from facecluster.photos.archives.uris import archive_kind, file_name
from facecluster.photos.files import local_path, open_plain, saying_why
from facecluster.photos.names import EXTENSIONS, EXTRA_OF
from facecluster.photos.passed_over import extension_of


def read_list(name: str) -> Iterator[str]:
    """The lines of a file that are not blank. Raises InputError if it can't be read."""
    try:
        with saying_why(local_path(name)), open_plain(name) as file:
            yield from (line for line in _lines(file) if line.strip())
    except PhotoError as e:
        raise InputError(f"expected a list of photos at {name!r}, {str(e).partition(', ')[2]}: check the path") from e


def _lines(file: BinaryIO) -> Iterator[str]:
    begin = file.read(len(codecs.BOM_UTF8))
    file.seek(len(codecs.BOM_UTF8) if begin == codecs.BOM_UTF8 else 0)
    if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        with io.TextIOWrapper(file, encoding="utf-16") as text:
            yield from (line.rstrip("\r\n") for line in text)
        return
    for line in file:
        yield os.fsdecode(line.rstrip(b"\r\n"))


def is_photo_elsewhere(address: str) -> bool:
    """Whether an address is that of one photo: of the web if it is no archive, of other filesystems by its extension."""
    name = file_name(address)
    if archive_kind(name):
        return False
    return address.startswith(("http://", "https://")) or extension_of(name) in EXTENSIONS or extension_of(name) in EXTRA_OF
