"""Carries drawn faces from a photo that was edited to the one in its place, where no detector sees them either.

The box and the landmarks are laid over the new photo as the other faces are; crop and vector are those of the old one. What lies outside
the new photo, or on a face that was found in it, is not carried.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.geometry import iou, turn_boxes
from facecluster.people.edited_photos import Match, Photo
from facecluster.people.face_ids import MIN_IOU
from facecluster.photos.drawn import drawn_shards, is_drawn, next_face_id, write_drawn
from facecluster.photos.places import every_look
from facecluster.store import FACES, Store, embeddings_schema, in_schema, table_of, table_of_rows

_MIRRORED = (2, 4, 5, 7)  # EXIF's numbers of the ways that swap left and right
_SWAPPED = [1, 0, 2, 4, 3]  # landmarks of a mirrored face


def carry_drawn(store: Store, matches: Sequence[tuple[Photo, Photo, Match]], embeddings: str) -> list[tuple[str, str]]:
    """Write rows for the drawn faces of old photos in the new ones, with their vectors; gives the old and the new face_ids.

    Args:
        store: to change.
        matches: old and new photos that show the same.
        embeddings: table of the vectors.
    """
    wanted: dict[str, list[tuple[Photo, Photo, Match, int]]] = {}
    for old, new, match in matches:
        paired = {i for i, _ in match.pairs}
        for i in np.flatnonzero(is_drawn(old.ids)).tolist():
            if i not in paired and _fits(match.laid[i], new):
                wanted.setdefault(old.ids[i], []).append((old, new, match, i))
    if not wanted:
        return []
    rows: list[dict[str, Any]] = []
    vectors: list[NDArray[np.float32]] = []
    pairs = []
    photo_ids = {photo[:24]: photo for photo in every_look(store, ["photo_id"])["photo_id"].to_pylist()}
    for row in _drawn_rows(store, [*wanted]):
        for old, new, match, i in wanted.pop(row["face_id"], ()):
            photo_id = photo_ids[new.ids[0][:24]]
            face = next_face_id(photo_id, [*new.ids, *(r["face_id"] for r in rows)])
            box = match.laid[i]
            marks = _laid_marks(np.array(row["landmarks"], np.float64), old, i, match)
            rows.append(row | {"face_id": face, "photo_id": photo_id, "box": box, "landmarks": marks})
            vectors.append(old.vectors[i])
            pairs.append((old.ids[i], face))
    if rows:
        shard = drawn_shards(store)[0]
        columns = {"face_id": [r["face_id"] for r in rows], "embedding": np.array(vectors).astype(np.float16)}
        made = table_of(embeddings_schema(len(vectors[0])), columns)
        stamp = next(found for s in store.shards(embeddings) if (found := store.stamp(embeddings, s)))
        write_drawn(store, table_of_rows(FACES, rows), {embeddings: (made, stamp)}, store.stamp("faces", shard) or {})
    return pairs


def _fits(box: NDArray[np.float64], new: Photo) -> bool:
    """Whether the middle of a box (4,) lies in a photo, and on none of its faces."""
    middle = box[:2] + box[2:] / 2
    inside = bool((middle >= 0).all() and (middle < (new.width, new.height)).all())
    return inside and bool(iou(box[None], new.boxes).max(initial=0) < MIN_IOU)


def _laid_marks(marks: NDArray[np.float64], old: Photo, i: int, match: Match) -> NDArray[np.float32]:
    """Landmarks (10,) of face `i` of the old photo, in px of the new one: (10,)."""
    points = np.c_[marks.reshape(5, 2), np.zeros((5, 2))]
    points, box = (turn_boxes(some, match.turned, old.width, old.height) for some in (points, old.boxes[i][None]))
    scale = match.laid[i, 2] / max(box[0, 2], 1e-9)
    found = (points[:, :2] - box[0, :2]) * scale + match.laid[i, :2]
    return np.asarray((found[_SWAPPED] if match.turned in _MIRRORED else found).ravel(), np.float32)


def _drawn_rows(store: Store, faces: Sequence[str]) -> list[dict[str, Any]]:
    found = []
    for shard in drawn_shards(store):
        part = in_schema(FACES, store.read("faces", shard))
        found += part.filter(pc.is_in(part["face_id"], value_set=pa.array(faces, pa.string()))).to_pylist()
    return found
