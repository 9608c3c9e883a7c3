"""Temporary files among the user's: their names say which process writes them, so that a later command removes what a killed one left.

Odd inputs: on another machine, and on Windows, nobody can tell whether a process is alive: its files stay. So do those of a process whose
number another one has now.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

_NAME = re.compile(r"\.facecluster-([0-9a-f]{8})-([0-9]{1,9})-[0-9a-f]{8}((?:-[0-9a-f]{16}){0,2})(\.link)?\.tmp")


def temporary_name(path: str, digests: tuple[str, ...] = (), *, link: bool = False) -> str:
    """A name beside `path` that no other file has; short, since the file's own name may be as long as names may be.

    Args:
        path: of the file that is to be written.
        digests: up to two of 16 hex digits that the name is to hold.
        link: whether it is a link that is exchanged with a file.
    """
    name = "-".join([".facecluster", _machine(), str(os.getpid()), uuid.uuid4().hex[:8], *digests])
    return os.path.join(os.path.dirname(path), f"{name}{'.link' if link else ''}.tmp")


@contextmanager
def replacing(path: str, opener: Callable[[str, int], int] | None = None) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when it is written and synced; until then, and after an error, `path` is as it was.

    `opener`: as of `open`, for other permissions than usual ones.
    """
    beside = temporary_name(path)
    try:
        with open(beside, "xb", opener=opener) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        with suppress(OSError):  # it is not there any more, or the disk gave way, which is said already
            os.unlink(beside)


def left_over(folder: str, *, own: bool = False) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """The temporary files in a folder of processes of this machine that are no more: with the digests in their names, and whether a link.

    `own`: those of this process too, which writes none at the moment.
    """
    try:
        names = sorted(name for name in os.listdir(folder or ".") if name.startswith(".facecluster-"))
    except OSError:
        return
    for name in names:
        found = _NAME.fullmatch(name)
        if found is not None and found[1] == _machine() and (not _lives(int(found[2])) or own and int(found[2]) == os.getpid()):
            yield os.path.join(folder, name), tuple(found[3].split("-")[1:]), bool(found[4])


def remove_left_over(folder: str, *, own: bool = False) -> None:
    """Remove the temporary files in a folder of processes that are no more, except those whose name another file may have got."""
    for path, digests, link in left_over(folder, own=own):
        if not digests and not link:
            with suppress(OSError):
                os.unlink(path)


def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _lives(pid: int) -> bool:
    if sys.platform == "win32":  # where signal 0 is Ctrl-C
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
