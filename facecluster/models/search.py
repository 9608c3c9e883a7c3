"""Where to look for faces in a photo, and how closely: coarse to fine, in four orientations.

The search picture is the photo reduced to `WORK_SIDE` px or `WORK_SHARE` of its sides, or a long photo to a short side of `WORK_SHORT` px.
Looking at all of it costs much, and most of it holds nothing that is small. So there are four looks:

    overview    at half the search picture: faces of `FINE` px and more, and hints of smaller ones
    small       at `SMALL_SIDE` px: faces that fill the photo
    tiles       of `TILE` px of the search picture, where the overview has hints: small faces
    fine tiles  at twice the scale, as far as the photo has pixels, where tiles have hints: the small faces of large photos

Where tiles would cost as much as the whole search picture, that is looked at instead. Candidates of all looks are averaged where they
overlap, and a second stage scores them (`facecluster.models.verifier`). Landmarks of faces that only the overview shows are taken from
closer looks. Where nobody is surely upright, the best candidates are looked at turned by 90, 180 and 270 degrees; if that makes a good
face of one, the photo is searched as turned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from facecluster.geometry import iou, nms
from facecluster.models.views import Candidates, Look, Pixels, View, around, cut_view, look_at, picture_of, smaller, strips

WORK_SIDE = 1280  # px, longest side of the search picture
WORK_SHARE, WORK_MOST = 0.64, 2560  # of a photo's sides that it has at least, as long as its longest side is at most so many px
WORK_SHORT = 640  # px, short side of the search picture of a long photo
ONCE_SIDE = 704  # px; a search picture of at most this is looked at as it is, without an overview
SMALL_SIDE = 256  # px, longest side of the look for faces that fill the photo
TILE = 256  # px, side of a tile
INSIDE = 40  # px of the search picture that must lie around the middle of a small face in its tile
FINE = 24.0  # px of the overview, shorter side from which a face is not searched closer
FAINT = 0.08  # score from which candidates are kept
HINT = 0.15  # score from which a small candidate of the overview is worth a tile
HINT_LARGE = 0.04  # the same in a photo that has finer tiles, where faces are smaller still in the overview
HINT_FINE = 0.08  # score from which a candidate of a tile under TINY px is worth a fine one
TINY = 14.0  # px of the search picture
FINER = 1.25  # px of the photo a px of the search picture, from which finer tiles show more
PROPOSED = 0.12  # score from which the second stage looks at a candidate
LIKELY = 0.25  # score from which it looks at all candidates of a photo
FAINT_LOOKS = 48  # of a photo at most, at candidates that score less
EXACT_SIDE = 64  # px of a face in the looks for its landmarks; faces that the overview shows smaller get them
STEADY = 0.8  # score of an upright candidate from which a photo is taken for upright
CERTAIN = 0.98  # score of the second stage: two upright faces, or one and an upright candidate of SUPPORTED, say the same
SUPPORTED = 0.7
TRACES = 8  # candidates of a photo without a surely upright face that are judged in all orientations
MARGIN = 0.2  # sum over these of "an upright face" by which another orientation must lead to be searched
CONVINCING = 0.6  # score from which a face counts that another orientation shows
LEAD = 0.9  # sum of the second stage's scores by which another orientation must lead: few photos lie on their side without a tag
TURNED = 50.0  # degrees from upright from which a candidate speaks for another orientation
NMS_IOU = 0.4  # IoU from which two detections are one face
VOTE_IOU = 0.6  # IoU from which a candidate is averaged into a detection
MAX_CANDIDATES = 3000  # with the highest scores, of one photo, that are compared with each other


class Verify(Protocol):
    """A second stage, as `facecluster.models.verifier.Verifier` is."""

    def __call__(self, photos: Sequence[Pixels], faces: Sequence[Candidates]) -> list[NDArray[np.float32]]:
        """New scores (n,), 0 to 1, of the candidates of each photo."""
        ...

    def upright(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """How probably there is a face in the middle of each picture (64, 64, 3), and upright: (n,), 0 to 1."""
        ...


class Found(NamedTuple):
    """The faces of a photo, highest score first."""

    faces: Candidates
    turn: int  # degrees, clockwise, by which the photo must be turned to be upright: 0, 90, 180 or 270


def search_scale(height: int, width: int) -> float:
    """Px of the search picture a px of the photo, above 0, at most 1."""
    longest = max(height, width)
    return min(1.0, max(WORK_SIDE / longest, WORK_SHORT / min(height, width), min(WORK_SHARE, WORK_MOST / longest)))


def fine_scale(height: int, width: int) -> float:
    """Px of fine tiles a px of the photo: at most 1, and that of the search picture where they would show no more."""
    scale = search_scale(height, width)
    return min(1.0, 2 * scale) if scale * FINER <= 1 else scale


def search(look: Look, photos: Sequence[Pixels], threshold: float, verify: Verify | None = None) -> list[Found]:
    """Find the faces of photos (h, w, 3), RGB, of any sizes; scores are at least `threshold`, and those of `verify` if there is one."""
    found, faces = _faces(look, photos, threshold, verify)
    turns = _suspected_turns(photos, found, faces, verify.upright if verify else partial(_upright_seen, look))
    rows = [i for i, turn in enumerate(turns) if turn]
    again = _faces(look, [np.rot90(photos[i], turns[i]) for i in rows], threshold, verify)[1]
    lead = LEAD if verify else 0.0  # without a second stage scores are no probabilities
    for i, turned in zip(rows, again, strict=True):
        if _upright_sum(turned, CONVINCING) > _upright_sum(faces[i]) + lead:
            faces[i] = turned
        else:
            turns[i] = 0
    upright = [np.rot90(photo, turn) for photo, turn in zip(photos, turns, strict=True)]
    out = []
    for photo, turn, of_photo in zip(upright, turns, _exact_landmarks(look, upright, faces), strict=True):
        out.append(Found(_turned_back(of_photo, turn, *photo.shape[:2]), -90 * turn % 360))
    return out


def _faces(
    look: Look, photos: Sequence[Pixels], threshold: float, verify: Verify | None
) -> tuple[list[Candidates], list[Candidates]]:
    """Candidates of photos as they lie, from all looks; and those of them that score `threshold` and more, highest first."""
    found = candidates(look, photos, threshold)
    least = min(PROPOSED, threshold) if verify else threshold
    faces = [merge(seen, least, *photo.shape[:2]) for seen, photo in zip(found, photos, strict=True)]
    if not verify:
        return found, faces
    likely = []
    for seen in faces:  # highest score first
        sure = int((seen.scores >= LIKELY).sum())
        likely.append(seen.take(np.arange(min(len(seen.scores), sure + FAINT_LOOKS))))
    judged = []
    for seen, scores in zip(likely, verify(photos, likely), strict=True):
        order = np.argsort(-scores, kind="stable")
        judged.append(Candidates(seen.boxes, seen.landmarks, scores).take(order[scores[order] >= threshold]))
    return found, judged


def _exact_landmarks(look: Look, photos: Sequence[Pixels], faces: list[Candidates]) -> list[Candidates]:
    """The faces, with landmarks of two closer looks, plain and mirrored, for those that only the overview has shown."""
    pieces, owners = [], []
    for i, (photo, seen) in enumerate(zip(photos, faces, strict=True)):
        overview = _overview_scale(*photo.shape[:2])
        if overview == search_scale(*photo.shape[:2]):
            continue
        sides = seen.boxes[:, 2:].min(axis=1, initial=np.inf) * overview
        for row in np.flatnonzero((sides >= FINE) & (sides < EXACT_SIDE)):
            view = around(photo, seen.boxes[row], 2.0, 2 * EXACT_SIDE)
            if view is not None:
                pieces += [view.pixels, np.ascontiguousarray(view.pixels[:, ::-1])]
                owners += [(i, row, view, False), (i, row, view, True)]
    sums = [np.zeros((len(seen.scores), 11)) for seen in faces]  # five landmarks and the weight
    for (i, row, view, is_mirrored), piece, seen in zip(owners, pieces, look(pieces, FAINT) if pieces else (), strict=True):
        back = (seen.mirrored(piece.shape[1]) if is_mirrored else seen).mapped(view.scale, view.offset)
        weight = np.square(back.scores, dtype=np.float64) * (iou(faces[i].boxes[row][None], back.boxes)[0] >= VOTE_IOU)
        sums[i][row] += weight @ np.c_[back.landmarks.reshape(-1, 10), np.ones(len(weight))]
    out = []
    for seen, total in zip(faces, sums, strict=True):
        weight = total[:, 10:, None]
        marks = np.divide(total[:, :10].reshape(-1, 5, 2), weight, out=seen.landmarks.astype(np.float64), where=weight > 0)
        out.append(seen._replace(landmarks=marks.astype(np.float32)))
    return out


def candidates(look: Look, photos: Sequence[Pixels], threshold: float) -> list[Candidates]:
    """Candidates of photos as they lie, from all looks."""
    faint = min(threshold / 2, FAINT)
    first = _overviews(look, photos, min(faint, HINT_LARGE))
    closer = look_at(look, [_closer(photo, found) for photo, found in zip(photos, first, strict=True)], faint)
    finer = look_at(look, [_finer(photo, found) for photo, found in zip(photos, closer, strict=True)], faint)
    out = []
    for photo, far, *near in zip(photos, first, closer, finer, strict=True):
        kept = far.take(np.flatnonzero(~_is_small(far, *photo.shape[:2]) & (far.scores >= faint)))
        out.append(Candidates(*(np.concatenate(columns) for columns in zip(kept, *near, strict=True))))
    return out


def _overviews(look: Look, photos: Sequence[Pixels], least: float) -> list[Candidates]:
    """Candidates of the overview and of the small look that score `least` and more, px of the photo."""
    views = []
    for photo in photos:
        height, width = photo.shape[:2]
        small = min(1.0, max(SMALL_SIDE / max(height, width), SMALL_SIDE / 2 / min(height, width)))
        overview = _overview_scale(height, width)
        far = strips(photo, overview)
        views.append(far + (smaller(far, small / overview) if small < overview else []))
    return look_at(look, views, least)


def _overview_scale(height: int, width: int) -> float:
    scale = search_scale(height, width)
    return scale if scale * max(height, width) <= ONCE_SIDE else scale / 2


def _is_small(found: Candidates, height: int, width: int) -> NDArray[np.bool_]:
    """Which candidates (n,) of an overview are looked at again, closer."""
    overview = _overview_scale(height, width)
    if overview == search_scale(height, width):
        return np.zeros(len(found.scores), dtype=bool)
    return np.asarray(found.boxes[:, 2:].min(axis=1) * overview < FINE)


def _closer(photo: Pixels, found: Candidates) -> list[View]:
    """What to look at closer: tiles around small candidates, or the whole search picture."""
    size = photo.shape[:2]
    least = HINT if fine_scale(*size) == search_scale(*size) else HINT_LARGE
    return _tiles(photo, found.take(np.flatnonzero(_is_small(found, *size) & (found.scores >= least))), search_scale(*size))


def _finer(photo: Pixels, found: Candidates) -> list[View]:
    """What to look at closer still: tiles around tiny candidates of tiles, in a photo that has pixels for it."""
    scale, fine = search_scale(*photo.shape[:2]), fine_scale(*photo.shape[:2])
    if fine == scale:
        return []
    tiny = found.boxes[:, 2:].min(axis=1, initial=np.inf) * scale < TINY
    return _tiles(photo, found.take(np.flatnonzero(tiny & (found.scores >= HINT_FINE))), fine)


def _tiles(photo: Pixels, hints: Candidates, scale: float) -> list[View]:
    """Tiles of the photo at a scale with all hints well inside, those of high scores in the middle; the whole photo if it takes no more."""
    height, width = photo.shape[:2]
    middles = (hints.boxes[:, :2] + hints.boxes[:, 2:] / 2)[np.argsort(-hints.scores, kind="stable")].astype(np.float64)
    side, inside = np.floor(TILE / scale), INSIDE / scale
    tiles = []
    while len(middles):
        near = middles[(np.abs(middles - middles[0]) <= side / 2 - inside).all(axis=1)]
        low = np.clip(near.mean(axis=0) - side / 2, 0, np.maximum(0, np.array([width, height]) - side))
        low = np.floor(low)  # one more px would be the next of the sizes that the detector takes
        tiles.append(cut_view(photo, low, np.minimum(low + side, [width, height]), scale, inside / 2, 3 * FINE / scale))
        covered = (np.abs(middles - near.mean(axis=0)) <= side / 2 - inside).all(axis=1)
        middles = middles[~covered]
        if len(tiles) * TILE**2 >= height * width * scale**2:
            return strips(photo, scale)
    return tiles


def _roll(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Degrees (n,) by which faces with landmarks (n, 5, 2) are turned from upright, 0 to 180."""
    down = landmarks[:, 3:].mean(axis=1) - landmarks[:, :2].mean(axis=1)
    return np.asarray(np.degrees(np.abs(np.arctan2(down[:, 0], down[:, 1]))))


def _suspected_turns(
    photos: Sequence[Pixels], found: list[Candidates], faces: list[Candidates], upright: Callable[[Sequence[Pixels]], NDArray[np.float64]]
) -> list[int]:
    """How often each photo should be turned counterclockwise by 90 degrees, 0 to 3.

    A photo that is surely upright is not turned. The best candidates of others are judged in all four orientations; one in which more of
    them are upright faces is suspected.
    """
    pictures, owners = [], []
    for i, (photo, seen, judged) in enumerate(zip(photos, found, faces, strict=True)):
        best, certain = _best_upright(seen), int((judged.scores[_roll(judged.landmarks) < TURNED] >= CERTAIN).sum())
        if best >= STEADY or certain >= (1 if best >= SUPPORTED else 2):
            continue
        first = seen.take(np.argsort(-seen.scores, kind="stable")[:50])
        whole = np.array([0, 0, photo.shape[1], photo.shape[0]], np.float32)  # a face that fills the photo leaves no trace
        for box in first.boxes[nms(first.boxes, first.scores, NMS_IOU)[:TRACES]] if len(first.scores) else (whole,):
            picture = picture_of(photo, box)
            if picture is not None:
                pictures += [np.rot90(picture, turn) for turn in range(4)]
                owners.append(i)
    sums = np.zeros((len(photos), 4))
    np.add.at(sums, owners, upright(pictures).reshape(-1, 4))
    return [int(turn) if row[turn] > row[0] + MARGIN else 0 for turn, row in zip(sums.argmax(axis=1), sums, strict=True)]


def _upright_seen(look: Look, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
    """As `Verify.upright`, for a detector without a second stage: the highest score of an upright face in each picture."""
    found = look(pictures, CONVINCING) if pictures else []
    return np.array([_best_upright(seen) for seen in found], np.float64)


def _best_upright(faces: Candidates) -> float:
    """The highest score of an upright face; 0 if there is none."""
    return float(faces.scores[_roll(faces.landmarks) < TURNED].max(initial=0))


def _upright_sum(faces: Candidates, least: float = 0.0) -> float:
    """Sum of the scores of the upright faces that score `least` and more."""
    return float(faces.scores[(_roll(faces.landmarks) < TURNED) & (faces.scores >= least)].sum())


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
