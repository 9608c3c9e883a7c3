"""Where regions lie, in eight orientations of six formats: exiftool reads what we write, and we read what exiftool writes."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_store import _STORED, BOXES, COLOURS, SIZE, exiftool, make_store, run
from heif_writer import turned, write_heif
from PIL import Image

from facecluster.export import face_regions, region_frames, xmp_packet
from facecluster.export.import_names import read_names
from facecluster.export.photo_library import Photo, read_photo_library
from facecluster.faces.detect import detect_faces
from facecluster.geometry import iou
from facecluster.photos.images import open_photo
from facecluster.store import Store

KINDS = ["JPEG", "PNG", "WEBP", "TIFF"] + [f"{kind}, {where}" for kind in ("AVIF", "HEIF") for where in ("container", "exif", "both")]


def upright() -> Image.Image:
    picture = Image.new("RGB", SIZE, (200, 200, 200))
    for (x, y, w, h), colour in zip(BOXES, COLOURS, strict=True):
        picture.paste(colour, (int(x), int(y), int(x + w), int(y + h)))
    return picture


def stored(orientation: int) -> Image.Image:
    return upright().transpose(_STORED[orientation]) if orientation in _STORED else upright()


def write_photo(path: Path, kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x0131] = str(path)  # every file has its own content
    name, _, where = kind.partition(", ")
    if where:
        number = b"Exif\0\0" + exif.tobytes()[6:] if where != "container" else None
        data = write_heif(stored(orientation), name, *([] if where == "exif" else turned(orientation)), exif=number)
    else:
        out = io.BytesIO()
        stored(orientation).save(out, name, exif=exif, **({"lossless": True} if name == "WEBP" else {}))
        data = out.getvalue()
    path.write_bytes(data)
    return data


def box_of(picture: Image.Image, colour: tuple[int, int, int]) -> tuple[float, float, float, float]:
    """x, y, w, h of the pixels of a colour."""
    y, x = np.nonzero(np.abs(np.asarray(picture).astype(int) - colour).max(axis=2) < 60)
    return float(x.min()), float(y.min()), float(x.max() - x.min() + 1), float(y.max() - y.min() + 1)


def immich(region: dict[str, Any], orientation: int, size: tuple[float, float]) -> list[float]:
    """Where Immich shows a region: x, y, w, h in px. As its metadata service turns centre and size by the picture's orientation."""
    x, y, w, h = (float(region["Area"][k]) for k in "XYWH")
    width, height = size
    x, y = {
        1: (x, y), 2: (1 - x, y), 3: (1 - x, 1 - y), 4: (x, 1 - y), 5: (y, x), 6: (1 - y, x), 7: (1 - y, 1 - x), 8: (y, 1 - x),
    }[orientation]  # fmt: skip
    if orientation > 4:
        w, h, width, height = h, w, height, width
    return [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]


def immich_orientation(found: dict[str, Any]) -> int | None:
    """The number that Immich turns a file's regions by: EXIF's, or of HEIF without one that of `irot`; None if a mirror has no number."""
    rotation = {0: 1, 1: 8, 90: 8, 2: 3, 180: 3, 3: 6, 270: 6}.get(found.get("Rotation", 0), 1)
    return found.get("Orientation") or (None if b"imir" in Path(found["SourceFile"]).read_bytes() else rotation)


@pytest.fixture
def photos(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Store, list[tuple[Path, int]]]:
    """A store of eight photos of a kind, and their paths and orientations."""
    (tmp_path / "photos").mkdir()
    rows, files = [], []
    for orientation in range(1, 9):
        path = tmp_path / "photos" / f"{orientation}.{request.param[:4].lower()}"
        data = write_photo(path, request.param, orientation)
        photo = open_photo(data)
        assert (photo.width, photo.height) == SIZE
        for box, colour in zip(BOXES, COLOURS, strict=True):
            assert np.abs(np.subtract(box_of(Image.fromarray(photo.pixels), colour), box)).max() <= 1, (request.param, orientation)
        rows.append((hashlib.sha256(data).hexdigest(), str(path), photo.orientation))
        files.append((path, orientation))
    return make_store(tmp_path / "store", rows), files


@pytest.mark.parametrize("photos", KINDS, indirect=True)
def test_regions_are_read_and_written_at_the_right_place(photos: tuple[Store, list[tuple[Path, int]]], tmp_path: Path) -> None:
    store, files = photos
    run("export", store.url, "--format", "xmp", "-o", tmp_path / "out", "--ids")
    sidecars, pictures = (
        {Path(found["SourceFile"]).name: found for found in json.loads(exiftool("-j", "-n", "-struct", *where))}
        for where in (("-ext", "xmp", tmp_path / "out"), (tmp_path / "photos",))
    )
    judged = 0
    for path, orientation in files:
        found = sidecars[path.name + ".xmp"]["RegionInfo"]
        picture = stored(orientation)
        size = found["AppliedToDimensions"]["W"], found["AppliedToDimensions"]["H"]
        assert size == picture.size
        number = immich_orientation(pictures[path.name])
        for region in found["RegionList"]:
            i = ["person 0001", "person 0002"].index(region["Name"])
            assert np.abs(np.subtract(immich(region, 1, size), box_of(picture, COLOURS[i]))).max() < 0.5, (orientation, region)
            if number is not None:
                judged += 1
                assert np.abs(np.subtract(immich(region, number, size), BOXES[i])).max() < 0.5, (orientation, region)
    assert judged >= 8
    quiet = ("-q", "-overwrite_original")
    exiftool(*quiet, "-tagsfromfile", f"{tmp_path}/out/%f.%e.xmp", "-XMP-mwg-rs:all", tmp_path / "photos")
    exiftool(*quiet, "-RegionName=Rosa Rot,Bodo Blau", "-sep", ",", tmp_path / "photos")
    rows = read_names([str(tmp_path / "photos")], read_photo_library(store, "bundled")).names
    assert len(rows) == 16
    for row in rows:
        i = ["Rosa Rot", "Bodo Blau"].index(row.name)
        assert row.face is not None and row.face.face_id.endswith(f"-000{i}")
        assert row.box is not None and np.abs(np.subtract(row.box, BOXES[i])).max() < 0.5


def test_a_phone_s_photo_turned_by_180_degrees() -> None:
    """Its regions have the shape of both frames: the faces that are found tell which."""
    path = Path(__file__).parents[3] / "shared" / "cases" / "heic" / "IMG_2.heic"
    if not path.exists():
        pytest.skip("needs ../shared/cases")
    photo = open_photo(path.read_bytes())
    faces = [tuple(box) for box in (detect_faces(photo.pixels).boxes / photo.scale).tolist()]
    document = xmp_packet.parse(path.with_name("IMG_2.heic.xmp").read_bytes())
    known = Photo("0" * 64, [str(path)], photo.format, photo.width, photo.height, photo.orientation, "")
    orientation = region_frames.region_orientation(document, known, faces)
    assert orientation == 3
    left, right = sorted(face_regions.read_regions(document), key=lambda r: face_regions.to_upright(r.area, 3)[0])
    assert (left.name, right.name) == ("LEFT", "RIGHT")
    for region in (left, right):
        box = face_regions.to_box(face_regions.to_upright(region.area, orientation), photo.width, photo.height)
        assert iou(np.array([box]), np.array(faces)).max() > 0.8


@pytest.mark.parametrize("where", ["container", "exif", "both"])
def test_an_older_store_s_heic_are_turned_by_their_container(tmp_path: Path, where: str) -> None:
    """An older version turned HEIC by its container only, and kept EXIF's number."""
    path = tmp_path / "a.heic"
    data = write_photo(path, f"HEIF, {where}", 8)
    store = make_store(tmp_path / "store", [(hashlib.sha256(data).hexdigest(), str(path), 1 if where == "container" else 8)])
    table = store.read("photos", "00000")
    store.remove("photos")
    store.write("photos", "00000", table.set_column(table.column_names.index("format"), "format", [["HEIF"]]), {"table": "photos"})
    assert read_photo_library(store).photos[0].orientation == (1 if where == "exif" else 8)


def test_a_missed_face_does_not_turn_the_regions() -> None:
    """One region, whose face was not found: turned by a quarter it would lie on another face, by .35. Two such, or one by .8, do count."""
    photo = Photo("0" * 64, ["a.jpg"], "JPEG", 1600, 1200, 1, "")
    missed = face_regions.to_area((955.0, 205.6, 182.3, 243.2), 1600, 1200)
    faces = [(235.1, 641.6, 162.5, 217.2), (470.4, 205.1, 164.0, 217.2), (723.7, 664.5, 153.6, 200.9), (1168.4, 669.0, 171.8, 223.5)]
    frames = region_frames.Frames((1,), (6, 8))
    assert region_frames.best_frame(frames, [missed], photo, faces) == 1
    assert region_frames.best_frame(frames, [missed], photo, faces[3:]) == 6, "it is the only face that there is"
    turned = [face_regions.to_stored(face_regions.to_area(box, 1600, 1200), 6) for box in faces]
    for some in (turned[:1], turned[:2], turned):
        assert region_frames.best_frame(frames, some, photo, faces) == 6
    half = Photo("0" * 64, ["a.jpg"], "JPEG", 1600, 1200, 3, "")
    near = face_regions.to_area((1600 - 1168 - 172 + 60, 1200 - 669 - 223 + 70, 171.8, 223.5), 1600, 1200)  # upside down on the last, by .3
    assert region_frames.best_frame(region_frames.Frames((1, 3)), [near], half, faces) == 1
