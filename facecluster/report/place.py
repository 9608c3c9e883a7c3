"""The report's folder: built beside its place and swapped in whole, so that a run that dies leaves the old report or the new one.

Beside `report` a folder `.report.partial` lives while a report is made: `lock`, `new` (being written), `old` (the one before, for the
moment of the swap). What a dead run left there is put right by the next. Files in the old report that are not on its list of files are
the user's: they move to the new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from facecluster.errors import InputError

MARK = "facecluster-report.json"
KIND = "facecluster report"


def check_place(out: Path) -> None:
    """Raise InputError unless a report may be written at `out`: nothing there, an empty folder, or an older report."""
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"expected a folder for the report, found a file: {out}. Choose another place")
    if any(out.iterdir()) and _listed(out) is None:
        raise InputError(f"expected a report or an empty folder, found other files in {out}: choose another place for the report")


@contextlib.contextmanager
def swapped_in(out: str) -> Iterator[Path]:
    """A new folder to write the report to; it takes the place of `out` when the block ends, and is gone if the block raises."""
    place = Path(os.path.realpath(out))
    work = place.parent / f".{place.name}.partial"
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(work / "lock", timeout=0)
        with lock:
            try:
                _recover(work, place)
                check_place(place)
                (work / "new").mkdir()
                yield work / "new"
                check_place(place)  # making a report takes minutes: someone may have put files there meanwhile
                _swap(work, place)
            finally:
                shutil.rmtree(work / "new", ignore_errors=True)
                if not (work / "old").exists():
                    shutil.rmtree(work, ignore_errors=True)
    except Timeout:
        raise InputError(f"expected to write the report, found another run writing {place}: wait for it to end, or stop it") from None
    except OSError as e:
        raise InputError(f"expected a place to write the report, found: {e}. Free some space there or choose another place") from e


def finish(folder: Path) -> None:
    """Write the mark that makes a folder a report, with the list of its files."""
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    (folder / MARK).write_text(json.dumps({"kind": KIND, "format": 1, "files": files}, indent=0), encoding="utf-8")


def _listed(report: Path) -> set[str] | None:
    """Files of a report by its mark; None if the folder is not a report."""
    try:
        mark = json.loads((report / MARK).read_bytes())
        return {MARK, *mark["files"]} if mark["kind"] == KIND else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _swap(work: Path, place: Path) -> None:
    if place.exists():
        place.rename(work / "old")
    try:
        (work / "new").rename(place)
    except BaseException:
        if (work / "old").exists() and not place.exists():
            (work / "old").rename(place)
        raise
    _keep_others(work / "old", place)


def _recover(work: Path, place: Path) -> None:
    """Put right what a run that died left: the old report goes back if there is no new one, else the user's files are moved over."""
    if (work / "old").exists():
        if place.exists():
            _keep_others(work / "old", place)
        else:
            (work / "old").rename(place)
    if (work / "new").exists():
        shutil.rmtree(work / "new")


def _keep_others(old: Path, new: Path) -> None:
    """Move files that are not the old report's own to the new one, under another name where theirs is taken; delete the rest."""
    if not old.exists():
        return
    listed = _listed(old) or set()
    for folder, folders, files in os.walk(old):
        links = [f for f in folders if os.path.islink(os.path.join(folder, f))]
        for name in [*files, *links]:
            path = Path(folder, name)
            inside = path.relative_to(old)
            if inside.as_posix() not in listed:
                target, n = new / inside, 1
                while os.path.lexists(target):
                    target, n = new / inside.with_name(f"{inside.stem}.kept{n}{inside.suffix}"), n + 1
                target.parent.mkdir(parents=True, exist_ok=True)
                path.rename(target)
    shutil.rmtree(old)
