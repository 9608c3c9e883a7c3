"""Replacing a local file that another program may save at the same moment, without losing what that program saved.

Comparing and then replacing leaves a moment in which a save is lost. So the file is moved aside first, which takes it from everybody at
once; what was moved is compared; and the new file is linked to the free name, which fails if somebody saved there meanwhile.
Odd inputs: on a file system without hard links the last step is a plain rename, with a moment of a few microseconds. After a crash the
file may lie aside: `recover` puts it back.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid

ASIDE = ".saving"  # ending of the name under which the file lies while it is compared


def replace_file(path: str, data: bytes, expected: bytes | None) -> bool:
    """Replace a file by `data` if it still holds `expected` (None: it does not exist).

    Returns:
        Whether it was replaced. If not, the file holds what somebody else saved.
    """
    new, aside = f"{path}.{uuid.uuid4().hex[:8]}.tmp", path + ASIDE
    try:
        with open(new, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        recover(path)
        try:
            os.rename(path, aside)
        except FileNotFoundError:
            return expected is None and _place(new, path)
        with open(aside, "rb") as f:
            if f.read() != expected or not _place(new, path):
                return False
            os.unlink(aside)
            f.seek(0)
            late = f.read()
    finally:
        recover(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
    if late != expected:  # a program that held the file open wrote into it
        replace_file(path, late, data)
    return late == expected


def recover(path: str) -> None:
    """Put back a file that lies aside, unless there is one again, which was saved later."""
    aside = path + ASIDE
    if os.path.exists(aside):
        _place(aside, path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)


def _place(source: str, path: str) -> bool:
    """Give a file the name `path` as well; False if there is a file of that name."""
    try:
        os.link(source, path)
    except FileExistsError:
        return False
    except OSError as e:
        if e.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES, errno.EMLINK) or os.path.exists(path):
            raise
        os.rename(source, path)
    return True
