"""Undoes an applied plan from its undo file, last entry first. A second run finds every file in its place.

Nothing is overwritten: if another file has the old name, or the moved file was changed, the moved file stays where it is, and a line says
so. Leftovers of an interrupted move (a second name or a copy of a file that is still in its place) are removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from facecluster.dedup.apply import Applied
from facecluster.dedup.files import FileError, check_unchanged, hash_of, is_link_to, move, path_of, remove, remove_leftovers, replace
from facecluster.dedup.undo_file import UndoEntry
from facecluster.permissions import as_user
from facecluster.photos.images import local_path
from facecluster.store.replace_file import recover

OCCUPIED = "another file is in its place now: nothing was overwritten"


def undo(entries: Sequence[UndoEntry], *, dry_run: bool = False, tick: Callable[[int], None] | None = None) -> Applied:
    """Bring files back to where they were.

    Args:
        entries: the entries of an undo file, in its order.
        dry_run: check, but touch nothing.
        tick: called with 1 after each entry.
    """
    result = Applied()
    folders = {os.path.dirname(local_path(uri) or "") for entry in entries for uri in (entry.uri, entry.to)}
    for folder in folders if not dry_run else ():
        remove_leftovers(folder)
    for entry in reversed(entries):
        try:
            said = _undo(entry, dry_run)
            if said:
                result.done.append((entry.uri, said))
        except FileError as e:
            result.passed_over.append((entry.uri, str(e)))
        except OSError as e:
            result.passed_over.append((entry.uri, e.strerror or str(e)))
            result.failed += 1
        if tick is not None:
            tick(1)
    return result


def _undo(entry: UndoEntry, dry_run: bool) -> str:
    """Bring one file back; gives what was done, in words, '' if it was in its place."""
    path, keeper = path_of(entry.uri), path_of(entry.keeper) if entry.link else ""
    if not dry_run:
        for place in (path, path_of(entry.to) if entry.to else path):
            recover(place)  # a stop may have left it aside
    ours = bool(entry.link) and is_link_to(path, keeper)
    if os.path.lexists(path) and not ours:
        if os.path.islink(path) or not os.path.isfile(path) or hash_of(path) != entry.sha256:
            raise FileError(OCCUPIED)
        return _remove_moved_copy(entry, dry_run)
    if not entry.to:
        return _restore_from_keeper(entry, path, keeper, dry_run)
    aside = path_of(entry.to)
    check_unchanged(aside, entry.sha256, what=f"the moved file {entry.to}")
    if not dry_run:
        if ours:
            replace(aside, path, entry.sha256, keeper)
            remove(aside, entry.sha256)
        else:
            with as_user():
                os.makedirs(os.path.dirname(path), exist_ok=True)
            try:
                move(aside, path, entry.sha256)
            except FileExistsError:
                raise FileError(OCCUPIED) from None
        _remove_empty(os.path.dirname(aside))
    return "moved back"


def _restore_from_keeper(entry: UndoEntry, path: str, keeper: str, dry_run: bool) -> str:
    """Replace a link by a copy of the kept file, whose bytes are those of the linked file."""
    check_unchanged(keeper, entry.sha256, what="the kept file, which has its bytes,")
    if not dry_run:
        replace(keeper, path, entry.sha256, keeper)
        os.chmod(path, entry.mode)
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))
    return "replaced the link by a file again"


def _remove_moved_copy(entry: UndoEntry, dry_run: bool) -> str:
    """Remove what an interrupted move left at its target: a second name of the file, or a copy."""
    aside = path_of(entry.to) if entry.to else ""
    if not aside or not os.path.isfile(aside) or os.path.islink(aside) or hash_of(aside) != entry.sha256:
        return ""
    if not entry.trusted:
        raise FileError(f"it is in its place; the undo file does not prove that dedup made the copy {entry.to}, so that stays too")
    if not dry_run:
        remove(aside, entry.sha256)
        _remove_empty(os.path.dirname(aside))
    return "was still in its place; removed the unfinished move's copy"


def _remove_empty(folder: str) -> None:
    """Remove a folder if it is empty, and the folders above it that become empty."""
    while True:
        try:
            os.rmdir(folder)
        except OSError:
            return
        folder = os.path.dirname(folder)
