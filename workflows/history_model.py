"""What somebody means who says things about people: the model that `random_history.py` compares the program with.

Two faces of one photo that are said to be one person may be two people to the program: their place is open. So is that of faces with their
look that come in later, since the program compares them with the one that it took out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from coloured_photos import Key


@dataclass
class Person:
    """What somebody means by a person."""

    faces: set[Key]
    name: str | None = None
    ignored: bool = False
    known: frozenset[Key] | None = field(default=None, repr=False)  # faces that had been shown when it was first joined with another


@dataclass(frozen=True)
class Act:
    """Something that was said. A face stands for the person that it is of."""

    what: str
    face: Key
    other: Key | None = None  # merge
    name: str = ""
    leave: frozenset[Key] = frozenset()  # split
    stay: frozenset[Key] = frozenset()
    known: frozenset[Key] = field(default=frozenset(), repr=False)  # name, merge: the faces that the program had shown


class Model:
    """What is meant: the acts that were not undone, done one after the other on the true people."""

    def __init__(self, hues: dict[Key, int], acts: Sequence[Act]) -> None:
        self.hues = hues
        self.people = [Person({face for face, hue in hues.items() if hue == h}) for h in sorted(set(hues.values()))]
        self.apart: list[tuple[frozenset[Key], frozenset[Key]]] = []
        for act in acts:
            person = self.of(act.face)
            if act.what == "name":
                person.name = act.name or None
                for twin in self.called(act.name, person):
                    self._join(person, twin, act.known)
            elif act.what == "merge" and act.other is not None:
                self._join(person, self.of(act.other), act.known)
            elif act.what == "ignore":
                person.ignored = True
            elif act.what == "split":
                person.faces -= act.leave
                self.people.append(Person(set(act.leave)))
                self.apart.append((act.leave, act.stay))

    def of(self, face: Key) -> Person:
        return next(p for p in self.people if face in p.faces)

    def called(self, name: str, but: Person) -> list[Person]:
        return [p for p in self.people if name and p is not but and (p.name or "").casefold() == name.casefold()]

    def are_apart(self, one: Person, two: Person) -> bool:
        """Whether some of one were split off the other."""
        return any(a & left and b & stay for left, stay in self.apart for a, b in ((one.faces, two.faces), (two.faces, one.faces)))

    def may_join(self, one: Person, two: Person) -> bool:
        """Whether the two are whole true people, or were split off each other. Others would be a riddle for a grouping of so few faces."""
        whole = not any(self._cut(self.hues[face]) for face in one.faces | two.faces)
        return whole or self.are_apart(one, two)

    def settled(self, face: Key) -> bool:
        """Whether it is plain whose a face is: not if a true person was split and the face came later, nor beside itself."""
        cut = self._cut(self.hues[face])
        return not self.is_double(face) and (not cut or face in cut)

    def is_cut(self, face: Key) -> bool:
        """Whether the true person of a face was split."""
        return bool(self._cut(self.hues[face]))

    def is_double(self, face: Key) -> bool:
        """Whether the program may take a face for somebody else, since the person is in one photo twice."""
        return self.beside_itself(face) or self.is_late(face)

    def is_late(self, face: Key) -> bool:
        """Whether a face came after its person was joined from several, and others of its look are beside themselves."""
        person = self.of(face)
        late = person.known is not None and face not in person.known
        return late and any(self.hues[f] == self.hues[face] and self.beside_itself(f) for f in person.faces)

    def beside_itself(self, face: Key) -> bool:
        """Whether another face of its photo is of the same person: the program may take the two for two people."""
        return any(other[0] == face[0] and other != face for other in self.of(face).faces)

    def _cut(self, hue: int) -> set[Key]:
        """The faces that splits of a true person were about."""
        return {f for left, stay in self.apart if hue in {self.hues[g] for g in left} for f in left | stay}

    def _join(self, one: Person, two: Person, known: frozenset[Key]) -> None:
        if one is two:
            return
        one.faces, one.name, one.ignored = one.faces | two.faces, one.name or two.name, one.ignored or two.ignored
        one.known = one.known or two.known or known
        self.people = [p for p in self.people if p is not two]
        self.apart = [(left, stay) for left, stay in self.apart if not (one.faces & left and one.faces & stay)]
