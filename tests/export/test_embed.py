"""Names written into photos by exiftool: read back by exiftool, pixels and originals as they were, any file names, what is left alone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import need
from export_store import BOXES, SIZE, exiftool, make_photo, make_store, run
from PIL import Image

from facecluster.cli import main
from facecluster.export import embedded, face_regions
from facecluster.store import Store


@pytest.fixture(autouse=True)
def exiftool_is_there() -> None:
    need(shutil.which("exiftool") is not None, "exiftool (Debian: libimage-exiftool-perl)")


def regions(path: Path) -> list[dict[str, Any]]:
    """The MWG regions that exiftool finds in a file."""
    found = json.loads(exiftool("-j", "-struct", "-n", "-XMP-mwg-rs:all", path))[0]
    return list(found.get("RegionInfo", {}).get("RegionList", []))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_all_orientations(tmp_path: Path) -> None:
    photos = []
    for orientation in range(1, 9):
        path = tmp_path / "photos" / f"{orientation}.jpg"
        photos.append((make_photo(path, orientation, (200, 200, 100 + orientation)), str(path), orientation))
    store = make_store(tmp_path / "store", photos)
    before = {uri: np.asarray(Image.open(uri)).tobytes() for _, uri, _ in photos}
    assert run("export", store.url, "--format", "xmp", "--embed", "--ids", "--dry-run")["counts"]["new"] == 8
    assert all(sha256(Path(uri)) == photo_id for photo_id, uri, _ in photos)
    done = run("export", store.url, "--format", "xmp", "--embed", "--ids")
    assert done["counts"] == {"new": 8, "merged": 0, "unchanged": 0, "skipped": 0}
    for photo_id, uri, orientation in photos:
        path = Path(uri)
        assert sha256(path.with_name(path.name + "_original")) == photo_id != sha256(path)
        assert np.asarray(Image.open(uri)).tobytes() == before[uri]
        found = {r["Name"]: [r["Area"][k] for k in "XYWH"] for r in regions(path)}
        for i, box in enumerate(BOXES):
            area = face_regions.to_stored(face_regions.to_area(box, *SIZE), orientation)
            assert np.allclose(found[f"person 000{i + 1}"], area, atol=1e-5)
    again = run("export", store.url, "--format", "xmp", "--embed", "--ids")
    assert again["counts"] == {"new": 0, "merged": 0, "unchanged": 8, "skipped": 0}


FORMATS = {"png": "PNG", "tif": "TIFF", "webp": "WEBP", "avif": "AVIF"}


@pytest.mark.parametrize("ending", FORMATS)
def test_other_formats_and_what_was_in_them(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    Image.new("RGB", SIZE, (3, 90, 200)).save(path, FORMATS[ending])
    exiftool("-overwrite_original", "-XMP-dc:subject=beach", "-XMP-mwg-rs:RegionInfo={RegionList=[{Area={X=.9,Y=.9,W=.1,H=.1,"
             "Unit=normalized},Name=Rex,Type=Pet}]}", path)  # fmt: skip
    pixels = np.asarray(Image.open(path))
    store = one_store(tmp_path, path, FORMATS[ending])
    assert run("export", store.url, "--format", "xmp", "--embed", "--ids")["counts"]["merged"] == 1
    assert sorted(r["Name"] for r in regions(path)) == ["Rex", "person 0001", "person 0002"]
    assert json.loads(exiftool("-j", "-XMP-dc:subject", path))[0]["Subject"] == "beach"
    assert np.array_equal(np.asarray(Image.open(path)), pixels)


def one_store(folder: Path, path: Path, form: str = "JPEG") -> Store:
    return make_store(folder / "store", [(sha256(path), str(path), 1)], form=form)


ODD_NAMES = [
    b"new\nline.jpg", b"cr\r.jpg", b"-XMP.jpg", b"pipe |", b"| pipe.jpg", b"&.jpg", b"$HOME@x\"'`.jpg", b"caf\xe9.jpg", b" space .jpg ",
    b"%d%f.jpg", b"a>b.jpg", b"back\\slash\\n.jpg", b"*?.jpg", b"#c.jpg", b";touch x.jpg", b"x" * 236 + b".jpg",
]  # fmt: skip


def test_any_file_name(tmp_path: Path) -> None:
    """Each gets its own photo's regions, in one batch. The store has a file: URI for a name that is not UTF-8."""
    photos = []
    for i, name in enumerate(ODD_NAMES):
        path = Path(os.fsdecode(os.fsencode(tmp_path / "p d %f") + b"/" + name))
        plain = tmp_path / f"{i}.jpg"
        photo_id = make_photo(plain, 1, (i, 100, 100))
        path.parent.mkdir(exist_ok=True)
        plain.rename(path)
        uri = str(path) if name.isascii() else "file://" + str(path.parent).replace("%", "%25").replace(" ", "%20") + "/caf%E9.jpg"
        photos.append((photo_id, uri, 1))
    store = make_store(tmp_path / "store", photos)
    done = run("export", store.url, "--format", "xmp", "--embed")
    assert done["counts"] == {"new": len(ODD_NAMES), "merged": 0, "unchanged": 0, "skipped": 0}, done["sidecars"]
    for name, (photo_id, _, _) in zip(ODD_NAMES, photos, strict=True):
        data = Path(os.fsdecode(os.fsencode(tmp_path / "p d %f") + b"/" + name)).read_bytes()
        assert photo_id.encode() in data and data.count(b"<mwg-rs:Area") == 2


def test_what_is_left_alone_with_a_reason(tmp_path: Path) -> None:
    kinds = ["changed.jpg", "gone.jpg", "long" + "x" * 240 + ".jpg", "wrong.png", "raw.jpg", "broken.jpg"]
    paths = {name.split(".")[0][:4]: tmp_path / "photos" / name for name in kinds}
    for i, path in enumerate(paths.values()):
        make_photo(path.with_suffix(".jpg"), 1, (20 * i, 0, 0))
    Image.new("RGB", SIZE).save(paths["wron"], "JPEG")
    paths["brok"].write_bytes(b"\xff\xd8junk")
    rows = [(sha256(path), str(path), 1) for path in paths.values()]
    store = make_store(tmp_path / "store", rows, form=["JPEG"] * 4 + ["DNG", "JPEG"])
    paths["chan"].write_bytes(paths["chan"].read_bytes() + b"\0")
    paths["gone"].unlink()
    before = {p: p.read_bytes() for p in paths.values() if p.exists()}
    done = run("export", store.url, "--format", "xmp", "--embed")
    why = {Path(row["photo"]).name[:4]: row["why"] for row in done["sidecars"]}
    assert done["counts"]["skipped"] == 5, (list(done), done.get("gone"), list(why))
    assert done["gone"] == 1 and "has changed" in why["chan"] and "DNG" in why["raw."]
    assert "Not a valid PNG" in why["wron"] and "exiftool" in why["long"] and "Not a valid JPG" in why["brok"]
    assert all("\n" not in text for text in why.values())
    assert {p: p.read_bytes() for p in before} == before
    assert not list(paths["chan"].parent.glob("*_*"))


def test_a_photo_that_the_system_does_not_let_be_written_fails_the_command(tmp_path: Path) -> None:
    path = make_path(tmp_path)
    store = one_store(tmp_path, path)
    before = path.read_bytes()
    Path(f"{path}_exiftool_tmp").mkdir()  # where exiftool writes first
    done = CliRunner().invoke(main, ["export", store.url, "--format", "xmp", "--embed"])
    assert done.exit_code == 1 and "Temporary file already exists" in done.stderr and "the system refused 1" in done.stderr
    assert path.read_bytes() == before


def test_without_exiftool_one_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = one_store(tmp_path, make_path(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(main, ["export", store.url, "--format", "xmp", "--embed"])
    assert result.exit_code == 1 and result.stderr.count("\n") == 1 and "exiftool" in result.stderr and "--beside" in result.stderr


def make_path(folder: Path) -> Path:
    make_photo(folder / "photos" / "a.jpg", 1)
    return folder / "photos" / "a.jpg"


def test_a_link_stays_one_and_its_photo_is_written_once(tmp_path: Path) -> None:
    path = make_path(tmp_path)
    link = tmp_path / "photos" / "link.jpg"
    link.symlink_to(path)
    photo_id = sha256(path)
    store = make_store(tmp_path / "store", [(photo_id, str(path), 1), (photo_id, str(link), 1)])
    assert run("export", store.url, "--format", "xmp", "--embed")["counts"]["new"] == 1
    assert link.is_symlink() and len(regions(path)) == 2


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_stop_leaves_each_photo_old_or_new(tmp_path: Path, stop: signal.Signals) -> None:
    """The program is stopped while exiftool writes; every photo is whole, and a second call does the rest."""
    rows = []
    for i in range(48):
        path = tmp_path / "photos" / f"{i:02}.jpg"
        rows.append((make_photo(path, 1, (i, 100, 100)), str(path), 1))
    store = make_store(tmp_path / "store", rows)
    command = [sys.executable, "-c", "from facecluster.cli import main; main()", "export", store.url, "--format", "xmp", "--embed"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None and not list((tmp_path / "photos").glob("*_original")):
        time.sleep(0.005)
    os.killpg(process.pid, stop)
    process.wait()
    settled = -1
    while (now := len(list((tmp_path / "photos").iterdir()))) != settled:  # exiftool may still finish its batch
        settled = now
        time.sleep(1)
    assert not list((tmp_path / "photos").glob("*_tmp"))
    written = 0
    for photo_id, uri, _ in rows:
        path = Path(uri)
        original = path.with_name(path.name + "_original")
        written += original.exists()
        assert sha256(original if original.exists() else path) == photo_id
        Image.open(path).load()
    assert 0 < written < 48
    assert run("export", store.url, "--format", "xmp", "--embed")["counts"] == {
        "new": 48 - written, "merged": 0, "unchanged": written, "skipped": 0,
    }  # fmt: skip


def test_options() -> None:
    for arguments, says in ((["-o", "x", "--embed"], "give one of them"), (["--beside", "--embed"], "give one of them")):
        result = CliRunner().invoke(main, ["export", "none", "--format", "xmp", *arguments])
        assert result.exit_code == 1 and says in result.stderr
    assert "--format xmp only" in CliRunner().invoke(main, ["export", "none", "--format", "coco", "--embed"]).stderr
    assert set(embedded.FORMATS) >= {"JPEG", *FORMATS.values()}
