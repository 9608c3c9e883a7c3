"""What belongs to a photo, by names: a table of folders as programs and phones leave them."""

from __future__ import annotations

import random
import struct
import unicodedata
from pathlib import Path

import pytest

from facecluster.photos.companions import CompanionFinder, Companions, companions, one_shot, renamed

LONG = "IMG_20200101_123456789_a_very_long_name_of_a_phone"  # 50 characters
# a photo, what belongs to it, what else lies in the folder
CASES = [
    ("a.jpg", ["a.jpg.xmp"], ["b.jpg", "b.jpg.xmp"]),
    ("a.jpg", ["a.xmp"], ["ab.jpg", "ab.xmp"]),
    ("a.JPG", ["A.XMP", "a.jpg.xmp"], []),
    ("a.jpg", [], ["a.xmp", "a.png"]),  # two photos have the stem
    ("a.jpg", ["a.jpg.xmp"], ["a.xmp", "a.CR2"]),
    ("a.CR2", ["a.CR2.xmp"], ["a.xmp", "a.jpg"]),
    ("IMG_1.HEIC", ["IMG_1.MOV", "IMG_1.xmp", "IMG_1.AAE"], ["IMG_2.MOV"]),
    ("IMG_1.HEIC", ["IMG_1.MOV", "IMG_1.MOV.xmp"], []),
    ("IMG_1.JPG", ["IMG_1.mov"], []),
    ("IMG_1.HEIC", ["IMG_1_HEVC.MOV"], []),
    ("IMG_1.HEIC", ["IMG_1.HEIC.MOV"], []),
    ("IMG_1.JPG", [], ["IMG_1.MOV", "IMG_1.HEIC"]),
    ("IMG_1.JPG", ["IMG_1.MOV"], ["IMG_1.CR2"]),  # a RAW has no film
    ("IMG_1234.HEIC", ["IMG_1234.AAE", "IMG_O1234.AAE"], ["IMG_E1234.HEIC"]),
    ("IMG_E1234.HEIC", ["IMG_E1234.MOV"], ["IMG_1234.AAE", "IMG_1234.HEIC", "IMG_1234.MOV"]),
    ("MVI_1.AVI", ["MVI_1.THM", "MVI_1.AVI.xmp"], []),
    ("DSC_1.JPG", ["DSC_1.WAV"], []),
    ("PXL_1.MP.jpg", ["PXL_1.MP", "PXL_1.MP.mp4"], ["PXL_2.MP"]),
    ("a.jpg", ["a.jpg_original", "a.xmp", "a.xmp_original"], []),
    ("a.jpg", ["a_01.jpg.xmp", "a.jpg.xmp"], []),
    ("a.jpg", ["a.jpg.xmp"], ["a_01.jpg", "a_01.jpg.xmp"]),
    ("a.jpg", ["a.jpg.pp3", "a.jpg.dop", "a.jpg.txt"], [".picasa.ini", "Thumbs.db"]),
    ("a.jpg", [], ["a.jpg.png", "a.jpg.png.xmp", "a.txt", "a.pdf", "a"]),
    ("p.jpg", ["p.jpg.json"], ["q.jpg.json", "metadata.json"]),
    ("p.jpg", ["p.jpg.supplemental-metadata.json"], []),
    ("p.jpg", ["p.jpg.supplemental-meta.json"], []),
    ("p.jpg", ["p.jpg.s.json"], []),
    ("p.jpg", ["p.jpg..json"], []),
    ("p(1).jpg", ["p.jpg(1).json"], ["p.jpg", "p.jpg.json", "p(2).jpg", "p.jpg(2).json"]),
    ("p.jpg", ["p.jpg.json"], ["p.jpg(1).json", "p(1).jpg"]),
    ("p(1).jpg", ["p.jpg.supplemental-metadata(1).json"], ["p.jpg", "p.jpg.supplemental-metadata.json"]),
    ("p(2).jpg", ["p.jpg.suppl(2).json"], ["p.jpg"]),
    ("p(1).jpg", ["p(1).jpg.json"], ["p.jpg", "p.jpg.json"]),  # it was called so when it was uploaded
    ("p.jpg", ["p.jpg.json"], ["p-edited.jpg"]),
    (f"{LONG[:47]}.jpg", [f"{LONG[:46]}.json"], [f"{LONG[:45]}.jpg"]),
    (f"{LONG[:47]}(1).jpg", [f"{LONG[:46]}(1).json"], [f"{LONG[:47]}.jpg", f"{LONG[:46]}.json"]),
    (f"{LONG[:40]}.jpg", [f"{LONG[:40]}.jpg.s.json"], []),
    (f"{LONG[:43]}.jpg", [f"{LONG[:43]}.jp.json"], []),
    (f"{LONG[:43]}.jpg", [], [f"{LONG[:44]}.json"]),
    ("IMG_1.HEIC", ["IMG_1.MP4", "IMG_1.HEIC.supplemental-metadata.json"], []),
    ("a.jpg", ["a.jpg.xmp", "a.xmp"], ["a.JPG", "a.JPG.xmp"]),
    ("a.JPG", ["a.JPG.xmp"], ["a.jpg", "a.jpg.xmp"]),
    ("naïve.jpg", [unicodedata.normalize("NFD", "naïve.jpg.xmp")], []),
]


@pytest.mark.parametrize(("name", "its", "others"), CASES)
def test_what_belongs_to_a_photo(name: str, its: list[str], others: list[str]) -> None:
    listing = [name, *its, *others]
    random.Random(1).shuffle(listing)
    if name == "a.jpg" and "a.JPG" in others:
        its = ["a.jpg.xmp"]  # a.xmp fits both
    assert companions(name, listing) == sorted(its)


def test_no_file_belongs_to_two_photos() -> None:
    """All cases in one folder, and each file has one owner at most."""
    for name, its, others in CASES:
        listing = list(dict.fromkeys([name, *its, *others]))
        folder = Companions(listing)
        owned = [c for other in listing for c in folder.of(other) if not folder.of(c)]
        assert len(owned) == len(set(owned)), (name, owned)


def test_what_two_photos_share_goes_with_the_last_of_them() -> None:
    folder = Companions(["a.CR2", "a.JPG", "a.xmp", "a.JPG.xmp"])
    assert folder.of("a.JPG") == ["a.JPG.xmp"] and folder.of("a.CR2") == []
    assert folder.of("a.CR2", {"a.JPG"}) == ["a.xmp"]


@pytest.mark.parametrize(("name", "its", "others"), CASES)
def test_a_renamed_photo_still_has_what_belongs_to_it(name: str, its: list[str], others: list[str]) -> None:
    new = "z-2" + name[name.rindex(".") :]
    found = companions(name, [name, *its, *others])
    moved = [renamed(c, name, new) for c in found]
    assert len(set(moved)) == len(moved)
    assert companions(new, [new, *moved]) == sorted(moved)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [("/p/a.CR2", "/p/a.JPG", True), ("/p/a.jpg", "/p/A.nef", True), ("/p/a.dng", "/p/a.heic", True), ("/p/a.cr2", "/q/a.jpg", False),
     ("/p/a.jpg", "/p/a.png", False), ("/p/a.cr2", "/p/a.dng", False), ("/p/a.cr2", "/p/b.jpg", False), ("/p/a.cr2", "/p/a.mov", False),
     ("s3://b/a.arw", "s3://b/a.jpg", True), ("/p/a.cr2", "/p/a.cr2", False)],
)  # fmt: skip
def test_raw_and_jpeg_of_one_stem_are_one_shot(a: str, b: str, expected: bool) -> None:
    assert one_shot(a, b) is one_shot(b, a) is expected


def film(seconds: int) -> bytes:
    """The boxes of an MP4 that say how long it is."""
    head = struct.pack(">4xIIII", 0, 0, 1000, 1000 * seconds) + bytes(80)
    box = struct.pack(">I4s", 8 + len(head), b"mvhd") + head
    return struct.pack(">I4s", 8 + len(box), b"moov") + box


def test_a_long_film_is_a_video_of_its_own(tmp_path: Path) -> None:
    for name, seconds in (("IMG_1", 3), ("IMG_2", 300)):
        (tmp_path / f"{name}.HEIC").write_bytes(b"x")
        (tmp_path / f"{name}.MOV").write_bytes(film(seconds))
    finder = CompanionFinder()
    assert finder.of(str(tmp_path / "IMG_1.HEIC")) == [str(tmp_path / "IMG_1.MOV")]
    assert finder.of(str(tmp_path / "IMG_2.HEIC")) == []
    assert finder.of(str(tmp_path / "nowhere" / "IMG_1.HEIC")) == []
