"""What a photo's file says about where it came from: the camera, the place, signs that a program saved it again. The table dedup/origins.

Only headers are read, no pixels. Odd input: damaged or missing metadata says nothing; no bytes raise an exception.

Sources: ITU-T T.81 (JPEG segments, tables), Exif 2.32, PNG 1.2, the WebP and ISO base media (HEIF, AVIF) containers, Google's Motion Photo
format 1.0, Apple's and Adobe's names of gain maps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import pyarrow as pa
from PIL import Image

from facecluster.photos.heif_items import read_heif
from facecluster.photos.raw import is_raw
from facecluster.store import Stamp, table_of

ORIGINS_TABLE = "dedup/origins"
ORIGINS_STAMP: Stamp = {"table": ORIGINS_TABLE, "version": 1}
_EDITORS = re.compile(
    r"photoshop|lightroom|adobe|gimp|snapseed|picasa|paint|affinity|capture (one|nx)|viewnx|nx studio|digital photo professional|darktable|"
    r"rawtherapee|luminar|vsco|pixelmator|polarr|canva|facetune|instagram|whatsapp|photoscape|irfanview|xnview|acdsee|faststone|"
    r"(image|graphics)magick|dxo|topaz|gigapixel|\bon1\b|corel|picsart|meitu|beauty|remini|windows photo|microsoft|apple photos|^photos \d|"
    r"^preview|pillow|opencv|ffmpeg|photopea|photoroom|fotor|befunky|prisma|afterlight|lensa|handbrake|imageglass|paint\.net|krita",
    re.IGNORECASE,
)
_EDIT_MINUTES = 10  # between taking and changing: some cameras write the time at which a long exposure ended
_STANDARD = 3688  # sum of the luminance table of quality 50; ITU-T T.81, table K.1
_MOTION = re.compile(rb"""(MotionPhoto|MicroVideo)(\s*=\s*["']|>)\s*1|Semantic(\s*=\s*["']|>)\s*MotionPhoto""")
_DEPTH = re.compile(rb"hdrgm:Version|HDRGainMap|hdrgainmap|GDepth:|Semantic(\s*=\s*[\"']|>)\s*(GainMap|Depth)|DepthMap")
_DEPTH_ITEMS = re.compile(rb"aux:hdrgainmap|hevc:2015:auxid:2|cicp:systems:auxiliary:depth|portraiteffectsmatte|semantic\w*matte|tmap")
_XMP_TOOL = re.compile(r"""(?:stEvt:softwareAgent|xmp:CreatorTool|darktable:\w+|crs:HasSettings)(?:\s*=\s*["']|>)([^"'<]{1,80})""")


@dataclass(frozen=True, slots=True)
class Origin:
    """What a file says. Empty or 0 where it says nothing. The fields are the columns of dedup/origins, after `content`."""

    make: str = ""  # of the camera
    model: str = ""
    serial: str = ""  # of the camera's body
    software: str = ""
    maker_note: bool = False  # the camera's own notes
    place: bool = False  # GPS latitude
    motion: bool = False  # a short video in the file itself
    depth: bool = False  # a depth map or an HDR gain map
    bits: int = 8  # a channel; 4 for palettes of up to 256 colours
    quality: float = 0.0  # of a JPEG's tables, as libjpeg counts: 1 to 100; 0 for other formats
    lossless: bool = False
    raw: bool = False  # what the sensor saw
    edited: str = ""  # the first sign that a program made the picture anew, in words; '': none
    jfif: bool = False  # starts with a JFIF header, as libraries write it; most cameras start with EXIF

    @property
    def camera(self) -> str:
        """Make and model, for people."""
        return self.model if self.model.lower().startswith(self.make.lower()) else f"{self.make} {self.model}".strip()


_KINDS = {str: pa.string(), bool: pa.bool_(), int: pa.int32(), float: pa.float32()}
_HINTS = {"str": str, "bool": bool, "int": int, "float": float}
ORIGINS = pa.schema(
    [pa.field("content", pa.string(), nullable=False, metadata={"description": "SHA-256 of the file's bytes"})]
    + [pa.field(f.name, _KINDS[_HINTS[str(f.type)]], nullable=False) for f in fields(Origin)]
)


def origins_table(rows: dict[str, Origin]) -> pa.Table:
    """The table of origins by content."""
    values = [asdict(origin) for origin in rows.values()]
    return table_of(ORIGINS, {"content": list(rows)} | {name: [v[name] for v in values] for name in ORIGINS.names[1:]})


@dataclass(slots=True)
class _Found:
    """What a container holds."""

    exif: bytes = b""  # from its TIFF header on
    xmp: bytes = b""
    size: tuple[int, int] = (0, 0)  # px, as stored; 0: not known
    bits: int = 8
    quality: float = 0.0
    lossless: bool = False
    raw: bool = False
    adobe: bool = False
    jfif: bool = False
    motion: bool = False
    depth: bool = False


def origin_of(data: bytes) -> Origin:
    """The origin of a file's bytes."""
    found = _Found()
    reader = next((r for start, r in _READERS if re.match(start, data)), None)
    try:
        if reader is not None:
            reader(data, found)
        if is_raw(data):
            found.raw, found.lossless, found.bits = True, True, 14
        return _from_metadata(found)
    except Exception:  # noqa: BLE001  damaged metadata raises nearly any exception
        return Origin(bits=found.bits, quality=found.quality, lossless=found.lossless, raw=found.raw, jfif=found.jfif)


def _from_metadata(found: _Found) -> Origin:
    exif = Image.Exif()
    if found.exif:
        exif.load(found.exif)
    inner, gps = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    software = _text(exif.get(0x0131))
    return Origin(
        make=_text(exif.get(0x010F)), model=_text(exif.get(0x0110)), serial=_text(inner.get(0xA431)), software=software,
        maker_note=bool(inner.get(0x927C)), place=2 in gps,
        motion=found.motion or bool(_MOTION.search(found.xmp)), depth=found.depth or bool(_DEPTH.search(found.xmp)),
        bits=found.bits, quality=found.quality, lossless=found.lossless, raw=found.raw, jfif=found.jfif,
        edited=_edited(found, software, _text(exif.get(0x0132)), inner),
    )  # fmt: skip


def _edited(found: _Found, software: str, changed: str, inner: dict[int, Any]) -> str:
    tools = [tool for tool in _XMP_TOOL.findall(found.xmp.decode("utf-8", "replace")) if tool == "True" or _EDITORS.search(tool)]
    if _EDITORS.search(software) or tools:
        return f"saved by {software if _EDITORS.search(software) or tools[0] == 'True' else tools[0]}".strip().removesuffix(" by")
    if found.adobe:
        return "saved by an Adobe program"
    stated = inner.get(0xA002), inner.get(0xA003)
    if all(stated) and all(found.size) and sorted(int(s) for s in stated) != sorted(found.size):  # type: ignore[arg-type]
        return f"not in the size that the camera took, {stated[0]}x{stated[1]}"
    taken = _text(inner.get(0x9003))
    try:
        apart = datetime.strptime(changed, "%Y:%m:%d %H:%M:%S") - datetime.strptime(taken, "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return ""
    return f"changed on {changed[:10].replace(':', '-')}" if apart.total_seconds() > 60 * _EDIT_MINUTES else ""


def _text(value: object) -> str:
    return " ".join(value.replace("\0", " ").split())[:80] if isinstance(value, str) else ""


def _jpeg(data: bytes, found: _Found) -> None:
    at, mpf = 2, False
    while data[at : at + 1] == b"\xff" and data[at + 1] != 0xDA:
        kind, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if kind == 0xFF:  # a fill byte
            at += 1
            continue
        part = data[at + 4 : at + 2 + size]
        if kind == 0xE0 and part.startswith(b"JFIF\0") and not found.exif:
            found.jfif = True
        elif kind == 0xE1 and part.startswith(b"Exif\0\0") and not found.exif:
            found.exif = part[6:]
        elif kind == 0xE1 and part.startswith(b"http://ns.adobe.com/"):
            found.xmp += part
        elif kind == 0xEE and part.startswith(b"Adobe"):
            found.adobe = True
        elif kind == 0xDB and not found.quality:
            found.quality = _quality(part)
        elif kind in {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}:
            found.bits, found.size = part[0], (int.from_bytes(part[3:5]), int.from_bytes(part[1:3]))
        mpf |= kind == 0xE2 and part.startswith(b"MPF\0")
        at += 2 + size
    found.depth = mpf and bool(_DEPTH.search(data))
    found.motion = data.find(b"MotionPhoto_Data", len(data) // 2) >= 0


def _quality(tables: bytes) -> float:
    """libjpeg's quality of the first table of a DQT segment, by its mean: all are one table times a scale."""
    step = 1 + (tables[0] >> 4)
    values = [int.from_bytes(tables[i : i + step]) for i in range(1, 1 + 64 * step, step)]
    scale = 100 * sum(values) / _STANDARD
    return round(100 - scale / 2 if scale <= 100 else 5000 / scale, 1)


def _png(data: bytes, found: _Found) -> None:
    found.lossless = True
    for kind, part in _chunks(data, 8, "big"):
        if kind == b"IHDR":
            found.size = int.from_bytes(part[:4]), int.from_bytes(part[4:8])
            found.bits = 4 if part[9] == 3 else part[8]
        elif kind == b"eXIf":
            found.exif = part
        elif kind in {b"iTXt", b"tEXt"} and part.startswith(b"XML:com.adobe.xmp"):
            found.xmp = part


def _webp(data: bytes, found: _Found) -> None:
    for kind, part in _chunks(data, 12, "little"):
        if kind == b"VP8L":
            found.lossless = True
        elif kind == b"EXIF":
            found.exif = part.removeprefix(b"Exif\0\0")
        elif kind == b"XMP ":
            found.xmp = part


def _chunks(data: bytes, at: int, order: Any) -> Iterator[tuple[bytes, bytes]]:
    """PNG's chunks (size, kind, data, checksum), or RIFF's (kind, size, data, padded to even)."""
    while at + 8 <= len(data):
        first, second = data[at : at + 4], data[at + 4 : at + 8]
        kind, size = (second, int.from_bytes(first)) if order == "big" else (first, int.from_bytes(second, "little"))
        yield kind, data[at + 8 : at + 8 + size]
        at += size + (12 if order == "big" else 8 + size % 2)


def _tiff(data: bytes, found: _Found) -> None:
    found.exif, found.lossless = data, True
    exif = Image.Exif()
    exif.load(data)
    bits, compression = exif.get(0x0102, 8), exif.get(0x0103, 1)
    found.bits = max(bits) if isinstance(bits, tuple) else bits
    found.lossless = compression not in {6, 7, 34892}  # JPEG inside
    xmp = exif.get(0x02BC, b"")
    found.xmp = xmp if isinstance(xmp, bytes) else b""


def _bmff(data: bytes, found: _Found) -> None:
    """HEIC and AVIF: depths and kinds of the items in the tables; EXIF and XMP as items."""
    header = b"".join(part for kind, part in _boxes(data) if kind not in {b"mdat", b"moov"})
    depths = [m[1][0] for m in re.finditer(rb"pixi\0\0\0\0\x03([\x01-\x20]{3})", header)]  # of items with three channels
    if not depths and (coded := re.search(rb"hvcC\x01[\s\S]{16}([\s\S])", header)):
        depths = [8 + (coded[1][0] & 7)]
    if not depths and (coded := re.search(rb"av1C\x81[\s\S]([\s\S])", header)):
        depths = [8 + 2 * (coded[1][0] >> 6 & 1) + 2 * (coded[1][0] >> 5 & 1)]
    found.bits = max(depths, default=8)
    found.depth = bool(_DEPTH_ITEMS.search(header))
    found.motion = b"mpvd" in header
    facts = read_heif(data)
    found.exif, found.xmp = facts.exif or b"", facts.xmp or b""


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        size = int.from_bytes(data[at + 8 : at + 16]) if size == 1 else size or len(data) - at
        yield kind, b"" if kind == b"mdat" else data[at : at + size]
        at += max(size, 8)


def _gif(data: bytes, found: _Found) -> None:
    found.bits, found.lossless = 4, True


def _bmp(data: bytes, found: _Found) -> None:
    found.lossless = True
    found.bits = 4 if int.from_bytes(data[28:30], "little") <= 8 else 8


_READERS: tuple[tuple[bytes, Callable[[bytes, _Found], None]], ...] = (
    (rb"\xff\xd8\xff", _jpeg),
    (rb"\x89PNG\r\n\x1a\n", _png),
    (rb"RIFF[\s\S]{4}WEBP", _webp),
    (rb"II[*+]\0|MM\0[*+]", _tiff),
    (rb"[\s\S]{4}ftyp", _bmff),
    (rb"GIF8", _gif),
    (rb"BM", _bmp),
)
