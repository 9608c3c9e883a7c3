"""Which drawn faces the journal wants, and which the store has.

A decision `draw` names the face_id and the box. Its row is missing if the tables were made anew, or if another program was at work in the
store when it was drawn. A face whose photo was edited is there under the id that it has now.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from facecluster.decisions import DRAW, Decision, active, read
from facecluster.decisions.decision import undone
from facecluster.geometry import iou
from facecluster.people.face_ids import MIN_IOU
from facecluster.photos.drawn import drawn_faces, drop_drawn
from facecluster.photos.followed import PHOTO_CHARS, later_ids, read_followed
from facecluster.store import Store


def drawn_by_journal(decisions: Sequence[Decision]) -> dict[str, tuple[float, ...]]:
    """The boxes of the faces that decisions in force draw, by face_id."""
    return {d.faces[0]: d.boxes[d.faces[0]] for d in active(decisions) if d.act == DRAW and d.faces and d.faces[0] in d.boxes}


def drawing(row: Mapping[str, Any], batch: str | None = None) -> Decision:
    """The decision that a face is there, from its row of `faces`."""
    x, y, w, h = (float(v) for v in row["box"])
    return Decision(act=DRAW, faces=(row["face_id"],), boxes={row["face_id"]: (x, y, w, h)}, batch=batch)


def taken_back(decisions: Sequence[Decision]) -> dict[str, tuple[float, ...]]:
    """The boxes of the faces of which the user undid the drawing alone, by face_id: not with all else of one import."""
    gone = undone(decisions)
    return {d.faces[0]: d.boxes[d.faces[0]] for d in decisions if d.act == DRAW and d.id in gone and d.faces[0] in d.boxes}


def drawn_in(photo_id: str, decisions: Sequence[Decision]) -> set[str]:
    """The face_ids that were ever drawn in a photo."""
    return {face for d in decisions if d.act == DRAW for face in d.faces if face.startswith(photo_id[:PHOTO_CHARS])}


def changes_to_drawn(store: Store, decisions: Sequence[Decision]) -> tuple[dict[str, tuple[float, ...]], list[str]]:
    """The boxes of the faces that are drawn and have no row, and the face_ids of rows whose drawing was undone."""
    wanted = drawn_by_journal(decisions)
    there = set(drawn_faces(store)["face_id"].to_pylist())
    if not wanted and not there:
        return {}, []
    followed = read_followed(store)
    ids = {face: later_ids(face, followed) for face in wanted}
    kept = {other for found in ids.values() for other in found}
    return {face: box for face, box in wanted.items() if there.isdisjoint(ids[face])}, sorted(there - kept)


def drop_undone(store: Store) -> list[str]:
    """Take faces out of the tables whose drawing was undone; gives their ids. The caller holds the store's lock."""
    undone = changes_to_drawn(store, read(store).decisions)[1]
    drop_drawn(store, undone)
    return undone


def is_seen(box: Sequence[float], boxes: Collection[Sequence[float]]) -> bool:
    """Whether a box (px) is one of the others (px)."""
    known = np.array([*boxes], np.float64).reshape(-1, 4)
    return bool(iou(np.array([box], np.float64), known).max(initial=0) >= MIN_IOU)
