"""Registration of two small grey pictures: finds shift and scale along each side, brightness and contrast. Gauss-Newton, coarse to fine.

Rotation and shear are left out on purpose: copies are cut straight, and a photo that fits only when rotated was taken from another place.

Odd input: pictures of one colour, or a start without overlap, give None.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Grey = NDArray[np.float64]
Placement = tuple[float, float, float, float]  # left, width, top, height of the second picture in the first, as shares of the first's sides
_STEPS = 6  # Gauss-Newton steps a level: after 4 the shares move by less than 1e-4
_MAX_OUTSIDE = 0.5  # share of the first picture's side that the second may reach beyond its borders
_MIN_OVERLAP = 0.55  # share of the second picture that must lie within the first


@dataclass(frozen=True, slots=True)
class Registration:
    """The first picture, resampled to lie under the second. Arrays (h, w) on the pixels of the second."""

    placement: Placement
    first: Grey  # grey values, fitted to the brightness and contrast of the second
    second: Grey
    inside: NDArray[np.bool_]  # where the first has pixels


def register_pictures(first: NDArray[np.uint8], second: NDArray[np.uint8], start: Placement, *, side: int) -> Registration | None:
    """Find the placement of `second` in `first`.

    Args:
        first, second: grey pictures (h, w).
        start: the placement to within about 4 % of the sides.
        side: resolution of the comparison: px of the second's longer side, at most.

    Returns:
        The registration; None if the pictures do not fit near `start`.
    """
    # not finer than either picture has pixels for: the blur of an enlarged picture would count as a difference
    finest = max(8, min(side, max(second.shape), round(max(first.shape[0] * start[3], first.shape[1] * start[1]))))
    large, found = _Padded(first), None
    for level in (*(s for s in (24, 48) if s < finest), finest):
        found = _fit(large, _shrunk(second, level / max(second.shape)), found.placement if found else start)
        if found is None or (level == 24 and correlation(found) < 0.5):
            return None
    return found


def correlation(registration: Registration) -> float:
    """Correlation of the two pictures where they overlap, -1 to 1; 0 if one of them has no contrast there."""
    a, b = registration.first[registration.inside], registration.second[registration.inside]
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else 0.0


class _Padded:
    """A picture, padded with its border pixels, that can be resampled for any placement; each pixel is the mean of what it covers."""

    def __init__(self, picture: NDArray[np.uint8]) -> None:
        self.height, self.width = picture.shape
        self.down, self.across = self.height // 2 + 2, self.width // 2 + 2
        padded = np.pad(picture, ((self.down, self.down), (self.across, self.across)), mode="edge")
        self.image = Image.fromarray(padded.astype(np.float32))

    def part(self, placement: Grey, shape: tuple[int, int]) -> Grey:
        """The pixels (h, w) of the part at `placement`."""
        left, width, top, height = placement * np.repeat((self.width, self.height), 2)
        box = (self.across + left, self.down + top, self.across + left + width, self.down + top + height)
        return np.asarray(self.image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR, box=box), np.float64)


def _shrunk(picture: NDArray[np.uint8], scale: float) -> Grey:
    height, width = picture.shape
    image = Image.fromarray(picture.astype(np.float32))
    return np.asarray(image.resize((max(4, round(width * scale)), max(4, round(height * scale))), Image.Resampling.BILINEAR), np.float64)


def _fit(first: _Padded, second: Grey, start: Placement) -> Registration | None:
    """Fit at one resolution; gives the step with the smallest error."""
    height, width = second.shape
    across, down = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    place, weight = np.array(start), np.ones(second.shape)
    best: tuple[float, Registration] | None = None
    for step in range(_STEPS + 1):
        x, y = place[0] + place[1] * across, place[2] + place[3] * down
        inside = np.logical_and.outer((y >= 0) & (y <= 1), (x >= 0) & (x <= 1))
        if not (inside.mean() >= _MIN_OVERLAP and 0.6 < place[1] / start[1] < 1.5 and 0.6 < place[3] / start[3] < 1.5):
            break
        if min(place[0], place[2]) < -_MAX_OUTSIDE or max(place[0] + place[1], place[2] + place[3]) > 1 + _MAX_OUTSIDE:
            break
        found = _fit_brightness(first.part(place, second.shape), second, np.where(inside, weight, 0))
        if found is None:
            break
        residual = second - found
        apart = np.abs(residual)
        spread = 3 * (float(np.median(apart[inside])) + 1)
        error = float(np.minimum(apart[inside], 2 * spread).mean())
        if best is None or error < best[0]:
            best = error, Registration((place[0], place[1], place[2], place[3]), found, second, inside)
        if step < _STEPS:
            weight = np.minimum(1, spread / np.maximum(apart, 1e-9))  # Huber's: a caption over one picture counts for little
            move = _gauss_newton_step(found, place, across, down, residual, np.where(inside, weight, 0))
            place = place + move
            if np.abs(move).max() * max(height, width) < 0.02:  # px
                break
    return best[1] if best else None


def _fit_brightness(found: Grey, second: Grey, weight: Grey) -> Grey | None:
    """`found` in the brightness and contrast of `second`; None if it has no contrast, or is a negative of `second`."""
    total = weight.sum()
    a, b = (weight * found).sum() / total, (weight * second).sum() / total
    weighted = weight * (found - a)
    gain = float((weighted * (second - b)).sum() / max(float((weighted * (found - a)).sum()), 1e-9))
    return gain * (found - a) + b if gain > 0 else None


def _gauss_newton_step(found: Grey, place: Grey, across: Grey, down: Grey, residual: Grey, weight: Grey) -> Grey:
    """The step of (left, width, top, height), each share at most 6 %."""
    slope_x, slope_y = np.zeros_like(found), np.zeros_like(found)
    slope_x[:, 1:-1] = (found[:, 2:] - found[:, :-2]) * (found.shape[1] / 2 / place[1])
    slope_y[1:-1] = (found[2:] - found[:-2]) * (found.shape[0] / 2 / place[3])
    jacobian = np.stack([slope_x, slope_x * across, slope_y, slope_y * down[:, None]]).reshape(4, -1)
    weighted = jacobian * weight.ravel()
    normal = weighted @ jacobian.T
    normal[np.diag_indices(4)] = normal.diagonal() * 1.001 + 1e-6
    return np.clip(np.linalg.solve(normal, weighted @ residual.ravel()), -0.06, 0.06)
