"""The people of a store as they are now: finds the person that a text means, and makes decisions about people. Pure.

A decision about a person names faces, never the person's number in a run: the faces that represent the person.
"""

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

MAX_REPRESENTATIVES = 64  # faces that represent a person in a decision, highest probability first


@dataclass(frozen=True, slots=True)
class CurrentPeople:
    """The people of the current run, under the decisions made since."""

    people: People
    faces: Faces
    decisions: Sequence[Decision]  # the whole journal

    def find(self, text: str) -> int:
        """Index of the person that `text` means: a lasting id, a name (upper and lower case are one), or a face_id.

        Raises:
            InputError: no person or several people match.
        """
        if is_face_id(text):
            group = int(self.faces.identity[self.face_row(text)])
            if group < 0:
                raise InputError(f"expected a person, found face {text}, which belongs to nobody: 'facecluster same' links it to a person")
            return group
        people = self.people
        if is_person_id(text):
            if text in people.person_ids:
                return people.person_ids.index(text)
            near = difflib.get_close_matches(text, people.person_ids, 3, 0.7)
            raise InputError(
                f"expected a person of the store, found {text}, which is nobody's id{_or(near)}: people.csv in the store lists all people"
            )
        name = clean_name(text)
        exact = [i for i, n in enumerate(people.names) if n == name]
        found = exact or [i for i, n in enumerate(people.names) if n and n.casefold() == name.casefold()]
        if len(found) > 1:
            raise InputError(
                f"expected one person, found {len(found)} called {text!r}: give the id of one ({', '.join(map(people.label, found[:5]))})"
            )
        if not found:
            folded = {n.casefold(): people.label(i) for i, n in enumerate(people.names) if n}
            near = [folded[n] for n in difflib.get_close_matches(name.casefold(), list(folded), 3, 0.6)]
            raise InputError(
                f"expected a person (an id p-..., a name, or a face_id), found {text!r}, which is nobody's name{_or(near)}: people.csv in "
                "the store lists all people"
            )
        return found[0]

    def face_row(self, face_id: str) -> int:
        """Row of a face. Raises InputError if the store has no such face."""
        row = bisect.bisect_left(self.faces.ids, face_id)
        if row == len(self.faces.ids) or self.faces.ids[row] != face_id:
            raise InputError(
                f"expected a face_id of the store, found {face_id!r}: the report's faces.csv lists them; new photos need 'facecluster "
                "cluster'"
            )
        return row

    def representatives(self, person: int, without: Sequence[str] = ()) -> tuple[str, ...]:
        """Up to MAX_REPRESENTATIVES face_ids of a person, highest probability first, those of `without` left out."""
        left_out = {self.face_row(face) for face in without}
        rows = [row for row in np.flatnonzero(self.faces.identity == person).tolist() if row not in left_out]
        rows.sort(key=lambda row: -self.faces.probability[row])  # stable: equal ones stay in order of face_id
        return tuple(self.faces.ids[row] for row in rows[:MAX_REPRESENTATIVES])

    def name(self, person: int, name: str) -> Decision:
        """Decision to name the person; '' removes the name."""
        clean = clean_name(name)
        old = (self.people.names[person] or "").casefold()
        return self._about(person, act="name", name=clean, replaces=self._names(old) if old != clean.casefold() else ())

    def merge(self, person: int, other: int) -> Decision:
        """Decision that two people are one, who keeps the id of `person`, and its name if it has one."""
        if person == other:
            raise InputError(f"expected two people, found {self.people.label(person)} twice: give another one")
        mine, theirs = ((self.people.names[i] or "").casefold() for i in (person, other))
        return self._about(
            person, act="merge", others=self.representatives(other), replaces=self._names(theirs) if mine and mine != theirs else ()
        )

    def split(self, person: int, faces: Sequence[str]) -> Decision:
        """Decision that these faces of the person show one other person."""
        wanted = tuple(dict.fromkeys(faces))
        for face in wanted:
            if int(self.faces.identity[self.face_row(face)]) != person:
                raise InputError(f"expected faces of {self.people.label(person)}, found {face}, which is not: leave it out")
        rest = self.representatives(person, wanted)
        if not wanted or not rest:
            found = "all" if wanted else "none"
            raise InputError(f"expected some of the faces of {self.people.label(person)}, found {found} of them: give some, not all")
        return Decision(act="split", faces=wanted, others=rest, boxes=self.boxes((*wanted, *rest)))

    def link(self, act: str, faces: Sequence[str]) -> Decision:
        """Decision that all faces show one person (act "same"), or each another one ("not-same")."""
        wanted = tuple(dict.fromkeys(faces))
        for face in wanted:
            self.face_row(face)
        if len(wanted) < 2:
            raise InputError(f"expected two or more faces, found {len(wanted)}: give their face_ids, as in the report's faces.csv")
        return Decision(act=act, faces=wanted, boxes=self.boxes(wanted))

    def ignore(self, person: int) -> Decision:
        """Decision to list the person apart in reports, and to ask nothing about the person in review."""
        return self._about(person, act="ignore")

    def boxes(self, faces: Sequence[str]) -> Mapping[str, Box]:
        """The known boxes of faces, by face_id."""
        found = {face: self.faces.boxes[self.face_row(face)] for face in faces}
        return {face: tuple(map(float, box)) for face, box in found.items() if np.isfinite(box).all()}  # type: ignore[misc]

    def _names(self, name: str) -> tuple[str, ...]:
        """Ids of the decisions that gave this casefolded name."""
        return tuple(d.id for d in active(self.decisions) if d.act == "name" and (d.name or "").casefold() == name) if name else ()

    def _about(
        self, person: int, *, act: str, name: str | None = None, others: tuple[str, ...] = (), replaces: tuple[str, ...] = ()
    ) -> Decision:
        faces = self.representatives(person)
        return Decision(
            act=act, faces=faces, others=others, name=name, replaces=replaces, person=self.people.person_ids[person],
            boxes=self.boxes((*faces, *others)),
        )  # fmt: skip


def _or(near: Sequence[str]) -> str:
    return f" (similar: {', '.join(near)})" if near else ""
