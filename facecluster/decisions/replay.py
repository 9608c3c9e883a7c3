"""Replay of the journal: decisions become must-links, cannot-links and names. Pure.

Decisions are read newest first. A decision that contradicts a newer one, also indirectly over linked faces, is skipped with a note. A name
or a merge links only the CORE_FACES faces of highest probability: the user looked at the person, not at each face, so a face that was wrong
in the group can still leave it. Two different names are always two people. A split removes its faces from earlier names and merges.

Odd inputs: faces that are gone from the store still link others together; a decision about nothing but such faces has no effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facecluster.decisions.journal import Decision, active

CORE_FACES = 8  # faces of a person that a name or a merge links
SIMILAR_NAMES = 50  # a name gets cannot-links to this many other names, the most similar ones; less similar people are not joined anyway


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement about the person whom most of these faces show."""

    faces: tuple[str, ...]  # highest probability first
    text: str = ""  # the name, or the lasting id


@dataclass(slots=True)
class LinkedFaces:
    """Union-find over face_ids: sets of must-linked faces, cannot-links between sets, and at most one name a set."""

    parent: dict[str, str] = field(default_factory=dict)
    cannot_link: dict[str, set[str]] = field(default_factory=dict)  # root -> roots
    name: dict[str, str] = field(default_factory=dict)  # root -> name

    def root(self, face: str) -> str:
        """The face that stands for the set of `face`."""
        top = face
        while (above := self.parent.setdefault(top, top)) != top:
            top = above
        while self.parent[face] != top:
            self.parent[face], face = top, self.parent[face]
        return top

    def link(self, a: str, b: str) -> bool:
        """Join the sets of a and b; False if a cannot-link or two names forbid it."""
        a, b = self.root(a), self.root(b)
        if a == b:
            return True
        if b in self.cannot_link.get(a, ()) or self.name.get(a, self.name.get(b)) != self.name.get(b, self.name.get(a)):
            return False
        self.parent[b] = a
        for other in self.cannot_link.pop(b, set()):
            self.cannot_link[other].discard(b)
            self.cannot_link[other].add(a)
            self.cannot_link.setdefault(a, set()).add(other)
        if b in self.name:
            self.name[a] = self.name.pop(b)
        return True

    def separate(self, a: str, b: str) -> bool:
        """Put a cannot-link between the sets of a and b; False if they are one set."""
        a, b = self.root(a), self.root(b)
        if a == b:
            return False
        self.cannot_link.setdefault(a, set()).add(b)
        self.cannot_link.setdefault(b, set()).add(a)
        return True

    def set_name(self, face: str, name: str) -> bool:
        """Name the set of a face; False if it has another name."""
        return self.name.setdefault(self.root(face), name) == name

    def link_all(self, faces: Sequence[str]) -> str | None:
        """Link faces where nothing forbids it; gives a face of the largest set that results, None without faces."""
        heads: list[str] = []
        counts: list[int] = []
        for face in faces:
            at = next((i for i, head in enumerate(heads) if self.link(head, face)), len(heads))
            if at == len(heads):
                heads.append(face)
                counts.append(0)
            counts[at] += 1
        return heads[counts.index(max(counts))] if heads else None


@dataclass(slots=True)
class ResolvedDecisions:
    """The result of a replay. Claims stand newest first."""

    names: list[Claim] = field(default_factory=list)
    ignored: list[Claim] = field(default_factory=list)
    persons: list[Claim] = field(default_factory=list)  # lasting ids
    notes: list[str] = field(default_factory=list)
    links: LinkedFaces = field(default_factory=LinkedFaces)
    decisions: int = 0  # number of decisions in force

    def must_link_sets(self) -> list[list[str]]:
        """Sets of two or more faces that are one person; sorted."""
        sets: dict[str, list[str]] = {}
        for face in self.links.parent:
            sets.setdefault(self.links.root(face), []).append(face)
        return sorted(sorted(faces) for faces in sets.values() if len(faces) > 1)


def replay(decisions: Iterable[Decision]) -> ResolvedDecisions:
    """Resolve decisions, given oldest first."""
    in_force = active(decisions)
    resolved = ResolvedDecisions(decisions=len(in_force))
    replayer = _Replayer(resolved)
    for decision in reversed(in_force):
        if decision.id in replayer.replaced:
            continue
        replayer.replaced.update(decision.replaces)
        if not getattr(replayer, decision.act.replace("-", "_"))(decision):
            name = f" {decision.name!r}" if decision.name else ""
            resolved.notes.append(
                f"the {decision.act}{name} of {decision.at[:10]} ({decision.id}) contradicts later decisions, which count; "
                f"'undo' with {decision.id} removes it"
            )
    return resolved


class _Replayer:
    """Adds decisions, newest first, to the result. A method for each act; it gives whether the whole decision could be added."""

    def __init__(self, resolved: ResolvedDecisions) -> None:
        self.resolved, self.links = resolved, resolved.links
        self.replaced: set[str] = set()  # ids of decisions
        self.split_off: set[str] = set()  # face_ids
        self.name_of: dict[str, str] = {}  # face_id -> the newest name given to it, casefolded
        self.spelling: dict[str, str] = {}  # casefolded name -> the newest spelling
        self.head: dict[str, str] = {}  # casefolded name -> a face that its other faces are linked to

    def name(self, d: Decision) -> bool:
        key = (d.name or "").casefold()
        faces = [f for f in d.faces if f not in self.split_off and self.name_of.get(f, key) == key]
        self._claim_person(d, faces)
        if not key or not faces:
            return not key
        self.name_of.update(dict.fromkeys(faces, key))
        self.resolved.names.append(Claim(tuple(faces), self.spelling.setdefault(key, d.name or "")))
        head = self.links.link_all(faces[:CORE_FACES])
        assert head is not None
        named = self.links.set_name(head, key)
        return self.links.link(self.head.setdefault(key, head), head) and named

    def merge(self, d: Decision) -> bool:
        one, two = ([f for f in faces if f not in self.split_off] for faces in (d.faces, d.others))
        self._claim_person(d, one)
        a, b = self.links.link_all(one[:CORE_FACES]), self.links.link_all(two[:CORE_FACES])
        return a is not None and b is not None and self.links.link(a, b)

    def split(self, d: Decision) -> bool:
        complete = all([self.links.link(d.faces[0], face) for face in d.faces])
        heads = list({self.links.root(face): face for face in d.faces}.values())
        complete = all([self.links.separate(head, other) for head in heads for other in d.others]) and complete
        self.split_off.update(d.faces)
        return complete

    def same(self, d: Decision) -> bool:
        return all([self.links.link(d.faces[0], face) for face in d.faces])

    def not_same(self, d: Decision) -> bool:
        return all([self.links.separate(a, b) for i, a in enumerate(d.faces) for b in d.faces[:i]])

    def ignore(self, d: Decision) -> bool:
        faces = tuple(f for f in d.faces if f not in self.split_off)
        self.resolved.ignored.append(Claim(faces or d.faces))
        return True

    def _claim_person(self, d: Decision, faces: Sequence[str]) -> None:
        if d.person and faces:
            self.resolved.persons.append(Claim(tuple(faces), d.person))


def constraint_pairs(
    resolved: ResolvedDecisions, rows: Mapping[str, int], vectors: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Must-links (m, 2) and cannot-links (c, 2) as row numbers, for the faces in `rows` (face_id -> row of `vectors`, (n, dim)).

    The faces of a set are linked in a chain. Two separate sets get one cannot-link, because must-links carry it to all other faces.
    """
    links = resolved.links
    sets: dict[str, list[int]] = {}
    for face in sorted(links.parent):
        if face in rows:
            sets.setdefault(links.root(face), []).append(rows[face])
    must = [pair for members in sets.values() for pair in zip(sorted(members)[:-1], sorted(members)[1:], strict=True)]
    cannot = {tuple(sorted((sets[a][0], sets[b][0]))) for a in sets for b in links.cannot_link.get(a, ()) if b in sets}
    named = sorted((root for root in sets if root in links.name), key=lambda root: sets[root][0])
    cannot |= _name_cannot_links([sets[root] for root in named], [links.name[root] for root in named], vectors)
    shaped = (np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2) for pairs in (must, cannot))
    return next(shaped), next(shaped)


def _name_cannot_links(sets: Sequence[Sequence[int]], names: Sequence[str], vectors: NDArray[np.floating]) -> set[tuple[int, ...]]:
    """A pair of rows for each set and each of the SIMILAR_NAMES sets of other names whose mean vectors are most similar."""
    if len(sets) < 2:
        return set()
    means = np.stack([vectors[list(members)].astype(np.float32).mean(axis=0) for members in sets])
    name_number = np.unique(names, return_inverse=True)[1]
    found: set[tuple[int, ...]] = set()
    for i, mean in enumerate(means):
        similarity = np.where(name_number == name_number[i], -np.inf, (means @ mean).round(6))
        for j in np.argsort(-similarity, kind="stable")[: min(SIMILAR_NAMES, int((name_number != name_number[i]).sum()))]:
            found.add(tuple(sorted((sets[i][0], sets[int(j)][0]))))
    return found
