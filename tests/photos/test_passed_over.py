"""What a search passes over is counted and named: kinds that need an extra, parts of live photos, other files."""

from __future__ import annotations

import io
import os
from pathlib import Path

import fsspec
import pytest

from facecluster.errors import InputError
from facecluster.photos.companions import Companions
from facecluster.photos.listing import find_files
from facecluster.photos.passed_over import PassedOver, movie_seconds


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def put(folder: Path, *names: str) -> None:
    """Write files whose content is their name."""
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)


def film(seconds: int) -> bytes:
    """The beginning of an MP4 file that says that it is `seconds` long: boxes ftyp and moov with mvhd."""
    mvhd = bytes(12) + (1000).to_bytes(4) + (1000 * seconds).to_bytes(4) + bytes(80)
    box = (len(mvhd) + 8).to_bytes(4) + b"mvhd" + mvhd
    return b"\0\0\0\x0cftypqt  " + (len(box) + 8).to_bytes(4) + b"moov" + box


def passed_over(*sources: Path) -> tuple[list[str], list[str]]:
    """Names of the files found, and what is said of the others."""
    counted = PassedOver()
    found = [os.path.basename(f.uri) for f in find_files([str(s) for s in sources], counted)]
    return sorted(found), counted.lines()


def test_what_is_passed_over_is_counted_and_named(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(photos, "1.jpg", "2.CR2", "sub/3.nef", "4.jxl", "5.mp4", "note.txt", "a.xmp", "b.XMP", "README", "6.jp2")
    monkeypatch.setattr("facecluster.photos.names.is_installed", lambda extra: False)
    found, lines = passed_over(photos)
    assert found == ["1.jpg", "6.jp2"]
    assert lines == [
        "2 RAW, 1 JPEG XL, 1 video: pip install 'facecluster[raw,jxl,video]'",
        "4 other files (2 .xmp, 1 without extension, 1 .txt)",
    ]
    assert passed_over(photos / "2.CR2")[0] == ["2.CR2"]  # what is named is tried, and says what to install
    with pytest.raises(InputError, match=r"found none in .*/sub; passed over 1 RAW: pip install 'facecluster\[raw\]': name a folder"):
        passed_over(photos / "sub")
    monkeypatch.setattr("facecluster.photos.names.is_installed", lambda extra: extra.name != "jxl")
    found, lines = passed_over(photos)
    assert found == ["1.jpg", "2.CR2", "3.nef", "5.mp4", "6.jp2"]
    assert lines[0] == "1 JPEG XL: pip install 'facecluster[jxl]'" and len(lines) == 2


@pytest.mark.parametrize("installed", [True, False])
def test_parts_of_live_photos(installed: bool, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short video beside a photo of its name belongs to it; a long one does not, nor one without a photo."""
    monkeypatch.setattr("facecluster.photos.names.is_installed", lambda extra: installed)
    put(photos, "IMG_1.HEIC", "IMG_2.jpg", "IMG_3.JPG", "PXL_5.MP.jpg", "PXL_6.MP.jpg", "IMG_8.png")
    live = {"IMG_1.MOV": 3, "IMG_1_HEVC.MOV": 3, "IMG_1.HEIC.MOV": 3, "IMG_2.mov": 2, "PXL_5.MP": 2, "PXL_6.MP.mp4": 1}
    films = {"IMG_3.MOV": 30, "IMG_4.MOV": 2, "IMG_8.mov": 2}
    for name, seconds in (live | films).items():
        (photos / name).write_bytes(film(seconds))
    found, lines = passed_over(photos)
    assert [name for name in found if name.lower().endswith((".mov", ".mp4", ".mp"))] == (sorted(films) if installed else [])
    assert "6 live parts (short videos of photos beside them)" in lines and len(lines) == (1 if installed else 2)
    assert passed_over(photos / "*.*")[1] == lines
    assert passed_over(photos / "IMG_1.MOV")[0] == ["IMG_1.MOV"]
    owners = {name: Companions(os.listdir(photos)).owners(name) for name in (*live, "IMG_4.MOV", "IMG_8.mov")}
    assert {name for name, of in owners.items() if of} == {*live}  # what goes with a photo is what is not looked at


def test_parts_of_live_photos_elsewhere() -> None:
    bucket = fsspec.filesystem("memory")
    bucket.pipe({"/live/IMG_1.heic": b"a", "/live/IMG_1.mov": b"b", "/live/IMG_2.mov": b"c"})
    counted = PassedOver()
    assert [f.uri.rpartition("/")[2] for f in find_files(["memory://live"], counted)] == ["IMG_1.heic", "IMG_2.mov"]
    assert counted.live_parts == 1
    bucket.rm("/live", recursive=True)


@pytest.mark.parametrize("data", [b"", b"\0\0\0\1moov", b"\0\0\0\x08free" * 3, film(5)[:40], b"\xff" * 100, b"\0\0\0\0moov\0\0\0\0mvhd"])
def test_films_whose_length_cannot_be_read(data: bytes) -> None:
    assert movie_seconds(io.BytesIO(data), len(data)) is None
