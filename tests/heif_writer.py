"""HEIC and AVIF files with any items: the coded picture comes from an encoder, the boxes around it are written here.

Encoders state orientation and colours in one way each; files of cameras do it in others. Written after ISO/IEC 14496-12 and 23008-12,
apart from the reader that is tested with it.
"""

from __future__ import annotations

import io
import struct
from typing import Any

from conftest import need
from PIL import Image

# irot (quarter turns anticlockwise) and then imir (1: left and right change places) that do what each EXIF orientation says
TRANSFORMS = {
    1: (0, None), 2: (0, 1), 3: (2, None), 4: (2, 1), 5: (3, 1), 6: (3, None), 7: (1, 1), 8: (1, None),
}  # fmt: skip


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *content: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *content)


def nclx(primaries: int, transfer: int, matrix: int = 6) -> bytes:
    """A colour box of full range; numbers of ITU-T H.273."""
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, matrix, 0x80))


def icc(profile: bytes) -> bytes:
    return box(b"colr", b"prof", profile)


def turned(orientation: int) -> list[bytes]:
    """The container's transformations of an orientation."""
    quarters, mirror = TRANSFORMS[orientation]
    return [box(b"irot", bytes([quarters]))] + ([] if mirror is None else [box(b"imir", bytes([mirror]))])


def write_heif(
    picture: Image.Image, kind: str, *properties: bytes, exif: bytes | None = None, xmp: bytes | None = None, **options: Any
) -> bytes:
    """A file of a picture.

    Args:
        picture: as it is stored.
        kind: HEIF or AVIF.
        properties: boxes that belong to the picture, in order.
        exif: the content of its EXIF item after the four bytes that say where the TIFF header begins; these are right.
        xmp: the content of its XMP item.
        options: of the encoder.
    """
    if kind == "HEIF":
        try:
            import pillow_heif
        except ImportError:
            need(False, "pillow_heif")
        pillow_heif.register_heif_opener()
    out = io.BytesIO()
    picture.save(out, kind, **({"quality": -1, "chroma": 444} if kind == "HEIF" else {"quality": 100, "subsampling": "4:4:4"}) | options)
    return wrap(out.getvalue(), kind, *properties, exif=exif, xmp=xmp)


def wrap(coded: bytes, kind: str, *properties: bytes, exif: bytes | None = None, xmp: bytes | None = None) -> bytes:
    """The picture of a file with one item in new boxes."""
    config = _box_in(coded, b"hvcC" if kind == "HEIF" else b"av1C")
    items = [(b"hvc1" if kind == "HEIF" else b"av01", b"", _box_in(coded, b"mdat")[8:])]
    if exif is not None:
        items.append((b"Exif", b"", struct.pack(">I", 6 if exif.startswith(b"Exif\0\0") else 0) + exif))
    if xmp is not None:
        items.append((b"mime", b"application/rdf+xml\0", xmp))
    all_properties = [config, _box_in(coded, b"ispe"), *([_box_in(coded, b"pixi")] if b"pixi" in coded else []), *properties]
    brand = b"heic" if kind == "HEIF" else b"avif"
    head = box(b"ftyp", brand, bytes(4), b"mif1", brand)
    start = len(head) + len(_meta(items, all_properties, 0)) + 8
    return head + _meta(items, all_properties, start) + box(b"mdat", *(content for _, _, content in items))


def _meta(items: list[tuple[bytes, bytes, bytes]], properties: list[bytes], start: int) -> bytes:
    entries, places = [], []
    for i, (kind, content_type, content) in enumerate(items, 1):
        entries.append(full_box(b"infe", 2, 0 if i == 1 else 1, struct.pack(">HH", i, 0), kind, b"\0", content_type))
        places.append(struct.pack(">HHHII", i, 0, 1, start, len(content)))
        start += len(content)
    used = bytes(0x80 | n for n in range(1, len(properties) + 1))
    refs = [box(b"cdsc", struct.pack(">HHH", i, 1, 1)) for i in range(2, len(items) + 1)]
    return full_box(
        b"meta", 0, 0,
        full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
        full_box(b"pitm", 0, 0, struct.pack(">H", 1)),
        full_box(b"iloc", 0, 0, struct.pack(">HH", 0x4400, len(items)), *places),
        full_box(b"iinf", 0, 0, struct.pack(">H", len(items)), *entries),
        *([full_box(b"iref", 0, 0, *refs)] if refs else []),
        box(b"iprp", box(b"ipco", *properties), full_box(b"ipma", 0, 0, struct.pack(">IHB", 1, 1, len(used)), used)),
    )  # fmt: skip


def _box_in(data: bytes, kind: bytes) -> bytes:
    at = data.index(kind) - 4
    return data[at : at + int.from_bytes(data[at : at + 4])]
