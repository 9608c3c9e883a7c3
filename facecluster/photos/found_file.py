"""What a search finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file with the name of a photo, a member of an archive, or a folder that can't be read."""

    uri: str  # absolute path; a `file:` URI if the path is not UTF-8; a URL; of a member KIND:ARCHIVE!/KEY
    size: int = -1  # bytes; 0 = not known before it is read; -1 = unknown because of an error
    mtime_ns: int = 0  # last change, of a member that of its archive, ns since 1970 UTC; 0 = unknown
    error: str | None = None  # the reason why it can't be a photo
    is_folder: bool = False  # a folder that can't be read
    offset: int = -1  # of a member where it lies in its archive; -1 = unknown
    label: str | None = None  # of a member what the archive says it shows


@dataclass(slots=True)
class SeenArchives:
    """The archives that a search met."""

    known: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # size and time of those that need not be read again
    unchanged: set[str] = field(default_factory=set)  # of the known ones those that were met, as they were
    listed: dict[str, tuple[int, int]] = field(default_factory=dict)  # size and time of those whose members were listed
    again: set[str] = field(default_factory=set)  # of the listed ones those to be listed again: a package was missing
