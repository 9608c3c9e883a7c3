"""Lasting ids and names for the groups of a run. Pure.

A lasting id goes to the group that holds most of the faces that the newest decision about the person named, or else to the group that
shares most faces with the person of the previous run. Of several ids for one group, that of the person who brings most faces stays, but a
merge says itself which of two stays. A group that gets none has the retired id of a person whose surest faces it holds, or is new: p- and 8
hex digits of a hash of its first face_id. A name goes to the group that holds most of its remaining faces, and to no other; if none
remains, `claims` says whose it is.

Odd inputs: a claim of an id has no effect when its faces are all gone; of two names for one group the newer is used, and a note tells the
other.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Container, Mapping, Sequence

import numpy as np

from facecluster.decisions import Claim, ResolvedDecisions
from facecluster.people.claims import Ints, group_of_claim, groups_of_claims, groups_of_each, hidden_groups
from facecluster.people.find_person import Homeless
from facecluster.people.runs import Faces, People, RetiredId
from facecluster.store import FaceRows

_SHOWN = 5  # names that a note lists


def shared_faces(old: Ints, new: Ints) -> tuple[Ints, Ints, Ints]:
    """Pairs of an old and a new group that share faces, and how many they share, most first.

    Args:
        old: (n,) old group of each face, from 0; -1 = none.
        new: (n,) new group of each face, from 0; -1 = none.
    """
    both = (old >= 0) & (new >= 0)
    old, new, width = old[both], new[both], max(int(new.max(initial=-1)) + 1, 1)
    usual: Ints = np.zeros(int(old.max(initial=-1)) + 1, np.int64)
    usual[old] = new  # of one of its faces: nearly all are with it, and only the others have to be sorted
    stray = new != usual[old]
    together = np.bincount(old[~stray], minlength=len(usual))
    full = np.flatnonzero(together)
    key, counts = np.unique(old[stray] * width + new[stray], return_counts=True)
    key, counts = np.r_[full * width + usual[full], key], np.r_[together[full], counts]
    order = np.lexsort((key, -counts))
    return key[order] // width, key[order] % width, counts[order]


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


def assign_person_ids(
    faces: Faces, resolved: ResolvedDecisions, before: Sequence[str], at: Ints, old: Ints, retired: Sequence[RetiredId] = ()
) -> list[str]:
    """A lasting id for each group.

    Args:
        faces: the faces of this run.
        resolved: the user's decisions.
        before: lasting ids of the people of the previous run.
        at: (m,) row in `faces` of each face of the previous run; -1 = gone.
        old: (m,) index in `before` of each face of the previous run; -1 = no person.
        retired: the ids that nobody had in the previous run.
    """
    remaining = at >= 0
    was, now = old[remaining], faces.identity[at[remaining]]
    matched = {before[i]: group for i, group in sorted(match_groups(was, now).items())}
    previous: Ints = np.full(len(faces.ids), -1, dtype=np.int64)
    previous[at[remaining]] = was
    contest = _IdContest(faces.rows, faces.identity, before, previous)
    contest.claim(resolved.persons)
    for person, group in matched.items():
        contest.enter(person, group)
    contest.claim([Claim(r.faces, r.person_id) for r in retired])
    for merge in reversed(resolved.merges):
        contest.merge(merge)
    ids: dict[int, str] = {}
    used: set[str] = set()
    for person, group in (*contest.entries(), *matched.items()):  # who loses may still have another group
        if group not in ids and person not in used:
            ids[group] = person
            used.add(person)
    count = int(faces.identity.max(initial=-1)) + 1
    first: Ints = np.full(count, -1, dtype=np.int64)
    grouped = np.flatnonzero(faces.identity >= 0)
    first[faces.identity[grouped[::-1]]] = grouped[::-1]
    taken = {*before, *(r.person_id for r in retired)}
    for group in range(count):
        if group not in ids:
            ids[group] = _new_id(faces.ids[int(first[group])], used, taken)
            used.add(ids[group])
    return [ids[group] for group in range(count)]


class _IdContest:
    """Which lasting ids would go to which group, and how strong each is: of several ids for one group, that of most faces stays."""

    def __init__(self, rows: FaceRows, identity: Ints, before: Sequence[str], previous: Ints) -> None:
        self.rows, self.identity, self.before, self.previous = rows, identity, before, previous  # previous: (n,) index in `before`
        self.past = set(before)
        sizes = (x.tolist() for x in shared_faces(previous, identity))
        self.shared = {(before[i], group): n for i, group, n in zip(*sizes, strict=True)}
        self.group: dict[str, int] = {}  # by lasting id
        self.strength: dict[str, tuple[bool, int]] = {}  # whether the previous run had it, and the faces that it brings
        self.merged: dict[str, str] = {}  # ids that gave way to another by a merge

    def claim(self, claims: Sequence[Claim]) -> None:
        """Enter the id of each claim for its group; an earlier entry of the id counts."""
        for claim, group in zip(claims, groups_of_each(claims, self.rows, self.identity), strict=True):
            if group >= 0:
                self.enter(claim.text, group, claim.faces)

    def enter(self, person: str, group: int, faces: tuple[str, ...] = ()) -> None:
        """Enter an id for a group; how many of `faces` it holds counts if the id shares no faces with it."""
        if person not in self.group:
            self.group[person] = group
            there = self.shared.get((person, group))
            if there is None:
                at = self.rows.of_all(faces)
                there = int(np.count_nonzero(self.identity[at[at >= 0]] == group))
            self.strength[person] = person in self.past, there

    def merge(self, merge: Claim) -> None:
        """The id that a merge keeps takes the place of the other one, if the two were apart in the previous run. Older merges first."""
        mine, theirs = (group_of_claim(Claim(faces), self.rows, self.previous) for faces in (merge.faces, merge.others))
        if theirs < 0 or theirs == mine:
            return
        keep, other = self.merged.get(merge.text, merge.text), self.merged.get(self.before[theirs], self.before[theirs])
        if keep != other and other in self.group and self.group[other] == self.group.get(keep):
            self.strength[keep] = True, self.strength[keep][1] + self.strength.pop(other)[1]
            del self.group[other]
            self.merged = {person: keep if into == other else into for person, into in (self.merged | {other: keep}).items()}

    def entries(self) -> list[tuple[str, int]]:
        """The ids and their groups, strongest first; of equal ones that of the newest decision."""
        return sorted(self.group.items(), key=lambda entry: self.strength[entry[0]], reverse=True)


def _new_id(face: str, *used: Container[str]) -> str:
    """A new lasting id that is in none of `used`."""
    tries = (f"p-{hashlib.sha256(f'{face}{mark or str()}'.encode()).hexdigest()[:8]}" for mark in itertools.count())
    return next(person for person in tries if not any(person in ids for ids in used))


def assign_names(
    ids: Sequence[str], faces: Faces, resolved: ResolvedDecisions, retired: Sequence[RetiredId] = ()
) -> tuple[People, list[str]]:
    """The people of a run: groups with their lasting ids `ids`, names, and whether they are ignored; and notes on names without a group."""
    rows = faces.rows
    names: list[str | None] = [None] * len(ids)
    homeless: dict[str, Homeless] = {}
    placed: set[str] = set()
    for claim, group in zip(resolved.names, groups_of_claims(resolved.names, resolved, rows, faces.identity), strict=True):
        if group >= 0 and names[group] in (None, claim.text):
            names[group] = claim.text
            placed.add(claim.text)
        else:
            why = _why_homeless(claim, rows, faces.identity, names[group] if group >= 0 else None)
            homeless.setdefault(claim.text, Homeless(claim.faces, why))
    ignored = [False] * len(ids)
    for groups in hidden_groups(resolved, rows, faces.identity, ids, names):
        for group in groups:
            ignored[group] = True
    sizes = np.bincount(faces.identity[faces.identity >= 0], minlength=len(ids)).tolist()
    homeless = {name: lost for name, lost in homeless.items() if name not in placed}
    return People(list(ids), names, sizes, ignored, list(retired), homeless), _notes({name: lost.why for name, lost in homeless.items()})


def _why_homeless(claim: Claim, rows: FaceRows, identity: Ints, other: str | None) -> str:
    """Why a name has no group; "" if all its faces are nobody's: the next grouping makes a person of them.

    `other`: the name of the group that most of its faces are in.
    """
    if other is not None:
        return f"most of its faces are in one group with those of {other!r}, which was given later"
    at = rows.of_all(claim.faces)
    at = at[at >= 0]
    if not len(at):
        return "its faces are no longer in the store"
    return "" if (identity[at] < 0).all() else f"no group holds most of its {len(at)} faces"


def _notes(homeless: Mapping[str, str]) -> list[str]:
    """What is said of names without a group."""
    lost = [f"the name {name!r} belongs to no person now: {why}" for name, why in homeless.items() if why]
    waiting = [repr(name) for name, why in homeless.items() if not why]
    if len(waiting) == 1:
        return [*lost, f"the name {waiting[0]} waits for the next 'facecluster cluster', which makes a person of its faces"]
    if waiting:
        more = f" and {len(waiting) - _SHOWN:,} more" if len(waiting) > _SHOWN else ""
        named = f"the names {', '.join(waiting[:_SHOWN])}{more}"
        lost.append(f"{named} wait for the next 'facecluster cluster', which makes people of their faces")
    return lost
