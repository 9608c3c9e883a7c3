"""Open files by path, `file:` URI, fsspec URL, or as a member of an archive. Nothing is decoded here."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import BinaryIO, cast
from urllib.parse import unquote_to_bytes

import fsspec

from facecluster.errors import PhotoError
from facecluster.photos.web import fetch

MAX_BYTES = 2**31  # of a file
PROBE_SECONDS = 60.0  # for looking again at files that could not be read
_STEP = 1 << 20  # bytes that are read at once then
_UNREADABLE, _NO_FILE = "expected a readable file", "expected a photo, found no file"
NOT_READ = _UNREADABLE, _NO_FILE  # how errors begin of files that could not be read
# places that photos may be at: a store that somebody else made must not make this machine connect in other ways, or open chains of them
SCHEMES = ("file", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "hdfs", "hf", "http", "https", "memory")


def local_path(uri: str) -> str | None:
    """The path of a path or `file:` URI, with os.fsdecode's surrogates if it is not UTF-8; None for other URIs."""
    if uri.startswith("/"):  # nearly all
        return uri
    if uri.startswith("file:"):
        return os.fsdecode(unquote_to_bytes(re.sub(r"^file:(//[^/]*)?", "", uri)))
    return None if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", uri) and ":/" in uri else uri


def open_plain(uri: str) -> BinaryIO:
    """Open a file that is no member of an archive. Raises PhotoError if it can't be read."""
    path = local_path(uri)
    with saying_why(path):
        if path is None:
            # not fsspec.open, which takes "::" in a name for a chain of filesystems
            kind = fsspec.get_filesystem_class(checked_scheme(uri))
            return cast(BinaryIO, kind(**kind._get_kwargs_from_urls(uri)).open(kind._strip_protocol(uri), "rb"))
        if not stat.S_ISREG(os.stat(path).st_mode):  # reading a pipe would block
            raise PhotoError("expected a photo, found something that is not a file")
        return open(path, "rb")


def checked_scheme(uri: str) -> str:
    """The scheme of a URI that is not local. Raises PhotoError if photos are not read from such places."""
    scheme = uri.split(":", 1)[0].lower()
    if scheme not in SCHEMES or "::" in uri.split("://")[0]:
        raise PhotoError(f"expected a place of one of {', '.join(SCHEMES)}, found {scheme}: copy the photos to this machine")
    return scheme


def read_plain(uri: str) -> bytes:
    """The bytes of a file that is no member of an archive. Raises PhotoError if it can't be read."""
    if uri.startswith(("http://", "https://")):
        return fetch(uri)
    path = local_path(uri)
    with open_plain(uri) as f, saying_why(path):
        size = 0 if path is None else os.fstat(f.fileno()).st_size
        check_size(size)
        return f.read()


def check_size(size: int) -> None:
    """Raise PhotoError for a file that is too large for a photo."""
    if size > MAX_BYTES:
        raise PhotoError(f"expected a photo file of at most {MAX_BYTES >> 20} MiB, found {size >> 20} MiB")


def was_not_read(error: str) -> bool:
    """Whether what is wrong with a photo is that its file could not be read: a network or a disk may be back the next time."""
    return error.startswith(NOT_READ)


def readable_now(uris: Iterable[str], seconds: float = PROBE_SECONDS, *, whole: Collection[str] = ()) -> set[str]:
    """Those of some files, no members of archives, of which a byte can be read now, or all bytes of those in `whole`.

    After some seconds no more are tried.
    """
    end = time.monotonic() + seconds

    def is_readable(uri: str) -> bool:
        if time.monotonic() > end:
            return False
        try:
            with open_plain(uri) as f, saying_why(None):
                found = bool(f.read(1))
                while uri in whole and f.read(_STEP):
                    if time.monotonic() > end:
                        return False
                return found
        except PhotoError:
            return False

    uris = list(uris)
    with ThreadPoolExecutor(16) as pool:
        return {uri for uri, found in zip(uris, pool.map(is_readable, uris), strict=True) if found}


@contextmanager
def saying_why(path: str | None) -> Iterator[None]:
    """Turn whatever reading a file raises into a PhotoError."""
    try:
        yield
    except PhotoError:
        raise
    except FileNotFoundError as e:
        link = path is not None and os.path.islink(path)
        raise PhotoError("expected a photo, found a broken link" if link else _NO_FILE) from e
    except Exception as e:  # remote filesystems raise their own exceptions
        reason = (e.strerror if isinstance(e, OSError) else None) or " ".join(str(e).split())[:200] or type(e).__name__
        raise PhotoError(f"{_UNREADABLE}, found: {reason}") from e
