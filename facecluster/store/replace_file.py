"""Replacing a local file that another program may save at the same moment, without losing what that program saved.

Comparing and then replacing leaves a moment in which a save is lost. So the two files change names in one step (renameat2 of Linux), what
was replaced is compared then, and if it is not what was expected they change back. Where the system can't do that, the file is moved aside,
compared, and the new one linked to the free name, which fails if somebody saved there meanwhile.
Odd inputs: on a file system that has neither exchanges nor hard links the last step is a plain rename, with a moment of a few microseconds.
After a crash of the second way the file may lie aside: `recover` puts it back. After one of the first way a file of another name holds what
was written, or what was replaced: its name has the digests of both, by which `tidy` removes it, or puts back what somebody else had saved.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from io import BufferedReader

from facecluster.store.temporary_files import left_over, remove_left_over, temporary_name

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_OPEN_FILES_STAY = os.name == "nt"  # Windows removes no file that is open
_CAN_NOT = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EACCES, errno.EMLINK, errno.EINVAL)


def replace_file(path: str, data: bytes, expected: bytes | None) -> bool:
    """Replace a file by `data` if it still holds `expected` (None: it does not exist). The new file has the permissions of the old one.

    Returns:
        Whether it was replaced. If not, the file holds what somebody else saved.
    """
    part = temporary_name(path)
    new = temporary_name(path, (_short(data), _short(expected or b"")))
    try:
        with open(part, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.rename(part, new)
        recover(path)
        if expected is None:
            return place(new, path)
        with contextlib.suppress(FileNotFoundError):
            os.chmod(new, os.stat(path).st_mode & 0o777)
        return swap_in(new, path, lambda old: _read(old) == expected)
    finally:
        for left in (part, new):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(left)


def tidy(folder: str) -> None:
    """Remove what `replace_file` left in a folder when it was killed; what somebody else had saved is put back."""
    remove_left_over(folder)
    for left, digests, _ in left_over(folder):
        with contextlib.suppress(OSError):
            if not digests:
                continue
            if _short(_read(left)) in digests:
                os.unlink(left)
            elif (path := _replaced_by(folder, digests[0])) is not None:
                _exchange(left, path)  # what was saved in the moment before the exchange
                os.unlink(left)


def _replaced_by(folder: str, digest: str) -> str | None:
    """The file in a folder whose bytes have a digest."""
    with os.scandir(folder or ".") as found:
        files = [os.path.join(folder, entry.name) for entry in found if entry.is_file(follow_symlinks=False)]
    return next((path for path in files if not os.path.basename(path).startswith(".facecluster-") and _short(_read(path)) == digest), None)


def swap_in(new: str, path: str, is_expected: Callable[[str], bool]) -> bool:
    """Give a file, or a link, the name `path` if the file there is as expected; what it replaces is removed.

    Args:
        new: in the same folder; it may be left over, for the caller to remove.
        path: of a file that may change at any moment.
        is_expected: is asked about the old file, which has another name then.

    Returns:
        Whether it was done. If not, `path` is what somebody else saved last, or nothing.
    """
    recover(path)
    ours = _identity(new)
    try:
        _exchange(new, path)
    except FileNotFoundError:
        return False
    except NotImplementedError:
        return _swap_by_moving(new, path, is_expected)
    try:
        if _remove_if(new, path, ours, is_expected):
            return True
    except BaseException:
        _exchange_back(new, path, ours)
        raise
    if os.path.lexists(new):
        _exchange_back(new, path, ours)
    return False


def remove_file(path: str, is_expected: Callable[[str], bool]) -> bool:
    """Remove a file, or a link, if it is as expected; what another program saves there meanwhile stays.

    Args:
        path: of a file that may change at any moment.
        is_expected: is asked about the file, which has another name then.

    Returns:
        Whether it was removed. If not, `path` is what somebody else saved last, or nothing.
    """
    return _remove_aside(path, lambda aside: _remove_if(aside, path, (0, 0), is_expected))


def remove_name(path: str, other: str) -> bool:
    """Remove one of two names of a file, unless another program has saved a new one there, which stays; gives whether it was removed."""

    def remove(aside: str) -> bool:
        if _identity(aside) != _identity(other):
            return False
        os.unlink(aside)
        return True

    return _remove_aside(path, remove)


def _remove_aside(path: str, remove: Callable[[str], bool]) -> bool:
    """Give a file another name, by which it is removed or not; if not, it gets its name back unless somebody has saved there since."""
    recover(path)
    aside = aside_name(path)
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return False
    try:
        return remove(aside)
    finally:
        recover(path)


def _exchange_back(new: str, path: str, ours: tuple[int, int]) -> None:
    """Undo an exchange; if somebody has saved at `path` since, that save stays."""
    try:
        _exchange(new, path)
    except FileNotFoundError:
        if os.path.lexists(new):
            place(new, path)
        return
    if _identity(new) != ours:
        _exchange(new, path)


def _swap_by_moving(new: str, path: str, is_expected: Callable[[str], bool]) -> bool:
    """As `swap_in`, without an exchange of names."""
    aside = aside_name(path)
    ours = _identity(new)
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return False
    try:
        if not is_expected(aside) or not place(new, path):
            return False
        if _remove_if(aside, path, ours, is_expected):
            return True
        if os.path.lexists(aside) and _identity(path) == ours:
            os.replace(aside, path)
        return False
    finally:
        recover(path)


def _remove_if(old: str, path: str, ours: tuple[int, int], is_expected: Callable[[str], bool]) -> bool:
    """Remove the old file if it is as expected, also after it has no name any more: a program that holds it open may write into it.

    What such a program wrote takes the place of what is now at `path`, if that is ours. Windows doesn't remove a file that a program
    holds open: there OSError is raised instead.
    """
    if _OPEN_FILES_STAY or os.path.islink(old):
        if fits := is_expected(old):
            os.unlink(old)
        return fits
    with open(old, "rb") as f:
        before = _digest(f)
        if not is_expected(old):
            return False
        os.unlink(old)
        if _digest(f) == before:
            return True
        f.seek(0)
        late = temporary_name(path)
        with open(late, "wb") as out:
            shutil.copyfileobj(f, out)
        if _identity(path) == ours:
            os.replace(late, path)
        else:
            os.unlink(late)
    return False


def recover(path: str) -> None:
    """Put back a file that lies aside, unless there is one again, which was saved later."""
    aside = aside_name(path)
    if os.path.lexists(aside):
        place(aside, path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)


def sync_folder(folder: str) -> None:
    """Sync the names in a folder to the disk, if the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:  # not supported by some filesystems
        pass
    finally:
        os.close(handle)


def aside_name(path: str) -> str:
    """The name under which a file lies while it is compared, where names can't be exchanged."""
    return _beside(path, hashlib.sha256(os.fsencode(os.path.basename(path))).hexdigest()[:16] + ".saving")


def _beside(path: str, name: str) -> str:
    return os.path.join(os.path.dirname(path), f".facecluster-{name}")  # short: the file's own name may be as long as names may be


def place(source: str, path: str) -> bool:
    """Give a file, or a link, the name `path` as well, or instead of its own; False if there is a file of that name."""
    try:
        os.link(source, path, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as e:
        if e.errno not in _CAN_NOT or os.path.lexists(path):
            raise
        os.rename(source, path)
    return True


def _exchange(one: str, two: str) -> None:
    """Two files change names in one step. Raises NotImplementedError where that can't be done."""
    function = getattr(_libc, "renameat2", None) if _libc else None
    if function is None:
        raise NotImplementedError
    if function(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(two), _RENAME_EXCHANGE):
        code = ctypes.get_errno()
        if code in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise NotImplementedError
        raise OSError(code, os.strerror(code), one, None, two)


def _digest(file: BufferedReader) -> bytes:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").digest()


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _read(path: str) -> bytes:
    with open(path, "rb") as f:
        return f.read()


def _identity(path: str) -> tuple[int, int]:
    """Which file this is; (0, 0) if there is none."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return 0, 0
    return status.st_dev, status.st_ino


_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
