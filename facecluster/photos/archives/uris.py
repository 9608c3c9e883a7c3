"""How a photo inside an archive is named: `KIND:ARCHIVE!/KEY`, as in `tar:/data/0001.tar!/0001/a.jpg`.

ARCHIVE is the uri of the archive itself, without `!/` in it. KEY is the name that the archive gives its member, or stands for it: it is
never a path on a disk, whatever it looks like.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from facecluster.errors import PhotoError

# by the end of a file's name, in lower case
KINDS = {
    ".tar": "tar", ".tar.gz": "tar", ".tgz": "tar", ".tar.bz2": "tar", ".tbz2": "tar", ".tar.xz": "tar", ".txz": "tar",
    ".zip": "zip", ".parquet": "parquet", ".rec": "rec", ".mdb": "lmdb", ".lmdb": "lmdb",
}  # fmt: skip
_ENDINGS = tuple(KINDS)
_NAMES = frozenset(KINDS.values())
_ADDRESS = re.compile(r"/|[a-z][a-z0-9+.-]*:/")


@dataclass(frozen=True, slots=True)
class Member:
    """What an archive holds, or a damaged place in it."""

    key: str  # '' for a damaged place
    size: int = 0  # bytes, as the archive says; 0 = it does not say
    offset: int = -1  # where it lies: its bytes in a tar, its header in a zip or .rec, its row in Parquet; -1 = unknown
    error: str | None = None  # why it can't be read
    label: str | None = None  # what the archive says it shows


class NotAnArchiveError(PhotoError):
    """A file that has the name of an archive, but is none, or holds nothing that can be a photo."""


@dataclass(frozen=True, slots=True)
class Range:
    """Where the bytes of a member lie, in an archive that was changed at that time."""

    offset: int
    size: int
    mtime_ns: int


def file_name(uri: str) -> str:
    """The last part of a path or an address, of one of the web without its query."""
    if uri.startswith(("http://", "https://")):
        uri = uri.partition("#")[0].partition("?")[0]
    return uri.rpartition("/")[2]


def archive_kind(uri: str) -> str | None:
    """The kind of an archive by its file's name, path or uri; None if it is no archive."""
    name = file_name(uri).lower()
    if not name.endswith(_ENDINGS):
        return None
    return next((kind for ending, kind in KINDS.items() if name.endswith(ending)), None)


def member_uri(kind: str, archive: str, key: str) -> str:
    """The uri of a member."""
    return f"{kind}:{archive}!/{key}"


def split_member(uri: str) -> tuple[str, str, str] | None:
    """Kind, archive and key of a member's uri; None for other uris."""
    if uri.startswith("/"):  # nearly all
        return None
    kind, _, rest = uri.partition(":")
    if kind not in _NAMES:
        return None
    archive, mark, key = rest.partition("!/")
    return (kind, archive, key) if mark and _ADDRESS.match(archive) else None


def member_parts(kind: str, key: str) -> list[str]:
    """The names of the folders that a member lies in, and its own; some programs of Windows write backslashes into zips."""
    return [part for part in (key.replace("\\", "/") if kind == "zip" else key).split("/") if part not in ("", ".", "..")]


def file_of(uri: str) -> str:
    """The file that holds a photo: of an archive's member the archive, else itself."""
    member = split_member(uri)
    return member[1] if member else uri
