"""The people of a store as they are now: finds the person that a text means, and makes decisions about people. Pure.

A decision about a person names faces, never the person's number in a run: the faces that represent the person. Where only a merge holds a
person together, they are faces of one side, that of the name or else that of the lasting id: if the merge is undone, the other side has its
own names back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from facecluster.decisions import BORN, Claim, Decision, ResolvedDecisions, clean_name, new_id
from facecluster.decisions.decision import Box, is_face_id
from facecluster.errors import InputError
from facecluster.language.said import say
from facecluster.people.claims import group_of_claim, groups_of_claims, hidden_groups
from facecluster.people.find_person import find_person
from facecluster.people.runs import Faces, People
from facecluster.photos.followed import Followed, present_ids
from facecluster.store import FaceRows

MAX_REPRESENTATIVES = 64  # faces that represent a person in a decision, highest probability first


@dataclass(frozen=True)
class CurrentPeople:
    """The people of the current run, under the decisions made since."""

    people: People
    faces: Faces
    resolved: ResolvedDecisions  # of the whole journal
    followed: Followed = field(default_factory=dict)  # see `read_followed`
    by_number: bool = False  # whether `find` takes the number of a person in this run, which the next run may give to somebody else

    @property
    def rows(self) -> FaceRows:
        """The row of each face_id."""
        return self.faces.rows

    def find(self, text: str) -> int:
        """Index of the person that `text` means, as `find_person` says. Raises InputError if no person or several people match."""
        people = self.people
        identities = range(len(people.person_ids)) if self.by_number else ()
        return find_person(
            text, people.person_ids, people.names, people.former, self._group_of_face, identities=identities, homeless=people.homeless
        )

    def find_rows(self, face_id: str) -> list[int]:
        """Rows of a face, also by a face_id from before its photo was edited: several if copies of the photo were."""
        return [self.rows[face] for face in present_ids(face_id, self.followed, self.rows)]

    def face_rows(self, face_id: str) -> list[int]:
        """The same. Raises InputError if the store has no such face."""
        rows = self.find_rows(face_id)
        if not rows:
            raise InputError(
                say(
                    "expected a face_id of the store, found '%(id)s': the report's faces.csv lists them; new photos need 'facecluster "
                    "cluster'", id=face_id,
                )  # fmt: skip
            )
        return rows

    def is_nobodys(self, text: str) -> bool:
        """Whether a text is the face_id of a face that is nobody's."""
        return is_face_id(text.strip()) and self._group_of_face(text.strip()) == -1

    def face_row(self, face_id: str) -> int:
        """Row of a face, the first of `face_rows`."""
        return self.face_rows(face_id)[0]

    def representatives(
        self, person: int, without: Collection[str] = (), only: Collection[str] | None = None, most: int = MAX_REPRESENTATIVES
    ) -> tuple[str, ...]:
        """Up to `most` face_ids of a person, highest probability first; none of `without`, and of `only` if there are any."""
        left_out = {self.face_row(face) for face in without}
        rows = [row for row in np.flatnonzero(self.faces.identity == person).tolist() if row not in left_out]
        if only is not None:
            rows = [row for row in rows if self.faces.ids[row] in only] or rows
        rows.sort(key=lambda row: -self.faces.probability[row])  # stable: equal ones stay in order of face_id
        return tuple(self.faces.ids[row] for row in rows[:most])

    def name(self, person: int, name: str) -> Decision:
        """Decision to name the person; '' removes the name."""
        clean = clean_name(name)
        return self._about(person, self._shown_name(person), act="name", name=clean, replaces=self._names_of(person, but=clean))

    def name_faces(self, faces: Sequence[str], name: str) -> Decision:
        """Decision that faces of nobody are a new person with a name; one face is enough."""
        wanted = self._ids(row for face in faces for row in self.face_rows(face))
        person = f"p-{new_id()[:8]}"  # so that the person has one, whatever faces come later
        return Decision(act="name", faces=wanted, name=clean_name(name), person=person, boxes=self.boxes(wanted))

    def merge(self, person: int, other: int) -> Decision:
        """Decision that two people are one, who keeps the id of `person`, and its name if it has one."""
        if person == other:
            raise InputError(say("expected two people, found %(name)s twice: give another one", name=self.people.label(person)))
        mine = self.people.names[person]
        others = self.representatives(other, only=self._side(other))
        return self._about(person, act="merge", others=others, replaces=self._names_of(other, but=mine) if mine else ())

    def split(self, person: int, faces: Sequence[str]) -> Decision:
        """Decision that these faces of the person show one other person. Those who stay keep the id, the name, and stay ignored."""
        mine: list[int] = []
        for face in faces:
            rows = [row for row in self.face_rows(face) if int(self.faces.identity[row]) == person]
            if not rows:
                who = self.people.label(person)
                raise InputError(say("expected faces of %(name)s, found %(id)s, which is not: leave it out", name=who, id=face))
            mine += rows
        wanted = self._ids(mine)
        rest = self.representatives(person, wanted)
        who = self.people.label(person)
        if not wanted:
            raise InputError(say("expected some of the faces of %(name)s, found none of them: give some", name=who))
        if not rest:
            raise InputError(say("expected some of the faces of %(name)s, found all of them: give some, not all", name=who))
        boxes = self.boxes((*wanted, *rest))
        return Decision(act="split", faces=wanted, others=rest, person=self.people.person_ids[person], boxes=boxes)

    def link(self, act: str, faces: Sequence[str]) -> Decision:
        """Decision that all faces show one person (act "same"), or each another one ("not-same")."""
        rows = [self.face_rows(face) for face in faces]
        wanted = self._ids(row for copies in rows for row in (copies if act == "same" else copies[:1]))
        if (found := len({copies[0] for copies in rows})) < 2:
            raise InputError(f"expected two or more faces, found {found}: give their face_ids, as in the report's faces.csv")
        return Decision(act=act, faces=wanted, boxes=self.boxes(wanted))

    def aside(self, act: str, faces: Sequence[str]) -> Decision:
        """Decision (`act` is one of ASIDE) that single faces, with their copies, are nobody's."""
        wanted = self._ids(row for face in faces for row in self.face_rows(face))
        return Decision(act=act, faces=wanted, boxes=self.boxes(wanted))

    def ignore(self, person: int) -> Decision:
        """Decision to list the person apart in reports, and to ask nothing about the person in review."""
        return self._about(person, act="ignore", most=self.people.faces[person])  # all: whatever a new grouping makes of them stays ignored

    def not_named(self, person: int, name: str) -> Decision:
        """Decision that the person is not who is called `name`: pictures of known people do not suggest it again."""
        return self._about(person, act="not-named", name=clean_name(name))

    def born(self, person: int, day: str) -> Decision:
        """Decision that the person was born on a day (ISO 8601); '': that this is not known any more."""
        return self._about(person, act=BORN, date=day)

    @cached_property
    def births(self) -> Mapping[int, str]:
        """The dates of birth (ISO 8601) that the user has given, by index of the person; the newest counts."""
        found: dict[int, str] = {}
        for claim, group in self._placed(self.resolved.births):
            if group >= 0:
                found.setdefault(group, claim.text)
        return {person: day for person, day in found.items() if day}

    def unignore(self, people: Collection[int]) -> list[Decision]:
        """Undo the decisions that ignore these people; none if nobody ignores them. Whom else such a decision hides stays ignored."""
        made = []
        for claim, hidden, groups in zip(self.resolved.ignored, self.resolved.hidden, self._hidden, strict=True):
            if groups.isdisjoint(people):
                continue
            made.append(Decision(act="undo", of=claim.of))
            unnamed, left = {*hidden}, []
            for face in claim.faces:
                group = int(self.faces.identity[row]) if (row := self.rows.get(face, -1)) >= 0 else -1
                if group not in people and (group in groups or face in unnamed):  # a later name of another person stays the later one
                    left.append(face)
            if not groups.issubset(people):
                person = None if any(self.people.person_ids[p] == claim.text for p in people) else claim.text or None
                boxes = self.boxes([face for face in left if face in self.rows])
                made.append(Decision(act="ignore", faces=tuple(left), person=person, boxes=boxes))
        return made

    def boxes(self, faces: Sequence[str]) -> Mapping[str, Box]:
        """The known boxes of faces, by face_id."""
        found = {face: self.faces.boxes[self.face_row(face)] for face in faces}
        return {face: tuple(map(float, box)) for face, box in found.items() if np.isfinite(box).all()}  # type: ignore[misc]

    # -- what earlier decisions say about a person ------------------------------------------------------------------------------

    def _group(self, claim: Claim) -> int:
        return group_of_claim(claim, self.rows, self.faces.identity)

    def _placed(self, claims: Sequence[Claim]) -> list[tuple[Claim, int]]:
        return list(zip(claims, groups_of_claims(claims, self.resolved, self.rows, self.faces.identity), strict=True))

    def _group_of_face(self, face: str) -> int | None:
        rows = self.find_rows(face)
        return int(self.faces.identity[rows[0]]) if rows else None

    def _ids(self, rows: Iterable[int]) -> tuple[str, ...]:
        """The face_ids of rows, each once."""
        return tuple(dict.fromkeys(self.faces.ids[row] for row in rows))

    @cached_property
    def _named(self) -> list[tuple[Claim, int]]:
        return self._placed(self.resolved.names)

    @cached_property
    def _merged(self) -> list[tuple[Claim, int]]:
        """The merges that hold a person together, newest first."""
        both = [(claim, self._group(claim), self._group(Claim(claim.others))) for claim in self.resolved.merges]
        return [(claim, one) for claim, one, two in both if one == two and one >= 0]

    def _shown_name(self, person: int) -> Claim | None:
        """The statement that the person's name comes from."""
        name = self.people.names[person]
        return next((claim for claim, group in self._named if group == person and claim.text == name), None)

    def _names_of(self, person: int, but: str) -> tuple[str, ...]:
        """Ids of the decisions that gave the person another name than `but`: also of those of the same name that are about nobody now."""
        key, shown = but.casefold(), (self.people.names[person] or "").casefold()
        folded = [(claim.of, claim.text.casefold(), group) for claim, group in self._named]
        return tuple(of for of, text, group in folded if text != key and (group == person or (group < 0 and text == shown)))

    @cached_property
    def _hidden(self) -> list[set[int]]:
        """The people whom each ignoring hides."""
        return [{*g} for g in hidden_groups(self.resolved, self.rows, self.faces.identity, self.people.person_ids, self.people.names)]

    def named_otherwise(self) -> list[tuple[str, int]]:
        """Names that are not theirs, with the person."""
        return [(claim.text, group) for claim, group in self._placed(self.resolved.not_named) if group >= 0]

    def _side(self, person: int, claim: Claim | None = None) -> set[str] | None:
        """If merges hold the person together, the faces on the side of `claim`, or else on the side that keeps the id; else None."""
        merges = [merge for merge, group in self._merged if group == person]
        if not merges:
            return None
        keeper = next((merge for merge in merges if merge.text == self.people.person_ids[person]), merges[0])
        core = {*(claim or keeper).faces}
        return core.union(*(side for m in merges for side in (m.faces, m.others) if not core.isdisjoint(side)))

    def _about(
        self, person: int, claim: Claim | None = None, *, act: str, name: str | None = None, others: tuple[str, ...] = (),
        replaces: tuple[str, ...] = (), date: str | None = None, most: int = MAX_REPRESENTATIVES,
    ) -> Decision:  # fmt: skip
        keeper, side = self._side(person), self._side(person, claim)
        faces = self.representatives(person, only=side, most=most)
        keeps_id = keeper is None or side is None or not keeper.isdisjoint(side)
        return Decision(
            act=act, faces=faces, others=others, name=name, date=date, replaces=replaces, keeps=bool(replaces),
            person=self.people.person_ids[person] if keeps_id else None, boxes=self.boxes((*faces, *others)),
        )  # fmt: skip
