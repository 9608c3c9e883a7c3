"""Files to set aside, plans for them, and what a folder holds: for the tests of applying and undoing plans."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from facecluster.dedup import Applied, ApplyOptions, Row, UndoFile, apply_plan
from facecluster.dedup.files import uri_of


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def row(path: Path | str, keeper: Path | str, action: str = "move", **other: Any) -> Row:
    """A row of a plan for a file and its keeper as they are now."""
    read = {name: Path(p).read_bytes() if os.path.exists(p) else b"" for name, p in (("path", path), ("keeper", keeper))}
    values: dict[str, Any] = {
        "group": 1, "kind": "copy", "action": action, "uri": uri_of(str(path)), "keeper": uri_of(str(keeper)),
        "sha256": sha(read["path"]), "keeper_sha256": sha(read["keeper"]), "size": len(read["path"]), "width": 1, "height": 1,
        "format": "JPEG", "taken_at": "", "why": "", "reason": "",
    }  # fmt: skip
    return Row(**(values | other))


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Path]:
    """kept.jpg, an exact copy of it in a folder of its own, and a near-duplicate."""
    folder = tmp_path / "library"
    (folder / "deep").mkdir(parents=True)
    files = {"kept": folder / "kept.jpg", "copy": folder / "deep" / "copy.jpg", "near": folder / "near.jpg"}
    for name, data in (("kept", b"the picture"), ("copy", b"the picture"), ("near", b"the picture, smaller")):
        files[name].write_bytes(data)
        os.utime(files[name], ns=(10**18, 10**18 + len(name)))
        os.chmod(files[name], 0o640)
    return files


def tree(folder: Path) -> dict[str, tuple[Any, ...]]:
    """The contents of a folder: names, bytes, times, permissions, links."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in sorted(folder.rglob("*")):
        name = os.path.relpath(path, folder)
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_file():
            status = path.stat()
            found[name] = (path.read_bytes(), status.st_mtime_ns, status.st_mode, status.st_nlink)
    return found


def contents(folder: Path) -> set[bytes]:
    return {p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def plan(files: dict[str, Path]) -> list[Row]:
    return [row(files["copy"], files["kept"]), row(files["near"], files["kept"], kind="near")]


def applied(rows: list[Row], tmp_path: Path, *, dry_run: bool = False, known: list[str] | None = None, **how: Any) -> tuple[Applied, Path]:
    undo_file = UndoFile(str(tmp_path / f"undo-{len(list(tmp_path.glob('undo-*')))}.jsonl"))
    try:
        return apply_plan(rows, ApplyOptions(**how), undo_file, dry_run=dry_run, known=known), Path(undo_file.path)
    finally:
        undo_file.close()


WAYS: list[dict[str, Any]] = [{"move_to": "aside"}, {"move_to": "aside", "link": "hard"}, {"move_to": "aside", "link": "symbolic"}]
LINKS: list[dict[str, Any]] = [{"link": "hard"}, {"link": "symbolic"}]


def resolved(how: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    return how | ({"move_to": str(tmp_path / how["move_to"])} if "move_to" in how else {})


def add_companions(files: dict[str, Path]) -> None:
    """The same film beside the kept file and its copy, and another sidecar beside each."""
    for name in ("kept", "copy"):
        files[name].with_suffix(".mov").write_bytes(b"the film")
        files[name].with_suffix(".jpg.xmp").write_bytes(f"sidecar of {name}".encode())
