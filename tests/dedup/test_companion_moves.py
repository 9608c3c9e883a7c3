"""What belongs to a photo goes with it: moves, links, names that clash, undo, and companions that can't be moved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from applied_plans import LINKS, WAYS, add_companions, applied, photos, plan, resolved, row, tree

from facecluster.dedup import read_undo_file, undo
from facecluster.dedup.shots import find_shots
from facecluster.dedup.store_photos import PhotoFile, Photos

assert photos  # the fixture


@pytest.mark.parametrize("how", WAYS + LINKS, ids=str)
def test_companions_go_with_the_photo_and_come_back(how: dict[str, Any], photos: dict[str, Path], tmp_path: Path) -> None:
    add_companions(photos)
    library, aside = tmp_path / "library", tmp_path / "aside"
    before = tree(library)
    dry, _ = applied(plan(photos)[:1], tmp_path, dry_run=True, **resolved(how, tmp_path))
    assert tree(library) == before and not aside.exists()
    result, undo_path = applied(plan(photos)[:1], tmp_path, **resolved(how, tmp_path))
    assert result.done == dry.done and result.passed_over == dry.passed_over == []
    film, sidecar = library / "deep/copy.mov", library / "deep/copy.jpg.xmp"
    if "move_to" in how:
        assert {p.name for p in aside.iterdir()} == {"copy.jpg", "copy.mov", "copy.jpg.xmp"}
        assert (aside / "copy.jpg.xmp").read_bytes() == b"sidecar of copy" and "copy.jpg.xmp, copy.mov" in result.done[0][1]
    if how.get("link"):
        assert os.path.samefile(film, library / "kept.mov")
        if "move_to" in how:
            assert os.path.samefile(sidecar, library / "kept.jpg.xmp")
        else:  # it has other bytes, so that a link would lose them
            assert sidecar.read_bytes() == b"sidecar of copy" and not sidecar.is_symlink() and sidecar.stat().st_nlink == 1
    else:
        assert not film.exists() and not sidecar.exists()
    for _ in range(2):
        assert undo(read_undo_file(str(undo_path))).passed_over == [] and tree(library) == before
        assert not aside.exists()


def test_names_that_clash_are_numbered_alike(photos: dict[str, Path], tmp_path: Path) -> None:
    add_companions(photos)
    (tmp_path / "aside").mkdir(parents=True)
    (tmp_path / "aside/copy.jpg").write_bytes(b"another")
    (tmp_path / "aside/copy-2.mov").write_bytes(b"another film")
    applied(plan(photos)[:1], tmp_path, move_to=str(tmp_path / "aside"))
    found = {p.name: p.read_bytes() for p in (tmp_path / "aside").iterdir()}
    assert found == {"copy.jpg": b"another", "copy-2.mov": b"another film", "copy-3.jpg": b"the picture", "copy-3.mov": b"the film",
                     "copy-3.jpg.xmp": b"sidecar of copy"}  # fmt: skip


def test_a_companion_that_can_not_be_moved_stays_and_is_named(photos: dict[str, Path], tmp_path: Path) -> None:
    add_companions(photos)
    photos["copy"].with_suffix(".mov").unlink()
    photos["copy"].with_suffix(".mov").symlink_to(photos["kept"].with_suffix(".mov"))
    before = tree(tmp_path / "library")
    result, undo_path = applied(plan(photos)[:1], tmp_path, move_to=str(tmp_path / "aside"))
    ((uri, why),) = result.passed_over
    assert uri.endswith("copy.mov") and "stays, though copy.jpg is moved: it is a link" in why
    assert photos["copy"].with_suffix(".mov").is_symlink() and (tmp_path / "aside/copy.jpg.xmp").exists()
    undo(read_undo_file(str(undo_path)))
    assert tree(tmp_path / "library") == before


def test_what_raw_and_jpeg_share_goes_with_the_last_of_them(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / "library" / folder).mkdir(parents=True)
        for name in ("s.CR2", "s.JPG", "s.xmp", "s.JPG.xmp"):
            (tmp_path / "library" / folder / name).write_bytes(name.encode())
    a, b = tmp_path / "library/a", tmp_path / "library/b"
    before = tree(tmp_path / "library")
    rows = [row(b / name, a / name) for name in ("s.JPG", "s.CR2")]
    result, first = applied(rows[:1], tmp_path, move_to=str(tmp_path / "aside"))
    assert {p.name for p in b.iterdir()} == {"s.CR2", "s.xmp"} and result.passed_over == []
    undo(read_undo_file(str(first)))
    assert tree(tmp_path / "library") == before
    dry, _ = applied(rows, tmp_path, move_to=str(tmp_path / "aside"), dry_run=True)
    result, second = applied(rows, tmp_path, move_to=str(tmp_path / "aside"))
    assert list(b.iterdir()) == [] and [w.split("with ")[1] for _, w in result.done] == ["s.JPG.xmp", "s.xmp"] and result.done == dry.done
    undo(read_undo_file(str(second)))
    assert tree(tmp_path / "library") == before


def library_of(*names: str) -> Photos:
    n = len(names)
    zeros = np.zeros(n, np.int32)
    files = [[PhotoFile(name, 1, 0)] for name in names]
    ids = [f"{i:064x}" for i in range(n)]
    return Photos(ids, ids, files, [""] * n, zeros, zeros, zeros.astype(np.int64), zeros.astype(np.int64), zeros, zeros.astype(np.float32),
                  zeros.astype(np.float32))  # fmt: skip


def test_shots_are_raw_and_developed_photo_of_one_stem() -> None:
    names = ("/p/a.CR2", "/p/a.JPG", "/p/b.JPG", "/q/a.JPG", "/p/c.nef", "/p/c.dng", "/p/d.heic", "/p/D.dng")
    assert find_shots(library_of(*names)) == {1: 0, 6: 7}
