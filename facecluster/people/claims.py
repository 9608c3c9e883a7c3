"""Whom a decision is about, in the groups of a run. Pure.

The person who has most of the decision's faces. When all of these are gone, and nobody stands for them (`stand_ins`), it is the person who
has most of the faces that other decisions tie to them: so a name of one side of a merge stays when the photos of that side are deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from facecluster.decisions import CORE_FACES, Claim, ResolvedDecisions
from facecluster.store import FaceRows

Ints = NDArray[np.int64]


def group_of_claim(claim: Claim, rows: FaceRows, identity: Ints) -> int:
    """The group that holds most of a claim's remaining faces; -1 if none does.

    Faces without a group count against it, unless the group holds all of the first CORE_FACES: strict settings may leave no others. A group
    with faces that were split off the person, or off whom the person was split, is not the person, even if a new grouping gives it more of
    the claim's faces; unless only such groups are left.
    """
    found = [(at, int(identity[row])) for at, face in enumerate(claim.faces) if (row := rows.get(face, -1)) >= 0]
    groups, core = [g for _, g in found], [g for at, g in found if at < CORE_FACES]
    others = {int(identity[row]) for face in claim.apart if (row := rows.get(face, -1)) >= 0}
    groups = [g for g in groups if g not in others or g < 0] if any(g >= 0 and g not in others for g in groups) else groups
    grouped = [g for g in groups if g >= 0]
    best = max(sorted(set(grouped)), key=grouped.count, default=-1)
    if best < 0 or 2 * grouped.count(best) <= len(grouped):
        return -1
    core = [g for g in core if g not in others] or core
    return best if 2 * grouped.count(best) > len(groups) or (core and set(core) == {best}) else -1


def groups_of_each(claims: Sequence[Claim], rows: FaceRows, identity: Ints) -> list[int]:
    """The `group_of_claim` of each claim. Those whose faces are all in one group, nearly all after an act, are found at once."""
    lists = [rows.of_all(claim.faces) for claim in claims]
    sizes = np.array([len(at) for at in lists], np.int64)
    found: Ints = np.full(len(claims), -1, np.int64)
    full = np.flatnonzero(sizes)
    if len(full):
        at = np.concatenate(lists)
        groups, start = np.where(at >= 0, identity[at], -1), (np.cumsum(sizes) - sizes)[full]
        low, high = np.minimum.reduceat(groups, start), np.maximum.reduceat(groups, start)
        found[full] = np.where(low == high, low, -1)
    return [
        group if group >= 0 and not claim.apart else group_of_claim(claim, rows, identity)
        for claim, group in zip(claims, found.tolist(), strict=True)
    ]  # fmt: skip


def groups_of_claims(claims: Sequence[Claim], resolved: ResolvedDecisions, rows: FaceRows, identity: Ints) -> list[int]:
    """The group of each claim, -1 = none: also of claims whose faces are all gone.

    Args:
        claims: of `resolved`.
        resolved: the user's decisions.
        rows: row of each face_id.
        identity: (n,) group of each face; -1 = nobody.
    """
    found = groups_of_each(claims, rows, identity)
    gone = [i for i, claim in enumerate(claims) if found[i] < 0 and not any(face in rows for face in claim.faces)]
    links = resolved.links
    sets: dict[str, list[str]] = {}
    for face in sorted(rows.keys() & links.parent.keys()) if gone else ():
        sets.setdefault(links.root(face), []).append(face)
    for i in gone:
        roots = {links.root(face) for face in claims[i].faces[:CORE_FACES] if face in links.parent}
        found[i] = group_of_claim(Claim(tuple(face for root in sorted(roots) for face in sets.get(root, ()))), rows, identity)
    return found


def hidden_groups(
    resolved: ResolvedDecisions, rows: FaceRows, identity: Ints, ids: Sequence[str], names: Sequence[str | None]
) -> list[list[int]]:  # fmt: skip
    """The groups that each ignoring hides: the person whom it is about, and what a new grouping made of the person's other faces.

    The latter are groups more than half of whose faces were ignored. Who has a name is not hidden by the way: neither as such a group, nor
    because a grouping put somebody who is ignored there.

    Args:
        resolved: the user's decisions.
        rows: row of each face_id.
        identity: (n,) group of each face; -1 = nobody.
        ids: (p,) lasting ids of the groups.
        names: (p,) their names.
    """
    sizes = np.bincount(identity[identity >= 0], minlength=len(ids))
    about = groups_of_claims(resolved.ignored, resolved, rows, identity)
    links = resolved.links

    def sets_of(faces: Sequence[str]) -> set[str]:
        """These faces, and those that stand for all that decisions tie to them."""
        return {*faces, *(links.root(face) for face in faces if face in links.parent)}

    @cache
    def said() -> set[str]:
        return sets_of([face for claim in resolved.names for face in claim.faces])

    def is_meant(claim: Claim, group: int) -> bool:
        if names[group] is None or claim.text == ids[group]:
            return True
        there = [face for face in claim.faces if (row := rows.get(face, -1)) >= 0 and identity[row] == group]
        return 2 * len(there) > int(sizes[group]) or not said().isdisjoint(sets_of(there))

    found = [[g] if g >= 0 and is_meant(claim, g) else [] for claim, g in zip(resolved.ignored, about, strict=True)]
    mine = [identity[at[at >= 0]] for at in map(rows.of_all, resolved.hidden)]
    every = np.unique(np.concatenate([np.zeros(0, np.int64), *(at[at >= 0] for at in map(rows.of_all, resolved.hidden))]))
    hidden = np.bincount(identity[every][identity[every] >= 0], minlength=len(sizes))
    parts = {g for g in np.flatnonzero(2 * hidden > sizes).tolist() if not names[g]}.difference(*found)
    for groups, theirs in zip(found, mine, strict=True) if parts else ():
        groups += sorted(parts.intersection(theirs.tolist()))
    return found
