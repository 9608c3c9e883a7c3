"""What belongs to a photo goes with it when it is moved, and is linked when it is linked (photos/companions.py says what belongs to it).

A companion gets the name that fits the photo's new name. One that can't be moved stays, and a line says so; the photo is moved all the
same. What RAW and JPEG of one stem share goes with the last of them. Where a link takes the photo's place, links to what belongs to the
kept file take the places of what has moved with the photo; without a move, only companions of the same bytes are replaced by links.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from facecluster.dedup.files import FileError, hash_of, link, move, uri_of
from facecluster.dedup.undo_file import UndoEntry, UndoFile
from facecluster.photos.companions import CompanionFinder, renamed

Problem = tuple[str, str]  # uri, why it stays


@dataclass(slots=True)
class CompanionMoves:
    """Moves and links companions; knows which photos have moved before."""

    _finder: CompanionFinder = field(default_factory=CompanionFinder)
    _moved: list[str] = field(default_factory=list)

    def of(self, path: str) -> list[str]:
        """The companions of a photo that is about to be moved."""
        return self._finder.of(path, self._moved)

    def targets(self, path: str) -> Callable[[str], list[str]]:
        """For a new path of a photo, those of its companions."""
        its = self.of(path)
        return lambda new: [_beside(new, companion, path) for companion in its]

    def move(self, path: str, target: str, keeper: str, kind: str, undo_file: UndoFile | None) -> tuple[list[str], list[Problem]]:
        """Move the companions of a photo that goes from `path` to `target`.

        Args:
            path: where the photo was.
            target: where it is now.
            keeper: uri of the kept file.
            kind: "hard" or "symbolic": the link that takes the photo's place; '' for none.
            undo_file: gets an entry for each companion; None: only say what would be done.

        Returns:
            names of the companions that were moved, and those that stay.
        """
        done, problems = [], []
        links = self._links(path, keeper) if kind else {}
        for companion in self.of(path):
            try:
                self._move(companion, _beside(target, companion, path), links.get(companion, ""), kind, undo_file)
                done.append(os.path.basename(companion))
            except (FileError, OSError) as e:
                problems.append((uri_of(companion), f"stays, though {os.path.basename(path)} is moved: {_reason(e)}"))
        self._moved.append(path)
        return done, problems

    def link(self, path: str, keeper: str, kind: str, undo_file: UndoFile | None) -> tuple[list[str], list[Problem]]:
        """Replace the companions of a photo by links to those of the kept file that have the same bytes; as `move`."""
        done, problems = [], []
        for companion, kept in self._links(path, keeper).items():
            try:
                status = _status(companion)
                if os.path.samefile(companion, kept) or (digest := hash_of(companion)) != hash_of(kept):
                    continue
                if undo_file is not None:
                    undo_file.add(_entry(companion, "", kind, digest, kept, status))
                    link(kept, companion, kind, digest)
                done.append(os.path.basename(companion))
            except (FileError, OSError) as e:
                problems.append((uri_of(companion), f"is not replaced by a link: {_reason(e)}"))
        return done, problems

    @staticmethod
    def _move(companion: str, target: str, kept: str, kind: str, undo_file: UndoFile | None) -> None:
        status = _status(companion)
        if undo_file is None:
            return
        if os.path.lexists(target):
            raise FileError(f"a file has the name {os.path.basename(target)} where it would go")
        digest = hash_of(companion)
        undo_file.add(_entry(companion, uri_of(target), kind if kept else "", digest, kept, status))
        move(companion, target, digest)
        if kept:
            link(kept, companion, kind)

    def _links(self, path: str, keeper: str) -> dict[str, str]:
        """Companions of a photo, each with the companion of the kept file that is the same for that."""
        kept = {_beside(path, companion, keeper): companion for companion in self._finder.of(keeper)}
        return {companion: kept[companion] for companion in self.of(path) if companion in kept}


def _beside(new: str, companion: str, path: str) -> str:
    """The path of a companion of the photo at `path` when the photo is at `new`."""
    return os.path.join(os.path.dirname(new), renamed(os.path.basename(companion), os.path.basename(path), os.path.basename(new)))


def _status(path: str) -> os.stat_result:
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        raise FileError("it is a link" if stat.S_ISLNK(status.st_mode) else "it is no file")
    return status


def _entry(path: str, to: str, kind: str, digest: str, kept: str, status: os.stat_result) -> UndoEntry:
    return UndoEntry(
        uri=uri_of(path), to=to, link=kind, sha256=digest, keeper=uri_of(kept), mtime_ns=status.st_mtime_ns, mode=status.st_mode & 0o7777
    )


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def said(names: list[str]) -> str:
    """Companions in words, to follow what was done with their photo."""
    return f", with {', '.join(names)}" if names else ""
