"""Who may read what is written: stores and reports are their owner's alone; what lies among photos follows the umask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
_PRIVATE = 0o077
_of_user: int | None = None  # the umask before `keep_private`


def keep_private() -> None:
    """From now on this process and its children write files and folders that other users can't read."""
    global _of_user
    found = os.umask(_PRIVATE)
    if _of_user is None:
        _of_user = found


def umask_of_user() -> int:
    """The umask that this process was started with; -1, which means no change to `subprocess`, if it is still in force."""
    return -1 if _of_user is None else _of_user


@contextmanager
def as_user() -> Iterator[None]:
    """Files and folders that are made in the block get the permissions that the user's umask gives: for what lies among the photos."""
    if _of_user is None:
        yield
        return
    before = os.umask(_of_user)
    try:
        yield
    finally:
        os.umask(before)


def private_opener(path: str, flags: int) -> int:
    """An `opener` for `open`: a new file can be read by its owner alone."""
    return os.open(path, flags, PRIVATE_FILE)


def make_private_folder(path: str, within: str = "") -> None:
    """Make a folder that only its owner can enter; one that is there stays as it is.

    Args:
        path: of the folder.
        within: a folder that is there; those between it and `path` are made in the same way, others above as usual.
    """
    if os.path.isdir(path):
        return
    above = os.path.dirname(os.path.abspath(path))
    if within and above != os.path.abspath(within):
        make_private_folder(above, within)
    os.makedirs(above, exist_ok=True)
    with suppress(FileExistsError):  # another process made it
        os.mkdir(path, PRIVATE_FOLDER)
