"""Lists of photos: a path or an address on each line."""

from __future__ import annotations

import os
from collections.abc import Iterator

from facecluster.errors import InputError, PhotoError
from facecluster.photos.archives.uris import archive_kind, file_name
from facecluster.photos.files import local_path, open_plain, saying_why
from facecluster.photos.names import EXTENSIONS, EXTRA_OF
from facecluster.photos.passed_over import extension_of


def read_list(name: str) -> Iterator[str]:
    """The lines of a file that are not empty. Raises InputError if it can't be read."""
    try:
        with saying_why(local_path(name)), open_plain(name) as file:
            for line in file:
                if text := os.fsdecode(line.rstrip(b"\r\n")):
                    yield text
    except PhotoError as e:
        raise InputError(f"expected a list of photos at {name!r}, {str(e).partition(', ')[2]}: check the path") from e


def is_photo_elsewhere(address: str) -> bool:
    """Whether an address is that of one photo: of the web if it is no archive, of other filesystems by its extension."""
    name = file_name(address)
    if archive_kind(name):
        return False
    return address.startswith(("http://", "https://")) or extension_of(name) in EXTENSIONS or extension_of(name) in EXTRA_OF
