"""The folder of a training: who may write into it, and files that are written whole or not at all.

Odd inputs: a training that was killed leaves temporary files and a folder of a model half made; the next one in the folder removes them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from facecluster.errors import InputError
from facecluster.store import temporary_files

LOCK, MAKING = "train.lock", ".making-"  # the lock; what the folder of a model half made begins with


@contextmanager
def at_work(out: Path) -> Iterator[None]:
    """Be the only training in a folder, which is made if it is not there, and remove what a killed one left.

    Raises:
        InputError: another one is at work there.
        OSError: the folder can't be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / LOCK, timeout=0):
            temporary_files.remove_left_over(str(out))
            for left in out.glob(f"{MAKING}*"):
                shutil.rmtree(left, ignore_errors=True)
            yield
    except Timeout:
        raise InputError(f"expected a free folder, found another training at work in {out}: wait, or choose another with -o") from None


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when it is written and synced. Raises OSError, also where torch makes a RuntimeError of one."""
    try:
        with temporary_files.replacing(str(path)) as file:
            yield file
    except RuntimeError as e:
        if isinstance(e.__context__, OSError):
            raise e.__context__ from None
        raise
