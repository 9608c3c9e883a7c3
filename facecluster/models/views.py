"""Pieces of a photo that a detector looks at, and its candidates there, in px of the photo."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facecluster.models.resize import resized

Pixels = NDArray[np.uint8]
SIDE = 64  # px of the picture of a candidate
TIMES = 2.0  # side of that picture, in longer sides of the candidate's box
STRIP = 2048  # px; longer pictures are looked at in strips of this length


class Candidates(NamedTuple):
    """Faces that overlap each other still, or detections: struct of arrays."""

    boxes: NDArray[np.float32]  # (n, 4) x, y, w, h in px
    landmarks: NDArray[np.float32]  # (n, 5, 2) px
    scores: NDArray[np.float32]  # (n,) 0 to 1

    def take(self, rows: NDArray[Any]) -> Candidates:
        return Candidates(self.boxes[rows], self.landmarks[rows], self.scores[rows])

    def mirrored(self, width: int) -> Candidates:
        """In the mirror image of a picture `width` px wide; right and left landmarks change places."""
        boxes, marks = self.boxes.copy(), self.landmarks[:, [1, 0, 2, 4, 3]].copy()
        boxes[:, 0] = width - boxes[:, 0] - boxes[:, 2]
        marks[..., 0] = width - marks[..., 0]
        return Candidates(boxes, marks, self.scores)

    def mapped(self, scale: NDArray[np.float64], offset: NDArray[np.float64]) -> Candidates:
        """In px of another picture: position * scale + offset, both (x, y)."""
        boxes = self.boxes * np.tile(scale, 2) + np.r_[offset, 0, 0]
        return Candidates(boxes.astype(np.float32), (self.landmarks * scale + offset).astype(np.float32), self.scores)


Look = Callable[[Sequence[Pixels], float], list[Candidates]]  # pictures and the lowest score -> candidates of each, px of the picture


class View(NamedTuple):
    """A piece of a photo at some scale."""

    pixels: Pixels
    scale: NDArray[np.float64]  # px of the photo a px of the view, (x, y)
    offset: NDArray[np.float64]  # px of the photo, (x, y)
    inner: NDArray[np.float64]  # x0, y0, x1, y1: where the view ends inside the photo, px of the photo; infinite at the photo's border
    margin: float  # px of the photo by which the middle of a face must lie inside
    largest: float  # px of the photo: the longest side of a face that counts

    def counts(self, boxes: NDArray[np.float32]) -> NDArray[np.intp]:
        """Rows of the boxes (n, 4), px of the photo, that the view shows whole, well inside, and not too large."""
        low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
        middle = (low + high) / 2
        whole = (low > self.inner[:2]) & (high < self.inner[2:])
        inside = (middle >= self.inner[:2] + self.margin) & (middle <= self.inner[2:] - self.margin)
        return np.flatnonzero((whole & inside).all(axis=1) & (boxes[:, 2:].max(axis=1, initial=0) <= self.largest))


def strips(photo: Pixels, scale: float) -> list[View]:
    """The whole photo at a scale, in strips where it is long."""
    height, width = photo.shape[:2]
    long, across = max(height, width), int(width >= height)
    length, overlap = STRIP / scale, 2 * min(min(height, width), STRIP / scale / 4)
    count = 1 if long <= length else int(np.ceil((long - overlap) / (length - overlap)))
    views = []
    for i in range(count):
        low, high = np.zeros(2), np.array([width, height], np.float64)
        if count > 1:
            at = i * (long - length) / (count - 1)
            low[1 - across], high[1 - across] = at, at + length
        views.append(cut_view(photo, low, high, scale, overlap / 2))
    return views


def smaller(views: Sequence[View], scale: float) -> list[View]:
    """The same pieces, their pixels reduced by `scale`."""
    out = []
    for view in views:
        size = np.maximum(np.round(np.array(view.pixels.shape[1::-1]) * scale), 1).astype(int)
        pixels = resized(view.pixels, int(size[0]), int(size[1]))
        out.append(view._replace(pixels=pixels, scale=view.scale * view.pixels.shape[1::-1] / size))
    return out


def around(photo: Pixels, box: NDArray[np.float32], times: float, side: float) -> View | None:
    """A piece of a photo around a box, `times` as large, reduced or enlarged to at most `side` px; None if nothing is there."""
    middle, size = box[:2] + box[2:].astype(np.float64) / 2, float(times * box[2:].max())
    low, high = np.maximum(np.floor(middle - size / 2), 0), np.minimum(np.ceil(middle + size / 2), photo.shape[1::-1])
    return cut_view(photo, low, high, side / max(size, *(high - low)), 0.0) if (high - low >= 1).all() else None


def picture_of(photo: Pixels, box: NDArray[np.float32], times: float = TIMES, side: int = SIDE) -> Pixels | None:
    """The picture (side, side, 3) of a candidate: its box in the middle, `times` as large, grey outside the photo; None without a pixel."""
    x, y, w, h = map(float, box)
    size = times * max(w, h)
    left, top = x + w / 2 - size / 2, y + h / 2 - size / 2  # where the picture begins, px of the photo
    low = max(left, 0.0), max(top, 0.0)
    high = min(left + size, float(photo.shape[1])), min(top + size, float(photo.shape[0]))
    if high[0] - low[0] < 1 or high[1] - low[1] < 1:
        return None
    (x0, y0), (x1, y1) = map(math.floor, low), map(math.ceil, high)
    scale = side / size
    across, down = max(round((x1 - x0) * scale), 1), max(round((y1 - y0) * scale), 1)
    pixels = photo[y0:y1, x0:x1]
    if (across, down) != (x1 - x0, y1 - y0):
        pixels = resized(pixels, across, down)
    to_x, to_y = min(max(round((x0 - left) * scale), 0), side - 1), min(max(round((y0 - top) * scale), 0), side - 1)
    out = np.full((side, side, 3), 127, np.uint8)
    piece = pixels[: side - to_y, : side - to_x]
    out[to_y : to_y + piece.shape[0], to_x : to_x + piece.shape[1]] = piece
    return out


def cut_view(
    photo: Pixels, low: NDArray[np.float64], high: NDArray[np.float64], scale: float, margin: float, largest: float = np.inf
) -> View:
    """The part of a photo between two corners (x, y), reduced; faces count that lie `margin` px inside, or at the photo's border."""
    whole = np.array(photo.shape[1::-1], np.float64)
    low, high = np.floor(low), np.ceil(high)
    size = np.maximum(np.round((high - low) * scale), 1).astype(int)
    pixels = photo[int(low[1]) : int(high[1]), int(low[0]) : int(high[0])]
    if (size != high - low).any():
        pixels = resized(pixels, int(size[0]), int(size[1]))
    inner = np.r_[np.where(low > 0, low + 1, -np.inf), np.where(high < whole, high - 1, np.inf)]
    return View(pixels, (high - low) / size, low, inner, margin, largest)


def look_at(look: Look, views: Sequence[Sequence[View]], threshold: float) -> list[Candidates]:
    """Candidates of each photo, px of the photo, from its views; all views are looked at together."""
    flat = [view for of_photo in views for view in of_photo]
    found = iter(look([view.pixels for view in flat], threshold)) if flat else iter(())
    out = []
    for of_photo in views:
        parts = [_NOTHING]
        for view in of_photo:
            part = next(found).mapped(view.scale, view.offset)
            parts.append(part.take(view.counts(part.boxes)))
        out.append(Candidates(*(np.concatenate(columns) for columns in zip(*parts, strict=True))))
    return out


_NOTHING = Candidates(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32))
