"""HEIC and AVIF: container and EXIF orientation, EXIF and XMP items, damage. libheif and exiftool are the judges."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from conftest import need
from heif_writer import full_box, turned, write_heif
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_images import HEIC, STORED, coded, distance, gradient

from facecluster.errors import PhotoError
from facecluster.photos.heif_items import read_heif
from facecluster.photos.images import open_photo

CASES = Path(__file__).parents[3] / "shared" / "cases" / "heic"


def exif_of(orientation: int | None = None, taken: str | None = None) -> bytes:
    """A TIFF structure with an orientation and a date."""
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    if taken:
        exif.get_ifd(0x8769)[0x9003] = taken
    return exif.tobytes()[6:]


def stored(orientation: int) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(STORED[orientation](np.asarray(gradient()))))


@pytest.mark.parametrize("where", ["container", "exif", "both", "they differ"])
@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_every_orientation(kind: str, where: str) -> None:
    """The container decides; where it says nothing, EXIF does."""
    for orientation in range(1, 9):
        properties = [] if where == "exif" else turned(orientation)
        stated = {"container": None, "they differ": orientation % 8 + 1}.get(where, orientation)
        exif = b"Exif\0\0" + exif_of(stated) if stated else None
        photo = open_photo(write_heif(stored(orientation), kind, *properties, exif=exif))
        assert (photo.width, photo.height, photo.orientation) == (160, 120, orientation), (where, orientation)
        assert distance(photo.pixels, gradient()) < 4, (where, orientation)
        # a sidecar that states another one: the stored picture is turned by that
        other = orientation % 8 + 1
        photo = open_photo(write_heif(stored(other), kind, *properties, exif=exif), orientation=other)
        assert (photo.width, photo.height, photo.orientation) == (160, 120, other), (where, orientation)
        assert distance(photo.pixels, gradient()) < 4, (where, orientation)


@pytest.mark.parametrize("other", [3, 5, 6])
def test_a_sidecar_turns_a_tiff_by_its_number_only(other: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    photo = open_photo(coded(stored(other), "TIFF", exif=exif), orientation=other)
    assert (photo.width, photo.height, photo.orientation) == (160, 120, other)
    assert distance(photo.pixels, gradient()) == 0


def test_transformations_in_any_order_are_those_of_libheif() -> None:
    """libheif turns the picture; the number that is read must say how it was turned."""
    pi_heif = pytest.importorskip("pi_heif")
    upright = np.asarray(gradient())
    for quarters in range(4):
        for axis in (0, 1):
            irot, imir = turned(8)[0][:-1] + bytes([quarters]), turned(2)[1][:-1] + bytes([axis])
            for properties in ([irot, imir], [imir, irot]):
                data = write_heif(gradient(), "HEIF", *properties)
                decoded = np.asarray(pi_heif.open_heif(data).to_pillow())
                orientation = read_heif(data).orientation
                assert orientation is not None
                # of the eight turns, this one gives the stored picture back
                back = {o: distance(STORED[o](decoded), upright) for o in range(1, 9) if STORED[o](decoded).shape == upright.shape}
                assert min(back, key=back.__getitem__) == orientation, (quarters, axis)


@pytest.mark.parametrize("mark", [b"", b"Exif\0\0", b"\0\0Exif\0\0"])
@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_exif_and_xmp_items(kind: str, mark: bytes) -> None:
    packet = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    data = write_heif(gradient(), kind, exif=mark + exif_of(taken="2024:05:06 07:08:09"), xmp=packet)
    assert open_photo(data).taken_at == datetime(2024, 5, 6, 7, 8, 9)
    assert read_heif(data).xmp == packet


def test_what_exiftool_writes_is_read(tmp_path: Path) -> None:
    need(shutil.which("exiftool") is not None, "exiftool (Debian: libimage-exiftool-perl)")
    for kind in ("HEIF", "AVIF"):
        path = tmp_path / f"a.{kind.lower()}"
        path.write_bytes(write_heif(stored(6), kind, *turned(6)))
        subprocess.run(["exiftool", "-q", "-overwrite_original", "-DateTimeOriginal=2020:01:02 03:04:05", "-XMP-dc:Title=Zo\u00eb",
                        "-Orientation#=6", path], check=True)  # fmt: skip
        data = path.read_bytes()
        photo = open_photo(data)
        assert (photo.taken_at, photo.orientation) == (datetime(2020, 1, 2, 3, 4, 5), 6)
        assert distance(photo.pixels, gradient()) < 4
        assert "Zo\u00eb".encode() in (read_heif(data).xmp or b"")
        found = json.loads(subprocess.run(["exiftool", "-j", "-n", path], check=True, capture_output=True).stdout)[0]
        assert found["Rotation"] in (3, 270)  # by version: irot's number, or degrees


def test_cases_of_phones() -> None:
    need_case = CASES / "no-exif-mark.heic"
    if not need_case.exists():
        pytest.skip("needs ../shared/cases")
    assert open_photo(need_case.read_bytes()).taken_at == datetime(2024, 5, 6, 7, 8, 9)
    photo = open_photo((CASES / "IMG_2.heic").read_bytes())
    assert (photo.width, photo.height, photo.orientation) == (1200, 900, 3)


DAMAGED = [HEIC.read_bytes()]


@given(st.binary(max_size=40), st.data())
@settings(deadline=None, max_examples=300)
def test_damaged_boxes_give_fewer_facts_and_no_error(junk: bytes, choose: st.DataObject) -> None:
    data = bytearray(DAMAGED[0])
    for byte in junk:
        data[choose.draw(st.integers(0, 600))] = byte
    facts = read_heif(bytes(data))
    assert facts.orientation is None or 1 <= facts.orientation <= 8
    read_heif(bytes(data[: choose.draw(st.integers(0, len(data)))]))


def test_a_table_that_claims_millions_of_items_is_not_believed() -> None:
    head = full_box(b"iloc", 2, 0, struct.pack(">HI", 0, 2**32 - 1)) + full_box(b"iref", 0, 0)
    assert read_heif(full_box(b"meta", 0, 0, head, full_box(b"pitm", 0, 0, b"\0\1"))).orientation is None


def test_damage_never_crashes() -> None:
    """As in the docstring of heic.py, shortly."""
    rng = np.random.default_rng(7)
    whole = write_heif(gradient(), "HEIF", *turned(6), exif=exif_of(6, "2024:05:06 07:08:09"), xmp=b"<x/>")
    opened = 0
    for _ in range(1000):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 13)):
            data[rng.integers(0, len(data) if rng.random() < 0.3 else 700)] = rng.integers(0, 256)
        try:
            opened += open_photo(bytes(data), max_side=64).width > 0
        except PhotoError as e:
            assert "\n" not in str(e)
    assert 0 < opened < 1000
