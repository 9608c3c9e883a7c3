"""Decisions to what they mean for grouping and naming. Pure.

Decisions are taken newest first; what contradicts (over all that ties faces together) one that is already taken is passed over, with a
note. A name, or a merge, ties the CORE surest faces of a person together and no more: the user has looked at a person, not at each face,
so that a face which was wrong in the group can still leave it. Two names are never one person. A split takes its faces out of what
earlier names and merges speak of.

Odd inputs: faces that are not there any more still tie others together; a decision about nothing but such faces has no effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facecluster.decisions.journal import Decision, active

CORE = 8  # faces of a person that are tied together
RIVALS = 50  # names that a name is kept apart from: those most like it. Names that are less alike are not joined anyway


@dataclass(frozen=True, slots=True)
class Claim:
    """Something said of the person whom most of these faces show."""

    faces: tuple[str, ...]  # surest first
    text: str = ""  # the name, or the lasting id


@dataclass(slots=True)
class _Ties:
    """Faces tied together in sets; sets that are enemies; at most one name a set."""

    parent: dict[str, str] = field(default_factory=dict)
    enemies: dict[str, set[str]] = field(default_factory=dict)  # of a root: roots
    name: dict[str, str] = field(default_factory=dict)  # of a root

    def root(self, face: str) -> str:
        top = face
        while (above := self.parent.setdefault(top, top)) != top:
            top = above
        while self.parent[face] != top:
            self.parent[face], face = top, self.parent[face]
        return top

    def join(self, a: str, b: str) -> bool:
        """Tie a and b together; False if that contradicts."""
        a, b = self.root(a), self.root(b)
        if a == b:
            return True
        if b in self.enemies.get(a, ()) or self.name.get(a, self.name.get(b)) != self.name.get(b, self.name.get(a)):
            return False
        self.parent[b] = a
        for enemy in self.enemies.pop(b, set()):
            self.enemies[enemy].discard(b)
            self.enemies[enemy].add(a)
            self.enemies.setdefault(a, set()).add(enemy)
        if b in self.name:
            self.name[a] = self.name.pop(b)
        return True

    def part(self, a: str, b: str) -> bool:
        """Keep a and b apart; False if that contradicts."""
        a, b = self.root(a), self.root(b)
        if a == b:
            return False
        self.enemies.setdefault(a, set()).add(b)
        self.enemies.setdefault(b, set()).add(a)
        return True

    def call(self, face: str, name: str) -> bool:
        """Give the set of a face a name; False if it has another."""
        return self.name.setdefault(self.root(face), name) == name

    def tie(self, faces: Sequence[str]) -> str | None:
        """Tie faces together as far as nothing contradicts; a face of the largest set that comes of it."""
        heads: list[str] = []
        counts: list[int] = []
        for face in faces:
            at = next((i for i, head in enumerate(heads) if self.join(head, face)), len(heads))
            if at == len(heads):
                heads.append(face)
                counts.append(0)
            counts[at] += 1
        return heads[counts.index(max(counts))] if heads else None


@dataclass(slots=True)
class Verdict:
    """What the decisions that hold come to. Claims stand newest first."""

    names: list[Claim] = field(default_factory=list)
    ignored: list[Claim] = field(default_factory=list)
    persons: list[Claim] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ties: _Ties = field(default_factory=_Ties)
    decisions: int = 0  # that hold

    def together(self) -> list[list[str]]:
        """Sets of faces that are one person, single faces left out; sorted."""
        sets: dict[str, list[str]] = {}
        for face in self.ties.parent:
            sets.setdefault(self.ties.root(face), []).append(face)
        return sorted(sorted(faces) for faces in sets.values() if len(faces) > 1)


def replay(decisions: Iterable[Decision]) -> Verdict:
    """What decisions, oldest first, come to."""
    held = active(decisions)
    verdict = Verdict(decisions=len(held))
    reader = _Reader(verdict)
    for decision in reversed(held):
        if decision.id in reader.replaced:
            continue
        reader.replaced.update(decision.replaces)
        if not getattr(reader, decision.act.replace("-", "_"))(decision):
            name = f" {decision.name!r}" if decision.name else ""
            verdict.notes.append(
                f"the {decision.act}{name} of {decision.at[:10]} ({decision.id}) contradicts later decisions, which count; "
                f"'undo' with {decision.id} takes it out"
            )
    return verdict


class _Reader:
    """Takes decisions, newest first, into a verdict; each method says whether all of it could be taken."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict, self.ties = verdict, verdict.ties
        self.replaced: set[str] = set()
        self.split_off: set[str] = set()
        self.owner: dict[str, str] = {}  # of a face: the newest name it was given, folded
        self.spelt: dict[str, str] = {}  # as it was written last
        self.head: dict[str, str] = {}  # of a name, a face tied to its others

    def name(self, d: Decision) -> bool:
        key = (d.name or "").casefold()
        faces = [f for f in d.faces if f not in self.split_off and self.owner.get(f, key) == key]
        self._person(d, faces)
        if not key or not faces:
            return not key
        self.owner.update(dict.fromkeys(faces, key))
        self.verdict.names.append(Claim(tuple(faces), self.spelt.setdefault(key, d.name or "")))
        head = self.ties.tie(faces[:CORE])
        assert head is not None
        good = self.ties.call(head, key)
        return self.ties.join(self.head.setdefault(key, head), head) and good

    def merge(self, d: Decision) -> bool:
        one, two = ([f for f in faces if f not in self.split_off] for faces in (d.faces, d.others))
        self._person(d, one)
        a, b = self.ties.tie(one[:CORE]), self.ties.tie(two[:CORE])
        return a is not None and b is not None and self.ties.join(a, b)

    def split(self, d: Decision) -> bool:
        good = all([self.ties.join(d.faces[0], face) for face in d.faces])
        heads = list({self.ties.root(face): face for face in d.faces}.values())
        good = all([self.ties.part(head, other) for head in heads for other in d.others]) and good
        self.split_off.update(d.faces)
        return good

    def same(self, d: Decision) -> bool:
        return all([self.ties.join(d.faces[0], face) for face in d.faces])

    def not_same(self, d: Decision) -> bool:
        return all([self.ties.part(a, b) for i, a in enumerate(d.faces) for b in d.faces[:i]])

    def ignore(self, d: Decision) -> bool:
        faces = tuple(f for f in d.faces if f not in self.split_off)
        self.verdict.ignored.append(Claim(faces or d.faces))
        return True

    def _person(self, d: Decision, faces: Sequence[str]) -> None:
        if d.person and faces:
            self.verdict.persons.append(Claim(tuple(faces), d.person))


def pairs(verdict: Verdict, rows: Mapping[str, int], vectors: NDArray[np.floating]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Must-links (m, 2) and cannot-links (c, 2) by row numbers, of what `rows` (face_id -> row of `vectors`, (n, dim)) holds.

    Faces of a set are linked in a chain; two sets that are apart by one pair, since must-links carry it to all others.
    """
    ties = verdict.ties
    sets: dict[str, list[int]] = {}
    for face in sorted(ties.parent):
        if face in rows:
            sets.setdefault(ties.root(face), []).append(rows[face])
    must = [link for members in sets.values() for link in zip(sorted(members)[:-1], sorted(members)[1:], strict=True)]
    cannot = {tuple(sorted((sets[a][0], sets[b][0]))) for a in sets for b in ties.enemies.get(a, ()) if b in sets}
    named = sorted((root for root in sets if root in ties.name), key=lambda root: sets[root][0])
    cannot |= _rivals([sets[root] for root in named], [ties.name[root] for root in named], vectors)
    shaped = (np.array(sorted(links), dtype=np.int64).reshape(-1, 2) for links in (must, cannot))
    return next(shaped), next(shaped)


def _rivals(sets: Sequence[Sequence[int]], names: Sequence[str], vectors: NDArray[np.floating]) -> set[tuple[int, ...]]:
    """A pair of rows for each set and the RIVALS sets of other names that are most like it."""
    if len(sets) < 2:
        return set()
    means = np.stack([vectors[list(members)].astype(np.float32).mean(axis=0) for members in sets])
    kinds = np.unique(names, return_inverse=True)[1]
    found: set[tuple[int, ...]] = set()
    for i, mean in enumerate(means):
        alike = np.where(kinds == kinds[i], -np.inf, (means @ mean).round(6))
        for j in np.argsort(-alike, kind="stable")[: min(RIVALS, int((kinds != kinds[i]).sum()))]:
            found.add(tuple(sorted((sets[i][0], sets[int(j)][0]))))
    return found
