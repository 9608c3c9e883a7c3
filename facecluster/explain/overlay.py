"""A face with the map of where a model looks laid over it, as a PNG."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SCALE = 3  # px of the picture for a px of the crop
# from dark blue over violet and orange to yellow: lightness rises evenly, so that it can be read in grey and without seeing colours
_COLOURS = np.array([[13, 8, 135], [126, 3, 168], [204, 71, 120], [248, 149, 64], [240, 249, 33]], np.float64)  # matplotlib's plasma
_STRENGTH = 0.6  # of the colour where the map is highest


def overlay(crop: NDArray[np.uint8], weights: NDArray[np.floating], *, scale: int = SCALE, kind: str = "PNG") -> bytes:
    """The face (112, 112, 3) at `scale` times its size, coloured by a map (side, side), as a PNG or WEBP.

    Where the map is 0 the face stays grey. Colours span the map of this face: from 0 to its highest weight.
    """
    side = len(crop) * scale
    grey = np.asarray(Image.fromarray(crop).convert("L").resize((side, side), Image.Resampling.BICUBIC), np.float64)[..., None]
    relative = np.asarray(weights, np.float32) / max(float(np.max(weights)), 1e-12)
    smooth = np.asarray(Image.fromarray(relative).resize((side, side), Image.Resampling.BICUBIC), np.float64).clip(0, 1)
    at = np.linspace(0, 1, len(_COLOURS))
    colour = np.stack([np.interp(smooth, at, channel) for channel in _COLOURS.T], axis=-1)
    mixed = grey + _STRENGTH * smooth[..., None] * (colour - grey)
    out = io.BytesIO()
    Image.fromarray(mixed.round().astype(np.uint8)).save(out, kind)
    return out.getvalue()
