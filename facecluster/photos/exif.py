"""What EXIF says about a photo: how it is turned upright, and when it was taken."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from facecluster.photos.dates import FIRST_YEAR, UNSET, believed, days_created

_ORIENTATION, _EXIF_IFD, _TAKEN, _DIGITIZED, _CHANGED = 0x0112, 0x8769, 0x9003, 0x9004, 0x0132
_INTEROP_IFD, _INTEROP_INDEX, _ADOBE_RGB = 0xA005, 1, "R03"  # EXIF 2.32, section 4.6.8: the optional colour space of DCF
_Method = Image.Transpose
# EXIF 2.32, section 4.6.4: the operation that turns a picture of each orientation upright
_UPRIGHT = {
    2: _Method.FLIP_LEFT_RIGHT,
    3: _Method.ROTATE_180,
    4: _Method.FLIP_TOP_BOTTOM,
    5: _Method.TRANSPOSE,
    6: _Method.ROTATE_270,
    7: _Method.TRANSVERSE,
    8: _Method.ROTATE_90,
}
_INVERSE = {6: 8, 8: 6}  # the other orientations are their own inverses


def turn(picture: Image.Image, orientation: int, *, turned: int = 1) -> Image.Image:
    """Turn a picture upright that is stored in an orientation (1 to 8) and was already turned by its decoder as `turned` says."""
    if orientation == turned:
        return picture
    for step in (_INVERSE.get(turned, turned), orientation):
        picture = picture.transpose(_UPRIGHT[step]) if step in _UPRIGHT else picture
    return picture


def read_exif(image: ImageFile.ImageFile) -> tuple[int, datetime | None]:
    """Orientation (a container's goes first) and time; 1 and None if EXIF is missing, damaged or out of bounds, or not believed."""
    orientation: Any = 1
    try:
        if isinstance(image, JpegImageFile) and "exif" not in image.info:  # cameras that write no second zero, or begin with a length
            found = next((m for _, s in image.applist if (m := re.match(rb"[\s\S]{0,4}Exif\0[\s\S](?=II|MM)", s))), None)
            if found:
                image.info["exif"] = b"Exif\0\0" + found.string[found.end() :]
        exif = image.getexif()
        orientation = exif.get(_ORIENTATION)
        inner = exif.get_ifd(_EXIF_IFD)
        dates = [_date(d) for d in (inner.get(_TAKEN), inner.get(_DIGITIZED), exif.get(_CHANGED))]
        if str(exif.get_ifd(_INTEROP_IFD).get(_INTEROP_INDEX)).strip("\0 ") == _ADOBE_RGB:
            image.info["adobe_rgb"] = True
    except Exception:  # noqa: BLE001  corrupt EXIF raises nearly any exception
        dates = []
    if isinstance(orientation, bytes) and len(orientation) == 1:  # some programs state it as a byte
        orientation = orientation[0]
    orientation = image.info.get("container_orientation") or orientation
    if not isinstance(orientation, int) or not 1 <= orientation <= 8:
        orientation = 1
    taken = next((d for d in dates if d is not None), None)
    return orientation, believed(taken, created=days_created(image.info) if taken and taken.date() in UNSET else frozenset())


def _date(text: object) -> datetime | None:
    """EXIF's "2021:05:06 07:08:09" (or other separators); None for anything else, and for the year 0 of an unset clock."""
    found = re.match(r"\s*(\d{4})\D(\d{2})\D(\d{2})\D(\d{2})\D(\d{2})\D(\d{2})", text) if isinstance(text, str) else None
    if not found:
        return None
    try:
        date = datetime(*(int(n) for n in found.groups()))  # type: ignore[arg-type]
    except ValueError:
        return None
    return date if date.year >= FIRST_YEAR else None
