"""Faces that stand for deleted ones in what the user said. The table `stand_ins`.

A decision names faces, up to 64 of a person. When their photos are deleted, the decision still holds for the person: for each face that is
named, the face most like it stands, of those who were in its group in the last run, if the two are rather one person than not. It is
chosen while the last run still knows the group, so it stays the same whatever is grouped later. A face that comes back stands for itself,
and if it is deleted once more, it is chosen anew who stands for it: a split may have parted the two since.

Odd inputs: for a face without a group, without a face like it, or that only another model knows, nobody stands. A face that stands for
another and is deleted is replaced in turn. Nobody stands for a face on the other side of a split or a merge, even if that no longer holds.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.decisions import Decision, read
from facecluster.grouping.face_vectors import FaceVectors
from facecluster.people.face_ids import with_current_ids
from facecluster.people.runs import Faces, current_run, read_faces, read_people
from facecluster.photos.followed import Followed, later_ids, present_ids, read_followed
from facecluster.store import FaceIds, Store, table_of

TABLE = "stand_ins"
STAND_INS = pa.schema(
    [
        pa.field("old", pa.string(), nullable=False, metadata={"description": "face_id of a face that is gone and that decisions name"}),
        pa.field("new", pa.string(), nullable=False, metadata={"description": "face_id of the face that stands for it in decisions"}),
    ]
)
_MOST = 1_000  # faces of a decision that others stand for; only ignorings name more, and they are about most of their faces


def read_stand_ins(store: Store) -> dict[str, str]:
    """The face that stands for each face that was deleted."""
    table = store.read_all(TABLE, STAND_INS)
    return dict(zip(table["old"].to_pylist(), table["new"].to_pylist(), strict=True))


def faces_meant(followed: Followed, stand_ins: Mapping[str, str], present: Container[str]) -> Followed:
    """`followed`, and the faces that stand for those of which none is `present`: whom decisions mean."""
    gone = {face: new for face, new in stand_ins.items() if not present_ids(face, followed, present)}
    return {**followed, **{face: [*followed.get(face, ()), new] for face, new in gone.items()}}


def choose_stand_ins(
    store: Store, made: Store, embeddings: str, ids: Sequence[str], vectors: NDArray[np.floating] | FaceVectors, least: float
) -> None:
    """Choose who stands for the faces that are gone since the last run.

    Args:
        store: holds the runs and the journal.
        made: `store`, or an overlay of it; holds the vectors, and gets the table.
        embeddings: table of the vectors.
        ids: (n,) the present face_ids.
        vectors: (n, dim) their vectors, of length 1.
        least: cosine from which two faces are rather one person than not.
    """
    run, rows = current_run(store), FaceIds.of(ids).rows
    before = None if run is None else read_faces(store, run)
    if run is None or before is None or FaceIds.of(ids).has(before.ids).all():
        return
    followed, chosen_before, journal = read_followed(made), read_stand_ins(made), read(store).decisions
    known = {face: new for face, new in chosen_before.items() if not present_ids(face, followed, before.rows)}  # others had come back
    meant = faces_meant(followed, known, rows)
    said = {face for d in journal for face in (*d.faces[:_MOST], *d.others)}
    said |= {face for r in read_people(store, run).retired for face in r.faces}
    said = {later for face in said for later in later_ids(face, meant)}
    at = np.sort(FaceIds.of(before.ids).rows_of(sorted(said)))
    gone = [i for i in at[at >= 0].tolist() if before.identity[i] >= 0 and not present_ids(before.ids[i], meant, rows)]
    looks = read_vectors(made, embeddings, {before.ids[i] for i in gone})
    there = faces_meant(followed, known, before.rows)
    near = np.flatnonzero(np.isin(before.identity, before.identity[gone])).tolist()
    now = {before.ids[i]: at for i in near for at in present_ids(before.ids[i], followed, rows)[:1]}
    vector_of = dict(zip(now, vectors[np.array([rows[at] for at in now.values()], np.int64)], strict=True))
    chosen = most_alike(looks, before, with_current_ids(journal, before.ids, before.boxes, there), vector_of, least)
    if chosen or known != chosen_before:
        pairs = known | {face: now[other] for face, other in chosen.items()}
        made.write(TABLE, "00000", table_of(STAND_INS, {"old": list(pairs), "new": list(pairs.values())}), {"table": TABLE})


def most_alike(
    gone: Mapping[str, NDArray[np.floating]], before: Faces, decisions: Iterable[Decision], vectors: Mapping[str, NDArray[np.floating]],
    least: float,
) -> dict[str, str]:  # fmt: skip
    """The face that stands for each face that is gone: the most similar one of its group that no decision has on another side. Pure.

    Args:
        gone: face_id -> vector (dim,) of each face that is gone, of length 1.
        before: the faces of the last run.
        decisions: the journal, with the face_ids of the last run.
        vectors: those of the faces of these groups that are still there.
        least: cosine from which two faces are rather one person than not.
    """
    group_of = {face: int(before.identity[row]) for face in (*vectors, *gone) if (row := before.rows.get(face)) is not None}
    members: dict[int, list[str]] = {}
    for face in sorted(vectors.keys() & group_of.keys()):
        members.setdefault(group_of[face], []).append(face)
    others_of = _other_sides(decisions, gone.keys())
    chosen: dict[str, str] = {}
    for face, look in gone.items():
        alike = [other for other in members.get(group_of[face], ()) if other not in others_of[face]]
        cosines = np.stack([vectors[other] for other in alike]).astype(np.float32) @ look if alike else np.zeros(0)
        if len(cosines) and cosines.max() >= least:
            chosen[face] = alike[int(cosines.argmax())]
    return chosen


def _other_sides(decisions: Iterable[Decision], faces: Collection[str]) -> dict[str, set[str]]:
    """For each of these faces, the faces that stand on another side in any decision, undone or not."""
    found: dict[str, set[str]] = {face: set() for face in faces}
    for d in decisions:
        sides = [(d.faces, d.faces)] if d.act == "not-same" else [(d.faces, d.others), (d.others, d.faces)]
        for one, other in sides:
            for face in found.keys() & set(one) if other else ():
                found[face].update(other)
    return found


def read_vectors(store: Store, embeddings: str, faces: Collection[str]) -> dict[str, NDArray[np.float32]]:
    """The vectors (dim,) of some faces, by face_id."""
    wanted, found = pa.array(sorted(faces), pa.string()), dict[str, NDArray[np.float32]]()
    for shard in store.shards(embeddings) if faces else ():
        part = store.read(embeddings, shard, ["face_id", "embedding"])
        part = part.filter(pc.is_in(part["face_id"].cast(pa.string()), value_set=wanted))
        flat = np.asarray(pc.list_flatten(part["embedding"]), np.float32).reshape(-1, part.schema.field("embedding").type.list_size)
        found.update(zip(part["face_id"].to_pylist(), flat, strict=True))
    return found
