"""Open any photo upright and reduced, and encode aligned faces for the store.

For any bytes, `open_photo` returns a Photo or raises PhotoError with one line; it emits no warning and raises no other exception. An
animation gives its first frame, transparent pixels become white, colour profiles are converted to sRGB. A photo with corrupt EXIF is
opened all the same.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import struct
import threading
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from facecluster.errors import PhotoError, StoreError
from facecluster.photos.archives.opened import open_member, read_member
from facecluster.photos.archives.uris import Range, split_member
from facecluster.photos.colours import to_rgb
from facecluster.photos.decode_process import CanNotStart, decode
from facecluster.photos.exif import read_exif, turn
from facecluster.photos.files import local_path as local_path
from facecluster.photos.files import open_plain, read_plain
from facecluster.photos.heic import AvifPhotoFile, HeicImageFile
from facecluster.photos.jpeg import unread_kind
from facecluster.photos.jpeg2000 import Jpeg2000PhotoFile
from facecluster.photos.jxl import JxlImageFile
from facecluster.photos.png import PngPhotoFile
from facecluster.photos.raw import is_raw, read_raw
from facecluster.photos.silence import silence_warnings
from facecluster.photos.tiff import TiffPhotoFile

MAX_PIXELS = 200_000_000  # of a photo: about 1 GB of memory while it is decoded
LARGE = 50_000_000  # pixels that are decoded: photos of more are decoded one at a time, whatever the threads of a process
_ONE_LARGE = threading.Lock()
MAX_PIXELS_AVIF = 80_000_000  # of an AVIF, which takes 10 to 17 bytes a pixel while it is decoded
MAX_PIXELS_JPEG = 500_000_000  # of a baseline JPEG, which can be decoded at 1/8 of its sides
STORED_FORMATS = ("WEBP", "JPEG", "PNG")  # of pictures in a store
STORED_SIDE = 1024  # px, of pictures in a store at most
SCANS = 16  # of a JPEG that is not large and is decoded in this process; programs write some ten of a progressive one
_BOUNDED = (JpegImageFile, PngPhotoFile, WebPImageFile, GifImageFile, BmpImageFile)  # one pass over the pixels
_EXIF_AT_END = (PngImageFile, JxlImageFile)  # known only when the pixels are
_MAGIC: tuple[tuple[bytes, type[ImageFile.ImageFile]], ...] = (
    (rb"\xff\xd8\xff", JpegImageFile),
    (rb"\x89PNG\r\n\x1a\n", PngPhotoFile),
    (rb"RIFF[\s\S]{4}WEBP", WebPImageFile),
    (rb"II[*+]\0|MM\0[*+]", TiffPhotoFile),
    (rb"GIF8[79]a", GifImageFile),
    (rb"BM", BmpImageFile),
    (rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n", Jpeg2000PhotoFile),
    (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", JxlImageFile),
)


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A photo, upright."""

    pixels: NDArray[np.uint8]  # (h, w, 3) RGB, 0 to 255, reduced as `open_photo` was told
    width: int  # px of the full upright photo
    height: int  # px of the full upright photo
    scale: float  # px of `pixels` a px of the full photo, above 0, at most 1
    format: str  # JPEG, PNG, WEBP, TIFF, GIF, AVIF, HEIF, BMP, JPEG2000, JXL, RAW
    orientation: int  # that turned the stored picture upright, as EXIF numbers them, 1 to 8; `pixels` are upright
    taken_at: datetime | None  # by the camera's clock, without time zone


def open_file(uri: str) -> BinaryIO:
    """Open a file for reading, by its path, `file:` URI or fsspec URL, or a member of an archive.

    Raises:
        PhotoError: it can't be read.
    """
    member = split_member(uri)
    return open_plain(uri) if member is None else open_member(*member)


def read_file(uri: str, at: Range | None = None) -> bytes:
    """The bytes of a file, by its path, `file:` URI or fsspec URL, or of a member of an archive; `at`: where that lies, if it is known.

    Raises:
        PhotoError: it can't be read.
    """
    member = split_member(uri)
    return read_plain(uri) if member is None else read_member(*member, at)


def content_id(data: bytes) -> str:
    """SHA-256 of a file's bytes: 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def open_photo(data: bytes, *, max_side: int = 1600, min_short: int = 0, exact: bool = True, orientation: int | None = None) -> Photo:
    """Decode a photo from a file's bytes.

    Args:
        data: the bytes of the file.
        max_side: the longest side of the result, px.
        min_short: px below which the short side of a long photo is not reduced; its longest side then exceeds `max_side`.
        exact: False: reduce by whole factors only, which costs a tenth. The longest side is then less than twice what it would be.
        orientation: EXIF's number, 1 to 8, to be used in place of the file's own; None: the file's own.

    Raises:
        PhotoError: the bytes are no photo, or a damaged one, or one that is too large to decode, or takes too long.
    """
    if not is_bounded(data):
        options = {"max_side": max_side, "min_short": min_short, "exact": exact, "orientation": orientation}
        with suppress(CanNotStart):
            found, pixels = decode(data, options, _ONE_LARGE)
            taken_at = found.pop("taken_at")
            return Photo(pixels, taken_at=taken_at and datetime.fromisoformat(taken_at), **found)
    return open_here(data, max_side=max_side, min_short=min_short, exact=exact, orientation=orientation)


def is_bounded(data: bytes) -> bool:
    """Whether the time to decode a photo is bounded by the pixels of one that is not large: by its format, its passes and its size."""
    try:
        with silence_warnings():
            if is_raw(data):
                return False
        decoder = _decoder_for(data)
        scans = data.count(b"\xff\xda") if decoder is JpegImageFile else 1
        if decoder is JpegImageFile and scans == 1:
            return True
        if decoder not in _BOUNDED or scans > SCANS:
            return False
        with silence_warnings():
            return math.prod(decoder(io.BytesIO(data)).size) <= LARGE
    except Exception:  # it is damaged, which is said where it is decoded
        return True


def open_here(
    data: bytes, *, max_side: int, min_short: int, exact: bool, orientation: int | None, large: AbstractContextManager[Any] | None = None
) -> Photo:  # fmt: skip
    """As `open_photo`, in this process; `large` is entered while a large photo is decoded."""
    name = "RAW"
    given = max_side, min_short, exact, orientation, large or _ONE_LARGE
    try:
        with silence_warnings():
            if is_raw(data):
                return _open_raw(data, *given)
            decoder = _decoder_for(data)
            name = str(decoder.format)
            return _decode(decoder(io.BytesIO(data)), *given)
    except PhotoError:
        raise
    except MemoryError as e:
        raise PhotoError("expected a photo that fits in memory, found one that does not") from e
    except Exception as e:  # decoders raise OSError, SyntaxError, ValueError, struct.error, RuntimeError, EOFError, ... on damaged files
        if name == "JPEG" and (kind := unread_kind(data)):
            raise PhotoError(f"expected a JPEG photo of the usual kind, 8 bits a channel, found {kind}: save it as a usual one") from e
        reason = " ".join(str(e).split())[:200] or type(e).__name__
        raise PhotoError(f"expected a whole {name} photo, found a truncated or damaged one: {reason}") from e


def _open_raw(
    data: bytes, max_side: int, min_short: int, exact: bool, stated: int | None, large: AbstractContextManager[Any]
) -> Photo:  # fmt: skip
    raw = read_raw(data)
    orientation = stated or raw.orientation
    photo = _decode(_decoder_for(raw.data)(io.BytesIO(raw.data)), max_side, min_short, exact, orientation, large)
    width, height = (raw.width, raw.height) if (orientation >= 5) == (raw.orientation >= 5) else (raw.height, raw.width)
    scale = min(1.0, max(photo.pixels.shape) / max(width, height))
    taken_at = raw.taken_at or photo.taken_at
    return replace(photo, width=width, height=height, scale=scale, format="RAW", orientation=orientation, taken_at=taken_at)


def is_photo(head: bytes) -> bool:
    """Whether a file begins like a photo; `head`: its first 256 bytes, or more."""
    try:
        return bool(_decoder_for(head))
    except PhotoError:
        return False


def _decoder_for(data: bytes) -> type[ImageFile.ImageFile]:
    """The decoder for these bytes, by their signature. Not Image.open, which refuses large photos before they can be reduced."""
    if not data:
        raise PhotoError("expected a photo, found an empty file")
    if data[4:8] == b"ftyp":
        brands = data[8 : min(int.from_bytes(data[:4]), 256)]
        if b"avif" in brands or b"avis" in brands:
            return AvifPhotoFile
        if re.match(rb"hei[cxms]|hev[cxms]|mif1|msf1", brands):
            return HeicImageFile
    for magic, decoder in _MAGIC:
        if re.match(magic, data):
            return decoder
    raise PhotoError("expected a photo (JPEG, PNG, WebP, TIFF, GIF, AVIF, HEIC, BMP, JPEG 2000, JPEG XL, RAW), found something else")


def _decode(
    image: ImageFile.ImageFile, max_side: int, min_short: int, exact: bool, stated: int | None, large: AbstractContextManager[Any]
) -> Photo:  # fmt: skip
    width, height = image.size
    max_side = max(max_side, math.ceil(min_short * max(width, height) / max(1, min(width, height))))
    limit = MAX_PIXELS
    if isinstance(image, JpegImageFile):
        if "progressive" not in image.info:  # a progressive JPEG is decoded whole at any scale, 2 bytes a coefficient
            limit = MAX_PIXELS_JPEG
        if max(width, height) > max_side:
            share = max_side / max(width, height)
            image.draft(None, (max(1, math.ceil(width * share)), max(1, math.ceil(height * share))))
    elif isinstance(image, Jpeg2000PhotoFile):
        image.reduce_to(max_side)
    elif isinstance(image, AvifPhotoFile):
        limit = MAX_PIXELS_AVIF
    if width * height > limit:
        raise PhotoError(f"expected a photo of at most {limit // 1_000_000} megapixels, found one of {width} x {height}")
    with large if math.prod(image.size) > LARGE else nullcontext():
        return _load(image, (width, height), max_side, exact, stated)


def _load(image: ImageFile.ImageFile, size: tuple[int, int], max_side: int, exact: bool, stated: int | None) -> Photo:
    width, height = size  # before a draft
    orientation, taken_at = (1, None) if isinstance(image, _EXIF_AT_END) else read_exif(image)
    image.load()
    if isinstance(image, HeicImageFile | AvifPhotoFile):
        width, height = image.size
    if isinstance(image, _EXIF_AT_END):
        orientation, taken_at = read_exif(image)
    turned = orientation if isinstance(image, TiffPhotoFile) else image.info.get("applied_orientation", 1)
    orientation = stated or orientation
    full = max(width, height)
    share = min(1.0, max_side / full)
    if exact:
        rgb = to_rgb(image, (max(1, round(width * share)), max(1, round(height * share))))
    else:
        rgb = to_rgb(image, factor=max(image.size) // max_side or 1)
    rgb = turn(rgb, orientation, turned=turned)
    if (orientation >= 5) != (turned >= 5):
        width, height = height, width
    name = image.format or "photo"
    return Photo(np.array(rgb), width, height, max(rgb.size) / full, name, orientation, taken_at)


def encode_crop(crop: NDArray[np.uint8]) -> bytes:
    """Encode an aligned face (h, w, 3) as JPEG, with little effect on its vector. Earlier versions wrote WebP.

    Measured on 370 faces (workflows/benchmarks/crops.py): 3,373 bytes, mean cosine to the vector of the unencoded face .9962.
    """
    out = io.BytesIO()
    Image.fromarray(crop).save(out, "JPEG", quality=85, subsampling="4:2:0", optimize=True)
    return out.getvalue()


def decode_crop(data: bytes) -> NDArray[np.uint8]:
    """The pixels (h, w, 3) of an encoded face. Raises StoreError as `open_stored`."""
    return np.array(open_stored(data, "RGB"))


def open_stored(data: bytes, mode: str) -> Image.Image:
    """A small picture from a store, in one of Pillow's modes.

    A store may be somebody else's: only formats are opened that start no other program, and only up to STORED_SIDE px a side.

    Raises:
        StoreError: it is none of these.
    """
    try:
        with silence_warnings(), Image.open(io.BytesIO(data), formats=STORED_FORMATS) as image:
            if max(image.size) > STORED_SIDE:
                raise StoreError(f"expected a picture of at most {STORED_SIDE} px a side in the store, found {image.size}: it is damaged")
            return image.convert(mode)
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as e:  # what Pillow raises
        raise StoreError(f"expected a picture in the store (JPEG or WebP), found {data[:8]!r}...: the store is damaged") from e
