"""Regions of an aligned face, from the five landmarks of the ArcFace template: eyes, nose, mouth, and the rest.

A px within RADIUS of one of these lines belongs to the nearest: eyes: the two points of the eyes (discs); nose: from the middle between the
eyes to the tip; mouth: from corner to corner. RADIUS is .4 of the distance of the eyes. Faces that are turned away fit the template less.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from facecluster.geometry import CROP, TEMPLATE

REGIONS = ("eyes", "nose", "mouth", "rest")
RADIUS = 14.0  # px of the crop


@cache
def region_of() -> NDArray[np.int64]:
    """The region of each px of a crop, as an index into REGIONS: (112, 112)."""
    right, left, tip, mouth_right, mouth_left = TEMPLATE
    y, x = np.mgrid[:CROP, :CROP] + 0.5
    at = np.stack([x, y], axis=-1)
    eyes = np.minimum(_distance(at, right, right), _distance(at, left, left))
    far = np.stack([eyes, _distance(at, (right + left) / 2, tip), _distance(at, mouth_right, mouth_left)])
    return np.where(far.min(axis=0) <= RADIUS, far.argmin(axis=0), REGIONS.index("rest"))


def _distance(at: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of points (..., 2) from the line between two points."""
    along = end - start
    t = np.clip((at - start) @ along / max(float(along @ along), 1e-12), 0, 1)
    return np.asarray(np.linalg.norm(at - start - t[..., None] * along, axis=-1))


def region_areas() -> dict[str, float]:
    """The share of the crop that each region has."""
    found = np.bincount(region_of().ravel(), minlength=len(REGIONS)) / CROP**2
    return dict(zip(REGIONS, found.tolist(), strict=True))


def shares(maps: NDArray[np.floating]) -> NDArray[np.float64]:
    """The share of each region in maps (n, side, side), each with sum 1: (n, 4), rows sum to 1. A cell spreads evenly over its px."""
    side = maps.shape[1]
    cell = np.arange(CROP) * side // CROP
    number = cell[:, None] * side + cell
    parts = np.zeros((side * side, len(REGIONS)))
    np.add.at(parts, (number.ravel(), region_of().ravel()), 1)
    return np.asarray(maps.reshape(len(maps), -1) @ (parts / parts.sum(axis=1, keepdims=True)))
