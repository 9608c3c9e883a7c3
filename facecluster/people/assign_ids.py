"""Lasting ids and names for the groups of a run. Pure.

A group gets the lasting id of a person of the previous run, by two rules in this order: decisions (the group holds most of the faces that a
decision named), then the number of faces that the group shares with the person. A group that gets none is new: p- and 8 hex digits of a
hash of its first face_id. A name goes to the group that holds most of its remaining faces, and to no other.

Odd inputs: a claim whose faces are all gone has no effect; of two names for one group the newer is used, and a note tells the other.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Container, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from facecluster.decisions import CORE_FACES, Claim, ResolvedDecisions
from facecluster.people.runs import Faces, People

Ints = NDArray[np.int64]


def shared_faces(old: Ints, new: Ints) -> tuple[Ints, Ints, Ints]:
    """Pairs of an old and a new group that share faces, and how many they share, most first.

    Args:
        old: (n,) old group of each face, from 0; -1 = none.
        new: (n,) new group of each face, from 0; -1 = none.
    """
    both = (old >= 0) & (new >= 0)
    width = int(new.max(initial=-1)) + 1
    key, counts = np.unique(old[both] * max(width, 1) + new[both], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return key[order] // max(width, 1), key[order] % max(width, 1), counts[order]


def match_groups(old: Ints, new: Ints) -> dict[int, int]:
    """Match old to new groups by shared faces: greedy, most shared faces first, ties by number.

    A pair counts only if it is more than half of the old group's remaining faces, or more than half of the new group: a few faces that
    changed groups do not carry the person with them.

    Args:
        old: (n,) old group of each face that is still in the store, -1 = none.
        new: (n,) its new group; -1 = none.
    """
    old_sizes, new_sizes = np.bincount(old[old >= 0]), np.bincount(new[new >= 0])
    found: dict[int, int] = {}
    taken: set[int] = set()
    for a, b, n in zip(*(x.tolist() for x in shared_faces(old, new)), strict=True):
        if a not in found and b not in taken and (2 * n > old_sizes[a] or 2 * n > new_sizes[b]):
            found[a] = b
            taken.add(b)
    return found


def group_of_claim(claim: Claim, rows: Mapping[str, int], identity: Ints) -> int:
    """The group that holds most of a claim's remaining faces; -1 if none does.

    Faces without a group count against it, unless the group holds all of the first CORE_FACES: strict settings may leave no others.
    """
    groups = [int(identity[rows[face]]) for face in claim.faces if face in rows]
    grouped = [g for g in groups if g >= 0]
    best = max(sorted(set(grouped)), key=grouped.count, default=-1)
    if best < 0 or 2 * grouped.count(best) <= len(grouped):
        return -1
    core = [int(identity[rows[face]]) for face in claim.faces[:CORE_FACES] if face in rows]
    return best if 2 * grouped.count(best) > len(groups) or (core and set(core) == {best}) else -1


def assign_person_ids(faces: Faces, resolved: ResolvedDecisions, before: Sequence[str], at: Ints, old: Ints) -> list[str]:
    """A lasting id for each group.

    Args:
        faces: the faces of this run.
        resolved: the user's decisions.
        before: lasting ids of the people of the previous run.
        at: (m,) row in `faces` of each face of the previous run; -1 = gone.
        old: (m,) index in `before` of each face of the previous run; -1 = no person.
    """
    count = int(faces.identity.max(initial=-1)) + 1
    rows = {face: i for i, face in enumerate(faces.ids)}
    ids: dict[int, str] = {}
    used: set[str] = set()

    def give(group: int, person: str) -> None:
        if group >= 0 and group not in ids and person not in used:
            ids[group] = person
            used.add(person)

    for claim in resolved.persons:
        give(group_of_claim(claim, rows, faces.identity), claim.text)
    remaining = at >= 0
    for i, group in sorted(match_groups(old[remaining], faces.identity[at[remaining]]).items()):
        give(group, before[i])
    past = set(before)
    first: Ints = np.full(count, -1, dtype=np.int64)
    grouped = np.flatnonzero(faces.identity >= 0)
    first[faces.identity[grouped[::-1]]] = grouped[::-1]
    for group in range(count):
        if group not in ids:
            give(group, _new_id(faces.ids[int(first[group])], used, past))
    return [ids[group] for group in range(count)]


def _new_id(face: str, *used: Container[str]) -> str:
    """A new lasting id that is in none of `used`."""
    tries = (f"p-{hashlib.sha256(f'{face}{mark or str()}'.encode()).hexdigest()[:8]}" for mark in itertools.count())
    return next(person for person in tries if not any(person in ids for ids in used))


def assign_names(ids: Sequence[str], faces: Faces, resolved: ResolvedDecisions) -> tuple[People, list[str]]:
    """The people of a run: groups with their lasting ids `ids`, names, and whether they are ignored; and notes on names without a group."""
    rows = {face: i for i, face in enumerate(faces.ids)}
    names: list[str | None] = [None] * len(ids)
    homeless: dict[str, str] = {}  # name -> why it has no group
    placed: set[str] = set()
    for claim in resolved.names:
        group = group_of_claim(claim, rows, faces.identity)
        if group >= 0 and names[group] in (None, claim.text):
            names[group] = claim.text
            placed.add(claim.text)
        elif group >= 0:
            homeless.setdefault(claim.text, f"most of its faces are in one group with those of {names[group]!r}, which was given later")
        else:
            known = sum(face in rows for face in claim.faces)
            why = f"no group holds most of its {known} faces" if known else "its faces are no longer in the store"
            homeless.setdefault(claim.text, why)
    ignored = [False] * len(ids)
    for claim in resolved.ignored:
        if (group := group_of_claim(claim, rows, faces.identity)) >= 0:
            ignored[group] = True
    sizes = np.bincount(faces.identity[faces.identity >= 0], minlength=len(ids)).tolist()
    notes = [f"the name {name!r} belongs to no person now: {why}" for name, why in homeless.items() if name not in placed]
    return People(list(ids), names, sizes, ignored), notes
