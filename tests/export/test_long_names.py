"""Photos whose names are as long as a filesystem allows: whatever is named after them fits, or one line says why it was left out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from export_store import exiftool, make_photo, make_store

from facecluster.cli import main
from facecluster.store import Store

NAMES = {
    "whole": "a" * 247 + ".jpg", "stem": "b" * 248 + ".jpg", "wide": "ü" * 124 + ".jpg", "full": "c" * 251 + ".jpg",
    "twin": "d" * 248 + ".jpg", "other": "d" * 248 + ".jpeg", "plain": "e.jpg",
}  # fmt: skip


@pytest.fixture
def long(tmp_path: Path) -> Store:
    """A store of photos with these names, all with two people."""
    paths = [tmp_path / "photos" / name for name in NAMES.values()]
    assert max(len(os.fsencode(p.name)) for p in paths) == 255
    photos = [(make_photo(path, 1, (200, 20 * i, 100)), str(path), 1) for i, path in enumerate(paths)]
    return make_store(tmp_path / "store", photos)


def test_sidecars(long: Store, tmp_path: Path) -> None:
    """photo.jpg.xmp, or photo.xmp where that does not fit and no other photo has the stem; the others are skipped, and the rest is done."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    expected = {NAMES["whole"] + ".xmp", "b" * 248 + ".xmp", "ü" * 124 + ".xmp", "c" * 251 + ".xmp", "e.jpg.xmp"}
    for folder, options in ((out, ["-o", str(out)]), (photos, ["--beside"])):
        for state in ("5 new", "0 new, 0 merged; 5 unchanged"):
            done = CliRunner().invoke(main, ["export", long.url, "--format", "xmp", *options])
            assert done.exit_code == 0 and state in done.stdout and "2 skipped" in done.stdout
            assert done.stderr.count("expected a file name of at most 251 bytes") == 2
        assert {p.name for p in folder.iterdir() if p.suffix == ".xmp"} == expected
    assert exiftool("-s3", "-RegionType", photos / ("b" * 248 + ".xmp")).strip() == "Face, Face"
    done = CliRunner().invoke(main, ["import-names", long.url, str(photos), "--dry-run"])
    assert done.exit_code == 0


@pytest.mark.parametrize("kind", ["coco", "fiftyone", "labelstudio", "folders", "csv", "sqlite"])
def test_other_formats(kind: str, long: Store, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["export", long.url, "--format", kind, "-o", str(tmp_path / "out")])
    assert (done.exit_code, done.exception) == (0, None) and "left out" not in done.output
    if kind == "folders":
        assert len(list((tmp_path / "out").glob("*/*.jp*g"))) == 2 * len(NAMES)


def test_links_and_copies(long: Store, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["export", long.url, "--format", "folders", "--link", "-o", str(tmp_path / "out")])
    assert done.exit_code == 0
    assert len([p for p in (tmp_path / "out").glob("*/*.jp*g") if p.is_symlink() and p.exists()]) == 2 * len(NAMES)
    done = CliRunner().invoke(main, ["show", long.url, "1", "--copy-to", str(tmp_path / "copies")])
    assert done.exit_code == 0 and len(list((tmp_path / "copies").glob("*.jp*g"))) == len(NAMES)


def test_a_path_that_no_system_takes_is_one_line(long: Store, tmp_path: Path) -> None:
    for arguments in (["export", long.url, "--format", "csv", "-o", str(tmp_path / ("x" * 300))], ["import-names", long.url, "y" * 300],
                      ["embed", "z" * 5000, "-o", long.url], ["export", long.url, "--format", "xmp", "-o", str(tmp_path / ("x" * 300))],
                      ["show", long.url, "1", "--copy-to", "x" * 300], ["report", long.url, "-o", "x" * 300],
                      ["curate", long.url, "-o", "x" * 300]):  # fmt: skip
        done = CliRunner().invoke(main, arguments)
        assert isinstance(done.exception, SystemExit) or done.exception is None, arguments[0]
        assert "Traceback" not in done.output
