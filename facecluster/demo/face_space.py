"""The face space from which the demo's people are drawn: a face is 200 coefficients.

A face is mean + components * coefficients (eigenfaces: Sirovich & Kirby 1987; Turk & Pentland 1991). The components have two parts: the
symmetric ones describe the person, the antisymmetric ones the direction of light and the pose of the head. Luma has 96x96 px, chroma
24x24. workflows/build_face_space.py learnt the components from thousands of aligned crops; they contain no single face.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 96  # px, of the luma of a face; covers the same area as the 112x112 px of an aligned crop
CHROMA = 24  # px, of each chroma plane
SYMMETRIC = 160  # components
LIMIT = 2.0  # of coefficients, in standard deviations: beyond it faces are not plausible
FILE = Path(__file__).parents[1] / "data" / "face_space.npz"

Floats = NDArray[np.float32]


def oval(side: int) -> NDArray[np.bool_]:
    """The part of a (side, side) face that is kept; the corners, with hair and background, are not."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    return np.asarray(((x - 0.5) / 0.43) ** 2 + ((y - 0.52) / 0.53) ** 2 <= 1)


def mask() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which px of the left half (luma, then two chroma planes) are kept (all,), and which of the kept ones are chroma (kept,)."""
    luma, chroma = oval(SIDE)[:, : SIDE // 2].ravel(), oval(CHROMA)[:, : CHROMA // 2].ravel()
    kept = np.concatenate((luma, chroma, chroma))
    return kept, (np.arange(len(kept)) >= len(luma))[kept]


def halves(luma: Floats, chroma: Floats) -> tuple[Floats, Floats]:
    """Symmetric and antisymmetric parts (n, kept) of luma (n, SIDE, SIDE) and chroma (n, 2, CHROMA, CHROMA), each as its left half."""
    kept = mask()[0]
    n = len(luma)
    left, right = (
        np.concatenate((y[..., : SIDE // 2].reshape(n, -1), c[..., : CHROMA // 2].reshape(n, -1)), axis=1)[:, kept]
        for y, c in ((luma, chroma), (luma[..., ::-1], chroma[..., ::-1]))
    )
    return np.asarray((left + right) / 2, np.float32), np.asarray((left - right) / 2, np.float32)


@dataclass(frozen=True, slots=True)
class FaceSpace:
    """Mean and components of faces, as the module describes.

    Attributes:
        mean: (kept,) grey levels.
        even: (160, kept) symmetric components.
        odd: (40, kept) antisymmetric components.
        even_std: (160,) standard deviation of the coefficients over many people; likewise `odd_std` (40,).
        even_within: (160,) share of that variance within one person, 0 to 1.
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

    def draw_person(self, rng: np.random.Generator) -> Floats:
        """Draw a person: coefficients (160,) in standard deviations, within +-LIMIT."""
        return _within_limit(rng, len(self.even_std))

    def draw_appearance(self, rng: np.random.Generator, amount: float) -> tuple[Floats, Floats]:
        """Draw the appearance of a face in one photo: what to add to a person (160,), and antisymmetric coefficients (40,).

        `amount` (0 to 1) scales the variation of a real person between photos (expression, light, make-up).
        """
        even = _within_limit(rng, len(self.even_std)) * np.sqrt(self.even_within) * amount
        return np.asarray(even, np.float32), np.asarray(_within_limit(rng, len(self.odd_std)) * amount, np.float32)

    def render(self, even: Floats, odd: Floats) -> Floats:
        """The picture of a face from its coefficients in standard deviations: (SIDE, SIDE, 3) RGB, about 0 to 255, 0 outside the oval."""
        symmetric = self.mean + (even * self.even_std) @ self.even
        antisymmetric = (odd * self.odd_std) @ self.odd
        kept = mask()[0]
        planes = []
        for values in (symmetric + antisymmetric, symmetric - antisymmetric):
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
    """Normal numbers; those beyond LIMIT are drawn again."""
    values = rng.standard_normal(n)
    while (beyond := np.abs(values) > LIMIT).any():
        values[beyond] = rng.standard_normal(int(beyond.sum()))
    return values.astype(np.float32)


def _join(left: Floats, right: Floats, side: int) -> Floats:
    left, right = left.reshape(side, -1), right.reshape(side, -1)
    return np.concatenate((left, right[:, ::-1]), axis=1)


def _spread(chroma: Floats) -> Floats:
    """Fill the area outside the oval with the mean inside, so that enlarging does not change colours at the edge."""
    inside = oval(chroma.shape[0])
    return np.where(inside, chroma, chroma[inside].mean()).astype(np.float32)
