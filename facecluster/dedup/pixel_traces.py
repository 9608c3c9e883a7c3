"""What the pixels of a photo tell of its past: whether they were a JPEG before, of which quality, and how much fine detail they hold.

A JPEG rounds the coefficients of each block of 8 x 8 px to multiples of a step. After it is decoded, the coefficients are still near these
multiples, in a PNG as in a JPEG of higher quality (Fan and de Queiroz, "Identification of Bitmap Compression History", IEEE Trans. Image
Processing, 2003). The step of each coefficient is the largest near whose multiples they gather.

The table dedup/traces keeps the results. Only photos of a group are opened for it, and only if nothing in their files decides.

Odd input: a picture of less than 64 px, or a smooth one, has no traces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from facecluster.dedup.content_table import ContentTable
from facecluster.dedup.store_photos import Photos, read_content
from facecluster.errors import PhotoError
from facecluster.photos.images import MAX_PIXELS_JPEG, open_photo
from facecluster.store import Stamp, Store

MAX_SIDE = 800  # px of the part in the middle that is looked at
MIN_SCORE = 0.3  # mean cosine of the coefficients to multiples of a step: never JPEG below .1, JPEG .6 and up, saved again at 95 .5 and up
MIN_COUNT = 60  # coefficients that must be near a multiple other than 0
MIN_SHARE = 0.4  # of the coefficients that can tell
_STEPS = np.arange(2, 61)
_TABLE = np.array([  # luminance of quality 50: ITU-T T.81, table K.1
    [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55], [14, 13, 16, 24, 40, 57, 69, 56], [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92], [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
])  # fmt: skip
_LOW = [(v, u) for v in range(8) for u in range(8) if 0 < u + v <= 6]
_FINE = np.add.outer(np.arange(8), np.arange(8)) >= 6
_DCT = np.cos(np.pi * np.arange(8)[:, None] * (2 * np.arange(8) + 1) / 16) * np.sqrt(np.where(np.arange(8) == 0, 1, 2) / 8)[:, None]

STAMP: Stamp = {"table": "dedup/traces", "version": 1}
TRACES = pa.schema(
    [
        pa.field("content", pa.string(), nullable=False, metadata={"description": "SHA-256 of the file's bytes"}),
        pa.field("quality", pa.float32(), nullable=False, metadata={"description": "of the JPEG that the pixels once were; 0: no trace"}),
        pa.field("detail", pa.float32(), nullable=False, metadata={"description": "root mean square of the high coefficients"}),
        pa.field("fills", pa.float32(), nullable=False, metadata={"description": "share of the sides that its detail needs"}),
    ]
)


@dataclass(frozen=True, slots=True)
class Trace:
    """What the pixels tell."""

    quality: float = 0.0  # of the JPEG that they once were, 1 to 100; 0: no trace
    detail: float = 0.0  # grey values
    fills: float = 1.0  # share of the sides at which nothing is lost, 0.25 to 1; below 1: it was enlarged, or never sharp


class PixelTraces:
    """Traces by number of the photo."""

    def __init__(self, store: Store, photos: Photos) -> None:
        self._photos = photos
        self._table = ContentTable(store, photos, TRACES, STAMP, self._compute)
        self.save = self._table.save

    def of(self, photo: int) -> Trace:
        """The trace of a photo; an empty one if it can't be opened."""
        row = self._table.of(photo)
        return Trace() if row is None else Trace(**row)

    def _compute(self, photo: int) -> dict[str, Any] | None:
        try:
            data, _ = read_content(self._photos, photo)
            pixels = open_photo(data, max_side=MAX_PIXELS_JPEG, orientation=1).pixels  # as stored: its blocks begin at the corner
        except PhotoError:
            return None
        found = trace_of(pixels)
        return {"quality": found.quality, "detail": found.detail, "fills": found.fills}


def trace_of(pixels: NDArray[np.uint8]) -> Trace:
    """The trace of a picture (h, w, 3), as it is stored in its file."""
    height, width = pixels.shape[:2]
    if min(height, width) < 64:
        return Trace()
    top, left = (max(0, (side - MAX_SIDE) // 2) // 8 * 8 for side in (height, width))
    image = Image.fromarray(np.ascontiguousarray(pixels[top : top + MAX_SIDE, left : left + MAX_SIDE])).convert("L")
    grey = np.asarray(image, np.float64)
    coefficients = _coefficients(grey)
    detail = float(np.sqrt(np.square(coefficients[:, _FINE]).mean()))
    # a JPEG that was turned or mirrored has its blocks from the other sides on
    starts = sorted({(down, across) for down in (0, height % 8) for across in (0, width % 8)} - {(0, 0)})
    earlier = [_quality(coefficients), *(_quality(_coefficients(grey[down:, across:])) for down, across in starts)]
    return Trace(min((quality for quality in earlier if quality), default=0.0), detail, _fills(image, grey))


def _coefficients(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """DCT coefficients (n, 8, 8) of the whole blocks of a grey picture."""
    rows, columns = (side // 8 for side in grey.shape)
    blocks = grey[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    return np.asarray(_DCT @ (blocks - 128) @ _DCT.T)


def _quality(coefficients: NDArray[np.float64]) -> float:
    """The quality, as libjpeg counts, of the JPEG that the coefficients were rounded by; 0: none."""
    scales, able = [], 0
    for v, u in _LOW:
        size = np.abs(coefficients[:, v, u])
        step, told = _step(size[size > 0.8])
        able += told
        if step:
            scales.append(100 * step / _TABLE[v, u])
    if len(scales) < max(3, MIN_SHARE * able):
        return 0.0
    scale = float(np.median(scales))
    return round(100 - scale / 2 if scale <= 100 else 5000 / scale, 1)


def _step(size: NDArray[np.float64]) -> tuple[int, bool]:
    """The step of a coefficient's absolute values, 0 if they have none; and whether there were enough to tell."""
    scores = []
    for step in _STEPS.tolist():
        far = size[size > 0.4 * step]
        scores.append(float(np.cos(2 * np.pi / step * far).mean()) if len(far) >= MIN_COUNT else -1.0)
    good = [i for i, s in enumerate(scores) if s >= MIN_SCORE and s >= max(scores[max(0, i - 1) : i + 2])]
    return (int(_STEPS[good[-1]]) if good else 0), scores[1] > -1.0


def _fills(image: Image.Image, grey: NDArray[np.float64]) -> float:
    """The least share of the sides to which the picture can be reduced without loss."""
    spread = float(np.sqrt(np.square(np.diff(grey, axis=1)).mean()))
    for share in (0.25, 1 / 3, 0.5, 2 / 3, 0.8):
        small = image.resize((max(8, round(image.width * share)), max(8, round(image.height * share))), Image.Resampling.LANCZOS)
        back = np.asarray(small.resize(image.size, Image.Resampling.BICUBIC), np.float64)
        if np.sqrt(np.square(back - grey).mean()) < max(1.0, 0.2 * spread):
            return share
    return 1.0
