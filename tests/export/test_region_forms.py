"""Regions as programs write them: every form of XMP that means the same, frames that the stated size denies, several packets in a photo."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from export_store import BOXES, SIZE, make_photo, make_store
from PIL import Image

from facecluster.decisions import clean_name
from facecluster.export import face_regions, xmp_packet
from facecluster.export.import_names import read_names
from facecluster.export.photo_library import Photo, PhotoLibrary, read_photo_library
from facecluster.export.photo_packets import packets_in
from facecluster.export.region_frames import Frames, best_frame
from facecluster.export.xmp import merge_sidecar
from facecluster.photos import takeout
from facecluster.photos.sidecar import sidecar_orientation

NAMES = ("Rosa Rot", "Bodo Blau")
WIDTH, HEIGHT = SIZE


def library(folder: Path, orientation: int = 1) -> tuple[PhotoLibrary, Path]:
    path = folder / "photos" / "a.jpg"
    photo_id = make_photo(path, orientation)
    return read_photo_library(make_store(folder / "store", [(photo_id, str(path), orientation)])), path


def packet(
    frame: int = 1, dimensions: tuple[float, float] | None = None, name: str = "<mwg-rs:Name>%s</mwg-rs:Name>", kind: str = "Face",
    scale: tuple[float, float] = (1, 1), unit: str = "normalized", comma: bool = False,
) -> str:  # fmt: skip
    items = ""
    for who, box in zip(NAMES, BOXES, strict=True):
        area = face_regions.to_stored(face_regions.to_area(box, *SIZE), frame)
        keys = " ".join(f'stArea:{k}="{v * s:.5f}"' for k, v, s in zip("xywh", area, scale * 2, strict=True))
        keys = keys.replace(".", ",") if comma else keys
        items += f'<rdf:li rdf:parseType="Resource"><mwg-rs:Area {keys} stArea:unit="{unit}"/>{name % who}'
        items += f"<mwg-rs:Type>{kind}</mwg-rs:Type></rdf:li>"
    size = '<mwg-rs:AppliedToDimensions stDim:w="{}" stDim:h="{}"/>'.format(*dimensions) if dimensions else ""
    regions = f"{size}<mwg-rs:RegionList><rdf:Bag>{items}</rdf:Bag></mwg-rs:RegionList>"
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{xmp_packet.RDF}" xmlns:mwg-rs="{face_regions.MWG}" '
        f'xmlns:stArea="{face_regions.AREA}" xmlns:stDim="{face_regions.DIMENSIONS}"><rdf:Description rdf:about="">'
        f'<mwg-rs:Regions rdf:parseType="Resource">{regions}</mwg-rs:Regions></rdf:Description></rdf:RDF></x:xmpmeta>'
    )


def names_on_faces(folder: Path, known: PhotoLibrary) -> bool:
    found = read_names([str(folder)], known)
    return sorted((r.name, r.face.face_id[-4:] if r.face else "") for r in found.names) == [("Bodo Blau", "0001"), ("Rosa Rot", "0000")]


@pytest.mark.parametrize("text", [
    packet(name='<mwg-rs:Name><rdf:Alt><rdf:li xml:lang="de">X</rdf:li><rdf:li xml:lang="x-default">%s</rdf:li></rdf:Alt></mwg-rs:Name>'),
    packet(name="<mwg-rs:Name><rdf:Bag><rdf:li>%s</rdf:li></rdf:Bag></mwg-rs:Name>"),
    packet(name='<mwg-rs:Name rdf:parseType="Resource"><rdf:value>%s</rdf:value></mwg-rs:Name>'),
    packet(name="<mwg-rs:Name><rdf:Description><rdf:value>%s</rdf:value></rdf:Description></mwg-rs:Name>"),
    packet(name='<mwg-rs:Name rdf:value="%s"/>'),
    packet(kind="face"), packet(comma=True), packet(unit="pixel", scale=SIZE),
    packet().replace("<mwg-rs:Regions ", '<mwg-rs:Regions rdf:parseType="Resource"/><mwg-rs:Regions ', 1),
], ids=["languages", "bag", "resource", "description", "attribute", "face", "comma", "pixels", "empty-first"])  # fmt: skip
def test_forms_of_one_meaning(tmp_path: Path, text: str) -> None:
    known, path = library(tmp_path)
    path.with_name("a.jpg.xmp").write_text(text)
    assert names_on_faces(path.parent, known)
    merged = merge_sidecar(text.encode(), known.photos[0], [(f, "Other") for f in known.faces(known.photos[0])])
    assert merged is None  # other people's regions are found again: nothing is written twice


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_stated_size_that_is_wrong(tmp_path: Path, orientation: int) -> None:
    """The size is turned by a quarter, the regions lie in the stored or the upright picture."""
    known, path = library(tmp_path, orientation)
    size = SIZE[::-1] if orientation < 5 else SIZE
    for frame in {orientation, 1}:
        path.with_name("a.jpg.xmp").write_text(packet(frame, size))
        assert names_on_faces(path.parent, known), frame


@pytest.mark.parametrize("frame", [6, 8])
def test_regions_from_before_a_photo_was_turned(tmp_path: Path, frame: int) -> None:
    known, path = library(tmp_path)
    path.with_name("a.jpg.xmp").write_text(packet(frame, SIZE[::-1]))
    assert names_on_faces(path.parent, known)


def test_a_doubtful_frame_needs_faces() -> None:
    """One face that the regions meet by chance does not outweigh the size that a file states."""
    photo = Photo("a" * 64, ["a.jpg"], "JPEG", WIDTH, HEIGHT, 1, "")
    areas = [face_regions.to_area(box, *SIZE) for box in BOXES]
    away = [(300.0, 10.0, 20.0, 20.0)]
    assert best_frame(Frames((), (1, 6, 8)), areas, photo, away) is None
    assert best_frame(Frames((6,), (1,)), areas, photo, BOXES) == 1
    assert best_frame(Frames((6,), (1,)), areas, photo, []) == 6
    rng = np.random.default_rng(1)
    moved = [tuple(b + rng.normal(0, 2, 4)) for b in BOXES]
    assert best_frame(Frames((1,), (6, 8)), areas, photo, moved) == 1


def _app1(text: str) -> bytes:
    body = b"http://ns.adobe.com/xap/1.0/\0" + text.encode()
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


@pytest.mark.parametrize("order", [1, -1])
def test_all_packets_of_a_jpeg(tmp_path: Path, order: int) -> None:
    known, path = library(tmp_path)
    empty = packet().split("<mwg-rs:Regions")[0] + "</rdf:Description></rdf:RDF></x:xmpmeta>"
    data = path.read_bytes()
    for other in (empty, "damaged"):
        path.write_bytes(data[:2] + b"".join(map(_app1, [packet(), other][::order])) + data[2:])
        assert names_on_faces(path.parent, known)


def _hex(text: str) -> bytes:
    return b"\nxmp\n%8d\n" % len(text) + text.encode().hex().encode() + b"\n"


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_a_raw_profile_of_png(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[:33] + _chunk(b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(_hex(packet()))) + data[33:])
    assert packets_in(path) == [packet().encode()]


def test_an_orientation_with_another_prefix(tmp_path: Path) -> None:
    space = "http://ns.adobe.com/tiff/1.0/"
    (tmp_path / "a.jpg.xmp").write_text(f"<rdf:Description xmlns:t='{space}' o:Orientation='3' t:Orientation='6'/>")
    assert sidecar_orientation(str(tmp_path / "a.jpg")) == 6
    (tmp_path / "a.jpg.xmp").write_text('<rdf:Description xmlns:t="urn:x" t:Orientation="6"/>')
    assert sidecar_orientation(str(tmp_path / "a.jpg")) is None


@pytest.mark.parametrize("name", ["a-edited.jpg", "a-bearbeitet.jpg", "a-modifi\u00e9.jpg", "a-\u7de8\u96c6\u6e08\u307f.jpg"])
def test_photos_edited_in_any_language_have_the_names_of_takeout(name: str) -> None:
    assert takeout.photos_of("a.jpg.json", "a.jpg", [], ["a.jpg", "b-edited.jpg", name]) == ["a.jpg", name]
    assert takeout.photos_of("a.jpg.json", "a.jpg", [], [name]) == [name]


def test_half_of_a_pair_of_surrogates_in_a_name() -> None:
    """JSON can state one alone; no file and no terminal can."""
    assert clean_name("Ann\ud800") == "Ann\ufffd"
    assert clean_name("Ann\udcc3\udca9") == "Ann\u00e9"  # bytes that a console passed
