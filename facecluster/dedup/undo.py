"""Take back what a plan did, from its undo file, last act first. Run twice, the second time finds all in place.

Nothing is written over: where another file has taken the old place, or the set-aside file was changed, that one stays where it is, and a
line says so. What an act that was cut off left (a second name or a copy of a file that is still in place) is removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from facecluster.dedup.apply import Applied
from facecluster.dedup.files import FileError, check, hash_of, is_link_to, move, path_of, remove_rests, replace
from facecluster.dedup.journal import Entry
from facecluster.photos.images import local_path

TAKEN = "another file is in its place now: nothing was moved over it"


def undo(entries: Sequence[Entry], *, dry_run: bool = False, tick: Callable[[int], None] | None = None) -> Applied:
    """Bring files back.

    Args:
        entries: of an undo file, in its order.
        dry_run: look, but touch nothing.
        tick: called with 1 after each entry.
    """
    result = Applied()
    folders = {os.path.dirname(local_path(uri) or "") for entry in entries for uri in (entry.uri, entry.to)}
    for folder in folders if not dry_run else ():
        remove_rests(folder)
    for entry in reversed(entries):
        try:
            said = _undo(entry, dry_run)
            if said:
                result.done.append((entry.uri, said))
        except FileError as e:
            result.passed_over.append((entry.uri, str(e)))
        except OSError as e:
            result.passed_over.append((entry.uri, e.strerror or str(e)))
        if tick is not None:
            tick(1)
    return result


def _undo(entry: Entry, dry_run: bool) -> str:
    """Bring one file back; what was done, in words, '' if it is in its place."""
    path, keeper = path_of(entry.uri), path_of(entry.keeper) if entry.link else ""
    ours = bool(entry.link) and is_link_to(path, keeper)
    if os.path.lexists(path) and not ours:
        if os.path.islink(path) or not os.path.isfile(path) or hash_of(path) != entry.sha256:
            raise FileError(TAKEN)
        return _tidied(entry, dry_run)
    if not entry.to:
        return _restored(entry, path, keeper, dry_run)
    aside = path_of(entry.to)
    check(aside, entry.sha256, what=f"the moved file {entry.to}")
    if not dry_run:
        if ours:
            replace(aside, path, entry.sha256)
            os.unlink(aside)
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            try:
                move(aside, path, entry.sha256)
            except FileExistsError:
                raise FileError(TAKEN) from None
        _remove_empty(os.path.dirname(aside))
    return "moved back"


def _restored(entry: Entry, path: str, keeper: str, dry_run: bool) -> str:
    """A file whose place a link took: its bytes are those of the kept file."""
    check(keeper, entry.sha256, what="the kept file, which has its bytes,")
    if not dry_run:
        replace(keeper, path, entry.sha256)
        os.chmod(path, entry.mode)
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))
    return "made a file of its own again"


def _tidied(entry: Entry, dry_run: bool) -> str:
    """Remove what a move that was cut off left at its end: a second name of the file, or a copy."""
    aside = path_of(entry.to) if entry.to else ""
    if not aside or not os.path.isfile(aside) or os.path.islink(aside) or hash_of(aside) != entry.sha256:
        return ""
    if not dry_run:
        os.unlink(aside)
        _remove_empty(os.path.dirname(aside))
    return "was still in its place; removed what the move had begun"


def _remove_empty(folder: str) -> None:
    """Remove a folder that is empty, and those above it that become so."""
    while True:
        try:
            os.rmdir(folder)
        except OSError:
            return
        folder = os.path.dirname(folder)
