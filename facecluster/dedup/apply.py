"""Applies a plan: moves files with what belongs to them, or replaces them by links. Each file is checked, then written to the undo file,
and only then touched.

Odd input: a row that can't be applied (file or keeper gone, changed, a link, protected, on another machine) is skipped, with a line that
says why. A keeper may itself be moved for another one: rows are applied from the far end of such a chain. In a circle of keepers no file is
moved.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from facecluster.dedup.files import FileError, check_unchanged, free_name, hash_of, link, move, path_of, remove_leftovers, uri_of
from facecluster.dedup.folders import existing_folder, folder_rank, resolve_parents
from facecluster.dedup.move_companions import CompanionMoves, Problem, said
from facecluster.dedup.plan import MOVE, Row
from facecluster.dedup.undo_file import UndoEntry, UndoFile
from facecluster.errors import InputError, PhotoError
from facecluster.photos.images import content_id, local_path, read_file


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOptions:
    """How the files of a plan are set aside."""

    move_to: str | None = None  # folder; None: files are not moved, exact copies are replaced by a link
    link: str | None = None  # "hard" or "symbolic": a link that replaces the file; None: no link
    protect: Sequence[str] = ()  # folders whose files are never moved

    def __post_init__(self) -> None:
        if self.move_to is None and self.link is None:
            raise InputError("expected a way to set files aside, found none: give --move-to DIR, --link, or both")
        if self.move_to is not None and os.path.lexists(self.aside) and not os.path.isdir(self.aside):
            raise InputError(f"expected a folder to move files to, found a file: {self.move_to!r}. Choose another with --move-to")

    @property
    def aside(self) -> str:
        """The folder that files are moved to, as an absolute path; the current folder if there is none."""
        return os.path.abspath(os.path.expanduser(self.move_to or ""))


@dataclass(slots=True)
class Applied:
    """The result: what was done, or would be in a dry run."""

    done: list[tuple[str, str]] = field(default_factory=list)  # (uri, what was done)
    passed_over: list[tuple[str, str]] = field(default_factory=list)  # (uri, why)
    bytes: int = 0  # freed by the files done
    failed: int = 0  # of those passed over, files that the system refused to move, link or write


def apply_plan(
    rows: Sequence[Row], how: ApplyOptions, undo_file: UndoFile, *, dry_run: bool = False, tick: Callable[[int], None] | None = None,
    known: Collection[str] | None = None,
) -> Applied:  # fmt: skip
    """Set aside the files whose rows say `move`.

    Args:
        rows: the whole plan.
        how: where to, and which links.
        undo_file: gets an entry for each file before it is touched.
        dry_run: check everything, but touch and write nothing.
        tick: called with 1 after each file.
        known: the files of the store; others are passed over, since a plan may be somebody else's. None: any file.

    Raises:
        InputError: a protected folder is missing, or the undo file can't be written; nothing is done after that.
    """
    protect = [existing_folder(folder) for folder in how.protect]
    todo, applied = _ordered([r for r in rows if r.action == MOVE]), Applied()
    base = common_folder([r.uri for r in todo])
    for folder in sorted({os.path.dirname(local_path(row.uri) or "") for row in todo}) if not dry_run else ():
        remove_leftovers(folder)
    circles, keepers, companions = _circles(todo), dict[str, tuple[int, ...]](), CompanionMoves()
    for row in todo:
        try:
            if known is not None and not (row.uri in known and row.keeper in known):
                raise FileError("it, or the file that is kept for it, is no photo of this store")
            if row.uri in circles:
                raise FileError("the file that is kept for it is itself moved for it: change the plan")
            what, size, problems = _apply(row, how, protect, base, keepers, companions, undo_file, dry_run)
            applied.done.append((row.uri, what))
            applied.passed_over += problems
            applied.bytes += size
        except FileError as e:
            applied.passed_over.append((row.uri, str(e)))
        except OSError as e:
            applied.passed_over.append((row.uri, e.strerror or str(e)))
            applied.failed += 1
        if tick is not None:
            tick(1)
    return applied


def _apply(
    row: Row, how: ApplyOptions, protect: Sequence[str], base: str, keepers: dict[str, tuple[int, ...]], companions: CompanionMoves,
    undo_file: UndoFile, dry_run: bool,
) -> tuple[str, int, list[Problem]]:  # fmt: skip
    """Set one file aside, with what belongs to it; gives what was done, in words, the bytes freed, and what of its companions stays."""
    path = path_of(row.uri)
    if folder_rank(row.uri, protect) < len(protect):
        raise FileError("it is protected")
    if how.move_to is None and row.sha256 != row.keeper_sha256:
        raise FileError("its bytes differ from the kept file's, and a link would lose them: give --move-to DIR as well")
    status = check_unchanged(path, row.sha256)
    _check_keeper(row, path, keepers)
    keeper = local_path(row.keeper)
    if how.link and keeper is None:
        raise FileError("the kept file is not on this machine, so no link can lead to it")
    size = status.st_size if status.st_nlink == 1 else 0
    if how.move_to is None:
        assert keeper is not None and how.link is not None
        if not dry_run:
            undo_file.add(_entry(row, "", how.link, status))
            link(keeper, path, how.link, row.sha256)
        names, problems = companions.link(path, keeper, how.link, None if dry_run else undo_file)
        return f"{how.link} link to {row.keeper}{said(names)}", size, problems
    target = os.path.join(how.aside, os.path.relpath(resolve_parents(path), base))
    leaves = f", {how.link} link to {row.keeper}" if how.link else ""
    if not dry_run:
        target = _move(row, path, target, how.link or "", companions, undo_file, status)
    names, problems = companions.move(path, target, keeper or "", how.link or "", None if dry_run else undo_file)
    if how.link and keeper is not None and not dry_run:
        link(keeper, path, how.link)
    return f"to {uri_of(target)}{said(names)}{leaves}", size, problems


def _move(
    row: Row, path: str, target: str, kind: str, companions: CompanionMoves, undo_file: UndoFile, status: os.stat_result
) -> str:  # fmt: skip
    """Move a file to a free name at `target`, under which its companions fit too; gives that name."""
    for _ in range(2):  # another program may take the name in between
        target = free_name(target, companions.targets(path))
        undo_file.add(_entry(row, uri_of(target), kind, status))
        try:
            move(path, target, row.sha256)
        except FileExistsError:
            continue
        return target
    raise FileError(f"another program takes the names at {os.path.dirname(target)}")


def _entry(row: Row, to: str, kind: str, status: os.stat_result) -> UndoEntry:
    return UndoEntry(
        uri=row.uri, to=to, link=kind, sha256=row.sha256, keeper=row.keeper, mtime_ns=status.st_mtime_ns, mode=status.st_mode & 0o7777
    )


def _check_keeper(row: Row, path: str, seen: dict[str, tuple[int, ...]]) -> None:
    """Raise FileError unless the keeper exists, is unchanged and is another file. `seen`: keepers read before, with their file stamps."""
    keeper = local_path(row.keeper)
    if keeper is None:
        try:
            found = content_id(read_file(row.keeper))
        except PhotoError as e:
            raise FileError(f"the file that is kept for it can't be read: {e}") from e
    elif not os.path.exists(keeper):
        raise FileError("the file that is kept for it is no longer there")
    elif os.path.samefile(keeper, path):
        raise FileError("it is the same file as the one that is kept for it")
    else:
        status = os.stat(keeper)
        stamp = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
        if seen.get(row.keeper) == stamp:
            return
        found = hash_of(keeper)
        if found == row.keeper_sha256:
            seen[row.keeper] = stamp
    if found != row.keeper_sha256:
        raise FileError("the file that is kept for it has other bytes than when the plan was made")


def _ordered(rows: Sequence[Row]) -> list[Row]:
    """Rows whose keeper is moved too come first, while their keeper still exists."""
    keepers = {r.uri: r.keeper for r in rows}

    def depth(uri: str) -> int:
        steps, seen = 0, set[str]()
        while uri in keepers and uri not in seen:
            seen.add(uri)
            uri, steps = keepers[uri], steps + 1
        return steps

    return sorted(rows, key=lambda r: -depth(r.uri))


def _circles(rows: Sequence[Row]) -> set[str]:
    """Uris whose chain of keepers runs into a circle."""
    keepers = {r.uri: r.keeper for r in rows}
    found = set()
    for uri in keepers:
        at, seen = uri, set[str]()
        while at in keepers and at not in seen:
            seen.add(at)
            at = keepers[at]
        if at in keepers:
            found.add(uri)
    return found


def common_folder(uris: Sequence[str]) -> str:
    """The deepest folder that holds all these files of this machine; folders below it are kept in the place that files are moved to."""
    paths = [resolve_parents(p) for uri in uris if (p := local_path(uri)) is not None]
    return os.path.commonpath([os.path.dirname(p) for p in paths]) if paths else "/"
