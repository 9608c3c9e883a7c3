"""The archives that this process has open: the last few, each until its file changes."""

from __future__ import annotations

import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Protocol, TypeVar

import fsspec

from facecluster.errors import PhotoError
from facecluster.photos.archives.lmdb import LmdbArchive
from facecluster.photos.archives.parquet import ParquetArchive
from facecluster.photos.archives.recordio import RecordArchive, index_of
from facecluster.photos.archives.tar import TarArchive
from facecluster.photos.archives.uris import Member, NotAnArchiveError, Range, archive_kind
from facecluster.photos.archives.zip import ZipArchive
from facecluster.photos.files import check_size, checked_scheme, local_path, saying_why

_OPEN = 4  # archives that stay open
_T = TypeVar("_T")


class Archive(Protocol):
    """An open archive. Methods raise PhotoError, or whatever their decoder raises, for a damaged one."""

    def members(self, is_photo: Callable[[bytes], bool], passed: Counter[str]) -> Iterator[Member]:
        """What it holds, in its order. `is_photo` knows a photo by its first bytes; `passed` counts what is left out, by its kind."""
        ...

    def open(self, key: str, at: Range | None) -> BinaryIO:
        """Open a member; `at`: where it lies, if that is known."""
        ...

    def read(self, key: str, at: Range | None) -> bytes:
        """The bytes of a member."""
        ...

    def size(self, key: str, at: Range | None) -> int:
        """Bytes of a member before it is read; 0 if they are not known."""
        ...


KINDS: dict[str, Callable[[str, int], Archive]] = {
    "tar": TarArchive, "zip": ZipArchive, "parquet": ParquetArchive, "rec": RecordArchive, "lmdb": LmdbArchive,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Opened:
    size: int
    mtime_ns: int
    archive: Archive


_opened: OrderedDict[str, _Opened] = OrderedDict()
_lock = threading.Lock()


def state_of(uri: str) -> tuple[int, int]:
    """Size (bytes) and time of the last change (ns) of an archive, of a .rec also that of its .idx. Raises PhotoError if there is none."""
    size, mtime_ns = _state_of_file(uri)
    if archive_kind(uri) == "rec":
        with suppress(PhotoError):
            mtime_ns = max(mtime_ns, _state_of_file(index_of(uri))[1])
    return size, mtime_ns


def _state_of_file(uri: str) -> tuple[int, int]:
    path = local_path(uri)
    with saying_why(path):
        if path is not None:
            status = os.stat(path)
            return status.st_size, in_64_bits(status.st_mtime_ns)
        checked_scheme(uri)
        fs, place = fsspec.core.url_to_fs(uri)
        info = fs.info(place)
        return int(info.get("size") or 0), changed(info)


def open_archive(kind: str, uri: str, size: int) -> Archive:
    """Open an archive of `size` bytes. Raises PhotoError if it is not one."""
    with _naming(kind):
        return KINDS[kind](uri, size)


def list_members(kind: str, uri: str, size: int, is_photo: Callable[[bytes], bool], passed: Counter[str]) -> Iterator[Member]:
    """The members of an archive of `size` bytes, in its order; whatever is wrong with it is a member with an error and no key.

    Raises:
        NotAnArchiveError: the file is something else.
    """
    with _lock:
        _opened.pop(uri, None)  # it is listed because it is new or has changed
    try:
        with _naming(kind):
            yield from open_archive(kind, uri, size).members(is_photo, passed)
    except NotAnArchiveError:
        raise
    except PhotoError as e:
        yield Member("", error=str(e))


def read_member(kind: str, uri: str, key: str, at: Range | None = None) -> bytes:
    """The bytes of a member. Raises PhotoError."""

    def read(archive: Archive, at: Range | None) -> bytes:
        check_size(archive.size(key, at))
        return archive.read(key, at)

    return _from_archive(kind, uri, at, read)


def open_member(kind: str, uri: str, key: str) -> BinaryIO:
    """Open a member for reading. Raises PhotoError."""
    return _from_archive(kind, uri, None, lambda archive, at: archive.open(key, at))


def _from_archive(kind: str, uri: str, at: Range | None, take: Callable[[Archive, Range | None], _T]) -> _T:
    """What `take` takes from an archive; if it can't, because one elsewhere was replaced since it was opened, from the new one."""
    archive, place = _find(kind, uri, at)
    try:
        with _naming(kind):
            return take(archive, place)
    except PhotoError:
        if not _forget_replaced(uri):
            raise
    archive, place = _find(kind, uri, at)
    with _naming(kind):
        return take(archive, place)


def _forget_replaced(uri: str) -> bool:
    """Close an archive elsewhere if it has changed since it was opened; gives whether it has. Those here are looked at before each read."""
    if local_path(uri) is not None:
        return False
    fsspec.core.url_to_fs(uri)[0].invalidate_cache()
    with _lock:
        found = _opened.get(uri)
        if found is not None and state_of(uri) == (found.size, found.mtime_ns):
            return False
        _opened.pop(uri, None)
        return True


def _find(kind: str, uri: str, at: Range | None) -> tuple[Archive, Range | None]:
    """The open archive, and `at` unless the archive has changed since."""
    with _lock:
        found = _opened.get(uri)
        if found is None or _has_changed(uri, found, at):
            size, mtime_ns = state_of(uri)
            found = _Opened(size, mtime_ns, open_archive(kind, uri, size))
            _opened[uri] = found
        _opened.move_to_end(uri)
        while len(_opened) > _OPEN:
            _opened.popitem(last=False)
    return found.archive, at if at is not None and at.mtime_ns == found.mtime_ns else None


def _has_changed(uri: str, found: _Opened, at: Range | None) -> bool:
    """Whether an archive is another than when it was opened; one elsewhere is only asked if a member of another time is wanted."""
    if local_path(uri) is None:
        if at is None or at.mtime_ns == found.mtime_ns:
            return False
        fsspec.core.url_to_fs(uri)[0].invalidate_cache()
    return state_of(uri) != (found.size, found.mtime_ns)


class _naming:
    """Turns whatever a damaged archive raises into a PhotoError."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: Any) -> None:
        if isinstance(e, Exception) and not isinstance(e, PhotoError):
            reason = " ".join(str(e).split())[:200] or type(e).__name__
            raise PhotoError(f"expected a whole {self._kind} archive, found a damaged one: {reason}") from e


def changed(info: dict[str, Any]) -> int:
    """Time of the last change from the information of a filesystem, ns; 0 if it has none."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = info.get(key)
        if isinstance(value, str):
            with suppress(ValueError):
                value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            value = value.timestamp()
        if isinstance(value, (int, float)):
            return in_64_bits(round(value * 1e6) * 1000)
    return 0


def in_64_bits(nanoseconds: int) -> int:
    """A time that fits the tables: a file may be dated after 2262, the last year whose nanoseconds since 1970 do."""
    return max(-(2**63), min(nanoseconds, 2**63 - 1))
