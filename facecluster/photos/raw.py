"""RAW photos of cameras through rawpy (MIT, with LibRaw, LGPL-2.1 or CDDL): the extra `raw`.

A RAW file is not developed if its camera put a large enough JPEG into it: that is what the photographer saw, and it costs a tenth. Else it
is developed at half its size. Files are told from TIFF photos by their content, since most kinds of RAW are TIFF files: some picture in
them is a colour filter array. Odd inputs: a damaged preview leads to developing; what LibRaw can't read raises PhotoError.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from facecluster.errors import PhotoError
from facecluster.photos import extras
from facecluster.photos.dates import believed

MIN_PREVIEW = 1600  # px of its longest side from which a preview is used; a smaller one from half the size of the photo on
MAX_PIXELS = 200_000_000  # of the sensor
_SIGNATURES = re.compile(
    rb"(II\*\0|MM\0\*)[\s\S]{4}CR"  # CR2
    rb"|[\s\S]{4}ftypcrx "  # CR3
    rb"|FUJIFILMCCD-RAW|IIRO|IIRS|MMOR|IIU\0|FOVb|\0MRM|IIII|(II|MM)[\s\S]{4}HEAPCCDR"  # RAF, ORF, RW2, X3F, MRW, IIQ, CRW
)
_PHOTOMETRIC, _SUB_IFDS, _DNG_VERSION = 262, 330, 50706
_SENSOR = {32803, 34892}  # colour filter array, linear raw: DNG 1.7, chapter 4, PhotometricInterpretation
_MAX_DIRECTORIES = 20
# LibRaw's flip: 1 mirrors left and right, 2 mirrors top and bottom, 4 swaps the axes before
_ORIENTATION = {0: 1, 1: 2, 3: 3, 2: 4, 4: 5, 6: 6, 7: 7, 5: 8}


@dataclass(frozen=True, slots=True)
class RawPicture:
    """The picture that stands for a RAW photo."""

    data: bytes  # a JPEG or BMP file
    width: int  # px of the full upright photo
    height: int  # px of the full upright photo
    orientation: int  # EXIF's number that turns the picture upright
    taken_at: datetime | None  # by the camera's clock


def is_raw(data: bytes) -> bool:
    """Whether these bytes are a RAW photo, by their signature or the directories of a TIFF file."""
    if _SIGNATURES.match(data):
        return True
    return any(_DNG_VERSION in d or d.get(_PHOTOMETRIC) in _SENSOR for d in _directories(data))


def _directories(data: bytes) -> Iterator[ImageFileDirectory_v2]:
    """The directories of a TIFF file that can be read: the chain and what it points to."""
    if data[:4] not in (b"II*\0", b"MM\0*") or len(data) < 8:
        return
    file = io.BytesIO(data)
    waiting, seen = [ImageFileDirectory_v2(data[:8]).next], set[int]()
    while waiting and len(seen) < _MAX_DIRECTORIES:
        at = waiting.pop(0)
        if not at or at in seen:
            continue
        seen.add(at)
        try:
            directory = ImageFileDirectory_v2(data[:8])
            file.seek(at)
            directory.load(file)
            inner = directory.get(_SUB_IFDS, ())
            waiting += [*(inner if isinstance(inner, tuple) else (inner,)), directory.next]
            yield directory
        except Exception:  # noqa: BLE001  damaged directories raise nearly anything
            continue


def read_raw(data: bytes) -> RawPicture:
    """The picture of a RAW photo: its preview or, without a large enough one, the photo developed at half its size.

    Raises:
        PhotoError: rawpy is not installed, or the photo is too large.
        Exception: whatever rawpy raises on damaged files.
    """
    rawpy = extras.load(extras.RAW)
    with rawpy.imread(io.BytesIO(data)) as raw:
        sizes = raw.sizes
        width, height = sizes.width, sizes.height
        if max(sizes.raw_width * sizes.raw_height, width * height) > MAX_PIXELS:
            found = f"{sizes.raw_width} x {sizes.raw_height}"
            raise PhotoError(f"expected a photo of at most {MAX_PIXELS // 1_000_000} megapixels, found one of {found}")
        orientation = _ORIENTATION.get(sizes.flip, 1)
        preview = _preview(rawpy, raw)
        taken_at = raw.other.timestamp
        if preview is None or max(preview[1:]) < min(MIN_PREVIEW, max(width, height) / 2):
            pixels = raw.postprocess(half_size=True, use_camera_wb=True, user_flip=0)
            preview = _bitmap(pixels), pixels.shape[1], pixels.shape[0]
    picture, w, h = preview
    turned = orientation >= 5
    if turned and (w > h) != (width > height) and w != h:  # the camera turned its preview already
        orientation, turned, width, height = 1, False, height, width
    alike = abs(w * height - h * width) <= .02 * w * height
    if not alike or max(w, h) >= .9 * max(width, height):
        width, height = w, h  # the camera's own cut of the sensor's pixels
    return RawPicture(picture, *((height, width) if turned else (width, height)), orientation, _local_time(taken_at))


def _preview(rawpy: Any, raw: Any) -> tuple[bytes, int, int] | None:
    """The largest preview that LibRaw finds in a file, with its width and height; None if there is none that can be read."""
    try:
        found = raw.extract_thumb()
        if found.format == rawpy.ThumbFormat.JPEG:
            return found.data, *JpegImageFile(io.BytesIO(found.data)).size
        return _bitmap(found.data), found.data.shape[1], found.data.shape[0]
    except Exception:  # noqa: BLE001  LibRaw's errors, and those of Pillow on damaged previews
        return None


def _bitmap(pixels: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "BMP")
    return out.getvalue()


def _local_time(at: datetime | None) -> datetime | None:
    """The camera's clock: LibRaw takes it for the time of this machine's zone."""
    return None if at is None or at.timestamp() <= 0 else believed(at.astimezone().replace(tzinfo=None, microsecond=0))
