"""Lasting ids that no person has any more: who took over, and by which faces the person would be known again. Pure.

An id is retired when its person becomes part of another, or when the person's faces belong to nobody. It means the person who now has most
of its surest faces; if these are gone or nobody's, whoever it meant in the previous run. A new group of these faces has the id again
(`assign_ids`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from facecluster.decisions import CORE_FACES, Claim
from facecluster.people.assign_ids import shared_faces
from facecluster.people.claims import Ints, group_of_claim
from facecluster.people.runs import Faces, People, RetiredId
from facecluster.photos.followed import Followed, present_ids
from facecluster.store import FaceIds


def with_present_faces(retired: Sequence[RetiredId], old: Faces, at: Ints, ids: Sequence[str], meant: Followed) -> list[RetiredId]:
    """Retired ids with the present face_ids of their faces; a face that is gone, and for which none stands, keeps its old one.

    Args:
        retired: as the previous run knew them.
        old: faces of the previous run.
        at: (m,) row in `ids` of each face of `old`; -1 = gone.
        ids: the present face_ids.
        meant: see `faces_meant`.
    """
    if not retired:
        return []
    rows = FaceIds.of(ids)
    wanted = sorted({face for r in retired for face in r.faces})
    now_at = np.append(at, -1)[FaceIds.of(old.ids).rows_of(wanted)]
    present = {face: rows[row] for face, row in zip(wanted, now_at.tolist(), strict=True) if row >= 0}

    def now(face: str) -> str:
        return present.get(face) or next(iter(present_ids(face, meant, rows)), face)

    return [replace(r, faces=tuple(dict.fromkeys(map(now, r.faces)))) for r in retired]


def retire_ids(
    retired: Sequence[RetiredId], before: People, old: Faces, at: Ints, person_ids: Sequence[str], faces: Faces
) -> list[RetiredId]:
    """The retired ids after a grouping, sorted.

    Args:
        retired: those of the previous run, `with_present_faces`.
        before: the people of the previous run.
        old: its faces.
        at: (m,) row in `faces` of each face of `old`; -1 = gone.
        person_ids: lasting id of each group of the new grouping.
        faces: its faces.
    """
    given = set(person_ids)
    gone = [i for i, person in enumerate(before.person_ids) if person not in given]
    if not gone and not retired:
        return []
    rows, remaining = faces.rows, at >= 0
    most: dict[int, str] = {}
    for i, group, _ in zip(*(x.tolist() for x in shared_faces(old.identity[remaining], faces.identity[at[remaining]])), strict=True):
        most.setdefault(i, person_ids[group])

    def holder(core: tuple[str, ...], otherwise: str | None) -> str | None:
        group = group_of_claim(Claim(core), rows, faces.identity)
        return person_ids[group] if group >= 0 else otherwise

    found: dict[str, RetiredId] = {}
    by_person = np.lexsort((-old.probability, old.identity))
    first = np.searchsorted(old.identity[by_person], np.arange(len(before.person_ids) + 1))
    for i in gone:
        surest = by_person[first[i] : first[i + 1]][:CORE_FACES].tolist()
        core = tuple(faces.ids[at[row]] if at[row] >= 0 else old.ids[row] for row in surest)
        found[before.person_ids[i]] = RetiredId(
            before.person_ids[i], holder(core, most.get(i)), before.names[i], before.ignored[i], core
        )
    for r in retired:
        if r.person_id not in given:
            was = r.now if r.now in given else found[r.now].now if r.now in found else None
            found[r.person_id] = replace(r, now=holder(r.faces, was))
    return [found[person] for person in sorted(found)]
