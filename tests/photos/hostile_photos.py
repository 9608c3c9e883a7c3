"""Small files that take a decoder long or much memory, if it lets them: the hostile set. For test_hostile_photos.py."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from PIL import Image


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def many_passes(side: int, passes: int) -> bytes:
    """A progressive JPEG whose last pass comes again and again."""
    data = encoded(Image.new("RGB", (side, side), (90, 120, 30)), "JPEG", progressive=True, quality=50)
    return data[:-2] + data[data.rfind(b"\xff\xda") : -2] * passes + data[-2:]


def bomb_png(width: int, height: int, written: int | None = None) -> bytes:
    """A PNG of one colour, a thousandth of its pixels large; `written`: rows that it has, if not all."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    packer, rows = zlib.compressobj(9), bytes(1 + width)
    body = b"".join(packer.compress(rows) for _ in range(height if written is None else written)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def tiled_tiff(side: int) -> bytes:
    """A TIFF of one colour in compressed strips."""
    return encoded(Image.new("L", (side, side), 77), "TIFF", compression="tiff_adobe_deflate")


@cache
def flat() -> Image.Image:
    """A picture of one colour."""
    return Image.fromarray(np.full((2000, 3000, 3), 99, np.uint8))


@cache
def avif() -> bytes:
    return encoded(flat(), "AVIF", quality=10)


# the files, by what is wrong with them; some take long to make: only the test that reads one makes it
HOSTILE: dict[str, Callable[[], bytes]] = {
    "progressive JPEG of 700 passes": lambda: many_passes(4000, 700),
    "progressive JPEG of 5,000 passes": lambda: many_passes(1000, 5000),
    "PNG of 190 megapixels": lambda: bomb_png(19_000, 10_000),
    "PNG of 900 megapixels": lambda: bomb_png(30_000, 30_000, 10),
    "TIFF of 144 megapixels": lambda: tiled_tiff(12_000),
    "AVIF that is cut off": lambda: avif()[: len(avif()) // 2],
    "AVIF": avif,
    "TIFF whose directory is its own next": lambda: (
        b"II*\0\x08\0\0\0" + b"\x01\0" + b"\0\x01\x03\0\x01\0\0\0\x10\0\0\0" + b"\x08\0\0\0"
    ),
    "GIF of many frames": lambda: encoded(flat().convert("P"), "GIF", save_all=True, append_images=[flat().convert("P")] * 3),
    "WebP that is cut off": lambda: encoded(flat(), "WEBP")[:300],
    "JPEG of nothing but marks": lambda: b"\xff\xd8" + b"\xff\xda" * 10_000,
}
