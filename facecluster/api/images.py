"""What a caller gives as a photo, as faces cut out of photos, or as landmarks -> arrays.

A photo is a path, a PIL image or an array (h, w, 3) uint8 RGB. A path and a PIL image are turned upright by their EXIF orientation (a
path by that of its sidecar, if it has one), and their coordinates are px of the upright photo. An array is taken as it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from facecluster.errors import ArgumentError, PhotoError
from facecluster.geometry import CROP
from facecluster.photos.colours import to_rgb
from facecluster.photos.images import local_path, open_photo, read_file
from facecluster.photos.sidecar import sidecar_orientation
from facecluster.photos.video import check_no_video

ImageLike: TypeAlias = "str | os.PathLike[str] | Image.Image | NDArray[np.uint8]"
CropsLike: TypeAlias = "NDArray[np.uint8] | Sequence[Image.Image | NDArray[np.uint8]]"
_IMAGE = "a photo (its path, a PIL image, or an array (h, w, 3) uint8 RGB)"
_CROPS = f"aligned faces (n, {CROP}, {CROP}, 3) uint8 RGB, or a list of such PIL images"


@dataclass(frozen=True, slots=True)
class Pixels:
    """A photo, upright."""

    array: NDArray[np.uint8]  # (h, w, 3) RGB
    scale: float = 1.0  # px of `array` to px of the photo


def as_pixels(image: ImageLike, *, max_side: int) -> Pixels:
    """The pixels of a photo. A file is reduced to `max_side` px, a long photo less, as `facecluster run` does it; others are not.

    Raises:
        ArgumentError: it is none of these.
        PhotoError: the file is no photo, or damaged.
    """
    if isinstance(image, (str, os.PathLike)):
        return _read(os.fspath(image), max_side)
    if isinstance(image, Image.Image):
        return Pixels(_from_pil(image, _IMAGE))
    return Pixels(_checked(np.asarray(image), image))


def _read(path: str, max_side: int) -> Pixels:
    if "://" not in path and not os.path.isfile(path) and not path.startswith("file:"):
        found = "a folder" if os.path.isdir(path) else "no file there"
        raise ArgumentError(f"expected {_IMAGE}, found {path!r}, {found}: give the path of one photo")
    try:
        check_no_video(path)
        place = local_path(path)
        stated = None if place is None else sidecar_orientation(place)
        photo = open_photo(read_file(path), max_side=max_side, min_short=max_side // 2, exact=False, orientation=stated)
    except PhotoError as e:
        raise PhotoError(f"{e}, in {path!r}: give another photo") from e
    return Pixels(photo.pixels, photo.scale)


def _from_pil(image: Image.Image, expected: str) -> NDArray[np.uint8]:
    if not image.width or not image.height:
        raise ArgumentError(f"expected {expected}, found a PIL image without pixels: give one with pixels")
    try:
        upright = ImageOps.exif_transpose(image)
        return np.array(to_rgb(upright, upright.size))  # type: ignore[arg-type]
    except (OSError, SyntaxError, ValueError) as e:  # PIL reads the pixels of an opened file only now
        raise PhotoError(f"expected a whole PIL image, found a damaged one: {' '.join(str(e).split())}. Give another photo") from e


def _checked(array: NDArray[Any], given: object) -> NDArray[np.uint8]:
    if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3 and array.size:
        return array
    if array.dtype.kind not in "biuf":
        raise ArgumentError(f"expected {_IMAGE}, found {type(given).__name__}: give one of these")
    raise ArgumentError(f"expected {_IMAGE}, found an array {array.shape} {array.dtype}: {_image_hint(array)}")


def _image_hint(array: NDArray[Any]) -> str:
    if not array.size:
        return "it has no pixels"
    if array.dtype != np.uint8:
        return _dtype_hint(array)
    if array.ndim == 2:
        return "make grey RGB with numpy.stack([image] * 3, axis=-1)"
    if array.ndim == 4:
        return "give one image at a time"
    if array.ndim == 3 and array.shape[2] == 4:
        return "leave out the fourth channel with image[..., :3]"
    if array.ndim == 3 and array.shape[0] == 3:
        return "put the channels last with image.transpose(1, 2, 0)"
    return "give height, width and the three channels"


def _dtype_hint(array: NDArray[Any]) -> str:
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            return "it holds NaN or infinity; give pixels from 0 to 255 as uint8"
        if array.max(initial=0) <= 1:
            return "turn 0 to 1 into 0 to 255 with (255 * array).round().astype('uint8')"
    return "if it holds 0 to 255, convert it with array.astype('uint8')"


def as_crops(crops: CropsLike) -> NDArray[np.uint8]:
    """Aligned faces (n, 112, 112, 3) from an array or from a list of PIL images and arrays; an empty list is n = 0.

    Raises:
        ArgumentError: they are something else.
    """
    if isinstance(crops, (str, bytes, os.PathLike)):
        raise ArgumentError(f"expected {_CROPS}, found {type(crops).__name__}: cut faces out of a photo with align_faces")
    if isinstance(crops, Image.Image):
        raise ArgumentError(f"expected {_CROPS}, found one PIL image: put it into a list")
    if isinstance(crops, Sequence):
        return np.stack([_one_crop(c) for c in crops]) if len(crops) else np.zeros((0, CROP, CROP, 3), np.uint8)
    array = np.asarray(crops)
    if array.ndim == 4 and array.shape[1:] == (CROP, CROP, 3) and array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "biuf":
        raise ArgumentError(f"expected {_CROPS}, found {type(crops).__name__}: cut faces out of a photo with align_faces")
    if array.dtype != np.uint8:
        hint = _dtype_hint(array)
    elif array.shape == (CROP, CROP, 3):
        hint = "put one face into a list: [face]"
    else:
        hint = "cut faces out of a photo with align_faces"
    raise ArgumentError(f"expected {_CROPS}, found an array {array.shape} {array.dtype}: {hint}")


def _one_crop(crop: Any) -> NDArray[np.uint8]:
    array = _from_pil(crop, _CROPS) if isinstance(crop, Image.Image) else np.asarray(crop)
    if array.shape == (CROP, CROP, 3) and array.dtype == np.uint8:
        return array
    found = f"{array.shape} {array.dtype}" if array.dtype.kind in "biuf" else type(crop).__name__
    hint = _dtype_hint(array) if array.dtype.kind in "biuf" and array.dtype != np.uint8 else "cut faces out of a photo with align_faces"
    raise ArgumentError(f"expected {_CROPS}, found one in the list that is {found}: {hint}")


def as_landmarks(landmarks: Any) -> NDArray[np.float64]:
    """Landmarks (n, 5, 2) px; (n, 10) is taken as well, and one face as (5, 2).

    Raises:
        ArgumentError: they have another shape, or hold NaN.
    """
    expected = "landmarks (n, 5, 2): x and y in px of two eyes, nose, two corners of the mouth"
    try:
        array = np.asarray(landmarks, np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(f"expected {expected}, found {type(landmarks).__name__}: take them from detect_faces") from None
    if array.shape[-2:] != (5, 2) and array.shape[-1:] != (10,) and array.size:
        raise ArgumentError(f"expected {expected}, found an array {array.shape}: take them from detect_faces")
    if not np.isfinite(array).all():
        raise ArgumentError(f"expected {expected}, found NaN or infinity among them: leave those faces out")
    return array.reshape(-1, 5, 2)
