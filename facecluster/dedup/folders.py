"""Folders that the user named, and sizes in words."""

from __future__ import annotations

import os
from collections.abc import Sequence

from facecluster.errors import InputError
from facecluster.photos.images import local_path


def absolute_folder(folder: str) -> str:
    """A folder as an absolute path with links resolved, or a URL without its last slash."""
    path = local_path(folder)
    return folder.rstrip("/") if path is None else os.path.realpath(os.path.expanduser(path))


def existing_folder(folder: str) -> str:
    """`absolute_folder` of an existing folder. Raises InputError if it does not exist: a misspelt folder would protect nothing."""
    path = absolute_folder(folder)
    if local_path(folder) is not None and not os.path.isdir(path):
        raise InputError(f"expected a folder to prefer or protect, found none at {folder!r}: check the path")
    return path


def folder_rank(uri: str, folders: Sequence[str]) -> int:
    """Index of the first of `folders` (see absolute_folder) that a file lies in; len(folders) if it lies in none."""
    path = local_path(uri)
    forms = [uri] if path is None else [os.path.abspath(path), resolve_parents(path)]
    for number, folder in enumerate(folders):
        if any(form.startswith(folder.rstrip("/") + "/") for form in forms):
            return number
    return len(folders)


def resolve_parents(path: str) -> str:
    """The path of a file with links resolved in its folders, but not in the file itself."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def format_bytes(n: int) -> str:
    """A number of bytes in words: "812 bytes", "3.4 MB"."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if abs(n) >= size:
            return f"{n / size:,.1f} {unit}"
    return f"{n} bytes"
