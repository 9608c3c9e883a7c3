"""The report's folder: built beside its final path and renamed at the end, so that a run that dies leaves the old report or the new one.

While a report `report` is made, a folder `.report.partial` exists beside it, with `lock`, `new` (being written) and `old` (the previous
report, during the swap). The next run cleans up what a dead run left there. Files in the old report that its manifest does not list are
the user's: they are moved to the new report.
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
from facecluster.permissions import PRIVATE_FILE, PRIVATE_FOLDER

MANIFEST = "facecluster-report.json"
KIND = "facecluster report"


def check_output_folder(out: Path) -> None:
    """Raise InputError unless a report may be written at `out`: nothing exists there, or an empty folder, or an older report."""
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"expected a folder for the report, found a file: {out}. Choose another folder")
    if any(out.iterdir()) and _read_manifest(out) is None:
        raise InputError(f"expected a report or an empty folder, found other files in {out}: choose another folder for the report")


@contextlib.contextmanager
def replace_folder(out: str) -> Iterator[Path]:
    """A new folder to write the report to. It replaces `out` when the block ends, and is deleted if the block raises."""
    target = Path(os.path.realpath(out))
    work = _work_of(target)
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(work / "lock", timeout=0)
        with lock:
            try:
                _recover(work, target)
                check_output_folder(target)
                (work / "new").mkdir(mode=PRIVATE_FOLDER)
                yield work / "new"
                for path in (work / "new").rglob("*"):
                    path.chmod(PRIVATE_FOLDER if path.is_dir() else PRIVATE_FILE)
                check_output_folder(target)  # again: a report takes minutes, and files may have appeared there meanwhile
                _swap(work, target)
            finally:
                shutil.rmtree(work / "new", ignore_errors=True)
                if not (work / "old").exists():
                    shutil.rmtree(work, ignore_errors=True)
    except Timeout:
        raise InputError(f"expected to write the report, found another run writing {target}: wait for it to end, or stop it") from None
    except OSError as e:
        raise InputError(f"expected to write the report, found: {e}. Free some space there, or choose another folder") from e


def remove_report(out: str) -> int:
    """Delete the files of a report and what a report that was not finished left beside it; the user's own files in it stay.

    Returns:
        the number of files of the report.
    """
    target = Path(os.path.realpath(out))
    work = _work_of(target)
    if work.exists():
        with FileLock(work / "lock", timeout=0):
            _recover(work, target)
        shutil.rmtree(work)
    files = _read_manifest(target) or set[str]()
    for name in sorted(files - {MANIFEST}) + sorted(files & {MANIFEST}):  # the manifest last: a deletion that is stopped goes on
        if ".." not in Path(name).parts and not os.path.isabs(name):
            (target / name).unlink(missing_ok=True)
    for folder, _, _ in os.walk(target, topdown=False):
        with contextlib.suppress(OSError):  # files of the user are in it
            os.rmdir(folder)
    return len(files)


def write_manifest(folder: Path, made_from: str = "", faces: str = "") -> None:
    """Write the manifest that marks a folder as a report and lists its files. `made_from`: see `is_made_from`; `faces`: `shown_faces`."""
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    found = {"kind": KIND, "format": 1, "made_from": made_from, "faces": faces, "files": files}
    (folder / MANIFEST).write_text(json.dumps(found, indent=0), encoding="utf-8")


def is_made_from(report: Path, made_from: str) -> bool:
    """Whether a report was made from what has this hash, none of its files is missing, and no stopped run has left anything beside it."""
    files, target = _read_manifest(report), Path(os.path.realpath(report))
    if not files or not made_from or _work_of(target).exists():
        return False
    manifest = json.loads((report / MANIFEST).read_bytes())
    return manifest.get("made_from") == made_from and all((report / name).is_file() for name in files)


def shown_faces(report: Path) -> str | None:
    """How the report in a folder shows faces; None if it does not say, or there is none."""
    if _read_manifest(report) is None:
        return None
    return str(json.loads((report / MANIFEST).read_bytes()).get("faces", "")) or None


def _work_of(target: Path) -> Path:
    return target.parent / f".{target.name}.partial"


def _read_manifest(report: Path) -> set[str] | None:
    """Files of a report by its manifest; None if the folder is not a report."""
    try:
        manifest = json.loads((report / MANIFEST).read_bytes())
        return {MANIFEST, *manifest["files"]} if manifest["kind"] == KIND else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _swap(work: Path, target: Path) -> None:
    if target.exists():
        target.rename(work / "old")
    try:
        (work / "new").rename(target)
    except BaseException:
        if (work / "old").exists() and not target.exists():
            (work / "old").rename(target)
        raise
    _keep_user_files(work / "old", target)


def _recover(work: Path, target: Path) -> None:
    """Clean up after a run that died: move the old report back if there is no new one, else move the user's files to the new one."""
    if (work / "old").exists():
        if target.exists():
            _keep_user_files(work / "old", target)
        else:
            (work / "old").rename(target)
    if (work / "new").exists():
        shutil.rmtree(work / "new")


def _keep_user_files(old: Path, new: Path) -> None:
    """Move files that are not part of the old report to the new one, with a new name if the name is taken; delete the rest."""
    if not old.exists():
        return
    listed = _read_manifest(old) or set()
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
