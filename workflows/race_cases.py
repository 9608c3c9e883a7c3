"""The commands that replace, move or delete files which another program may save at the same moment. For `races.py`."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from coloured_photos import write_comment

MARK = b"saved by another program"
_COMMON = ("store/replace_file.py",)
_MOVES = ("dedup/files.py", *_COMMON)
Save = Callable[[Path, np.random.Generator], tuple[Path, bytes]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command, and what another program saves meanwhile."""

    name: str
    words: tuple[str, ...]
    save: Save  # from the folder: the file that is saved, and its bytes
    rooms: tuple[str, ...]  # files of the package whose lines are moments
    marks: tuple[str, ...]  # patterns of the files among which what was saved must be
    before: tuple[tuple[str, ...], ...] = ()
    after: tuple[tuple[str, ...], ...] = ()  # commands that may take over what was saved
    prepare: Callable[[Path], None] = lambda root: None


def has_mark(root: Path, patterns: tuple[str, ...]) -> bool:
    """Whether what was saved is in one of some files."""
    files = (path for pattern in patterns for path in root.glob(pattern))
    return any(MARK in path.read_bytes() for path in files if path.is_file() and not path.is_symlink())


def _people_csv(root: Path, rng: np.random.Generator) -> tuple[Path, bytes]:
    """A name in people.csv, as it was opened before the command began."""
    path = root / "store" / "people.csv"
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    unnamed = [row for row in rows if not row["name"]]
    unnamed[int(rng.integers(len(unnamed)))]["name"] = MARK.decode()
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return path, ("\ufeff" + out.getvalue()).encode()


def _one_of(*names: str) -> Save:
    """A comment in a photo of which there are copies: mostly in the first, which the command moves or replaces."""

    def save(root: Path, rng: np.random.Generator) -> tuple[Path, bytes]:
        path = root / names[max(int(rng.integers(-2, len(names))), 0)]
        kept = next(root / name for name in (*names, "photos/0/1.jpg", "photos/3/copy.jpg") if (root / name).is_file())
        return path, write_comment(kept.read_bytes(), MARK)

    return save


def _sidecar(folder: str, *names: str) -> Save:
    """A sidecar of the user's own."""

    def save(root: Path, rng: np.random.Generator) -> tuple[Path, bytes]:
        path = root / folder / names[int(rng.integers(len(names)))]
        like = root / "photos" / "0" / "1.jpg.xmp"
        return path, like.read_bytes().replace(b"the words of the user", MARK)

    return save


def _exported(pattern: str) -> Save:
    """A file that an earlier export wrote, or one of a new name that it may want."""

    def save(root: Path, rng: np.random.Generator) -> tuple[Path, bytes]:
        files = sorted(path for path in root.glob(pattern) if path.is_file())
        path = files[int(rng.integers(len(files)))]
        return path, write_comment(path.read_bytes(), MARK) if path.suffix == ".jpg" else MARK

    return save


def _write_sidecars(root: Path) -> None:
    """A sidecar for the copy, which goes with it."""
    shutil.copyfile(root / "photos" / "0" / "1.jpg.xmp", root / "photos" / "3" / "copy.jpg.xmp")


def _changed(folder: str) -> Callable[[Path], None]:
    """Make an earlier export one of other photos: each file has other bytes than the next export writes, and one is of no photo."""

    def change(root: Path) -> None:
        manifest = root / folder / ".facecluster-export.json"
        listed = json.loads(manifest.read_text(encoding="utf-8"))
        files = [path for name in listed["files"] if (path := manifest.parent / name).is_file() and not path.is_symlink()]
        gone = manifest.parent / "gone.jpg"
        gone.write_bytes(files[0].read_bytes())
        listed["files"][gone.name] = dict(listed["files"][files[0].relative_to(manifest.parent).as_posix()])
        for path in (*files, gone):
            path.write_bytes(path.read_bytes() + b"\n")
            facts = {"is": hashlib.sha256(path.read_bytes()).hexdigest(), "size": str(path.stat().st_size)}
            listed["files"][path.relative_to(manifest.parent).as_posix()] |= facts
        manifest.write_text(json.dumps(listed), encoding="utf-8")

    return change


def _undo_file(root: Path) -> None:
    found = sorted((root / "store" / "dedup").glob("undo-*.jsonl"))[0]
    os.replace(found, root / "undo.jsonl")


_STORE = "{root}/store"
_MOVE = ("dedup", _STORE, "--move-to", "{root}/aside")
_LINK = ("dedup", _STORE, "--link", "symbolic")
_UNDO = ("dedup", _STORE, "--undo", "{root}/undo.jsonl")
_PAIR = ("photos/3/copy.jpg", "photos/0/1.jpg")
_UNDONE = ("dedup/undo.py", *_MOVES)
_ANY = ("photos/**/*", "aside/**/*")
_OUT = ("export/output_folder.py",)

CASES = (
    Case(
        name="cluster, people.csv", words=("cluster", _STORE), save=_people_csv, rooms=("people/people_csv.py", *_COMMON),
        marks=("store/people.csv", "store/people.csv.theirs"), before=(("merge", _STORE, "{ann}", "{bob}"),), after=(("cluster", _STORE),),
    ),
    Case(
        name="cluster --return-to, people.csv", words=("cluster", _STORE, "--return-to", "1"), save=_people_csv,
        rooms=("people/people_csv.py", *_COMMON), marks=("store/people.csv", "store/people.csv.theirs"),
        before=(("merge", _STORE, "{ann}", "{bob}"), ("cluster", _STORE)), after=(("cluster", _STORE),),
    ),
    Case(name="dedup --link symbolic, a photo", words=_LINK, save=_one_of(*_PAIR), rooms=_MOVES, marks=_ANY),
    Case(name="dedup --link hard, a photo", words=(*_LINK[:-1], "hard"), save=_one_of(*_PAIR), rooms=_MOVES, marks=_ANY),
    Case(name="dedup --move-to, a photo", words=_MOVE, save=_one_of(*_PAIR), rooms=_MOVES, marks=_ANY),
    Case(name="dedup --move-to --link, a photo", words=(*_MOVE, "--link", "hard"), save=_one_of(*_PAIR), rooms=_MOVES, marks=_ANY),
    Case(
        name="dedup --move-to, a sidecar", words=_MOVE, save=_sidecar("photos/3", "copy.jpg.xmp"), rooms=_MOVES, marks=_ANY,
        prepare=_write_sidecars,
    ),
    Case(
        name="dedup --undo of a move, a photo", words=_UNDO, save=_one_of("aside/copy.jpg", "photos/3/copy.jpg"), rooms=_UNDONE,
        marks=_ANY, before=(_MOVE,), prepare=_undo_file,
    ),
    Case(
        name="dedup --undo of a link, a photo", words=_UNDO, save=_one_of("photos/3/copy.jpg", "photos/0/1.jpg"), rooms=_UNDONE,
        marks=_ANY, before=(_LINK,), prepare=_undo_file,
    ),
    Case(
        name="dedup --undo of a move and a link, a photo", words=_UNDO, save=_one_of("aside/copy.jpg", "photos/3/copy.jpg"),
        rooms=_UNDONE, marks=_ANY, before=((*_MOVE, "--link", "symbolic"),), prepare=_undo_file,
    ),
    Case(
        name="export xmp --beside, a sidecar", words=("export", _STORE, "--format", "xmp", "--beside"),
        save=_sidecar("photos/0", "1.jpg.xmp", "4.xmp", "7.jpg.xmp"), rooms=("export/xmp.py", *_COMMON), marks=("photos/**/*",),
    ),
    Case(
        name="export xmp -o, a sidecar", words=("export", _STORE, "--format", "xmp", "-o", "{root}/sidecars"),
        save=_sidecar("sidecars/0", "1.jpg.xmp", "4.jpg.xmp", "7.jpg.xmp"), rooms=("export/xmp.py", *_COMMON), marks=("sidecars/**/*",),
    ),
    Case(
        name="export folders, an exported photo", words=("export", _STORE, "--format", "folders", "-o", "{root}/folders"),
        save=_exported("folders/**/*.jpg"), rooms=(*_OUT, *_COMMON), marks=("folders/**/*", "photos/**/*"), prepare=_changed("folders"),
    ),
    Case(
        name="show --copy-to, a copy", words=("show", _STORE, "Ann", "--copy-to", "{root}/copies"), save=_exported("copies/**/*.jpg"),
        rooms=(*_OUT, *_COMMON), marks=("copies/**/*",), prepare=_changed("copies"),
    ),
)  # fmt: skip
