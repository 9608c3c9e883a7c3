"""The same face under another id: where a detector with other settings numbered the faces of a photo anew.

A face_id starts with its photo's content; in one photo the box says which face is which. Odd inputs: a box of NaN is not known, then the
id alone counts; a photo that is not there any more has no faces.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.decisions import Decision
from facecluster.geometry import iou
from facecluster.store import FACES, Store

MATCH = 0.3  # IoU from which two boxes are one face
PHOTO = 24  # characters of a face_id that name the photo


def face_boxes(store: Store, ids: Sequence[str]) -> NDArray[np.float32]:
    """Boxes (n, 4) x, y, w, h in px of the faces `ids` (sorted); NaN where the store does not say."""
    boxes = np.full((len(ids), 4), np.nan, dtype=np.float32)
    rows = {face: i for i, face in enumerate(ids)}
    for shard in store.shards("faces"):
        part = store.read("faces", shard, ["face_id", "box"]).cast(pa.schema([FACES.field("face_id"), FACES.field("box")]))
        at = np.array([rows.get(face, -1) for face in part["face_id"].to_pylist()], dtype=np.int64)
        found = np.asarray(part["box"].combine_chunks().flatten(), np.float32).reshape(-1, 4)
        boxes[at[at >= 0]] = found[at >= 0]
    return boxes


def follow(old: Sequence[str], old_boxes: NDArray[np.floating], new: Sequence[str], new_boxes: NDArray[np.floating]) -> NDArray[np.int64]:
    """The row in `new` (n, sorted) of each face of `old` (m); -1 where it is not there. Boxes are (m, 4) and (n, 4), NaN = not known."""
    rows = {face: i for i, face in enumerate(new)}
    at = np.array([rows.get(face, -1) for face in old], dtype=np.int64)
    same = at >= 0
    overlap = _overlap(old_boxes[same], new_boxes[at[same]])
    at[np.flatnonzero(same)[overlap < MATCH]] = -1  # NaN is not less: without a box the id counts
    lost = np.flatnonzero(at < 0)
    photos: dict[str, list[int]] = {}
    for i in lost[np.isfinite(old_boxes[lost]).all(axis=1)].tolist():
        photos.setdefault(old[i][:PHOTO], []).append(i)
    taken = set(at.tolist())
    for i, face in enumerate(new) if photos else ():
        if face[:PHOTO] in photos and i not in taken and np.isfinite(new_boxes[i]).all():
            photos.setdefault("+" + face[:PHOTO], []).append(i)
    for photo in [p for p in photos if "+" + p in photos]:
        mine, theirs = photos[photo], photos["+" + photo]
        likeness = iou(old_boxes[mine].astype(np.float64), new_boxes[theirs].astype(np.float64))
        while likeness.max() >= MATCH:
            i, j = np.unravel_index(int(likeness.argmax()), likeness.shape)
            at[mine[int(i)]] = theirs[int(j)]
            likeness[i], likeness[:, j] = -1, -1
    return at


def _overlap(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """IoU (n,) of boxes (n, 4) one by one; NaN where one is not known."""
    low = np.maximum(a[:, :2], b[:, :2])
    high = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    inside = np.clip(high - low, 0, None).prod(axis=1)
    both = a[:, 2:].prod(axis=1) + b[:, 2:].prod(axis=1) - inside
    return np.asarray(inside / np.where(both > 0, both, 1), dtype=np.float64)


def translated(decisions: Iterable[Decision], ids: Sequence[str], boxes: NDArray[np.floating]) -> list[Decision]:
    """Decisions about faces under their present ids; those that are not there keep what they were called."""
    decisions = list(decisions)
    known: dict[tuple[str, tuple[float, ...] | None], str] = {
        (face, d.boxes.get(face)): face for d in decisions for face in (*d.faces, *d.others)
    }
    keys = list(known)
    unknown = (np.nan,) * 4
    at = follow([face for face, _ in keys], np.array([box or unknown for _, box in keys], np.float64).reshape(-1, 4), ids, boxes)
    rows = set(ids)
    for key, row in zip(keys, at.tolist(), strict=True):
        # an id that now means another face must not be taken for it
        known[key] = ids[row] if row >= 0 else f"gone {key[0]}" if key[0] in rows else key[0]

    def now(d: Decision, faces: Sequence[str]) -> tuple[str, ...]:
        return tuple(known[face, d.boxes.get(face)] for face in faces)

    return [replace(d, faces=now(d, d.faces), others=now(d, d.others)) for d in decisions]
