"""People whom the user ignores stay so, whatever a new grouping makes of their faces."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from people_store import DIM, add, call

from facecluster.decisions import Decision, constraint_pairs, read, replay
from facecluster.people import read_current_people
from facecluster.people.claims import hidden_groups
from facecluster.people.current_people import MAX_REPRESENTATIVES, CurrentPeople
from facecluster.people.runs import Faces, People
from facecluster.store import FaceIds, Store

STRICT = ("--merge-margin", "3")


def groups_of(store: Store, faces: list[str]) -> set[int]:
    """The groups of faces; -1 = nobody."""
    known = read_current_people(store)[0]
    return {int(known.faces.identity[known.rows[face]]) for face in faces}


def questioned(store: Store) -> list[str]:
    """The faces that questions are about."""
    asked = json.loads(call("questions", store.url, "--json").stdout)["questions"]
    return [q[side] for q in asked for side in ("face_a", "face_b") if side in q]


def known_with(store: Store) -> CurrentPeople:
    return read_current_people(store)[0]


def shown(store: Store, faces: list[str]) -> list[str]:
    """Those of some faces that are of a person who is not ignored."""
    known = known_with(store)
    groups = {face: int(known.faces.identity[known.rows[face]]) for face in faces}
    return [face for face, group in groups.items() if group >= 0 and not known.people.ignored[group]]


@pytest.fixture
def loose(tmp_path: Path) -> tuple[Store, list[str]]:
    """A store of two people in one group (32 faces), two others (9 each) and a group of two. STRICT divides the first and the last."""
    store = Store(str(tmp_path / "store"))
    store.create()
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, DIM))
    centres[1] = 0.5 * centres[0] + 0.87 * centres[1]
    vectors = np.repeat(centres, (20, 12, 9, 9), axis=0) + 0.6 * rng.normal(size=(50, DIM))
    centre = rng.normal(size=DIM)
    vectors = np.vstack([vectors, centre + 1.3 * rng.normal(size=(2, DIM))])
    faces = add(store, "00000", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    call("cluster", store.url)
    assert groups_of(store, faces[:32]) == {0} and len(groups_of(store, faces[50:])) == 1 and len(shown(store, faces)) == 52
    return store, faces


def test_an_ignored_pair_stays_together_and_ignored(loose: tuple[Store, list[str]]) -> None:
    store, faces = loose
    call("ignore", store.url, faces[50])
    call("cluster", store.url, *STRICT)
    [group] = groups_of(store, faces[50:])
    assert group >= 0 and known_with(store).people.ignored[group]
    call("undo", store.url)
    call("cluster", store.url, *STRICT, "--full")
    assert groups_of(store, faces[50:]) == {-1}  # so it was the ignoring that held them


def test_both_parts_of_an_ignored_person_are_ignored(loose: tuple[Store, list[str]]) -> None:
    store, faces = loose
    call("ignore", store.url, faces[0])
    call("cluster", store.url, *STRICT)
    first, second = groups_of(store, faces[:20]), groups_of(store, faces[20:32])
    assert first.isdisjoint(second) and not shown(store, faces[:32]) and len(shown(store, faces[32:50])) == 18
    assert not set(questioned(store)) & set(faces[:32])
    known = known_with(store)
    assert [d.of for d in known.unignore([*first, *second])] == [read(store).decisions[0].id]
    call("name", store.url, faces[20], "Anna")  # who gets a name is not hidden by the way
    assert set(shown(store, faces[:32])) == set(faces[20:32])


@pytest.mark.parametrize("part", [0, 1])
def test_bringing_one_part_of_an_ignored_person_back_leaves_the_other_ignored(loose: tuple[Store, list[str]], part: int) -> None:
    """In the table as in review, and over other groupings."""
    store, faces = loose
    call("ignore", store.url, faces[0])
    call("ignore", store.url, faces[45])
    call("cluster", store.url, *STRICT)
    sides = faces[:20], faces[20:32]
    known, path = known_with(store), Path(store.path("people.csv"))
    [group] = groups_of(store, list(sides[part]))
    row = f"{known.people.person_ids[group]},,{known.people.faces[group]},"
    assert f"{row}yes," in path.read_text(encoding="utf-8-sig")
    path.write_text(path.read_text(encoding="utf-8-sig").replace(f"{row}yes,", f"{row},"), encoding="utf-8")
    assert "1 change in people.csv becomes a decision" in call("cluster", store.url, *STRICT).stderr
    for options in ((), ("--full",)):
        call("cluster", store.url, *STRICT, *options)
        assert set(shown(store, faces[:32])) == set(sides[part]) and not set(shown(store, faces)) & set(faces[41:50])
    [group] = groups_of(store, list(sides[1 - part]))
    assert [d.act for d in known_with(store).unignore([group])] == ["undo"]  # the last part: nothing is left to be ignored


def test_bringing_one_part_back_hides_nobody_who_got_a_name_meanwhile() -> None:
    faces = [f"{i:024x}-0000" for i in range(12)]
    ids, x = FaceIds.of(faces), np.full((12, 4), np.nan, np.float32)
    said = [Decision(act="ignore", faces=tuple(faces), person="p-00000000", id="1"),
            Decision(act="name", faces=tuple(faces[8:10]), name="Anna", id="2")]  # fmt: skip
    identity = np.array([0] * 4 + [1] * 4 + [2] * 3 + [-1])
    people = People([f"p-{i:08x}" for i in range(3)], [None, None, "Anna"], [4, 4, 3], [True, True, False])
    known = CurrentPeople(people, Faces(ids, identity, np.ones(12), x), replay(said))
    undo, again = known.unignore([0])
    assert undo.of == "1" and again.act == "ignore" and again.faces == (*faces[4:8], *faces[10:]) and again.person is None
    assert known.unignore([1])[1].person == "p-00000000" and known.unignore([2]) == []


def test_an_ignoring_names_all_faces_of_a_person_so_that_none_comes_back() -> None:
    faces = sorted(f"{i:024x}-0000" for i in range(2_500))
    sure = np.linspace(1, 0.5, len(faces))
    people = People(["p-00000000"], [None], [len(faces)], [False])
    everybody = Faces(FaceIds.of(faces), np.zeros(len(faces), np.int64), sure, np.zeros((len(faces), 4), np.float32))
    known = CurrentPeople(people, everybody, replay([]))
    ignored = replace(known.ignore(0), id="1")
    assert ignored.faces == tuple(faces) and len(ignored.boxes) == len(faces) and len(known.name(0, "Anna").faces) == MAX_REPRESENTATIVES
    parts = np.repeat([0, 1, 2], (900, 700, 900))  # another model divides the person; the last are the least sure
    assert hidden_groups(replay([ignored]), everybody.rows, parts, ["p-00000000", "p-00000001", "p-00000002"], 3 * [None]) == [[0, 1, 2]]


def test_what_a_grouping_makes_of_an_ignored_person_is_ignored() -> None:
    faces = [f"{i:024x}-0000" for i in range(30)]
    ids = FaceIds.of(faces)
    said = [
        Decision(act="ignore", faces=tuple(faces[:20]), id="1"),
        Decision(act="name", faces=tuple(faces[13:16]), name="Anna", id="2"),
        Decision(act="split", faces=tuple(faces[16:18]), others=tuple(faces[:4]), id="3"),
    ]
    # most are in 0; parts in 1; one of three in 2; two whom a later name took in 3; two that left in 4; nothing of them in 5
    identity = np.array([0] * 11 + [1, 1] + [3] * 3 + [4] * 2 + [2, -1] + [2, 2] + [1] + [5] * 7)
    people, resolved = [f"p-{i:08x}" for i in range(6)], replay(said)
    assert hidden_groups(resolved, ids.rows, identity, people, [None, None, None, "Anna", None, None]) == [[0, 1]]
    named = [None, "Berta", None, "Anna", None, None]
    assert hidden_groups(resolved, ids.rows, identity, people, named) == [[0]]  # who has a name is not hidden by the way
    assert hidden_groups(replay([*said, Decision(act="undo", of="1", id="4")]), ids.rows, identity, people, 6 * [None]) == []


def test_a_named_person_is_not_hidden_because_somebody_ignored_was_put_there() -> None:
    faces = [f"{i:024x}-0000" for i in range(12)]
    rows, identity = FaceIds.of(faces).rows, np.zeros(12, np.int64)
    ignored = Decision(act="ignore", faces=tuple(faces[:2]), person="p-00000001", id="1")
    anna = Decision(act="name", faces=tuple(faces[4:8]), name="Anna", id="2")

    def hides(*said: Decision, person: str = "p-00000002", name: str | None = "Anna") -> bool:
        return hidden_groups(replay(said), rows, identity, [person], [name]) == [[0]]

    assert not hides(ignored, anna)
    assert hides(ignored, anna, name=None) and hides(ignored, anna, person="p-00000001")  # nobody else, or the same person
    assert hides(replace(ignored, faces=tuple(faces[:7])), anna) and hides(replace(ignored, faces=(faces[0], faces[4])), anna)


def test_an_ignoring_ties_faces_only_where_nothing_else_that_was_said_forbids_it() -> None:
    faces = [f"{i:024x}-0000" for i in range(12)]
    rows, x = {face: i for i, face in enumerate(faces)}, np.eye(12, dtype=np.float32)
    ignored = Decision(act="ignore", faces=tuple(faces), id="1")
    must, cannot = constraint_pairs(replay([ignored]), rows, x)
    assert must.tolist() == [[i, i + 1] for i in range(7)] and not len(cannot)
    resolved = replay([Decision(act="not-same", faces=(faces[0], faces[1]), id="0"), ignored])
    must, cannot = constraint_pairs(resolved, rows, x)
    assert cannot.tolist() == [[0, 1]] and [0, 1] not in must.tolist() and not resolved.notes and not resolved.must_link_sets()
