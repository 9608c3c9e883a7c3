"""What was said about people holds when the photos of the faces that it named are deleted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from people_store import add, call, people

from facecluster.people import read_current_people
from facecluster.people.stand_ins import read_stand_ins
from facecluster.photos.places import drop_places, restore_places
from facecluster.store import Store

Shown = set[tuple[frozenset[int], str | None, bool]]


class Library:
    """A store of people with a face a photo. The first photos are there from the beginning, the others come in later."""

    def __init__(self, folder: Path, sizes: Sequence[int], first: Sequence[int]) -> None:
        self.store = Store(str(folder / "store"))
        self.store.create()
        vectors, truth = people(sizes, noise=0.5)
        early = np.concatenate([np.flatnonzero(truth == i)[:n] for i, n in enumerate(first)])
        order = np.r_[early, np.setdiff1d(np.arange(len(truth)), early)]
        self.vectors, self.truth, self.early = vectors[order], truth[order], len(early)
        self.faces = add(self.store, "00000", self.vectors[: self.early])
        call("cluster", self.store.url)

    def of(self, person: int) -> list[str]:
        """The face_ids of a true person, those of the first photos before others."""
        return [face for face, who in zip(self.faces, self.truth.tolist(), strict=False) if who == person]

    def say(self, act: str, *more: str) -> None:
        call(act, self.store.url, *more)

    def come_in(self) -> None:
        self.faces += add(self.store, "00001", self.vectors[self.early :], self.early)
        call("cluster", self.store.url)

    def delete(self, faces: Sequence[str]) -> list[str]:
        """The photos are gone, and dropped; gives their places."""
        places = [f"/photos/{self.faces.index(face)}.jpg" for face in faces]
        drop_places(self.store, places, by_user=True)
        call("cluster", self.store.url)
        return places

    def shown(self) -> Shown:
        """True people together in each person who has a name or is ignored, the name, and whether ignored."""
        known = read_current_people(self.store)[0]
        who = [frozenset(self.truth[[self.faces.index(known.faces.ids[r]) for r in np.flatnonzero(known.faces.identity == i)]].tolist())
               for i in range(len(known.people.names))]  # fmt: skip
        return {p for p in zip(who, known.people.names, known.people.ignored, strict=True) if p[1] or p[2] or len(p[0]) > 1}


def test_a_name_an_ignoring_and_a_merge_outlive_all_faces_that_they_named(tmp_path: Path) -> None:
    library = Library(tmp_path, [14, 14, 12, 9], first=[6, 6, 5, 9])
    library.say("name", library.of(0)[0], "Ann")
    library.say("ignore", library.of(1)[0])
    library.say("merge", library.of(2)[0], library.of(3)[0])
    library.come_in()
    said: Shown = {(frozenset({0}), "Ann", False), (frozenset({1}), None, True), (frozenset({2, 3}), None, False)}
    assert library.shown() == said
    people_before = read_current_people(library.store)[0].people.person_ids
    for some in (slice(0, 3), slice(3, 6)):  # in two steps: those who stand for the first ones are deleted next
        library.delete([face for person in range(3) for face in library.of(person)[some]])
        assert library.shown() == said
    library.say("name", library.of(0)[-1], "Anna")
    call("cluster", library.store.url)
    assert library.shown() == {(who, "Anna" if name else None, ignored) for who, name, ignored in said}
    library.say("name", library.of(0)[-1], "")
    assert library.shown() == {p for p in said if not p[1]} and read_current_people(library.store)[0].people.person_ids == people_before


def test_a_deleted_photo_that_comes_back_stands_for_itself(tmp_path: Path) -> None:
    library = Library(tmp_path, [9, 9], first=[5, 9])
    library.say("name", library.of(0)[0], "Ann")
    library.come_in()
    first = library.of(0)[:5]
    places = library.delete(first)
    stand = read_stand_ins(library.store)
    assert set(stand) == set(first) and set(stand.values()) <= set(library.of(0)[5:])
    restore_places(library.store, places)
    call("cluster", library.store.url)
    library.say("split", first[0], *library.of(0)[5:])  # not Ann: those who stood for her
    call("cluster", library.store.url)
    known = read_current_people(library.store)[0]
    assert {known.people.names[known.find(face)] for face in first} == {"Ann"} and known.people.names.count("Ann") == 1


def test_the_name_of_one_side_of_a_merge_stays_with_the_other_side_until_the_merge_is_undone(tmp_path: Path) -> None:
    library = Library(tmp_path, [4, 6, 7], first=[4, 6, 7])
    library.say("name", library.of(0)[0], "Ann")
    library.say("merge", library.of(0)[0], library.of(1)[0])
    library.delete(library.of(0))
    assert library.shown() == {(frozenset({1}), "Ann", False)}
    library.say("undo")
    call("cluster", library.store.url)
    assert library.shown() == set()


def test_nobody_stands_for_a_face_who_was_split_off_before_it_was_deleted(tmp_path: Path) -> None:
    library = Library(tmp_path, [8, 8], first=[8, 8])
    one, *others = library.of(0)
    library.say("name", one, "Ann")
    library.say("split", one, *others[:4])
    drop_places(library.store, [f"/photos/{library.faces.index(face)}.jpg" for face in others[4:]], by_user=True)
    call("cluster", library.store.url)
    assert not set(read_stand_ins(library.store).values()) & set(others[:4])
    known = read_current_people(library.store)[0]
    assert known.people.names[known.find(one)] == "Ann" and known.people.faces[known.find(one)] == 1
    assert known.people.names[known.find(others[0])] is None


def test_nobody_stands_for_a_face_of_the_other_side_of_a_merge(tmp_path: Path) -> None:
    """Said of one side before the two were merged again: it is not said of the other side when photos are gone."""
    library = Library(tmp_path, [9, 8], first=[9, 8])
    left, stayed = library.of(0)[:3], library.of(0)[3:]
    library.say("split", stayed[0], *left)
    call("cluster", library.store.url)
    library.say("name", left[0], "Ann")
    library.say("name", stayed[0], "")
    library.say("merge", left[0], stayed[0])
    call("cluster", library.store.url)
    library.delete(stayed[:4])
    known = read_current_people(library.store)[0]
    assert {known.people.names[known.find(face)] for face in (*left, *stayed[4:])} == {"Ann"} and known.people.names.count("Ann") == 1
    assert set(read_stand_ins(library.store).values()) <= set(stayed[4:])


def test_a_face_that_came_back_has_nobody_of_before_stand_for_it_if_it_is_deleted_again(tmp_path: Path) -> None:
    """Who stood for it the first time was split off since: on both sides of the split, that one would undo it."""
    library = Library(tmp_path, [14, 14], first=[8, 8])
    library.say("name", library.of(0)[0], "Ann")
    library.come_in()
    face = library.of(0)[0]
    places = library.delete([face])
    stood = read_stand_ins(library.store)[face]
    restore_places(library.store, places)
    call("cluster", library.store.url)
    others = [f for f in library.of(0) if f not in (face, stood)]
    library.say("split", "Ann", stood, others[0])
    call("cluster", library.store.url)
    where = read_current_people(library.store)[0].faces
    apart = where.identity[where.rows[stood]]
    assert apart != where.identity[where.rows[face]]
    library.delete([face])
    where = read_current_people(library.store)[0].faces
    assert where.identity[where.rows[stood]] != where.identity[where.rows[others[1]]]
    assert read_stand_ins(library.store).get(face) not in (stood, others[0])
