"""Lasting ids and names for the groups of a run. Pure.

A group gets the lasting id of a person of the run before by, in this order: what decisions say (most of the faces that a decision spoke of
are in the group), then the number of faces that person and group share. What is left is born: p- and 8 hex digits of a hash of its first
face_id. A name stands where most of its faces that are still there are; it goes nowhere else.

Odd inputs: a claim whose faces are all gone has no effect; of two names on one group the newer stands, and the other is noted.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Container, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from facecluster.decisions import CORE, Claim, Verdict
from facecluster.people.runs import Faces, People

Ints = NDArray[np.int64]


def overlaps(old: Ints, new: Ints) -> tuple[Ints, Ints, Ints]:
    """Pairs of an old and a new group (both from 0; -1 = none) of n faces that share some, and how many, the most first."""
    both = (old >= 0) & (new >= 0)
    width = int(new.max(initial=-1)) + 1
    key, counts = np.unique(old[both] * max(width, 1) + new[both], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return key[order] // max(width, 1), key[order] % max(width, 1), counts[order]


def match(old: Ints, new: Ints) -> dict[int, int]:
    """Which new group continues which old one, by the faces that they share: greedy, the largest share first, ties by number.

    A pair counts if it is more than half of the old group's faces that are still there, or of the new group: a crumb is not the person.

    Args:
        old: (n,) old group of each face that is still there, -1 = none.
        new: (n,) its new group; -1 = none.
    """
    sizes = np.bincount(old[old >= 0]), np.bincount(new[new >= 0])
    found: dict[int, int] = {}
    taken: set[int] = set()
    for a, b, n in zip(*(x.tolist() for x in overlaps(old, new)), strict=True):
        if a not in found and b not in taken and (2 * n > sizes[0][a] or 2 * n > sizes[1][b]):
            found[a] = b
            taken.add(b)
    return found


def holder(claim: Claim, rows: Mapping[str, int], identity: Ints) -> int:
    """The group that holds most of a claim's faces that are still there; -1 if none does.

    Faces that are nobody's now count as elsewhere, unless the group holds all of the CORE surest: strict settings leave no more.
    """
    groups = [int(identity[rows[face]]) for face in claim.faces if face in rows]
    inside = [g for g in groups if g >= 0]
    best = max(sorted(set(inside)), key=inside.count, default=-1)
    if best < 0 or 2 * inside.count(best) <= len(inside):
        return -1
    core = [int(identity[rows[face]]) for face in claim.faces[:CORE] if face in rows]
    return best if 2 * inside.count(best) > len(groups) or (core and set(core) == {best}) else -1


def person_ids(faces: Faces, verdict: Verdict, before: Sequence[str], at: Ints, old: Ints) -> list[str]:
    """A lasting id for each group.

    Args:
        faces: of this run.
        verdict: what decisions say.
        before: lasting ids of the people of the run before.
        at: (m,) row in `faces` of each face of the run before; -1 = gone.
        old: (m,) index in `before`; -1 = nobody.
    """
    count = int(faces.identity.max(initial=-1)) + 1
    rows = {face: i for i, face in enumerate(faces.ids)}
    ids: dict[int, str] = {}
    used: set[str] = set()

    def give(group: int, person: str) -> None:
        if group >= 0 and group not in ids and person not in used:
            ids[group] = person
            used.add(person)

    for claim in verdict.persons:
        give(holder(claim, rows, faces.identity), claim.text)
    there = at >= 0
    for i, group in sorted(match(old[there], faces.identity[at[there]]).items()):
        give(group, before[i])
    past = set(before)
    first: Ints = np.full(count, -1, dtype=np.int64)
    inside = np.flatnonzero(faces.identity >= 0)
    first[faces.identity[inside[::-1]]] = inside[::-1]
    for group in range(count):
        if group not in ids:
            give(group, _born(faces.ids[int(first[group])], used, past))
    return [ids[group] for group in range(count)]


def _born(face: str, *used: Container[str]) -> str:
    """A new lasting id, in none of `used`."""
    tries = (f"p-{hashlib.sha256(f'{face}{mark or str()}'.encode()).hexdigest()[:8]}" for mark in itertools.count())
    return next(person for person in tries if not any(person in ids for ids in used))


def titled(ids: Sequence[str], faces: Faces, verdict: Verdict) -> tuple[People, list[str]]:
    """The groups with their lasting ids `ids`, their names and what is ignored; and notes on names that stand nowhere."""
    rows = {face: i for i, face in enumerate(faces.ids)}
    names: list[str | None] = [None] * len(ids)
    claimed: dict[str, str] = {}  # a name that stands nowhere yet, and why
    stands: set[str] = set()
    for claim in verdict.names:
        group = holder(claim, rows, faces.identity)
        if group >= 0 and names[group] in (None, claim.text):
            names[group] = claim.text
            stands.add(claim.text)
        elif group >= 0:
            claimed.setdefault(claim.text, f"most of its faces are in one group with those of {names[group]!r}, which was given later")
        else:
            known = sum(face in rows for face in claim.faces)
            why = f"most of its {known} faces are in no group together" if known else "none of its faces is there any more"
            claimed.setdefault(claim.text, why)
    ignored = [False] * len(ids)
    for claim in verdict.ignored:
        if (group := holder(claim, rows, faces.identity)) >= 0:
            ignored[group] = True
    sizes = np.bincount(faces.identity[faces.identity >= 0], minlength=len(ids)).tolist()
    notes = [f"the name {name!r} stands nowhere now: {why}" for name, why in claimed.items() if name not in stands]
    return People(list(ids), names, sizes, ignored), notes
