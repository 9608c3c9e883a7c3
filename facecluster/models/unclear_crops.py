"""Crops that nobody can tell: worse pictures of aligned faces, and pictures of no face. A model's recognisability is fitted to them.

Crops are (112, 112, 3) RGB, 0 to 255. What is drawn depends on the generator alone.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from facecluster.geometry import CROP

Crops = NDArray[np.uint8]
Rng = np.random.Generator


def degraded(crop: Crops, rng: Rng) -> Crops:
    """A worse picture of an aligned face: at 4 to 56 px, and for some blurred by motion, dark, noisy, or saved as a poor JPEG."""
    side = int(np.exp(rng.uniform(np.log(4), np.log(56))))
    way = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS)[int(rng.integers(3))]
    image = Image.fromarray(crop).resize((side, side), way)
    if rng.random() < 0.3:
        data = io.BytesIO()
        image.save(data, "JPEG", quality=int(rng.integers(20, 70)))
        image = Image.open(io.BytesIO(data.getvalue())).convert("RGB")
    image = image.resize((CROP, CROP), Image.Resampling.BICUBIC)
    if rng.random() < 0.25:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(1, 5))))
    pixels = np.asarray(image, np.float64)
    if rng.random() < 0.25:  # motion: the mean of shifted copies
        shifts = np.linspace(0, rng.uniform(4, 24), 9).round().astype(int)
        pixels = np.mean([np.roll(pixels, s, axis=int(rng.integers(2))) for s in shifts], axis=0)
    if rng.random() < 0.3:
        pixels = pixels * rng.uniform(0.08, 0.5)
    if rng.random() < 0.3:
        pixels = pixels + rng.normal(0, rng.uniform(3, 20), pixels.shape)
    return pixels.clip(0, 255).astype(np.uint8)


def no_face(crop: Crops, rng: Rng) -> Crops:
    """A picture of no face: a small piece of a crop enlarged, a crop with its pieces shuffled, or a texture in the crop's colours."""
    return (_piece, _shuffled, _texture)[int(rng.integers(3))](crop, rng)


def _piece(crop: Crops, rng: Rng) -> Crops:
    """A square of 8 to 40 px, turned by any angle of 90 degrees, at the size of a crop."""
    side = int(rng.integers(8, 41))
    x, y = (int(rng.integers(0, CROP - side + 1)) for _ in range(2))
    piece = np.rot90(crop[y : y + side, x : x + side], int(rng.integers(4)))
    return np.asarray(Image.fromarray(np.ascontiguousarray(piece)).resize((CROP, CROP), Image.Resampling.BICUBIC))


def _shuffled(crop: Crops, rng: Rng) -> Crops:
    """The squares of a grid of 3 to 8 a side in another order, each turned by any angle of 90 degrees."""
    n = int(rng.integers(3, 9))
    side = -(-CROP // n)
    whole = np.asarray(Image.fromarray(crop).resize((n * side, n * side), Image.Resampling.BICUBIC))
    cells = whole.reshape(n, side, n, side, 3).swapaxes(1, 2).reshape(n * n, side, side, 3)
    cells = np.stack([np.rot90(c, int(rng.integers(4))) for c in cells[rng.permutation(n * n)]])
    mixed = cells.reshape(n, n, side, side, 3).swapaxes(1, 2).reshape(n * side, n * side, 3)
    return np.ascontiguousarray(mixed[:CROP, :CROP])


def _texture(crop: Crops, rng: Rng) -> Crops:
    """Noise whose amplitude falls with frequency to a power of .5 to 2, in the mean and spread of the crop's colours; some is striped."""
    frequency = np.hypot(np.fft.fftfreq(CROP)[:, None], np.fft.rfftfreq(CROP)[None])
    frequency[0, 0] = 1 / CROP
    fall = frequency ** -rng.uniform(0.5, 2)
    own = rng.normal(size=(4, CROP, CROP))  # one layer of light for all colours, and one for each
    layers = np.fft.irfft2(np.fft.rfft2(own) * fall, s=(CROP, CROP))
    layers /= layers.std(axis=(1, 2), keepdims=True)
    colour = rng.uniform(0, 0.7)
    mixed = layers[0][..., None] + colour * np.moveaxis(layers[1:], 0, 2)
    if rng.random() < 0.4:
        y, x = np.mgrid[:CROP, :CROP] / CROP
        angle, waves = rng.uniform(0, np.pi), rng.uniform(1, 20)
        mixed += rng.uniform(0.5, 3) * np.sin(2 * np.pi * waves * (x * np.cos(angle) + y * np.sin(angle)))[..., None]
    mean, spread = crop.mean(axis=(0, 1)), crop.std(axis=(0, 1))
    return np.asarray((mean + mixed / mixed.std() * spread).clip(0, 255), np.uint8)
