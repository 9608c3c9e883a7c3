"""Where to look for faces in a photo, and how closely: coarse to fine, in four orientations.

The search picture is the photo reduced to `WORK_SIDE` px, or a long photo to a short side of `WORK_SHORT` px. Looking at all of it costs
much, and most of it holds nothing that is small. So there are three looks:

    overview    at half the search picture: faces of `FINE` px and more, and hints of smaller ones
    small       at `SMALL_SIDE` px: faces that fill the photo
    tiles       of `TILE` px of the search picture, where the overview has hints: small faces

Where tiles would cost as much as the whole search picture, that is looked at instead. Candidates of all looks are averaged where they
overlap. A photo in which nobody is upright is looked at turned by 90, 180 and 270 degrees; the orientation with the highest sum of scores
is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from facecluster.geometry import iou, nms

Pixels = NDArray[np.uint8]
WORK_SIDE = 1280  # px, longest side of the search picture
WORK_SHORT = 640  # px, short side of the search picture of a long photo
ONCE_SIDE = 704  # px; a search picture of at most this is looked at as it is, without an overview
SMALL_SIDE = 256  # px, longest side of the look for faces that fill the photo
STRIP = 2048  # px; longer pictures are looked at in strips of this length
TILE = 256  # px, side of a tile
INSIDE = 40  # px of the search picture that must lie around the middle of a small face in its tile
FINE = 24.0  # px of the overview, shorter side of a face that needs no second look
HINT = 0.08  # score from which a small candidate of the overview is worth a tile
SURE = 0.7  # score of an upright face from which a photo is taken for upright
TRACE = 0.3  # share of the best upright face's score from which a face that is not upright raises doubt
TURNED = 50.0  # degrees from upright from which a candidate speaks for another orientation
NMS_IOU = 0.4  # IoU from which two detections are one face
VOTE_IOU = 0.6  # IoU from which a candidate is averaged into a detection
MAX_CANDIDATES = 3000  # with the highest scores, of one photo, that are compared with each other


class Candidates(NamedTuple):
    """Faces that overlap each other still, or detections: struct of arrays."""

    boxes: NDArray[np.float32]  # (n, 4) x, y, w, h in px
    landmarks: NDArray[np.float32]  # (n, 5, 2) px
    scores: NDArray[np.float32]  # (n,) 0 to 1

    def take(self, rows: NDArray[Any]) -> Candidates:
        return Candidates(self.boxes[rows], self.landmarks[rows], self.scores[rows])

    def mapped(self, scale: NDArray[np.float64], offset: NDArray[np.float64]) -> Candidates:
        """In px of another picture: position * scale + offset, both (x, y)."""
        boxes = self.boxes * np.tile(scale, 2) + np.r_[offset, 0, 0]
        return Candidates(boxes.astype(np.float32), (self.landmarks * scale + offset).astype(np.float32), self.scores)


Look = Callable[[Sequence[Pixels], float], list[Candidates]]  # pictures and the lowest score -> candidates of each, px of the picture


class Found(NamedTuple):
    """The faces of a photo, highest score first."""

    faces: Candidates
    turn: int  # degrees, clockwise, by which the photo must be turned to be upright: 0, 90, 180 or 270


class _View(NamedTuple):
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


def search_scale(height: int, width: int) -> float:
    """Px of the search picture a px of the photo, above 0, at most 1."""
    return min(1.0, max(WORK_SIDE / max(height, width), WORK_SHORT / min(height, width)))


def search(look: Look, photos: Sequence[Pixels], threshold: float) -> list[Found]:
    """Find the faces of photos (h, w, 3), RGB, of any sizes; scores are at least `threshold`."""
    best = [(0, found) for found in _candidates(look, photos, threshold)]
    doubtful = [i for i, (_, found) in enumerate(best) if _is_doubtful(found, threshold)]
    value = {i: _upright(best[i][1], threshold) for i in doubtful}
    for turn in (1, 2, 3):
        turned = [np.rot90(photos[i], turn) for i in doubtful]
        for i, found in zip(doubtful, _candidates(look, turned, threshold), strict=True):
            score = _upright(found, max(SURE, threshold))
            if score > value[i]:
                value[i], best[i] = score, (turn, found)
    out = []
    for photo, (turn, found) in zip(photos, best, strict=True):
        height, width = photo.shape[:2] if turn % 2 == 0 else photo.shape[1::-1]
        out.append(Found(_turned_back(merge(found, threshold, height, width), turn, height, width), -90 * turn % 360))
    return out


def _candidates(look: Look, photos: Sequence[Pixels], threshold: float) -> list[Candidates]:
    """Candidates of photos as they lie, from all looks."""
    first = _overviews(look, photos, threshold)
    closer = _look_at(look, [_closer(photo, found) for photo, found in zip(photos, first, strict=True)], min(threshold / 2, HINT))
    out = []
    for photo, far, near in zip(photos, first, closer, strict=True):
        kept = far.take(np.flatnonzero(~_is_small(far, *photo.shape[:2])))
        out.append(Candidates(*(np.concatenate(columns) for columns in zip(kept, near, strict=True))))
    return out


def _overviews(look: Look, photos: Sequence[Pixels], threshold: float) -> list[Candidates]:
    """Candidates of the overview and of the small look, px of the photo."""
    views = []
    for photo in photos:
        height, width = photo.shape[:2]
        small = min(1.0, max(SMALL_SIDE / max(height, width), SMALL_SIDE / 2 / min(height, width)))
        overview = _overview_scale(height, width)
        views.append(_strips(photo, overview) + (_strips(photo, small) if small < overview else []))
    return _look_at(look, views, min(threshold / 2, HINT))


def _overview_scale(height: int, width: int) -> float:
    scale = search_scale(height, width)
    return scale if scale * max(height, width) <= ONCE_SIDE else scale / 2


def _is_small(found: Candidates, height: int, width: int) -> NDArray[np.bool_]:
    """Which candidates (n,) of an overview are looked at again, closer."""
    overview = _overview_scale(height, width)
    if overview == search_scale(height, width):
        return np.zeros(len(found.scores), dtype=bool)
    return np.asarray(found.boxes[:, 2:].min(axis=1) * overview < FINE)


def _closer(photo: Pixels, found: Candidates) -> list[_View]:
    """What to look at closer: tiles around small candidates, or the whole search picture."""
    height, width = photo.shape[:2]
    hints = found.take(np.flatnonzero(_is_small(found, height, width) & (found.scores >= HINT)))
    if not len(hints.scores):
        return []
    scale = search_scale(height, width)
    middles = (hints.boxes[:, :2] + hints.boxes[:, 2:] / 2)[np.argsort(-hints.scores, kind="stable")].astype(np.float64)
    side, inside = TILE / scale, INSIDE / scale
    tiles = []
    while len(middles):
        near = middles[(np.abs(middles - middles[0]) <= side / 2 - inside).all(axis=1)]
        low = np.clip(near.mean(axis=0) - side / 2, 0, np.maximum(0, np.array([width, height]) - side))
        tiles.append(_view(photo, low, np.minimum(low + side, [width, height]), scale, inside / 2, 3 * FINE / scale))
        covered = (np.abs(middles - near.mean(axis=0)) <= side / 2 - inside).all(axis=1)
        middles = middles[~covered]
        if len(tiles) * TILE**2 >= height * width * scale**2:
            return _strips(photo, scale)
    return tiles


def _strips(photo: Pixels, scale: float) -> list[_View]:
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
        views.append(_view(photo, low, high, scale, overlap / 2))
    return views


def _view(
    photo: Pixels, low: NDArray[np.float64], high: NDArray[np.float64], scale: float, margin: float, largest: float = np.inf
) -> _View:
    """The part of a photo between two corners (x, y), reduced; faces count that lie `margin` px inside, or at the photo's border."""
    whole = np.array(photo.shape[1::-1], np.float64)
    low, high = np.floor(low), np.ceil(high)
    size = np.maximum(np.round((high - low) * scale), 1).astype(int)
    pixels = photo[int(low[1]) : int(high[1]), int(low[0]) : int(high[0])]
    if (size != high - low).any():
        pixels = _resized(pixels, int(size[0]), int(size[1]))
    inner = np.r_[np.where(low > 0, low + 1, -np.inf), np.where(high < whole, high - 1, np.inf)]
    return _View(pixels, (high - low) / size, low, inner, margin, largest)


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    """A smaller picture: bilinear with antialiasing. torch does this several times faster than Pillow."""
    if not pixels.flags.writeable or min(pixels.strides) < 0:  # torch takes no such arrays
        pixels = pixels.copy()
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    small = F.interpolate(planes, (height, width), mode="bilinear", antialias=True)
    return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())


def _look_at(look: Look, views: Sequence[Sequence[_View]], threshold: float) -> list[Candidates]:
    """Candidates of each photo, px of the photo, from its views; all views are looked at together."""
    flat = [view for of_photo in views for view in of_photo]
    found = iter(look([view.pixels for view in flat], threshold)) if flat else iter(())
    out = []
    for of_photo in views:
        parts = [_NONE]
        for view in of_photo:
            part = next(found).mapped(view.scale, view.offset)
            parts.append(part.take(view.counts(part.boxes)))
        out.append(Candidates(*(np.concatenate(columns) for columns in zip(*parts, strict=True))))
    return out


def _roll(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Degrees (n,) by which faces with landmarks (n, 5, 2) are turned from upright, 0 to 180."""
    down = landmarks[:, 3:].mean(axis=1) - landmarks[:, :2].mean(axis=1)
    return np.asarray(np.degrees(np.abs(np.arctan2(down[:, 0], down[:, 1]))))


def _is_doubtful(found: Candidates, threshold: float) -> bool:
    """Whether the photo may be on its side: no surely upright face, and a trace of a face that is not upright."""
    turned = _roll(found.landmarks) >= TURNED
    best = found.scores[~turned].max(initial=0)
    return bool(best < max(SURE, threshold) and found.scores[turned].max(initial=0) >= max(HINT, best * TRACE))


def _upright(found: Candidates, threshold: float) -> float:
    """Sum of the scores of the upright faces that score `threshold` and more."""
    upright = found.take(np.flatnonzero((_roll(found.landmarks) < TURNED) & (found.scores >= threshold)))
    return float(upright.scores[nms(upright.boxes, upright.scores, NMS_IOU)].sum())


def merge(found: Candidates, threshold: float, height: int, width: int) -> Candidates:
    """One face of candidates that overlap: suppression, then the mean of what overlaps, weighted by the square of the scores (box voting).

    Boxes are cut at the border of the photo.
    """
    found = found.take(np.argsort(-found.scores, kind="stable")[:MAX_CANDIDATES])
    sure = int((found.scores >= threshold).sum())
    keep = nms(found.boxes[:sure], found.scores[:sure], NMS_IOU)
    near = (iou(found.boxes[keep], found.boxes) >= VOTE_IOU) * np.square(found.scores, dtype=np.float64)
    share = near / near.sum(axis=1, keepdims=True)
    marks = (share @ found.landmarks.reshape(-1, 10)).reshape(-1, 5, 2).astype(np.float32)
    boxes, scores = share @ found.boxes, found.scores[keep]
    corners = np.clip(np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1), 0, [width, height] * 2)
    boxes = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), axis=1).astype(np.float32)
    keep = nms(boxes, scores, NMS_IOU)  # again: averaging and clipping can make boxes overlap
    return Candidates(boxes, marks, scores).take(keep[(boxes[keep, 2:] > 0).all(axis=1)])


def _turned_back(faces: Candidates, turn: int, height: int, width: int) -> Candidates:
    """Faces of a photo (height, width) that was turned counterclockwise `turn` times, in px of the photo as it was before."""
    boxes, marks = faces.boxes, faces.landmarks
    for _ in range(turn):  # one turn had taken (x, y) to (y, side - x)
        boxes = np.stack((height - boxes[:, 1] - boxes[:, 3], boxes[:, 0], boxes[:, 3], boxes[:, 2]), axis=1)
        marks = np.stack((height - marks[..., 1], marks[..., 0]), axis=-1)
        height, width = width, height
    return Candidates(boxes, marks, faces.scores)


_NONE = Candidates(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32))
