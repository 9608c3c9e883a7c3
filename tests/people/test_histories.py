"""Histories of names, renames, removed names, merges, splits, `same`, ignoring and undoing, against a model of what a person means.

The grouping is a stand-in that obeys the decisions: faces of one true person are alike, and nothing else is. The histories are the same in
each run: two rare kinds are known to mean something else to the program (docs/decisions.md, "What replaces a name").
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from facecluster.decisions import Decision, active, constraint_pairs, replay
from facecluster.people import CurrentPeople, People
from facecluster.people.assign_ids import assign_names, assign_person_ids
from facecluster.people.face_ids import with_current_ids
from facecluster.people.retired_ids import retire_ids, with_present_faces
from facecluster.people.runs import Faces
from facecluster.people.stand_ins import faces_meant, most_alike
from facecluster.review.apply_decisions import apply_decisions

SIZES = (3, 9, 2, 4, 12)  # a name links 8 faces of a person
NAMES = ("Ann", "Anna", "ann", "Bob", "Cy")
FACES = [f"{person}{i:02d}" for person, n in zip("abcde", SIZES, strict=True) for i in range(n)]
TRUTH = np.repeat(np.arange(len(SIZES)), SIZES)
ROWS = {face: i for i, face in enumerate(FACES)}
EVERYONE = np.arange(len(FACES))


@dataclass
class Library:
    """The program: a journal, and the people that it stands for."""

    journal: list[Decision] = field(default_factory=list)
    before: People = field(default_factory=lambda: People([], [], [], []))
    old: Faces | None = None
    there: list[str] = field(default_factory=lambda: FACES)  # faces whose photos were not deleted
    stand_ins: dict[str, str] = field(default_factory=dict)
    ever: dict[str, set[str]] = field(default_factory=dict)  # the faces of each lasting id in the last run that had it

    def known(self) -> CurrentPeople:
        unknown = np.full((len(self.there), 4), np.nan, np.float32)
        journal = with_current_ids(self.journal, self.there, unknown, faces_meant({}, self.stand_ins, self.there))
        resolved = replay(journal)
        split_off = {face for d in active(journal) if d.act == "split" for face in d.faces}
        rows, of_all = {face: i for i, face in enumerate(self.there)}, np.array([ROWS[face] for face in self.there])
        identity = apply_decisions(TRUTH[of_all].astype(np.int64), rows, resolved, split_off)
        must, cannot = constraint_pairs(resolved, rows, np.eye(len(rows)))
        together = identity[must[:, 0]] == identity[must[:, 1]]
        assert together.all() and ((identity[cannot[:, 0]] != identity[cannot[:, 1]]) | (identity[cannot[:, 0]] < 0)).all()
        faces = Faces(self.there, identity, 0.9 - 0.01 * (of_all * 7 % 10), unknown)
        old = self.old or Faces([], EVERYONE[:0], np.zeros(0), faces.boxes[:0])
        at = np.array([rows.get(face, -1) for face in old.ids], np.int64)
        retired = with_present_faces(self.before.retired, old, at, self.there, faces_meant({}, self.stand_ins, self.there))
        ids = assign_person_ids(faces, resolved, self.before.person_ids, at, old.identity, retired)
        retired = retire_ids(retired, self.before, old, at, ids, faces)
        return CurrentPeople(assign_names(ids, faces, resolved, retired)[0], faces, resolved)

    def cluster(self) -> None:
        known = self.known()
        self.before, self.old = known.people, known.faces
        members = [{self.there[row] for row in np.flatnonzero(known.faces.identity == i)} for i in range(len(known.people.faces))]
        self.ever |= zip(known.people.person_ids, members, strict=True)

    def delete(self, gone: Collection[str]) -> None:
        """Faces are gone; others stand for them. True people look like themselves, and in no way like others."""
        self.cluster()
        assert self.old is not None
        looks = dict(zip(FACES, np.eye(len(SIZES), dtype=np.float32)[TRUTH], strict=True))
        journal = with_current_ids(self.journal, self.there, self.old.boxes, faces_meant({}, self.stand_ins, self.there))
        somebody = {face for face, group in zip(self.old.ids, self.old.identity.tolist(), strict=True) if group >= 0}
        self.there = [face for face in self.there if face not in gone]
        looks_there = {face: looks[face] for face in self.there}
        self.stand_ins |= most_alike({face: looks[face] for face in somebody & set(gone)}, self.old, journal, looks_there, 0.5)
        self.cluster()

    def append(self, made: Sequence[Decision]) -> list[str]:
        """The ids of the decisions."""
        numbered = [replace(d, id=f"d{len(self.journal) + i}", at="2026-01-01") for i, d in enumerate(made)]
        self.journal += numbered
        return [d.id for d in numbered]

    def undo(self, decisions: Sequence[str]) -> list[str]:
        return self.append([Decision(act="undo", of=of) for of in reversed(decisions)])

    def shown(self) -> set[tuple[frozenset[str], str | None, bool]]:
        """Faces, name, and whether ignored, of each person."""
        known = self.known()
        members = [frozenset(self.there[row] for row in np.flatnonzero(known.faces.identity == i)) for i in range(len(known.people.faces))]
        return set(zip(members, known.people.names, known.people.ignored, strict=True))


@dataclass
class Person:
    faces: set[str]
    name: str | None = None
    ignored: bool = False


@dataclass
class Model:
    """What a person means: people with faces, a name, and whether they are ignored."""

    people: list[Person] = field(default_factory=lambda: [Person({f for f in FACES if f[0] == who}) for who in "abcde"])
    tied: set[str] = field(default_factory=set)  # faces of `same`: without them it says nothing about the others
    apart: list[tuple[set[str], set[str]]] = field(default_factory=list)  # by splits: faces that left, faces that stayed

    def of(self, face: str) -> Person:
        return next(p for p in self.people if face in p.faces)

    def are_apart(self, one: Person, two: Person) -> bool:
        return any(a & left and b & stayed for left, stayed in self.apart for a, b in ((one.faces, two.faces), (two.faces, one.faces)))

    def join(self, one: Person, two: Person) -> None:
        if one is two:
            return
        one.faces, one.name, one.ignored = one.faces | two.faces, one.name or two.name, one.ignored or two.ignored
        self.people = [p for p in self.people if p is not two]
        self.apart = [(left, stayed) for left, stayed in self.apart if not (one.faces & left and one.faces & stayed)]

    def called(self, name: str, but: Person) -> list[Person]:
        return [p for p in self.people if p is not but and p.name and p.name.casefold() == name.casefold()]

    def name(self, person: Person, name: str) -> None:
        person.name = name or None
        for other in self.called(name, person) if name else ():
            self.join(person, other)

    def split(self, person: Person, faces: set[str]) -> None:
        person.faces -= faces
        self.people.append(Person(set(faces)))
        self.apart.append((faces, set(person.faces)))

    def shown(self, there: Collection[str] = FACES) -> set[tuple[frozenset[str], str | None, bool]]:
        """What is to be seen of the faces that are there: who has one left is nobody, unless there is a name."""
        found = [(frozenset(p.faces.intersection(there)), p) for p in self.people]
        return {(faces, p.name, p.ignored) for faces, p in found if len(faces) > 1 or (faces and p.name)}


def act(library: Library, model: Model, step: tuple[str, int, int, int]) -> list[str]:
    """Do a step in both, if it has one meaning; gives the ids of its decisions."""
    what, i, j, k = step
    known, there = library.known(), set(library.there)
    face, other = library.there[i % len(there)], library.there[j % len(there)]
    mine, theirs = model.of(face), model.of(other)
    if any(len(who.faces & there) < 2 for who in (mine, theirs)):
        return []  # nobody, now that photos are gone
    person, second = known.find(face), known.find(other)
    if what in ("name", "clear"):
        name = NAMES[k % len(NAMES)] if what == "name" else ""
        if any(model.are_apart(mine, twin) or len(twin.faces & there) < 2 for twin in model.called(name, mine)):
            return []  # split off, and then given the same name: two people, or one?
        made = [known.name(person, name)]
        model.name(mine, name)
    elif what == "merge" and mine is not theirs:
        made = [known.merge(person, second)]
        model.join(mine, theirs)
    elif what == "same" and mine is not theirs and not (mine.name and theirs.name) and not model.are_apart(mine, theirs):
        made = [known.link("same", (face, other))]
        model.tied |= {face, other}
        model.join(mine, theirs)
    elif what == "split":
        leaving = sorted(mine.faces & there - model.tied)[k % 3 :: 2]
        if min(len(leaving), len(mine.faces & there) - len(leaving)) < 2:
            return []
        made = [known.split(person, leaving)]
        model.split(mine, set(leaving))
    elif what == "ignore":
        made = known.unignore([person]) if mine.ignored else [known.ignore(person)]
        assert made
        mine.ignored = not mine.ignored
    else:
        return []
    return library.append(made)


ACTS = ("name", "name", "name", "clear", "merge", "split", "same", "ignore", "undo", "redo", "cluster")
RANDOM = st.integers(0, 29), st.integers(0, 29), st.integers(0, 8)


@given(st.lists(st.tuples(st.sampled_from(ACTS), *RANDOM), max_size=12))
@example([("name", 0, 0, 0), ("name", 0, 0, 1), ("clear", 0, 0, 0)])  # Ann, Anna, none: Ann came back
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_history_means_what_a_person_means(steps: list[tuple[str, int, int, int]]) -> None:
    check(steps)


@given(st.lists(st.tuples(st.sampled_from(["delete", *ACTS]), *RANDOM), max_size=12))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_what_was_said_holds_when_photos_are_deleted(steps: list[tuple[str, int, int, int]]) -> None:
    check(steps)


def check(steps: Sequence[tuple[str, int, int, int]]) -> None:
    """Go through a history, and compare the program with the model after each step."""
    library, model = Library(), Model()
    library.cluster()
    done: list[tuple[Model, list[str]]] = []  # the model before each act, and its decisions
    undone: list[tuple[Model, list[str]]] = []  # the model after each act that was undone, and the undos
    for step in steps:
        if step[0] == "undo" and done:
            before, ids = done.pop()
            undone.append((model, library.undo(ids)))
            model = before
        elif step[0] == "redo" and undone:
            after, ids = undone.pop()
            done.append((model, library.undo(ids)))
            model = after
        elif step[0] == "cluster":
            library.cluster()
        elif step[0] == "delete":
            who = FACES[step[1]][0]
            if all(face[0] != who for face in model.tied):  # two people who are one only by a third: not if nothing is left of that one
                library.delete({face for face in library.there[2:] if face[0] == who and ROWS[face] % 3 != step[3]})
        else:
            before = copy.deepcopy(model)
            if ids := act(library, model, step):
                done.append((before, ids))
                undone = []
        assert library.shown() == model.shown(library.there)
        known = library.known()
        somebody = {face for face, group in zip(known.faces.ids, known.faces.identity.tolist(), strict=True) if group >= 0}
        for person, faces in library.ever.items():  # an id of a run means somebody as long as one of the faces is somebody's
            assert known.people.index(person) is not None or not faces & somebody


@dataclass
class Act:
    """A name for a true person, or a merge of two, by one face of each."""

    what: str
    face: str
    other: str = ""  # the name, or a face of the other person
    saw: tuple[str | None, str | None] = (None, None)  # merge: the names of both
    id: str = ""
    undo: str | None = None  # id of the undo in force


class Owned(Model):
    """People whose name comes from one true person: of the acts that remain, each is done again as it was meant."""

    def __init__(self, acts: Sequence[Act] = ()) -> None:
        super().__init__()
        self.keeper = {id(p): min(p.faces) for p in self.people}  # a face of whom the lasting id comes from
        self.owner = dict(self.keeper)  # a face of whom the name comes from, or else the lasting id
        self.clear = True  # whether it is plain what two names of a merged person mean
        for a in (a for a in acts if a.undo is None):
            one = self.of(a.face)
            if a.what == "name":
                self.clear &= a.face == self.owner[id(one)] or not one.name
                self.owner[id(one)] = a.face if a.other else self.keeper[id(one)]
                one.name = a.other or None
            elif one is not (two := self.of(a.other)):
                self.clear &= not two.name or (one.name, two.name) == a.saw or not (one.name or a.saw[0])
                self.owner[id(one)] = self.owner[id(one if one.name or not two.name else two)]
                self.join(one, two)


@given(st.lists(st.tuples(st.sampled_from(["name", "name", "clear", "merge", "toggle"]), *[st.integers(0, 29)] * 2), max_size=12))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_decision_can_be_undone_and_brought_back(steps: list[tuple[str, int, int]]) -> None:
    """Names of their own for each true person, and merges: after any of them is undone, the others mean what they meant."""
    library = Library()
    library.cluster()
    acts: list[Act] = []
    for number, (what, i, j) in enumerate(steps):
        model, known = Owned(acts), library.known()
        mine, theirs = model.of(FACES[i]), model.of(FACES[j])
        if what == "toggle" and acts:
            act = acts[i % len(acts)]
            of, act.undo = act.undo or act.id, None if act.undo else "an undo"
            if not Owned(acts).clear:
                act.undo = None if act.undo else of
                continue
            made = library.undo([of])[0]
            act.undo = made if act.undo else None
        elif what == "merge" and mine is not theirs:
            made = library.append([known.merge(known.find(FACES[i]), known.find(FACES[j]))])[0]
            acts.append(Act("merge", model.keeper[id(mine)], model.keeper[id(theirs)], (mine.name, theirs.name), made))
        elif what in ("name", "clear"):
            name = f"Name {number}" if what == "name" else ""
            made = library.append([known.name(known.find(FACES[i]), name)])[0]
            acts.append(Act("name", model.owner[id(mine)], name, id=made))
        assert library.shown() == Owned(acts).shown()
