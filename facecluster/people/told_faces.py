"""Faces of which the user has said one by one whose they are. Pure.

A name for one face, `same`, and the names of several regions in photos are about these very faces. A name for a person of several is not:
the user looked at the person, and a face that represents the person in a later `same` was not looked at either. Nor is what was said of a
deleted face about the one that stands for it.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from facecluster.decisions import Decision, active
from facecluster.photos.followed import Followed, present_ids


def told_faces(
    decisions: Sequence[Decision], now: Sequence[Decision], followed: Followed, meant: Followed, present: Container[str]
) -> set[str]:
    """The present face_ids of these faces, whoever's they are.

    Args:
        decisions: of the journal.
        now: the same decisions with present face_ids.
        followed: faces of photos that were edited.
        meant: the same, and the faces that stand for deleted ones.
        present: face_ids of the run.
    """
    in_force = active(decisions)
    picked = {(d.batch, d.faces) for d in in_force if d.act == "same"}
    of_person = [d for d in in_force if d.act == "name" and not _is_of_each(d) and (d.batch, d.faces) not in picked]
    whole = {face for d in of_person for face in d.faces}
    singly = {id(d): d.act == "same" for d in in_force if d.act in ("name", "same") and _is_of_each(d)}
    found: set[str] = set()
    for said, current in zip(decisions, now, strict=True):
        if id(said) not in singly:
            continue
        faces = [face for face in said.faces if not (singly[id(said)] and face in whole)]
        if len(faces) < len(said.faces) or any(face in meant and meant[face] != followed.get(face) for face in faces):
            found.update(here for face in faces for here in present_ids(face, followed, present))
        else:
            found.update(current.faces)
    return found


def _is_of_each(decision: Decision) -> bool:
    """Whether a name, or `same`, was said of each of its faces by itself."""
    return (decision.act == "same" or len(decision.faces) == 1) if decision.each is None else decision.each
