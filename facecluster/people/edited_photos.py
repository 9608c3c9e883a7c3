"""Whether two photos show the same picture, one of them edited: turned, saved again, cropped a little, resized. Pure.

The old boxes are turned in eight ways, and scaled and shifted so that a face of the old photo lies on one of the new. The photos show the
same if most boxes then overlap and their vectors agree.

Odd inputs: photos without faces, or of unknown size, are not known again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from facecluster.geometry import iou, turn_boxes

OVERLAP = 0.4  # intersection over union from which an old and a new box are one face
FLOOR = 0.3  # cosine below which boxes that overlap are not one face
LEAST_COSINE = {"place": 0.6, "picture": 0.7, "name": 0.85, "faces": 0.95}  # of the most similar faces, by what speaks for it
MIN_SHARE = {"place": 0.5, "picture": 0.5, "name": 0.5, "faces": 0.8}  # of the area of faces that both may show, that of overlapping ones
CROP = 0.6  # share of the old photo's area that the new one must still show
BORDER = 0.05  # share of the new photo's area that may lie outside the old one


@dataclass(slots=True)
class Photo:
    """A photo and its faces: struct of arrays."""

    width: int = 0  # px
    height: int = 0
    phash: int | None = None
    uris: list[str] = field(default_factory=list)  # where it is, or was
    ids: list[str] = field(default_factory=list)  # of its faces
    boxes: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))  # px
    vectors: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 1), np.float32))


@dataclass(frozen=True, slots=True)
class Match:
    """The faces of two photos that lie on each other."""

    pairs: list[tuple[int, int]]  # faces of the old and of the new photo
    score: float  # sum of their cosines


def match_photos(old: Photo, new: Photo, kind: str) -> Match | None:
    """The faces that two photos share if they show the same; `kind`: what speaks for it, a key of LEAST_COSINE."""
    if not old.ids or not new.ids or not (old.width and old.height and new.width and new.height):
        return None
    cosines = np.asarray(old.vectors @ new.vectors.T, np.float64)
    if cosines.max() < LEAST_COSINE[kind]:
        return None
    anchors = [divmod(int(k), len(new.ids)) for k in np.argsort(-cosines, axis=None)[:8]]
    most = float(cosines[linear_sum_assignment(cosines, maximize=True)].sum())
    best: Match | None = None
    for turn in range(1, 9):
        boxes = turn_boxes(old.boxes, turn, old.width, old.height)
        width, height = (old.height, old.width) if turn >= 5 else (old.width, old.height)
        for laid in _laid_over(boxes, width, height, new, anchors):
            match = _overlap(laid, new, cosines, kind)
            if match is not None and (best is None or match.score > best.score):
                best = match
                if best.score > most - 1e-6:  # no other way can be better
                    return best
    return best


def _laid_over(
    boxes: NDArray[np.float64], width: int, height: int, new: Photo, anchors: Sequence[tuple[int, int]]
) -> Iterator[NDArray[np.float64]]:
    """Old boxes (n, 4) in px of the new photo, for each way to lay the old picture over it that leaves most of it in view."""
    ways = [(new.width / width, 0.0, 0.0)] if abs(math.log(width * new.height / (height * new.width))) < 0.03 else []
    for i, j in anchors:
        (x, y, w, h), (u, v, across, down) = boxes[i].tolist(), new.boxes[j].tolist()
        scale = math.sqrt(max(across * down, 0) / max(w * h, 1e-9))
        ways.append((scale, u + across / 2 - scale * (x + w / 2), v + down / 2 - scale * (y + h / 2)))
    for scale, right, below in ways:
        across, down = min(right + scale * width, new.width) - max(right, 0), min(below + scale * height, new.height) - max(below, 0)
        seen = max(across, 0) * max(down, 0)
        if seen >= CROP * scale**2 * width * height and seen >= (1 - BORDER) * new.width * new.height:
            yield boxes * scale + (right, below, 0, 0)


def _overlap(laid: NDArray[np.float64], new: Photo, cosines: NDArray[np.float64], kind: str) -> Match | None:
    """The faces that overlap, greedily; None if they make up too little of either photo's faces, or their vectors differ too much.

    Faces count by their areas: an edit makes a detector lose or find small ones.
    """
    overlap = iou(laid, new.boxes)
    overlap[cosines < FLOOR] = -1
    pairs: list[tuple[int, int]] = []
    while overlap.size and overlap.max() >= OVERLAP:
        i, j = divmod(int(overlap.argmax()), overlap.shape[1])
        pairs.append((i, j))
        overlap[i], overlap[:, j] = -1, -1
    if not pairs:
        return None
    centres = laid[:, :2] + laid[:, 2:] / 2
    inside = ((centres >= 0) & (centres < (new.width, new.height))).all(axis=1)
    mine, theirs = laid[:, 2:].prod(axis=1), new.boxes[:, 2:].prod(axis=1)
    at, to = map(list, zip(*pairs, strict=True))
    share = min(mine[at].sum() / max(mine[inside].sum(), 1e-9), theirs[to].sum() / max(theirs.sum(), 1e-9))
    likeness = cosines[at, to]
    good = share >= MIN_SHARE[kind] and likeness.max() >= LEAST_COSINE[kind]
    return Match(pairs, float(likeness.sum())) if good else None
