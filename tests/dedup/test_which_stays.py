"""Which of two copies stays: a photographer's rules, written down first, and a pair of files for each."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dedup_photos import captioned, coded, cut, scaled, scene, silent, write_store
from heif_writer import write_heif
from PIL import Image

from facecluster.dedup import DedupConfig, Plan, Row, find_duplicates, make_plan
from facecluster.store import Store

GAIN_MAP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF hdrgm:Version="1.0" Item:Semantic="GainMap"/></x:xmpmeta>'
MOTION = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF GCamera:MotionPhoto="1"/></x:xmpmeta>'
RATING = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmp:Rating="4" xmp:CreatorTool="digiKam-8.2"/></x:xmpmeta>'
DEVELOPED = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmp:CreatorTool="Adobe Lightroom 13.0"/></x:xmpmeta>'


def shot(seed: int = 1, width: int = 480, height: int = 360) -> Image.Image:
    """A scene with the noise of a sensor."""
    image = scene(seed, width, height)
    noise = np.random.default_rng(seed).normal(0, 4, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def exif(
    *, size: tuple[int, int] | None = None, place: bool = True, notes: bool = True, software: str = "1.9.0", camera: bool = True,
    changed: str = "2021:05:06 07:08:09", taken: str = "2021:05:06 07:08:09",
) -> bytes:  # fmt: skip
    """What a camera writes; `size` is the size that it says the picture has."""
    tags = Image.Exif()
    if camera:
        tags[0x010F], tags[0x0110], tags[0x0131] = "Canon", "Canon EOS R6", software
    tags[0x0132] = changed
    inner: dict[int, Any] = {0x9003: taken}
    if size:
        inner |= {0xA002: size[0], 0xA003: size[1]}
    if notes and camera:
        inner[0x927C] = b"Canon notes" * 20
    tags[0x8769] = inner
    if place:
        tags[0x8825] = {1: "N", 2: (38.0, 42.0, 0.0), 3: "W", 4: (9.0, 8.0, 0.0)}
    return tags.tobytes()


def camera_jpeg(image: Image.Image, quality: int = 92, *, xmp: bytes = b"", **said: Any) -> bytes:
    """A JPEG as cameras write it: EXIF first, no JFIF header."""
    data = coded(image, quality=quality)
    size = int.from_bytes(data[4:6])
    parts = [b"Exif\0\0" + exif(**{"size": image.size} | said).removeprefix(b"Exif\0\0")]
    parts += [b"http://ns.adobe.com/xap/1.0/\0" + xmp] if xmp else []
    return data[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", 2 + len(p)) + p for p in parts) + data[4 + size :]


def resaved(data: bytes, quality: int = 96, *, keep: bool = False, **said: Any) -> bytes:
    """Opened and saved again by a program; without metadata, with those of the file, or with others."""
    with Image.open(io.BytesIO(data)) as image:
        kept = image.info.get("exif", b"") if keep else exif(**said) if said else b""
        return coded(image.convert("RGB"), quality=quality, exif=kept)


def decoded(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


def tiff16(image: Image.Image, *, real: bool) -> bytes:
    """A grey TIFF of 16 bits a pixel, with finer steps than 8 bits or without."""
    grey = np.asarray(image.convert("L"), np.uint16) * 257
    fine = np.random.default_rng(0).integers(-120, 120, grey.shape) if real else 0
    return coded(Image.fromarray(np.clip(grey.astype(np.int32) + fine, 0, 65535).astype(np.uint16)), "TIFF")


def with_map(data: bytes) -> bytes:
    """A JPEG followed by another for its gain map, with an index of both (MPF)."""
    small = coded(scaled(decoded(data), 0.25).convert("L"), quality=60)
    index = b"\xff\xe2" + struct.pack(">H", 90) + b"MPF\0" + bytes(84)
    return data[:2] + index + data[2:] + small[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(GAIN_MAP)) + GAIN_MAP + small[2:]


class Shot:
    """What a camera took, in the forms that the pairs are made of."""

    def __init__(self, seed: int) -> None:
        self.image = shot(seed)
        self.original = camera_jpeg(self.image)
        self.bare = coded(self.image, quality=85)

    @property
    def from_heif(self) -> Image.Image:
        pi_heif = pytest.importorskip("pi_heif")
        return pi_heif.open_heif(heif(self.image)).to_pillow().convert("RGB")  # type: ignore[no-any-return]

    @property
    def avif(self) -> bytes:
        return heif(self.image, "AVIF", quality=80, bare=True)


@dataclass(frozen=True)
class Pair:
    """Two copies: the first stays."""

    rule: str
    stays: Callable[[Shot], dict[str, bytes]]  # files by name; the first is the photo, others lie beside it
    goes: Callable[[Shot], dict[str, bytes]]
    says: str  # part of the reason


def one(name: str, make: Callable[[Shot], bytes]) -> Callable[[Shot], dict[str, bytes]]:
    return lambda s: {name: make(s)}


def heif(image: Image.Image, kind: str = "HEIF", *, quality: int = 75, bare: bool = False, **said: Any) -> bytes:
    tags = None if bare else b"Exif\0\0" + exif(size=image.size, **said).removeprefix(b"Exif\0\0")
    return write_heif(image, kind, exif=tags, quality=quality)


PAIRS = {
    "a JPEG made from a HEIC": Pair(
        "A phone's HEIC is what it took; a JPEG made from it is larger and shows no more, also with the camera's words copied.",
        one("IMG_1.heic", lambda s: heif(s.image)),
        one("IMG_1.jpg", lambda s: coded(s.from_heif, quality=95, exif=exif(size=s.image.size))), "",
    ),
    "a JPEG made from a HEIC, stripped": Pair(
        "The same without metadata in the JPEG.",
        one("a.heic", lambda s: heif(s.image)), one("b.jpg", lambda s: coded(s.from_heif, quality=98)), "camera",
    ),
    "a stripped re-save that is larger": Pair(
        "The camera's file with place and make stays, however many bytes the other has.",
        one("a.jpg", lambda s: camera_jpeg(s.image, 85)), one("b.jpg", lambda s: resaved(camera_jpeg(s.image, 85), 97)), "Canon EOS R6",
    ),
    "a PNG made of a JPEG": Pair(
        "A PNG made of a JPEG keeps what the JPEG lost lost.",
        one("a.jpg", lambda s: s.bare), one("b.png", lambda s: coded(decoded(s.bare), "PNG")), "JPEG",
    ),
    "a BMP made of a JPEG": Pair(
        "So does a BMP.", one("a.jpg", lambda s: s.bare), one("b.bmp", lambda s: coded(decoded(s.bare), "BMP")), "JPEG",
    ),
    "a lossless WebP made of a JPEG": Pair(
        "And a WebP without loss.",
        one("a.jpg", lambda s: s.bare), one("b.webp", lambda s: coded(decoded(s.bare), "WEBP", lossless=True)), "JPEG",
    ),
    "a JPEG made of a PNG": Pair(
        "A PNG that was no JPEG before is the original of a JPEG.",
        one("a.png", lambda s: coded(s.image, "PNG")), one("b.jpg", lambda s: coded(s.image, quality=95)), "quality 95",
    ),
    "16 bits and 8": Pair(
        "A scan of 16 bits stays, not the 8 bits made of it.",
        one("a.tif", lambda s: tiff16(s.image, real=True)), one("b.jpg", lambda s: coded(s.image.convert("L"), quality=100)), "16",
    ),
    "16 bits made of a JPEG": Pair(
        "More bits than the JPEG had are empty bits.",
        one("a.jpg", lambda s: coded(s.image.convert("L"), quality=85)),
        one("b.tif", lambda s: tiff16(decoded(coded(s.image.convert("L"), quality=85)), real=False)), "JPEG",
    ),
    "10 bits and 8": Pair(
        "A HEIC of 10 bits stays before a copy of 8.",
        one("a.heic", lambda s: heif10(s.image)), one("b.jpg", lambda s: coded(s.image, quality=100)), "10",
    ),
    "quality 50 saved again at 95": Pair(
        "Saving a poor JPEG again at a high quality adds bytes, no picture.",
        one("a.jpg", lambda s: coded(s.image, quality=50)), one("b.jpg", lambda s: resaved(coded(s.image, quality=50), 95)), "saved again",
    ),
    "quality 95 and 60": Pair(
        "Of one picture the less compressed JPEG stays.",
        one("a.jpg", lambda s: coded(s.image, quality=95)), one("b.jpg", lambda s: resaved(coded(s.image, quality=95), 60)), "",
    ),
    "saved by an editor": Pair(
        "A picture that an editor saved is not what the camera took, though it still names the camera.",
        one("a.jpg", lambda s: s.original),
        one("b.jpg", lambda s: resaved(s.original, 98, size=s.image.size, software="Adobe Photoshop 25.1")), "Photoshop",
    ),
    "developed by Lightroom": Pair(
        "The same where the editor is named in XMP alone.",
        one("a.jpg", lambda s: s.original), one("b.jpg", lambda s: camera_jpeg(s.image, 99, xmp=DEVELOPED)), "Lightroom",
    ),
    "changed on the next day": Pair(
        "A time of change long after the taking means edited.",
        one("a.jpg", lambda s: s.original), one("b.jpg", lambda s: camera_jpeg(s.image, 99, changed="2021:05:07 20:00:00")), "2021-05-07",
    ),
    "rated, and stripped": Pair(
        "A rating does not make the camera's file less: the camera's picture is untouched.",
        one("a.jpg", lambda s: camera_jpeg(s.image, xmp=RATING)), one("b.jpg", lambda s: resaved(s.original, 98)), "Canon EOS R6",
    ),
    "without the place": Pair(
        "Of two camera files the one with the place stays.",
        one("a.jpg", lambda s: s.original), one("b.jpg", lambda s: camera_jpeg(s.image, place=False)), "place",
    ),
    "without the camera's notes": Pair(
        "A program that copies the usual tags drops the camera's notes.",
        one("a.jpg", lambda s: s.original), one("b.jpg", lambda s: camera_jpeg(s.image, 93, notes=False)), "notes",
    ),
    "without the gain map": Pair(
        "A gain map (HDR) or depth map belongs to the picture.",
        one("a.jpg", lambda s: with_map(camera_jpeg(s.image, 90))), one("b.jpg", lambda s: camera_jpeg(s.image, 97)), "HDR",
    ),
    "without the motion": Pair(
        "So does the film in a motion photo.",
        one("a.jpg", lambda s: camera_jpeg(s.image, 90, xmp=MOTION) + b"\0\0\0\x18ftypmp42" + bytes(500)),
        one("b.jpg", lambda s: camera_jpeg(s.image, 97)), "motion",
    ),
    "without the film beside": Pair(
        "So does the film beside a live photo.",
        lambda s: {"x/IMG_7.jpg": camera_jpeg(s.image, 90), "x/IMG_7.MOV": b"film"},
        one("IMG_8.jpg", lambda s: camera_jpeg(s.image, 97)), "film",
    ),
    "without the sidecar": Pair(
        "A sidecar holds work of the user: its photo stays.",
        lambda s: {"deep/down/a.jpg": s.bare, "deep/down/a.xmp": b"<x:xmpmeta/>"},
        one("b.jpg", lambda s: coded(s.image, quality=86)), "sidecar",
    ),
    "one of equal bytes with a sidecar": Pair(
        "The same for files of equal bytes.",
        lambda s: {"deep/down/a.jpg": s.bare, "deep/down/a.jpg.xmp": b"<x:xmpmeta/>"}, one("b.jpg", lambda s: s.bare), "sidecar",
    ),
    "one of equal bytes with a film": Pair(
        "And for live photos of equal bytes.",
        lambda s: {"deep/down/a.heic": heif(s.image), "deep/down/a.mov": b"film"}, one("b.heic", lambda s: heif(s.image)), "film",
    ),
    "an enlargement": Pair(
        "Pixels that a program made up are none: the camera's file stays.",
        one("a.jpg", lambda s: camera_jpeg(s.image)), one("b.jpg", lambda s: coded(scaled(decoded(s.original), 2), quality=95)), "enlarged",
    ),
    "a reduction that names the camera": Pair(
        "Real pixels are worth more than words about them.",
        one("a.jpg", lambda s: coded(s.image, quality=90)), one("b.jpg", lambda s: camera_jpeg(scaled(s.image, 0.5), 95)), "smaller",
    ),
    "a crop that names the camera": Pair(
        "The whole picture stays, not the crop.",
        one("a.jpg", lambda s: coded(s.image, quality=90)),
        one("b.jpg", lambda s: camera_jpeg(cut(s.image, 0.05, 0.05, 0.95, 0.95), 97)), "cropped",
    ),
    "a caption on the camera's file": Pair(
        "The picture without words over it stays.",
        one("a.jpg", lambda s: coded(s.image, quality=90)), one("b.jpg", lambda s: camera_jpeg(captioned(s.image), 97)), "text",
    ),
    "a messenger's copy": Pair(
        "Messengers reduce and strip.",
        one("a.jpg", lambda s: s.original), one("IMG-20210506-WA0001.jpg", lambda s: coded(scaled(s.image, 0.6), quality=75)), "smaller",
    ),
    "black and white of an editor": Pair(
        "A picture that lost its colours in an editor goes.",
        one("a.jpg", lambda s: coded(s.image, quality=90)),
        one("b.jpg", lambda s: coded(s.image.convert("L"), quality=97, exif=exif(size=s.image.size, software="Snapseed 2.0"))), "colour",
    ),
    "a WebP made of a JPEG": Pair(
        "A smaller WebP made of a JPEG lost more.",
        one("a.jpg", lambda s: s.bare), one("b.webp", lambda s: coded(decoded(s.bare), "WEBP", quality=75)), "",
    ),
    "a JPEG made of an AVIF": Pair(
        "A byte of AVIF or HEIC is worth several of JPEG: the larger JPEG shows no more.",
        one("a.avif", lambda s: s.avif), one("b.jpg", lambda s: coded(decoded(s.avif), quality=92)), "",
    ),
    "a GIF": Pair(
        "256 colours are no photo.",
        one("a.jpg", lambda s: coded(s.image, quality=70)), one("b.gif", lambda s: coded(palette(s.image), "GIF")), "256",
    ),
    "a PNG of 256 colours": Pair(
        "Nor in a PNG.",
        one("a.jpg", lambda s: coded(s.image, quality=70)), one("b.png", lambda s: coded(palette(s.image), "PNG")), "256",
    ),
    "without a time": Pair(
        "The copy that knows when it was taken stays.",
        one("a.jpg", lambda s: coded(s.image, quality=85, exif=exif(camera=False, place=False))),
        one("b.jpg", lambda s: coded(s.image, quality=88)), "time",
    ),
    "re-saved with the camera's words": Pair(
        "A program that saves again and copies all metadata makes no original: its file is compressed twice.",
        one("a.jpg", lambda s: camera_jpeg(s.image, 85)), one("b.jpg", lambda s: resaved(camera_jpeg(s.image, 85), 96, keep=True)), "",
    ),
}  # fmt: skip


def palette(image: Image.Image) -> Image.Image:
    return image.convert("P")  # the 216 of the web, with dots of them for the rest


def heif10(image: Image.Image) -> bytes:
    """A HEIC of 10 bits a channel."""
    pillow_heif = pytest.importorskip("pillow_heif")
    out = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", image.size, (np.asarray(image, np.uint16) * 257).tobytes()).save(out, quality=80)
    return out.getvalue()


def written(folder: Path, pair: Pair, seed: int) -> list[Path]:
    """The two photos of a pair."""
    photos, taken = [], Shot(seed)
    for side in (pair.stays(taken), pair.goes(taken)):
        for name, data in side.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        photos.append(folder / next(iter(side)))
    return photos


def plan_of(store: Store, **config: Any) -> Plan:
    with find_duplicates(store, DedupConfig(burst_seconds=0, **config), bars=silent) as found:
        return make_plan(found)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    """Of one plan for all pairs, each of another scene: the rows by the name of the pair, the rows of the one that stays first."""
    folder = tmp_path_factory.mktemp("pairs")
    files = {name: written(folder / f"{i:02d}", pair, i) for i, (name, pair) in enumerate(PAIRS.items())}
    by_path = {row.uri: row for row in plan_of(write_store(folder / "store", sum(files.values(), []))).rows}
    return {name: [by_path[str(path)] for path in paths if str(path) in by_path] for name, paths in files.items()}


@pytest.mark.parametrize("name", PAIRS)
def test_the_copy_that_a_photographer_keeps_stays(name: str, rows: dict[str, list[Row]]) -> None:
    pair = PAIRS[name]
    assert [row.action for row in rows[name]] == ["keep", "move"], pair.rule
    kept, other = rows[name]
    assert pair.says.lower() in other.reason.lower() and other.reason and "\n" not in other.reason
    assert kept.reason.startswith("kept: "), "what speaks for the one that stays"


def test_a_preferred_folder_goes_before_all_that_a_photo_is_worth(tmp_path: Path) -> None:
    pair = Pair("", one("a.jpg", lambda s: s.original), one("mine/b.jpg", lambda s: resaved(s.original, 97)), "")
    store = write_store(tmp_path / "store", written(tmp_path / "p", pair, 0))
    plan = plan_of(store, prefer=[str(tmp_path / "p" / "mine")])
    assert [os.path.basename(r.uri) for r in plan.moved] == ["a.jpg"]
