"""Whether two photos show the same picture, one of them edited: turned, saved again, cropped, resized, framed. Pure.

The old boxes are turned in eight ways, and scaled and shifted so that a face of the old photo lies on one of the new. The photos show the
same if most boxes then overlap and their vectors agree, and if nearly all of both pictures lies on each other. If it does not, as with a
frame, a strip for a caption, or a crop that leaves little, the pixels decide; also if the vectors agree no more than those of two pictures
of one person.

Odd inputs: photos without faces, or of unknown size, are not known again; without thumbnails, the boxes and vectors decide alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from facecluster.geometry import iou, turn_boxes
from facecluster.photos.drawn import is_drawn

OVERLAP = 0.4  # intersection over union from which an old and a new box are one face
FLOOR = 0.3  # cosine below which boxes that overlap are not one face
LEAST_COSINE = {"place": 0.6, "picture": 0.7, "name": 0.7, "faces": 0.95}  # of the most similar faces, by what speaks for it
MIN_SHARE = {"place": 0.5, "picture": 0.5, "name": 0.5, "faces": 0.8}  # of the area of faces that both may show, that of overlapping ones
CROP = 0.6  # share of the old photo's area that the new one must still show, unless the pixels are the same
BORDER = 0.05  # share of the new photo's area that may lie outside the old one, unless the pixels are the same
SURE_COSINE = 0.85  # from which the pixels need not be looked at; below, a name speaks for it only if they are the same
SAME = 0.75  # correlation of the pixels from which they are the same
OTHER = 0.3  # correlation of the pixels below which they are of another picture
MAX_LOOKS = 2  # ways to lay one photo over another whose pixels are looked at, in each turn, of those that show all, and of the others


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
    best: float  # the largest of them
    turned: int = 1  # EXIF's number of how the old photo is turned
    laid: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))  # (n, 4) the old boxes, px of the new photo


@dataclass(frozen=True, slots=True)
class Way:
    """A way to lay the old picture over the new one."""

    turned: int  # EXIF's number of how the old one is turned
    place: tuple[float, float, float, float]  # left, width, top, height of the old one in the new one, as shares of the new one's sides
    boxes: NDArray[np.float64]  # (n, 4) the old boxes, px of the new photo
    whole: bool  # whether nearly all of both pictures lies on each other


Likeness = Callable[[int, tuple[float, float, float, float]], float | None]  # correlation of the pixels for a way; None: not known


def match_photos(old: Photo, new: Photo, kind: str, likeness: Likeness = lambda turned, place: None) -> Match | None:
    """The faces that two photos share if they show the same.

    Args:
        old, new: the photos.
        kind: what speaks for it, a key of LEAST_COSINE.
        likeness: compares the pixels.
    """
    if not old.ids or not new.ids or not (old.width and old.height and new.width and new.height):
        return None
    cosines = np.asarray(old.vectors @ new.vectors.T, np.float64)
    if cosines.max() < LEAST_COSINE[kind]:
        return None
    most = float(cosines[linear_sum_assignment(cosines, maximize=True)].sum())
    found: list[tuple[Match, Way]] = []
    for way in _ways(old, new, [divmod(int(k), len(new.ids)) for k in np.argsort(-cosines, axis=None)[:8]]):
        match = _overlap(way.boxes, new, cosines, kind, is_drawn(old.ids))
        if match is not None:
            match = replace(match, turned=way.turned, laid=way.boxes)
            found.append((match, way))
            if way.whole and match.score > most - 1e-6 and match.best >= SURE_COSINE:  # no other way can be better
                return match
    found.sort(key=lambda pair: (not pair[1].whole, -pair[0].score))
    if found and found[0][1].whole and found[0][0].best >= SURE_COSINE:
        return found[0][0]
    return _by_pixels(found, likeness, weak=kind == "name")


def _by_pixels(found: Sequence[tuple[Match, Way]], likeness: Likeness, *, weak: bool) -> Match | None:
    """Of matches, the best first, the one whose way lays the same pixels on each other; unless `weak`, they may differ much."""
    looks: Counter[tuple[int, bool]] = Counter()
    near: Match | None = None
    for match, way in found:
        looks[way.turned, way.whole] += 1
        if looks[way.turned, way.whole] <= MAX_LOOKS:
            alike = likeness(way.turned, way.place)
            if alike is None:
                return match if way.whole and not weak else None
            if alike >= SAME:
                return match
            if way.whole and not weak and alike >= OTHER and near is None:
                near = match
    return near


def _ways(old: Photo, new: Photo, anchors: Sequence[tuple[int, int]]) -> Iterator[Way]:
    """The ways to lay the old picture over the new one in which a pair of faces, or the borders, lie on each other."""
    for turned in range(1, 9):
        boxes = turn_boxes(old.boxes, turned, old.width, old.height)
        width, height = (old.height, old.width) if turned >= 5 else (old.width, old.height)
        ways = [(new.width / width, 0.0, 0.0)] if abs(math.log(width * new.height / (height * new.width))) < 0.03 else []
        for i, j in anchors:
            (x, y, w, h), (u, v, across, down) = boxes[i].tolist(), new.boxes[j].tolist()
            scale = math.sqrt(max(across * down, 0) / max(w * h, 1e-9))
            ways.append((scale, u + across / 2 - scale * (x + w / 2), v + down / 2 - scale * (y + h / 2)))
        for scale, right, below in ways:
            if scale > 0:
                across, down = scale * width, scale * height
                shown = max(min(right + across, new.width) - max(right, 0), 0) * max(min(below + down, new.height) - max(below, 0), 0)
                whole = shown >= CROP * across * down and shown >= (1 - BORDER) * new.width * new.height
                place = (right / new.width, across / new.width, below / new.height, down / new.height)
                yield Way(turned, place, boxes * scale + (right, below, 0, 0), whole)


def _overlap(
    laid: NDArray[np.float64], new: Photo, cosines: NDArray[np.float64], kind: str, drawn: NDArray[np.bool_]
) -> Match | None:  # fmt: skip
    """The faces that overlap, greedily; None if they make up too little of either photo's faces, or their vectors differ too much.

    Faces count by their areas: an edit makes a detector lose or find small ones. Drawn faces, which no detector finds, need not overlap.
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
    inside = np.asarray(((centres >= 0) & (centres < (new.width, new.height))).all(axis=1))
    mine, theirs = laid[:, 2:].prod(axis=1), new.boxes[:, 2:].prod(axis=1)
    at, to = map(list, zip(*pairs, strict=True))
    inside[np.setdiff1d(np.flatnonzero(drawn), at)] = False
    share = min(mine[at].sum() / max(mine[inside].sum(), 1e-9), theirs[to].sum() / max(theirs.sum(), 1e-9))
    likeness = cosines[at, to]
    good = share >= MIN_SHARE[kind] and likeness.max() >= LEAST_COSINE[kind]
    return Match(pairs, float(likeness.sum()), float(likeness.max())) if good else None
