"""The files of photos as they are now: which can be kept, which can be moved, and why others can't.

A file that is gone or holds other bytes than the store says is no file of the photo. A link is not a copy, and neither are two names of one
file (hard links, folders reached through a link): moving such a "copy" would save nothing, or lose the only one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from facecluster.dedup.folders import folder_rank, resolve_parents
from facecluster.dedup.store_photos import PhotoFile, Photos
from facecluster.errors import PhotoError
from facecluster.language.said import say
from facecluster.photos.images import content_id, local_path, read_file

MOVABLE = ""


@dataclass(frozen=True, slots=True)
class FileLocation:
    """A file that holds the photo's bytes."""

    file: PhotoFile
    immovable: str  # why it can't be moved, in words; MOVABLE if it can
    link: bool  # a link to a file; it is kept only if the photo has no other file
    size: int  # bytes that it takes; 0 for a link or a further name of a file
    inode: tuple[int, int] | None = None  # device and inode: equal for two names of one file; None if it is not on this machine


class FileLocations:
    """Checks the files of a photo when asked for it first, and caches the result."""

    def __init__(self, photos: Photos, protect: Sequence[str]) -> None:
        self._photos, self._protect = photos, protect
        self._checked: dict[int, list[FileLocation]] = {}
        self.changed: dict[str, str] = {}  # by uri, what was found instead of the photo

    def of(self, photo: int) -> list[FileLocation]:
        """The files of a photo, in order of their uris."""
        if photo not in self._checked:
            self._checked[photo] = self._check(photo)
        return self._checked[photo]

    def _check(self, photo: int) -> list[FileLocation]:
        found, inodes = [], set[tuple[int, int]]()
        for file in self._photos.files[photo]:
            path = local_path(file.uri)
            if path is None:
                found.append(FileLocation(file, say("it is not on this machine"), False, file.size))
                continue
            problem = self._problem(path, file, self._photos.ids[photo])
            if problem:
                self.changed[file.uri] = problem
                continue
            link, status = os.path.islink(path), os.stat(path)
            inode = status.st_dev, status.st_ino
            immovable = say("it is a link") if link else MOVABLE
            if not immovable and folder_rank(file.uri, self._protect) < len(self._protect):
                immovable = say("it is protected")
            counts = not link and inode not in inodes
            inodes |= {inode} if counts else set()
            now = PhotoFile(file.uri, status.st_size, status.st_mtime_ns)
            found.append(FileLocation(now, immovable, link, status.st_size if counts else 0, inode))
        return found

    @staticmethod
    def _problem(path: str, file: PhotoFile, photo_id: str) -> str:
        """Why a file is no file of the photo, '' if it is one; its bytes are read only if its size or time differs from the store's."""
        try:
            status = os.stat(resolve_parents(path))
        except OSError as e:
            gone = isinstance(e, FileNotFoundError)
            return say("it is no longer there") if gone else say("it can't be read: %(why)s", why=str(e.strerror))
        if not stat.S_ISREG(status.st_mode):
            return say("it is no longer a file")
        if (status.st_size, status.st_mtime_ns) == (file.size, file.mtime_ns):
            return ""
        try:
            return "" if content_id(read_file(file.uri)) == photo_id else say("it has changed: run 'facecluster embed' again")
        except PhotoError as e:
            return str(e)
