"""The space of faces from which the demo's people are drawn: nobody, and anybody, in 200 numbers.

A face is mean + components * coefficients (eigenfaces: Sirovich & Kirby 1987; Turk & Pentland 1991), in two halves: the symmetric
components hold who it is, the antisymmetric ones where light comes from and how the head is turned. Luma has 96x96 px, chroma 24x24.
The components were learnt from thousands of aligned crops by workflows/build_face_space.py; no single face is in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 96  # px, of the luma of a face; it shows the same as the 112x112 px of an aligned crop
CHROMA = 24  # px, of each chroma plane
SYMMETRIC = 160  # components
LIMIT = 2.0  # standard deviations: further out faces stop being plausible
FILE = Path(__file__).parents[1] / "data" / "face_space.npz"

Floats = NDArray[np.float32]


def oval(side: int) -> NDArray[np.bool_]:
    """The part of a (side, side) face that is kept: the corners show hair and background."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    return np.asarray(((x - 0.5) / 0.43) ** 2 + ((y - 0.52) / 0.53) ** 2 <= 1)


def mask() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which px of a half picture's luma, then two chroma planes, are kept (all,), and which of the kept ones are chroma (kept,)."""
    luma, chroma = oval(SIDE)[:, : SIDE // 2].ravel(), oval(CHROMA)[:, : CHROMA // 2].ravel()
    kept = np.concatenate((luma, chroma, chroma))
    return kept, (np.arange(len(kept)) >= len(luma))[kept]


def halves(luma: Floats, chroma: Floats) -> tuple[Floats, Floats]:
    """Symmetric and antisymmetric part (n, kept) of luma (n, SIDE, SIDE) and chroma (n, 2, CHROMA, CHROMA), as left halves."""
    kept = mask()[0]
    n = len(luma)
    left, right = (
        np.concatenate((y[..., : SIDE // 2].reshape(n, -1), c[..., : CHROMA // 2].reshape(n, -1)), axis=1)[:, kept]
        for y, c in ((luma, chroma), (luma[..., ::-1], chroma[..., ::-1]))
    )
    return np.asarray((left + right) / 2, np.float32), np.asarray((left - right) / 2, np.float32)


@dataclass(frozen=True, slots=True)
class FaceSpace:
    """Mean and components of faces; see the module.

    Attributes:
        mean: (kept,) grey levels.
        even: (160, kept) symmetric components.
        odd: (40, kept) antisymmetric components.
        even_std: (160,) standard deviation of the coefficients over many people; likewise `odd_std` (40,).
        even_within: (160,) share of that variance which lies within one person, 0 to 1.
    """

    mean: Floats
    even: Floats
    odd: Floats
    even_std: Floats
    odd_std: Floats
    even_within: Floats

    @classmethod
    def load(cls, path: Path = FILE) -> FaceSpace:
        """Read a file made by workflows/build_face_space.py."""
        with np.load(path, allow_pickle=False) as f:
            even, odd = (f[f"{key}_components"].astype(np.float32) * f[f"{key}_step"][:, None] for key in ("even", "odd"))
            mean = f["mean"].astype(np.float32)
            return cls(mean, even, odd, f["even_std"], f["odd_std"], f["even_within"])

    def person(self, rng: np.random.Generator) -> Floats:
        """Draw somebody: coefficients (160,) in standard deviations, within +-LIMIT."""
        return _within_limit(rng, len(self.even_std))

    def look(self, rng: np.random.Generator, amount: float) -> tuple[Floats, Floats]:
        """Draw how a face looks in one photo: what to add to a person (160,), and its antisymmetric coefficients (40,).

        `amount` (0 to 1) is the share of a real person's own variation between photos (expression, light, make-up) that is used.
        """
        even = _within_limit(rng, len(self.even_std)) * np.sqrt(self.even_within) * amount
        return np.asarray(even, np.float32), np.asarray(_within_limit(rng, len(self.odd_std)) * amount, np.float32)

    def render(self, even: Floats, odd: Floats) -> Floats:
        """Draw a face from its coefficients in standard deviations: (SIDE, SIDE, 3) RGB, about 0 to 255, 0 outside the oval."""
        symmetric = self.mean + (even * self.even_std) @ self.even
        lopsided = (odd * self.odd_std) @ self.odd
        kept = mask()[0]
        planes = []
        for values in (symmetric + lopsided, symmetric - lopsided):
            half = np.zeros(len(kept), np.float32)
            half[kept] = values
            planes.append(half)
        left, right = planes
        y = _join(left[: SIDE * SIDE // 2], right[: SIDE * SIDE // 2], SIDE)
        tints = [p[SIDE * SIDE // 2 :].reshape(2, -1) for p in planes]
        cb, cr = (_join(tints[0][i], tints[1][i], CHROMA) for i in range(2))
        cb, cr = (np.asarray(Image.fromarray(_spread(c)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for c in (cb, cr))
        rgb = np.stack((y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb), axis=-1)  # JFIF
        return np.asarray(rgb * oval(SIDE)[..., None], np.float32)


def _within_limit(rng: np.random.Generator, n: int) -> Floats:
    """Normal numbers drawn again while they lie beyond LIMIT."""
    values = rng.standard_normal(n)
    while (beyond := np.abs(values) > LIMIT).any():
        values[beyond] = rng.standard_normal(int(beyond.sum()))
    return values.astype(np.float32)


def _join(left: Floats, right: Floats, side: int) -> Floats:
    left, right = left.reshape(side, -1), right.reshape(side, -1)
    return np.concatenate((left, right[:, ::-1]), axis=1)


def _spread(chroma: Floats) -> Floats:
    """Fill what lies outside the oval with the mean inside, so that enlarging does not bleach the rim."""
    inside = oval(chroma.shape[0])
    return np.where(inside, chroma, chroma[inside].mean()).astype(np.float32)
