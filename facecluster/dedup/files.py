"""Safe operations on single files: nothing is ever overwritten, and no bytes are lost if the machine stops half way.

A file is moved by giving it a second name (a hard link, which fails if the name is taken) and then removing the first. To another
filesystem it is copied, synced and compared before the original is removed. Whenever the machine stops, the file is complete under one
name or under both; undo finds out which. Functions raise OSError or FileError, and then have changed nothing.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from urllib.parse import quote_from_bytes

from facecluster.errors import FaceclusterError
from facecluster.permissions import as_user
from facecluster.photos.images import local_path
from facecluster.store.replace_file import place, remove_file, remove_name, swap_in, sync_folder
from facecluster.store.temporary_files import left_over, remove_left_over, temporary_name

HARD, SYMBOLIC = "hard", "symbolic"
_MAX_BYTES = 255  # of a file's name
_MAX_NAMES = 1000  # names tried for one file
_SAVED = "another program saved it at this moment"
_LEFTOVER = re.compile(r"\.facecluster-[0-9a-f]{32}(\.link)?\.tmp")


class FileError(FaceclusterError):
    """A file is not as it must be for the operation; the text says what was found."""


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


def check_unchanged(path: str, sha256: str, *, what: str = "it") -> os.stat_result:
    """Raise FileError unless `path` is a file, no link, with these bytes."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        raise FileError(f"{what} is no longer there") from None
    if stat.S_ISLNK(status.st_mode):
        raise FileError(f"{what} is a link now")
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f"{what} is no longer a file")
    if hash_of(path) != sha256:
        raise FileError(f"{what} has other bytes than when the plan was made")
    return status


def free_name(path: str, also: Callable[[str], Sequence[str]] = lambda name: ()) -> str:
    """A free name for a file that is moved to `path`: `path` itself, or with -2, -3, ... before the extension. Creates the folder.

    A name that would be too long is cut. `also` gives other paths that must be free for a name to be taken.
    """
    with as_user():
        os.makedirs(os.path.dirname(path), exist_ok=True)
    stem, extension = os.path.splitext(path)
    for number in range(1, _MAX_NAMES + 1):
        name = path if number == 1 else _fitting_name(stem, f"-{number}{extension}")
        if not any(map(os.path.lexists, (name, *also(name)))):
            return name
    raise FileError(f"{_MAX_NAMES} files have its name in the folder that it is moved to")


def _fitting_name(stem: str, ending: str) -> str:
    folder, name = os.path.split(stem)
    room = _MAX_BYTES - len(os.fsencode(ending))
    fits = len(os.fsencode(name)) <= room
    return os.path.join(folder, (name if fits else os.fsencode(name)[:room].decode("utf-8", "ignore")) + ending)


def move(source: str, target: str, sha256: str) -> None:
    """Move a file to a free name, also to another filesystem. Raises FileExistsError if the name is taken."""
    try:
        _rename(source, target, sha256)
    except OSError as e:
        if e.errno != errno.EXDEV:
            raise
        remove_left_over(os.path.dirname(target))
        temporary = temporary_name(target)
        try:
            _copy(source, temporary, sha256)
            if not place(temporary, target):
                raise FileExistsError(errno.EEXIST, "a file of that name exists") from None
        finally:
            if os.path.lexists(temporary):
                os.unlink(temporary)
        _remove_source(partial(remove_file, source, partial(_has_bytes, sha256=sha256)), source, target, sha256)
    sync_folder(os.path.dirname(target))
    sync_folder(os.path.dirname(source))


def _rename(source: str, target: str, sha256: str) -> None:
    """Rename without overwriting anything. Raises FileError if another program saves a new file at `source` meanwhile, which stays."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as e:
        if e.errno in (errno.EXDEV, errno.EEXIST, errno.ENOENT, errno.ENOSPC, errno.EROFS):
            raise
        # a filesystem without hard links (FAT, some network ones): another program could take the name between this check and the rename
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "a file of that name exists") from e
        os.rename(source, target)
        return
    _remove_source(partial(remove_name, source, target), source, target, sha256)


def _remove_source(removed: Callable[[], bool], source: str, target: str, sha256: str) -> None:
    """Remove the first name of a moved file; if that stays, the second goes. Raises OSError; FileError: it was saved meanwhile."""
    try:
        if removed() or not os.path.lexists(source):
            return
    except OSError:
        if os.path.lexists(source):
            with suppress(OSError):
                remove_file(target, partial(_has_bytes, sha256=sha256))
        raise
    remove_file(target, partial(_has_bytes, sha256=sha256))  # which somebody has just saved others over
    raise FileError(_SAVED) from None


def remove(path: str, sha256: str) -> None:
    """Remove a file with these bytes. Raises FileError if another program has saved it meanwhile: it stays."""
    if not remove_file(path, partial(_has_bytes, sha256=sha256)) and os.path.lexists(path):
        raise FileError(_SAVED)


def _has_bytes(path: str, sha256: str) -> bool:
    return not os.path.islink(path) and hash_of(path) == sha256


def replace(source: str, target: str, sha256: str, keeper: str) -> None:
    """Put a copy of a file with these bytes, with its times and permissions, in place of the link to `keeper` at `target`."""
    temporary = temporary_name(target)
    try:
        _copy(source, temporary, sha256)
        _swap(temporary, target, partial(is_link_to, keeper=keeper))
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)
    sync_folder(os.path.dirname(target))


def _copy(source: str, target: str, sha256: str) -> None:
    """Copy a file, sync it to the disk and compare the copy."""
    shutil.copyfile(source, target)
    with open(target, "rb+") as f:
        os.fsync(f.fileno())
    shutil.copystat(source, target)
    if hash_of(target) != sha256:
        raise FileError("its copy has other bytes")


def link(keeper: str, path: str, kind: str, sha256: str | None = None) -> None:
    """Put a link to `keeper` at `path`: at a free name, or instead of a file with these bytes. Raises FileExistsError, FileError."""
    temporary = temporary_name(path, link=True)
    try:
        if kind == HARD:
            os.link(keeper, temporary)
        else:
            os.symlink(os.path.abspath(keeper), temporary)
        if sha256 is not None:
            _swap(temporary, path, partial(_has_bytes, sha256=sha256))
        elif not place(temporary, path):
            raise FileExistsError(errno.EEXIST, "a file of its name was saved meanwhile")
    except OSError as e:
        if e.errno == errno.EXDEV:
            raise FileError("the kept file is on another filesystem: a hard link can't reach it, a symbolic one can") from e
        raise
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)
    sync_folder(os.path.dirname(path))


def _swap(new: str, path: str, is_expected: Callable[[str], bool]) -> None:
    """Put a file or a link in place of what is as expected. Raises FileError if another program has saved there meanwhile."""
    if not swap_in(new, path, is_expected):
        raise FileError(_SAVED)


def is_link_to(path: str, keeper: str) -> bool:
    """Whether `path` is a hard or symbolic link to `keeper`."""
    if os.path.islink(path):
        return os.readlink(path) == os.path.abspath(keeper)
    return os.path.exists(path) and os.path.exists(keeper) and os.path.samefile(path, keeper)


def remove_leftovers(folder: str) -> None:
    """Remove temporary copies and links of interrupted operations.

    Under the name of a link may lie the photo that it was exchanged with, if the machine stopped before that was compared: it stays.
    """
    remove_left_over(folder, own=True)
    left = [path for path, _, link in left_over(folder, own=True) if link]
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if found := _LEFTOVER.fullmatch(name):  # of an earlier version
            left.append(os.path.join(folder, name))
            if not found[1]:
                os.unlink(left.pop())
    for path in left:
        if os.path.islink(path) or os.lstat(path).st_nlink > 1:
            os.unlink(path)
