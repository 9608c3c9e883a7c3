"""Convert pixels of any mode (palettes, 16 bits, floats, CMYK, Lab, transparency, colour profiles) to plain sRGB."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def to_rgb(image: ImageFile.ImageFile, size: tuple[int, int] | None = None, *, factor: int = 1) -> Image.Image:
    """Convert any mode to sRGB at `size`, or with both sides divided by `factor` (rounded up), which costs a tenth of that.

    Resizes first, so that fewer pixels are converted.
    """
    picture: Image.Image = image
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
    elif picture.mode == "P":
        picture = picture.convert("RGB")
    elif picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode.startswith("I") or picture.mode == "F":
        picture = Image.fromarray(_to_8_bits(np.asarray(picture)))
    if size is None:
        picture = picture.reduce(factor) if factor > 1 else picture
    elif picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if picture.mode == "CMYK" and isinstance(image, JpegImageFile) and "adobe" not in image.info:
        picture = ImageChops.invert(picture)  # Pillow assumes Adobe's inverted inks for every CMYK JPEG
    alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
    picture = _to_srgb(picture.convert("RGB") if alpha else picture, image.info.get("icc_profile"))
    if alpha:
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=alpha)
        return white
    return picture


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Apply a colour profile. If it is missing, damaged or for another colour space than the pixels, convert without it."""
    if picture.mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        return ImageCms.profileToProfile(picture, lab, SRGB, outputMode="RGB") or picture
    if profile and picture.mode in {"RGB", "CMYK"}:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in (source.profile.profile_description or ""):
                return ImageCms.profileToProfile(picture, source, SRGB, outputMode="RGB") or picture
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    return picture.convert("RGB")


def _to_8_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale grey values of 16 or 32 bits, or floats, to 0 to 255, by the smallest usual range that contains the brightest value.

    Scanners and cameras store 10, 12 or 14 bits in 16, so those ranges are tried too. Floats have the range 0 to 1 or one of the integer
    ranges. Values that fit none of these (32 bits, negative values) are stretched from the darkest to the brightest.
    """
    v = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = float(v.min()), float(v.max())
    top = 1.0 if values.dtype.kind == "f" and high <= 1 else next((2.0**bits - 1 for bits in (8, 10, 12, 14, 16) if high < 2**bits), 0.0)
    if low < 0 or not top:
        v, top = v - low, (high - low) or 1.0
    return np.asarray(np.rint(v * (255 / top)), dtype=np.uint8)
