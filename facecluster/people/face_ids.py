"""Finds a face again whose face_id changed.

A detector with other settings numbered the faces of its photo differently: a face_id starts with the first 24 hex digits of the photo_id;
within a photo, boxes are matched by intersection over union. Or another photo took the place of its photo: the table `followed` says so.

Odd inputs: a box of NaN is unknown, then the id alone decides; a photo that is gone has no faces.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.decisions import Decision
from facecluster.decisions.decision import Box
from facecluster.geometry import iou
from facecluster.photos.followed import PHOTO_CHARS, Followed, present_ids
from facecluster.store import FACES, FaceIds, Ids, Store

MIN_IOU = 0.3  # intersection over union from which two boxes are one face

_Seen = tuple[str, Box | None]  # a face_id in a decision, and the box that it had then


def read_face_boxes(store: Store, ids: Ids) -> NDArray[np.float32]:
    """Boxes (n, 4) x, y, w, h in px of the faces `ids` (n, sorted); NaN where the store has no box."""
    boxes = np.full((len(ids), 4), np.nan, dtype=np.float32)
    faces = FaceIds.of(ids)
    for shard in store.shards("faces"):
        part = store.read("faces", shard, ["face_id", "box"]).cast(pa.schema([FACES.field("face_id"), FACES.field("box")]))
        at = faces.rows_of(part["face_id"])
        found = np.asarray(part["box"].combine_chunks().flatten(), np.float32).reshape(-1, 4)
        boxes[at[at >= 0]] = found[at >= 0]
    return boxes


def track_faces(
    old: Sequence[str],
    old_boxes: NDArray[np.floating],
    new: Sequence[str],
    new_boxes: NDArray[np.floating],
    followed: Followed | None = None,
) -> NDArray[np.int64]:
    """Find each face of `old` in `new`: by id and box, else where it was followed to, else by box among the photo's other faces.

    Boxes of one photo are matched greedily by falling IoU.

    Args:
        old: (m,) face_ids.
        old_boxes: (m, 4) x, y, w, h in px; NaN = unknown.
        new: (n,) face_ids, sorted.
        new_boxes: (n, 4).
        followed: see `read_followed`.

    Returns:
        (m,) row in `new`; -1 = gone.
    """
    present = FaceIds.of(new)
    at = _by_id(old, old_boxes, present, new_boxes)
    for missing in np.flatnonzero(at < 0).tolist() if followed else ():
        if old[missing] not in present and (found := present_ids(old[missing], followed or {}, present)):
            at[missing] = present.find(found[0])
    lost = np.flatnonzero(at < 0)
    photos: dict[str, list[int]] = {}
    for i in lost[np.isfinite(old_boxes[lost]).all(axis=1)].tolist():
        photos.setdefault(old[i][:PHOTO_CHARS], []).append(i)
    free = np.isfinite(new_boxes).all(axis=1)
    free[at[at >= 0]] = False
    for photo, mine in photos.items():
        theirs = [i for i in present.starting_with(photo) if free[i]]
        if not theirs:
            continue
        ious = iou(old_boxes[mine].astype(np.float64), new_boxes[theirs].astype(np.float64))
        while ious.max() >= MIN_IOU:
            i, j = np.unravel_index(int(ious.argmax()), ious.shape)
            at[mine[int(i)]] = theirs[int(j)]
            ious[i], ious[:, j] = -1, -1
    return at


def _by_id(old: Sequence[str], old_boxes: NDArray[np.floating], new: FaceIds, new_boxes: NDArray[np.floating]) -> NDArray[np.int64]:
    """The row in `new` of each face of `old` (m,) that is there with its box; -1: another one has its id now, or none."""
    at = new.rows_of(old)
    same = at >= 0
    overlap = _paired_iou(old_boxes[same], new_boxes[at[same]])
    at[np.flatnonzero(same)[overlap < MIN_IOU]] = -1  # NaN compares as not less: without a box the id decides
    return at


def _paired_iou(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intersection over union (n,) of boxes (n, 4), row by row; NaN where a box is unknown."""
    low = np.maximum(a[:, :2], b[:, :2])
    high = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    inside = np.clip(high - low, 0, None).prod(axis=1)
    union = a[:, 2:].prod(axis=1) + b[:, 2:].prod(axis=1) - inside
    return np.asarray(inside / np.where(union > 0, union, 1), dtype=np.float64)


def with_current_ids(
    decisions: Iterable[Decision], ids: Sequence[str], boxes: NDArray[np.floating], followed: Followed | None = None
) -> list[Decision]:
    """Decisions with the present face_ids of their faces; a face that is gone keeps its old id.

    What is said about a face holds for it in every edited copy of its photo; only not-same, which parts all its faces, names each once.
    """
    return TrackedDecisions(ids, boxes).now(decisions, followed)


class TrackedDecisions:
    """The same for one run and a journal that grows: a decision that was looked at is not looked at again, nor are its faces.

    Faces that are not there with their id and box depend on each other. If a new decision has any, or one in a photo where there are any,
    or if decisions went, all are looked at again.
    """

    def __init__(self, ids: Sequence[str], boxes: NDArray[np.floating]) -> None:
        """Take the present face_ids (n,), sorted, and their boxes (n, 4)."""
        self._ids, self._boxes = FaceIds.of(ids), boxes
        self._followed: Followed = {}
        self._known: dict[_Seen, str] = {}  # the present face_id
        self._lost: set[str] = set()  # photos with faces that were found in another way than by id, or not
        self._done: dict[int, tuple[Decision, Decision]] = {}  # by id() of the first: a decision, and as it is now

    def now(self, decisions: Iterable[Decision], followed: Followed | None = None) -> list[Decision]:
        """The decisions with the present face_ids."""
        decisions, followed = list(decisions), followed or {}
        fresh = [d for d in decisions if id(d) not in self._done]
        grows = len(decisions) - len(fresh) == len(self._done) and followed == self._followed
        if not (grows and self._find(fresh)):
            self._followed, fresh = followed, decisions
            self._find_all(decisions)
        for d in fresh:
            self._done[id(d)] = d, replace(d, faces=self._now(d, d.faces), others=self._now(d, d.others))
        return [self._done[id(d)][1] for d in decisions]

    def _find(self, decisions: Sequence[Decision]) -> bool:
        """Find the faces of further decisions, if each is there with its id and box, in a photo where this holds for all."""
        keys = [key for key in _seen(decisions) if key not in self._known]
        found = _by_id([face for face, _ in keys], _boxes(keys), self._ids, self._boxes) >= 0
        if not found.all() or any(face[:PHOTO_CHARS] in self._lost for face, _ in keys):
            return False
        self._known.update({key: key[0] for key in keys})
        return True

    def _find_all(self, decisions: Sequence[Decision]) -> None:
        keys, ids = _seen(decisions), self._ids
        old, boxes = [face for face, _ in keys], _boxes(keys)
        at = track_faces(old, boxes, ids, self._boxes, self._followed)
        self._done.clear()
        # an id that now belongs to another face must not stand for it
        now = [ids[row] if row >= 0 else f"gone {face}" if face in ids else face for face, row in zip(old, at.tolist(), strict=True)]
        self._known = dict(zip(keys, now, strict=True))
        lost = np.flatnonzero(_by_id(old, boxes, ids, self._boxes) < 0).tolist()
        self._lost = {face[:PHOTO_CHARS] for i in lost for face in (old[i], now[i])}

    def _now(self, d: Decision, faces: Sequence[str]) -> tuple[str, ...]:
        followed, first = self._followed, [self._known[face, d.boxes.get(face)] for face in faces]
        old = [face for face in (*faces, *first) if face in followed and d.act != "not-same"] if followed else []
        return tuple(dict.fromkeys([*first, *(copy for face in old for copy in present_ids(face, followed, self._ids))]))


def _seen(decisions: Iterable[Decision]) -> list[_Seen]:
    """The faces of decisions with the boxes that they had, each once."""
    return list(dict.fromkeys((face, d.boxes.get(face)) for d in decisions for face in (*d.faces, *d.others)))


def _boxes(seen: Sequence[_Seen]) -> NDArray[np.float64]:
    return np.array([box or (np.nan,) * 4 for _, box in seen], np.float64).reshape(-1, 4)
