"""Convert pixels of any mode (palettes, 16 bits, floats, CMYK, Lab, transparency) and of any stated colours to plain sRGB.

What a file says about its colours counts in this order: numbers of high dynamic range, a colour profile, other numbers. A profile is
judged by what it does to colours, never by its name.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from facecluster.photos.colour_numbers import ADOBE_RGB, HLG, PQ, Colours, convert, of_cicp, of_png

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_SAME = 2  # of 255: a profile that changes no colour by more is taken for sRGB, which costs nothing
_BRIGHTEST = 16.0  # of floats whose white is 1
_AT_ONCE = 1 << 22  # pixels that are converted at once
_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # of Pillow for ICC.1's colour spaces


def to_rgb(image: ImageFile.ImageFile, size: tuple[int, int] | None = None, *, factor: int = 1) -> Image.Image:
    """Convert any mode to sRGB at `size`, or with both sides divided by `factor` (rounded up), which costs a tenth of that.

    Resizes first, so that fewer pixels are converted.
    """
    picture: Image.Image = image
    if picture.mode.startswith("I") or picture.mode == "F":
        values, key = np.asarray(picture), picture.info.get("transparency")
        picture = Image.fromarray(_to_8_bits(values))
        if isinstance(key, int):
            picture.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    mode = picture.mode
    if picture.has_transparency_data:
        mode = "LA" if mode in {"1", "L", "LA", "La"} else "RGBA"
    elif mode in {"P", "1"}:
        mode = "RGB" if mode == "P" else "L"
    if size is None and factor > 1:
        picture = _reduce(picture, mode, factor)
    elif mode != picture.mode:
        picture = picture.convert(mode)
    if size is not None and picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if picture.mode == "CMYK" and isinstance(image, JpegImageFile) and "adobe" not in image.info:
        picture = ImageChops.invert(picture)  # Pillow assumes Adobe's inverted inks for every CMYK JPEG
    alpha = picture.getchannel("A") if picture.mode in {"LA", "RGBA"} else None
    picture = _to_srgb(picture.convert(picture.mode[:-1]) if alpha else picture, image.info)
    if alpha:
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=alpha)
        return white
    return picture


def _reduce(picture: Image.Image, mode: str, factor: int) -> Image.Image:
    """`picture.convert(mode).reduce(factor)`, some rows at a time: the same pixels, in a third of the memory."""
    width, height = picture.size
    out = Image.new(mode, (-(-width // factor), -(-height // factor)))
    rows = max(_AT_ONCE // width // factor, 1) * factor
    for top in range(0, height, rows):
        band = picture.crop((0, top, width, min(top + rows, height)))
        out.paste((band if mode == band.mode else band.convert(mode)).reduce(factor), (0, top // factor))
    return out


def _to_srgb(picture: Image.Image, info: dict[Any, Any]) -> Image.Image:
    """Apply what a file says about its colours; nothing if that is missing, damaged or for another colour space than the pixels."""
    if picture.mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        return ImageCms.profileToProfile(picture, lab, SRGB, outputMode="RGB") or picture
    numbers, profile = info.get("cicp"), info.get("icc_profile")
    numbers = numbers or (_cicp_in(profile) if profile else None)
    if picture.mode in {"RGB", "L"} and numbers and numbers[1] in {PQ, HLG}:
        return convert(picture.convert("RGB"), of_cicp(*numbers))
    space, transform = _transform(profile) if profile else (None, None)
    if space == "RGB" and picture.mode == "L":
        picture = picture.convert("RGB")
    if space == picture.mode:
        return transform.apply(picture) if transform else _in_mode_rgb(picture)
    colours = _stated_numbers(info) if picture.mode in {"RGB", "L"} else None
    picture = _in_mode_rgb(picture)
    return convert(picture, colours) if colours else picture


def _in_mode_rgb(picture: Image.Image) -> Image.Image:
    """`convert` copies, even if it changes nothing."""
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _stated_numbers(info: dict[Any, Any]) -> Colours | None:
    """Colours other than sRGB that a file states without a profile."""
    if info.get("cicp"):
        primaries, transfer = info["cicp"]
        return None if primaries in {1, 2} and transfer in {2, 13} else of_cicp(primaries, transfer)
    if info.get("adobe_rgb"):
        return ADOBE_RGB
    gamma, xy = info.get("gamma"), info.get("chromaticity")
    if "srgb" in info or not isinstance(gamma, float) or not 0.1 < gamma < 10:
        return None
    if abs(gamma - 0.45455) < 0.005:
        # PNG's writers state sRGB by this gamma and by sRGB's chromaticities
        plain = not xy or np.abs(np.subtract(xy, (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06))).max() < 0.005
        return None if plain else Colours(of_png(gamma, xy).primaries)
    return of_png(gamma, xy)


def _cicp_in(profile: bytes) -> tuple[int, int] | None:
    """Primaries and transfer characteristics of a profile's `cicp` tag (ICC.1:2022, section 10.3); None without one."""
    for at in range(132, 132 + 12 * min(int.from_bytes(profile[128:132]), 100), 12):
        if profile[at : at + 4] == b"cicp":
            start = int.from_bytes(profile[at + 4 : at + 8])
            tag = profile[start : start + 12]
            return (tag[8], tag[9]) if len(tag) == 12 and tag[:4] == b"cicp" else None
    return None


@lru_cache(maxsize=16)
def _transform(profile: bytes) -> tuple[str | None, ImageCms.ImageCmsTransform | None]:
    """Pillow's mode for the pixels of a profile, and its way to sRGB: None if that changes nothing. (None, None) for a damaged one."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES.get((source.profile.xcolor_space or "").ljust(4))
        if mode is None:
            return None, None
        transform = ImageCms.buildTransform(source, SRGB, mode, "RGB")
        if mode == "RGB":
            grid = np.stack(np.meshgrid(*[np.linspace(0, 255, 9)] * 3), axis=-1).reshape(-1, 27, 3)
            probe = Image.fromarray(grid.astype(np.uint8))
        else:
            probe = Image.linear_gradient("L")
        done = transform.apply(probe)
        changed = mode == "CMYK" or np.abs(np.asarray(done, int) - np.asarray(probe.convert("RGB"), int)).max() > _SAME
        return mode, transform if changed else None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None, None


def _to_8_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale grey values of 16 or 32 bits, or floats, to 0 to 255, by the smallest usual range that contains the brightest value.

    Scanners and cameras store 10, 12 or 14 bits in 16, so those ranges are tried too. Floats have the range 0 to 1, with a little above it
    after resampling or for highlights, or one of the integer ranges. Values that fit none of these (32 bits, negative values) are stretched
    from the darkest to the brightest.
    """
    rows = max(_AT_ONCE // max(values.shape[1], 1), 1)
    bands = [values[top : top + rows] for top in range(0, len(values), rows)]  # as float64, all would take 8 bytes a pixel, twice
    low, high = min(float(_finite(band).min()) for band in bands), max(float(_finite(band).max()) for band in bands)
    is_share = values.dtype.kind == "f" and high < _BRIGHTEST
    top = 1.0 if is_share else next((2.0**bits - 1 for bits in (8, 10, 12, 14, 16) if high < 2**bits), 0.0)
    zero = 0.0
    if low < 0 or not top:
        zero, top = low, (high - low) or 1.0
    out = np.empty(values.shape, np.uint8)
    for band, part in zip(bands, (out[top_row : top_row + rows] for top_row in range(0, len(values), rows)), strict=True):
        part[...] = np.rint(((_finite(band) - zero) * (255 / top)).clip(0, 255))
    return out


def _finite(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
