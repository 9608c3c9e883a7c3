"""Acts on single files, each whole or not at all: nothing is ever written over, and no bytes are lost when the machine stops in between.

A file is moved by giving it a second name, which fails where something has that name, and then removing the first. To another filesystem
it is copied, synced and compared before the first one is removed. Whenever the machine stops, the file is whole under one name or under
both; undo sees which. Functions raise OSError or FileError, and then have changed nothing.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import uuid
from urllib.parse import quote_from_bytes

from facecluster.errors import FaceclusterError
from facecluster.photos.images import local_path

HARD, SYMBOLIC = "hard", "symbolic"
_TAKEN = 1000  # names tried for one file
_REST = re.compile(r"\.facecluster-[0-9a-f]{32}\.tmp")


class FileError(FaceclusterError):
    """A file is not what it must be for the act; the text says what was found."""


def uri_of(path: str) -> str:
    """The uri of an absolute path: the path itself, or a file: URI if it is not UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "file://" + quote_from_bytes(os.fsencode(path))
    return path


def path_of(uri: str) -> str:
    """The path of a uri. Raises FileError if it is not on this machine."""
    path = local_path(uri)
    if path is None:
        raise FileError("it is not on this machine")
    return path


def hash_of(path: str) -> str:
    """SHA-256 of a file's bytes: 64 hex digits."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def check(path: str, sha256: str, *, what: str = "it") -> os.stat_result:
    """Raise FileError unless a file, no link, with these bytes is there."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        raise FileError(f"{what} is no longer there") from None
    if stat.S_ISLNK(status.st_mode):
        raise FileError(f"{what} is a link now")
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f"{what} is no file any more")
    if hash_of(path) != sha256:
        raise FileError(f"{what} has other bytes than when the plan was made")
    return status


def free_name(path: str) -> str:
    """A free name for a file that is to go to `path`: that, or with -2, -3, ... before the extension. Its folder is made."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    stem, extension = os.path.splitext(path)
    for number in range(1, _TAKEN + 1):
        name = path if number == 1 else f"{stem}-{number}{extension}"
        if not os.path.lexists(name):
            return name
    raise FileError(f"{_TAKEN} files have its name at the place where it is to go")


def move(source: str, target: str, sha256: str) -> None:
    """Move a file to a free name, also to another filesystem. Raises FileExistsError if the name is taken."""
    try:
        _rename(source, target)
    except OSError as e:
        if e.errno != errno.EXDEV:
            raise
        beside = _beside(target)
        try:
            _copy(source, beside, sha256)
            _rename(beside, target)
        finally:
            if os.path.lexists(beside):
                os.unlink(beside)
        os.unlink(source)
    sync_folder(os.path.dirname(target))
    sync_folder(os.path.dirname(source))


def _rename(source: str, target: str) -> None:
    """Rename without writing over anything."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as e:
        if e.errno in (errno.EXDEV, errno.EEXIST, errno.ENOENT, errno.ENOSPC, errno.EROFS):
            raise
        # a filesystem without hard links (FAT, some network ones): between this look and the renaming another program could take the name
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "a file of that name is there already") from e
        os.rename(source, target)
    else:
        os.unlink(source)


def replace(source: str, target: str, sha256: str) -> None:
    """Put a copy of a file, with its times and permissions, in place of the link at `target`."""
    beside = _beside(target)
    try:
        _copy(source, beside, sha256)
        os.replace(beside, target)
    finally:
        if os.path.lexists(beside):
            os.unlink(beside)
    sync_folder(os.path.dirname(target))


def _copy(source: str, target: str, sha256: str) -> None:
    """Copy a file to the disk, and look that it came out the same."""
    shutil.copyfile(source, target)
    with open(target, "rb+") as f:
        os.fsync(f.fileno())
    shutil.copystat(source, target)
    if hash_of(target) != sha256:
        raise FileError("its copy did not come out the same")


def link(keeper: str, path: str, kind: str) -> None:
    """Put a link to `keeper` in place of the file at `path`, or where none is."""
    beside = _beside(path)
    try:
        if kind == HARD:
            os.link(keeper, beside)
        else:
            os.symlink(os.path.abspath(keeper), beside)
        os.replace(beside, path)
    except OSError as e:
        if e.errno == errno.EXDEV:
            raise FileError("the kept file is on another filesystem: a hard link can't reach it, a symbolic one can") from e
        raise
    finally:
        if os.path.lexists(beside):
            os.unlink(beside)
    sync_folder(os.path.dirname(path))


def is_link_to(path: str, keeper: str) -> bool:
    """Whether a hard or symbolic link to `keeper` is at `path`."""
    if os.path.islink(path):
        return os.readlink(path) == os.path.abspath(keeper)
    return os.path.exists(path) and os.path.exists(keeper) and os.path.samefile(path, keeper)


def sync_folder(folder: str) -> None:
    """Have the names in a folder written to the disk, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:  # some filesystems can't
        pass
    finally:
        os.close(handle)


def remove_rests(folder: str) -> None:
    """Remove what an act that was cut off left beside its end: copies and links that never got their names."""
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if _REST.fullmatch(name):
            os.unlink(os.path.join(folder, name))


def _beside(path: str) -> str:
    return os.path.join(os.path.dirname(path), f".facecluster-{uuid.uuid4().hex}.tmp")
