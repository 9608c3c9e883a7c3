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
from facecluster.geometry import iou
from facecluster.photos.followed import PHOTO_CHARS, Followed, present_ids
from facecluster.store import FACES, FaceIds, Ids, Store

MIN_IOU = 0.3  # intersection over union from which two boxes are one face


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
    at = present.rows_of(old)
    same = at >= 0
    overlap = _paired_iou(old_boxes[same], new_boxes[at[same]])
    at[np.flatnonzero(same)[overlap < MIN_IOU]] = -1  # NaN compares as not less: without a box the id decides
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
    decisions = list(decisions)
    known: dict[tuple[str, tuple[float, ...] | None], str] = {
        (face, d.boxes.get(face)): face for d in decisions for face in (*d.faces, *d.others)
    }
    keys = list(known)
    unknown = (np.nan,) * 4
    old_boxes = np.array([box or unknown for _, box in keys], np.float64).reshape(-1, 4)
    at = track_faces([face for face, _ in keys], old_boxes, ids, boxes, followed)
    rows = FaceIds.of(ids)
    for key, row in zip(keys, at.tolist(), strict=True):
        # an id that now belongs to another face must not stand for it
        known[key] = ids[row] if row >= 0 else f"gone {key[0]}" if key[0] in rows else key[0]

    def now(d: Decision, faces: Sequence[str]) -> tuple[str, ...]:
        first = [known[face, d.boxes.get(face)] for face in faces]
        old = [face for face in (*faces, *first) if followed and face in followed and d.act != "not-same"]
        return tuple(dict.fromkeys([*first, *(copy for face in old for copy in present_ids(face, followed or {}, rows))]))

    return [replace(d, faces=now(d, d.faces), others=now(d, d.others)) for d in decisions]
