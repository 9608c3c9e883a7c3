"""The files of photos as they are now: which can be kept, which can be moved, and why not.

A file that is gone or holds other bytes than the store says is no place of the photo. A link is not a copy, and neither are two names of
one file (hard links, folders reached through a link): moving such a "copy" would save nothing or lose the only one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from facecluster.dedup.folders import rank, within
from facecluster.dedup.library import Photos, Place
from facecluster.errors import PhotoError
from facecluster.photos.images import content_id, local_path, read_file

FREE = ""


@dataclass(frozen=True, slots=True)
class Now:
    """A place that holds the photo's bytes."""

    place: Place
    bound: str  # why it can't be moved, in words; FREE if it can
    link: bool  # a link to a file; it is kept only where there is nothing else
    size: int  # bytes that it takes; 0 for a link or a further name of a file
    file: tuple[int, int] | None = None  # device and number: two names of one file have the same; None if it is not on this machine


class Places:
    """Looks at files when they are asked for, and remembers."""

    def __init__(self, photos: Photos, protect: Sequence[str]) -> None:
        self._photos, self._protect = photos, protect
        self._seen: dict[int, list[Now]] = {}
        self.gone: dict[str, str] = {}  # by uri, what was found in place of the photo

    def of(self, photo: int) -> list[Now]:
        """The places of a photo, in order of their uris."""
        if photo not in self._seen:
            self._seen[photo] = self._look(photo)
        return self._seen[photo]

    def _look(self, photo: int) -> list[Now]:
        found, files = [], set[tuple[int, int]]()
        for place in self._photos.places[photo]:
            path = local_path(place.uri)
            if path is None:
                found.append(Now(place, "it is not on this machine", False, place.size))
                continue
            trouble = self._trouble(path, place, self._photos.ids[photo])
            if trouble:
                self.gone[place.uri] = trouble
                continue
            link, status = os.path.islink(path), os.stat(path)
            file = status.st_dev, status.st_ino
            bound = "it is a link" if link else FREE
            if not bound and rank(place.uri, self._protect) < len(self._protect):
                bound = "it is protected"
            counts = not link and file not in files
            files |= {file} if counts else set()
            now = Place(place.uri, status.st_size, status.st_mtime_ns)
            found.append(Now(now, bound, link, status.st_size if counts else 0, file))
        return found

    @staticmethod
    def _trouble(path: str, place: Place, photo_id: str) -> str:
        """What is wrong with a file; its bytes are read only if its size or time is not what it was."""
        try:
            status = os.stat(within(path))
        except OSError as e:
            return "it is no longer there" if isinstance(e, FileNotFoundError) else f"it can't be read: {e.strerror}"
        if not stat.S_ISREG(status.st_mode):
            return "it is no file any more"
        if (status.st_size, status.st_mtime_ns) == (place.size, place.mtime_ns):
            return ""
        try:
            return "" if content_id(read_file(place.uri)) == photo_id else "it has changed: run 'facecluster embed' again"
        except PhotoError as e:
            return str(e)
