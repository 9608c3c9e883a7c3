"""Replay of the journal: decisions become links between faces, names and lasting ids. Pure.

Decisions are read newest first. A decision that contradicts a newer one, also indirectly over linked faces, is skipped with a note. A name
or a merge links only the CORE_FACES faces of highest probability: the user looked at the person, not at each face, so a face that was wrong
in the group can still leave it. Two different names are always two people. A split removes its faces from earlier names, ignorings and
merges; what was said about nothing but these faces goes to those who stayed.

A face that is set aside (no face, too unclear, not to be asked about) is taken out of all earlier decisions; a later one that names it
brings it back.

A decision that replaces another replaces all that this one replaced, even if this one was undone. If it `keeps` the faces of what it
replaces, these stay with the person: a rename, or the removal of a name, takes nobody apart.

Odd inputs: faces that are gone from the store still link others together; a decision about nothing but such faces has no effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from facecluster.decisions.decision import Decision, active
from facecluster.decisions.linked_faces import LinkedFaces

CORE_FACES = 8  # faces of a person that a name or a merge links


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement about the person whom most of these faces show."""

    faces: tuple[str, ...]  # highest probability first
    text: str = ""  # the name, or the lasting id
    of: str = ""  # id of the decision
    others: tuple[str, ...] = ()  # merge: faces of the person who became part of this one
    apart: frozenset[str] = frozenset()  # faces on the other side of splits: the person of such a face is another one


@dataclass(slots=True)
class ResolvedDecisions:
    """The result of a replay. Claims stand newest first."""

    names: list[Claim] = field(default_factory=list)
    ignored: list[Claim] = field(default_factory=list)  # with the lasting ids of the people
    hidden: list[tuple[str, ...]] = field(default_factory=list)  # of each ignoring the faces that no later decision about people names
    persons: list[Claim] = field(default_factory=list)  # lasting ids
    merges: list[Claim] = field(default_factory=list)  # with the lasting id that is kept
    aside: dict[str, str] = field(default_factory=dict)  # face_id -> act (one of ASIDE) of a face that is nobody's
    not_named: list[Claim] = field(default_factory=list)  # names that are not theirs
    births: list[Claim] = field(default_factory=list)  # dates of birth, ISO 8601; '' = not known any more
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
    decisions = list(decisions)
    in_force = {id(d) for d in active(decisions)}
    resolved = ResolvedDecisions(decisions=len(in_force))
    replayer = _Replayer(resolved)
    for decision in reversed(decisions):
        if not replayer.take(decision, in_force=id(decision) in in_force):
            name = f" {decision.name!r}" if decision.name else ""
            resolved.notes.append(
                f"the {decision.act}{name} of {decision.at[:10]} ({decision.id}) contradicts later decisions, which count; "
                f"'undo' with {decision.id} removes it"
            )
    for decision in reversed(decisions):
        if decision.act == "merge" and id(decision) not in in_force:  # undone: the id goes back to whom it was of
            replayer.claim_person(decision, decision.faces)
    for claims in (resolved.names, resolved.ignored, resolved.persons, resolved.births):
        claims[:] = [replace(claim, apart=apart) if (apart := replayer.apart_from(claim.faces)) else claim for claim in claims]
    return resolved


class _Replayer:
    """Adds decisions, newest first, to the result. A method for each act; it gives whether the whole decision could be added."""

    def __init__(self, resolved: ResolvedDecisions) -> None:
        self.resolved, self.links = resolved, resolved.links
        self.replaced: dict[str, tuple[Decision, bool]] = {}  # id -> the decision in its place, whether its faces stay with that person
        self.split_off: dict[str, list[str]] = {}  # face_id -> the faces that stayed when it was split off
        self.other_sides: dict[str, list[frozenset[str]]] = {}  # face_id -> the other sides of the splits in force that it is in
        self.name_of: dict[str, str] = {}  # face_id -> the newest name given to it, casefolded; '' = the name was removed
        self.spelling: dict[str, str] = {}  # casefolded name -> the newest spelling
        self.placed: set[str] = set()  # faces of later decisions about people: they are not set aside
        self.head: dict[str, str] = {}  # casefolded name -> a face that its other faces are linked to
        self.anchor: dict[str, str] = {}  # id of a decision -> a face that the faces of the replaced decisions are linked to

    def take(self, d: Decision, *, in_force: bool) -> bool:
        """Add a decision; one that was undone only hands on what took its place."""
        place = self.replaced.get(d.id)
        if d.act == "undo" or not (in_force or place):
            return True
        by, keeps = place or (d, True)
        for earlier in d.replaces:
            self.replaced.setdefault(earlier, (by, keeps and d.keeps))
        if place is None:
            return bool(getattr(self, d.act.replace("-", "_"))(d))
        if in_force and d.act == "name":
            if keeps:
                self._keep_together(d, by)
            for face in self._left(d.faces):  # a name that was given before it, undone and brought back, does not count either
                self.name_of.setdefault(face, "")
        return True

    def name(self, d: Decision) -> bool:
        key = (d.name or "").casefold()
        left = self._left(d.faces) if key else [f for f in d.faces if f not in self.split_off]  # no name needs nobody to stay for it
        faces = left if self.name_of.keys().isdisjoint(left) else [f for f in left if self.name_of.get(f, key) == key]
        self.claim_person(d, faces)
        self.name_of.update(dict.fromkeys(faces, key))
        if not key or not faces:
            return not key
        self.placed.update(faces)
        self.resolved.names.append(Claim(tuple(faces), self.spelling.setdefault(key, d.name or ""), d.id))
        head = self.links.link_all(faces[:CORE_FACES])
        assert head is not None
        self.anchor[d.id] = head
        named = self.links.set_name(head, key)
        return self.links.link(self.head.setdefault(key, head), head) and named

    def merge(self, d: Decision) -> bool:
        one, two = (tuple(self._left(faces)) for faces in (d.faces, d.others))
        self.claim_person(d, one)
        self.placed.update(one, two)
        a, b = self.links.link_all(one[:CORE_FACES]), self.links.link_all(two[:CORE_FACES])
        if b is not None:
            self.anchor[d.id] = b
        if a is None or b is None:
            return False
        self.resolved.merges.append(Claim(one, d.person or "", d.id, two))
        return self.links.link(a, b)

    def split(self, d: Decision) -> bool:
        complete = self.same(d)
        heads = list({self.links.root(face): face for face in d.faces if face not in self.resolved.aside}.values())
        stayed = self._left(d.others)
        for head in heads:
            # joined again with one of those who stayed: all of them are one person again, not only those whom that decision named
            if any(self.links.root(head) == self.links.root(other) for other in stayed):
                complete = False
            else:
                complete = all([self.links.separate(head, other) or other in self.split_off for other in d.others]) and complete
        self.claim_person(d, stayed)
        self.split_off.update(dict.fromkeys(d.faces, stayed))
        for side, other in ((d.faces, stayed), (stayed, d.faces)) if complete else ():
            there = frozenset(other)
            for face in side:
                self.other_sides.setdefault(face, []).append(there)
        return complete

    def same(self, d: Decision) -> bool:
        faces = [f for f in d.faces if f not in self.resolved.aside]
        self.placed.update(faces)
        self.links.link_all(faces)
        return len({self.links.root(face) for face in faces}) < 2

    def not_same(self, d: Decision) -> bool:
        return all([self.links.separate(a, b) for i, a in enumerate(d.faces) for b in d.faces[:i]])

    def ignore(self, d: Decision) -> bool:
        left = self._left(d.faces)
        self.resolved.ignored.append(Claim(tuple(left), d.person or "", d.id))
        self.resolved.hidden.append(tuple(face for face in left if face not in self.placed))
        return True

    def not_a_face(self, d: Decision) -> bool:
        for face in d.faces:
            if face not in self.placed and face not in self.resolved.aside:
                self.resolved.aside[face] = d.act
                self.split_off.setdefault(face, [])
        return True

    too_unclear = ignore_face = not_a_face

    def draw(self, d: Decision) -> bool:
        return True  # it says that there is a face, not whose

    def not_named(self, d: Decision) -> bool:
        self.resolved.not_named.append(Claim(tuple(self._left(d.faces)), d.name or "", d.id))
        return True

    def born(self, d: Decision) -> bool:
        self.resolved.births.append(Claim(tuple(self._left(d.faces)), d.date or "", d.id))
        return True

    def claim_person(self, d: Decision, faces: Sequence[str]) -> None:
        """Claim the decision's lasting id for the person of these faces."""
        if d.person and (left := self._left(faces)):
            self.resolved.persons.append(Claim(tuple(left), d.person, d.id))

    def apart_from(self, faces: Sequence[str]) -> frozenset[str]:
        """The faces that splits in force keep apart from any of these."""
        if self.other_sides.keys().isdisjoint(faces):
            return frozenset()
        return frozenset().union(*(side for face in faces for side in self.other_sides.get(face, ())))

    def _left(self, faces: Sequence[str]) -> list[str]:
        """The faces that no later split took; if it took all of them, those who stayed."""
        if self.split_off.keys().isdisjoint(faces):
            return list(faces)
        left = [f for f in faces if f not in self.split_off]
        stayed = dict.fromkeys(other for f in faces for other in self.split_off.get(f, ()))
        return left or [f for f in stayed if f not in self.split_off]

    def _keep_together(self, d: Decision, by: Decision) -> None:
        """Link the faces of a replaced name to the person who has another name now, or none."""
        left = self._left(d.faces)
        anchor = [self.anchor[by.id]] if by.id in self.anchor else []
        newest = next((self.name_of[f] for f in (*anchor, *left) if self.name_of.get(f)), None)  # of the person, not of one who left
        head = self.links.link_all([f for f in left if (self.name_of.get(f) or newest) == newest][:CORE_FACES])
        if head is not None:
            self.links.link(self.anchor.setdefault(by.id, head), head)
