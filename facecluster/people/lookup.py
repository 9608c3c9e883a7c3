"""The person that a text means, and decisions about people in terms of their faces. Pure, but for what Register.open reads."""

from __future__ import annotations

import bisect
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facecluster.decisions import Decision, active, clean_name
from facecluster.decisions.journal import Box, is_face_id, is_person_id
from facecluster.errors import InputError
from facecluster.people.runs import Faces, People

ANCHORS = 64  # faces that stand for a person, the surest


@dataclass(frozen=True, slots=True)
class Register:
    """The people of a store as they are now, to speak of them."""

    people: People
    faces: Faces
    decisions: Sequence[Decision]  # so far

    def find(self, text: str) -> int:
        """Index of the person that `text` means: a lasting id, a name (small and capital letters are one), or a face_id.

        Raises:
            InputError: nobody is meant, or several people.
        """
        if is_face_id(text):
            group = int(self.faces.identity[self.face(text)])
            if group < 0:
                raise InputError(f"expected a person, found face {text}, which is nobody's: say with 'facecluster same' whose it is")
            return group
        people = self.people
        if is_person_id(text):
            if text in people.person_ids:
                return people.person_ids.index(text)
            near = difflib.get_close_matches(text, people.person_ids, 3, 0.7)
            raise InputError(
                f"expected a person of the store, found {text}, whom nobody is{_or(near)}: people.csv in the store lists them all"
            )
        name = clean_name(text)
        exact = [i for i, n in enumerate(people.names) if n == name]
        found = exact or [i for i, n in enumerate(people.names) if n and n.casefold() == name.casefold()]
        if len(found) > 1:
            raise InputError(
                f"expected one person, found {len(found)} called {text!r}: say which ({', '.join(map(people.label, found[:5]))})"
            )
        if not found:
            folded = {n.casefold(): people.label(i) for i, n in enumerate(people.names) if n}
            near = [folded[n] for n in difflib.get_close_matches(name.casefold(), list(folded), 3, 0.6)]
            raise InputError(f"expected a person (an id p-..., a name, or a face_id), found {text!r}, which nobody is called{_or(near)}")
        return found[0]

    def face(self, text: str) -> int:
        """Row of a face. Raises InputError if there is none."""
        row = bisect.bisect_left(self.faces.ids, text)
        if row == len(self.faces.ids) or self.faces.ids[row] != text:
            raise InputError(
                f"expected a face_id of the store, found {text!r}: the report's faces.csv lists them; new photos need 'facecluster cluster'"
            )
        return row

    def anchors(self, person: int, leave: Sequence[str] = ()) -> tuple[str, ...]:
        """face_ids that stand for a person, the surest first; without those of `leave`."""
        out = {self.face(face) for face in leave}
        rows = [row for row in np.flatnonzero(self.faces.identity == person).tolist() if row not in out]
        rows.sort(key=lambda row: -self.faces.probability[row])  # stable: ties by face_id
        return tuple(self.faces.ids[row] for row in rows[:ANCHORS])

    def name(self, person: int, name: str) -> Decision:
        """The person is called that; '' takes the name away."""
        clean = clean_name(name)
        old = (self.people.names[person] or "").casefold()
        return self._about(person, act="name", name=clean, replaces=self._names(old) if old != clean.casefold() else ())

    def merge(self, person: int, other: int) -> Decision:
        """The two are one, and keep the first one's id, and its name if it has one."""
        if person == other:
            raise InputError(f"expected two people, found {self.people.label(person)} twice")
        mine, theirs = ((self.people.names[i] or "").casefold() for i in (person, other))
        return self._about(person, act="merge", others=self.anchors(other), replaces=self._names(theirs) if mine and mine != theirs else ())

    def split(self, person: int, faces: Sequence[str]) -> Decision:
        """These faces of the person are somebody else's, one person's."""
        wanted = tuple(dict.fromkeys(faces))
        for face in wanted:
            if int(self.faces.identity[self.face(face)]) != person:
                raise InputError(f"expected faces of {self.people.label(person)}, found {face}, which is not: leave it out")
        rest = self.anchors(person, wanted)
        if not wanted or not rest:
            raise InputError(f"expected some of the faces of {self.people.label(person)}, found {'all' if wanted else 'none'} of them")
        return Decision(act="split", faces=wanted, others=rest, boxes=self.boxes((*wanted, *rest)))

    def link(self, act: str, faces: Sequence[str]) -> Decision:
        """The faces are of one person ("same"), or each of another ("not-same")."""
        wanted = tuple(dict.fromkeys(faces))
        for face in wanted:
            self.face(face)
        if len(wanted) < 2:
            raise InputError(f"expected two faces and more, found {len(wanted)}: give their face_ids, as in the report's faces.csv")
        return Decision(act=act, faces=wanted, boxes=self.boxes(wanted))

    def ignore(self, person: int) -> Decision:
        """The user wants to hear no more of the person."""
        return self._about(person, act="ignore")

    def boxes(self, faces: Sequence[str]) -> Mapping[str, Box]:
        """The boxes of faces, where known."""
        found = {face: self.faces.boxes[self.face(face)] for face in faces}
        return {face: tuple(map(float, box)) for face, box in found.items() if np.isfinite(box).all()}  # type: ignore[misc]

    def _names(self, name: str) -> tuple[str, ...]:
        """Ids of the decisions that gave this name, in small letters."""
        return tuple(d.id for d in active(self.decisions) if d.act == "name" and (d.name or "").casefold() == name) if name else ()

    def _about(
        self, person: int, *, act: str, name: str | None = None, others: tuple[str, ...] = (), replaces: tuple[str, ...] = ()
    ) -> Decision:
        faces = self.anchors(person)
        return Decision(
            act=act, faces=faces, others=others, name=name, replaces=replaces, person=self.people.person_ids[person],
            boxes=self.boxes((*faces, *others)),
        )  # fmt: skip


def _or(near: Sequence[str]) -> str:
    return f" (near it: {', '.join(near)})" if near else ""
