"""Kinds of pictures that are rare and were read wrongly: cut in the container, transparent by one colour, EXIF with odd marks."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from heif_writer import box, turned, write_heif
from numpy.typing import NDArray
from PIL import Image
from test_colours import tiff
from test_images import coded, distance, gradient

from facecluster.errors import PhotoError
from facecluster.photos.exif import turn
from facecluster.photos.images import open_photo


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", [1, 5, 6])
def test_a_clean_aperture_cuts_the_picture(kind: str, orientation: int) -> None:
    """64 x 40 px, 8 px left and 4 px below the middle, before the picture is turned."""
    upright = turn(gradient().crop((40, 44, 104, 84)), orientation)
    aperture = box(b"clap", struct.pack(">8i", 64, 1, 40, 1, -8, 1, 4, 1))
    photo = open_photo(write_heif(gradient(), kind, aperture, *turned(orientation)))
    assert (photo.width, photo.height) == upright.size
    assert distance(photo.pixels, upright) < 3
    small = open_photo(write_heif(gradient(), kind, aperture, *turned(orientation)), max_side=32)
    assert max(small.pixels.shape) == 32 and small.scale == 0.5


@pytest.mark.parametrize("aperture", [(64, 0, 40, 1, 0, 1, 0, 1), (900, 1, 40, 1, 0, 1, 0, 1), (64, 1, 40, 1, -500, 1, 0, 1), (0,) * 8])
def test_an_aperture_that_is_none_is_passed_over(aperture: tuple[int, ...]) -> None:
    photo = open_photo(write_heif(gradient(), "AVIF", box(b"clap", struct.pack(">8i", *aperture))))
    assert (photo.width, photo.height) == gradient().size


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(pixels: NDArray[np.uint16], bits: int, transparent: tuple[int, ...]) -> bytes:
    """Pixels (h, w) or (h, w, 3) of 2, 4 or 16 bits as PNG, with a transparent colour."""
    height, width = pixels.shape[:2]
    rows = [
        row.astype(">u2").tobytes() if bits == 16 else np.packbits((row[:, None] >> np.arange(bits)[::-1]) & 1).tobytes() for row in pixels
    ]
    head = struct.pack(">IIBBBBB", width, height, bits, 0 if pixels.ndim == 2 else 2, 0, 0, 0)
    key = struct.pack(f">{len(transparent)}H", *transparent)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"tRNS", key) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [2, 4, 16])
def test_a_transparent_grey(bits: int) -> None:
    top = 2**bits - 1
    pixels = (np.arange(16 * 16).reshape(16, 16) % 4 * (top // 3)).astype(np.uint16)
    expected = np.where(pixels == top // 3, 255, pixels * 255.0 / top)[..., None].repeat(3, 2)
    assert distance(open_photo(_png(pixels, bits, (top // 3,))).pixels, expected.astype(np.uint8)) < 1


def test_a_transparent_colour_of_16_bits() -> None:
    pixels = np.full((8, 8, 3), 0x1234, np.uint16)
    pixels[4:] = 0x8765
    shown = open_photo(_png(pixels, 16, (0x1234,) * 3)).pixels
    assert (shown[:4] == 255).all() and (shown[4:] == 0x87).all()


@pytest.mark.parametrize("mark", [b"Exif\0\0", b"Exif\0\xff", b"\0\0\0\0Exif\0\0"])
@pytest.mark.parametrize("kind", [1, 3, 4])  # a byte, 16 bits, 32 bits
def test_odd_exif(mark: bytes, kind: int) -> None:
    """As some cameras write it (seen by exiftool's author); a byte in place of 16 bits as well."""
    body = mark + b"MM\0*" + struct.pack(">IHHHI", 8, 1, 0x112, kind, 1) + {1: b"\6\0\0\0", 3: b"\0\6\0\0", 4: b"\0\0\0\6"}[kind] + bytes(4)
    data = coded(gradient().transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95)
    photo = open_photo(data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:])
    assert photo.orientation == 6 and distance(photo.pixels, gradient()) < 3


@pytest.mark.parametrize(("pixels", "options", "found"), [
    (np.zeros((8, 8, 3), np.float32), {}, "3 samples of 32 bits, photometric interpretation 2, floats"),
    (np.zeros((8, 8, 3), np.uint32), {"compression": "lzw"}, "3 samples of 32 bits, photometric interpretation 2 "),
    (np.zeros((8, 8, 3), np.uint8), {"bigtiff": True, "byteorder": ">"}, "a big-endian BigTIFF"),
])  # fmt: skip
def test_kinds_of_tiff_that_are_refused(pixels: NDArray[np.generic], options: dict[str, object], found: str) -> None:
    with pytest.raises(PhotoError, match=f"expected a kind of TIFF that can be read, found {found}") as error:
        open_photo(tiff(pixels, photometric="rgb", **options))
    assert "damaged" not in str(error.value)


@pytest.mark.parametrize(("place", "value", "found"), [
    (1, 0xC3, "found a lossless one"), (1, 0xC5, "found a hierarchical one"), (1, 0xF7, "found a JPEG-LS one"),
    (4, 12, "found one of 12 bits a channel"), (9, 2, "found one of 2 channels"),
])  # fmt: skip
def test_a_jpeg_of_a_rare_kind_is_called_what_it_is(place: int, value: int, found: str) -> None:
    """The frame header of a JPEG states another kind; that of a thumbnail in its EXIF does not count."""
    thumbnail = coded(gradient(), "JPEG", quality=20)
    data = bytearray(coded(gradient(), "JPEG"))
    data[2:2] = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2) + thumbnail
    start = data.index(b"\xff\xc0", len(thumbnail))
    data[start + place] = value
    with pytest.raises(PhotoError, match=found):
        open_photo(bytes(data))


def test_a_damaged_jpeg_of_the_usual_kind_is_called_damaged() -> None:
    data = coded(gradient(), "JPEG")
    with pytest.raises(PhotoError, match="truncated or damaged"):
        open_photo(data[: len(data) // 4])
