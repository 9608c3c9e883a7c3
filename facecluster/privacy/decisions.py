"""Decisions without what is forgotten: what was said of others stays, and so do their names. Pure.

A face that goes is taken out of each decision. Where others of its group stay, the one most like it takes its place (`stand_ins`). A
decision that is left without its faces, one side or its name goes, and with it what undid it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from facecluster.decisions import BORN, DRAW, Decision, replay
from facecluster.people import CurrentPeople, People
from facecluster.people.assign_ids import assign_names
from facecluster.people.face_ids import with_current_ids
from facecluster.people.runs import Faces
from facecluster.people.stand_ins import faces_meant
from facecluster.privacy.forget_plan import ForgetPlan
from facecluster.store import FaceIds


def change(d: Decision, plan: ForgetPlan) -> Decision | None:
    """A decision without what goes; None if it goes."""
    if d.id in plan.removed or plan.has_name(d.name):
        return None
    if d.act == "undo":
        return None if d.of in plan.removed else d
    if d.act == BORN and (d.person in plan.people or 2 * sum(map(plan.has_face, d.faces)) > len(d.faces)):
        return None  # a date says who somebody is: it does not pass to others
    if d.act == DRAW and any(map(plan.has_face, d.faces)):  # no other face takes its place
        return None
    faces, others = _left(d.faces, plan), _left(d.others, plan)
    if d.act == "name" and d.each:  # it is not said of a face that takes the place of another
        faces = tuple(face for face in d.faces if not plan.has_face(face)) or faces
    least = 2 if d.act in ("same", "not-same") else 1
    if len(faces) < least or bool(d.others) != bool(others):
        return None
    boxes = {face: box for face, box in d.boxes.items() if not plan.has_face(face)}
    person = None if d.person in plan.people else d.person
    replaces = _replaced(d.replaces, plan.removed)
    return replace(d, faces=faces, others=others, boxes=boxes, person=person, replaces=replaces, each=_each(d, faces))


def _each(d: Decision, faces: Sequence[str]) -> bool | None:
    """Whether the decision, with the `faces` that are left, is said of each of them by itself."""
    stand_in = not {*faces} <= {*d.faces}
    cut = d.act == "name" and d.each is None and len(faces) == 1 < len(d.faces)
    if cut or (stand_in and (d.act == "same" or (d.act == "name" and (d.each or len(faces) == 1)))):
        return False
    return d.each


def _left(faces: Sequence[str], plan: ForgetPlan) -> tuple[str, ...]:
    kept = (face if not plan.has_face(face) else plan.instead.get(face) for face in faces)
    return tuple(dict.fromkeys(face for face in kept if face is not None))


def _replaced(ids: Sequence[str], removed: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Ids of decisions; for those that go, the ones that they replaced."""
    found, seen = list(ids), set(ids)
    for other in found:  # grows
        more = [earlier for earlier in removed.get(other, ()) if earlier not in seen]
        seen.update(more)
        found += more
    return tuple(other for other in found if other not in removed)


def removed_decisions(decisions: Sequence[Decision], plan: ForgetPlan) -> tuple[dict[str, list[str]], list[int]]:
    """Ids of the decisions that go, with those that they replaced; and their numbers in the journal."""
    found: dict[str, list[str]] = {}
    numbers = []
    for i, d in enumerate(decisions):
        if (d.act == "undo" and d.of in found) or change(d, plan) is None:
            found[d.id] = list(d.replaces)
            numbers.append(i)
    return found, numbers


def decisions_for_names(
    decisions: Sequence[Decision], known: CurrentPeople, plan: ForgetPlan, stand_ins: Mapping[str, str], index: Sequence[int]
) -> list[Decision]:
    """New decisions that keep the names, dates of birth and ignorings of those who stay, where the changed journal would lose them.

    Args:
        decisions: the changed journal.
        known: the people before.
        plan: what goes.
        stand_ins: of the store.
        index: of those who stay, in order of their new numbers.
    """
    left = ~plan.of_faces(FaceIds.of(known.faces.ids).arrow())
    number = np.full(len(known.people.faces) + 1, -1, np.int64)  # the last: nobody
    number[list(index)] = np.arange(len(index))
    ids = FaceIds.of(known.faces.ids)[np.flatnonzero(left)]
    faces = Faces(ids, number[known.faces.identity[left]], known.faces.probability[left], known.faces.boxes[left])
    followed = {old: [new for new in news if not plan.has_face(new)] for old, news in known.followed.items() if not plan.has_face(old)}
    pairs = {old: new for old, new in stand_ins.items() if not plan.has_face(old) and not plan.has_face(new)}
    resolved = replay(with_current_ids(decisions, faces.ids, faces.boxes, faces_meant(followed, pairs, faces.rows)))
    people: People = assign_names([known.people.person_ids[i] for i in index], faces, resolved)[0]
    now = CurrentPeople(people, faces, resolved, followed)
    found, back = [], []
    for new, old in enumerate(index):
        if people.names[new] != known.people.names[old]:
            name = now.name(new, known.people.names[old] or "")
            found.append(replace(name, each=False) if len(name.faces) == 1 < known.people.faces[old] else name)
        if now.births.get(new, "") != known.births.get(old, ""):
            found.append(now.born(new, known.births.get(old, "")))
        if known.people.ignored[old] and not people.ignored[new]:
            found.append(now.ignore(new))
        if people.ignored[new] and not known.people.ignored[old]:
            back.append(new)
    return found + now.unignore(back)


def names_of(people: Collection[str], decisions: Sequence[Decision], plan: ForgetPlan) -> set[str]:
    """Names that decisions ever gave to people by their lasting ids, or to faces of which most go."""
    named = [d for d in decisions if d.act == "name" and d.name]
    return {d.name or "" for d in named if d.person in people or 2 * sum(map(plan.has_face, d.faces)) > len(d.faces)}
