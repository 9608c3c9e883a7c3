"""Faces of a report that others may see: as they are, blurred beyond recognition, or left out."""

from __future__ import annotations

import io
from enum import StrEnum

from PIL import Image

from facecluster.errors import StoreError
from facecluster.photos.images import decode_crop

_BLOCKS = 5  # a side: what is left of a face is 25 colours
_SIDE, _QUALITY = 112, 60


class Faces(StrEnum):
    """How a report shows faces. But for SHOW it shows no photos either."""

    SHOW = "show"
    BLUR = "blur"
    NONE = "none"


def shown(crop: bytes, faces: Faces) -> bytes:
    """A crop as a report shows it; b"" for none. A crop that can't be opened is left out, unless faces are shown."""
    if faces is Faces.SHOW:
        return crop
    if faces is Faces.NONE or not crop:
        return b""
    try:
        small = Image.fromarray(decode_crop(crop)).resize((_BLOCKS, _BLOCKS), Image.Resampling.BOX)
    except StoreError:
        return b""
    out = io.BytesIO()
    small.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(out, "WEBP", quality=_QUALITY)
    return out.getvalue()
