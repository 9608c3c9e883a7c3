"""Whom a decision is about, when a new grouping moves faces to people who were split off."""

from __future__ import annotations

import numpy as np

from facecluster.decisions import Decision, replay
from facecluster.people.assign_ids import assign_names
from facecluster.people.claims import group_of_claim
from facecluster.people.runs import Faces

SAID = [
    Decision(act="split", faces=("p1", "p2"), others=("a", "b", "c"), id="1"),
    Decision(act="ignore", faces=("a", "b", "c", "d", "e", "f", "g", "q1", "q2"), id="2"),
    Decision(act="name", faces=("a", "b", "c", "d", "e", "f", "g", "q1", "q2"), name="Ann", id="3"),
    Decision(act="split", faces=("q1", "q2"), others=("a", "b", "c", "d", "e", "f", "g"), id="4"),
]


def grouping(*groups: str) -> Faces:
    ids = [face for group in groups for face in group.split()]
    identity = np.concatenate([np.full(len(group.split()), i) for i, group in enumerate(groups)])
    order = np.argsort(ids)
    return Faces([ids[i] for i in order], identity[order], np.ones(len(ids)), np.zeros((len(ids), 4), np.float32))


def test_what_was_said_stays_with_those_who_stayed_when_others_go_to_people_who_were_split_off() -> None:
    """Four faces came after the first split; the second one makes the grouping give them to those of the first."""
    faces = grouping("a b c", "p1 p2 d e f g", "q1 q2")
    people, notes = assign_names(["p-0", "p-1", "p-2"], faces, replay(SAID))
    assert people.names == ["Ann", None, None] and people.ignored == [True, False, False] and notes == []


def test_a_split_that_was_undone_or_joined_again_bars_nobody() -> None:
    faces = grouping("a b", "p1 p2 c d e f g", "q1 q2")
    undone = [*SAID, Decision(act="undo", faces=(), of="1", id="5")]
    assert assign_names(["p-0", "p-1", "p-2"], faces, replay(undone))[0].names == [None, "Ann", None]
    again = [*SAID, Decision(act="merge", faces=("p1",), others=("a",), id="5")]
    assert assign_names(["p-0", "p-1", "p-2"], faces, replay(again))[0].names == [None, "Ann", None]


def test_where_only_such_people_are_left_the_most_faces_say_who_it_is() -> None:
    claim = next(c for c in replay(SAID).ignored)
    faces = grouping("p1 a b c d", "q1 e")
    assert group_of_claim(claim, faces.rows, faces.identity) == 0


def test_that_a_part_had_no_name_says_nothing_of_those_who_stay_when_it_leaves_again() -> None:
    said = [
        Decision(act="name", faces=("a", "b"), name="Bob", id="1"),
        Decision(act="name", faces=("p", "q"), name="", id="2"),
        Decision(act="merge", faces=("p", "q"), others=("a", "b"), id="3"),
        Decision(act="split", faces=("p", "q"), others=("a", "b"), id="4"),
    ]
    people, notes = assign_names(["p-0", "p-1"], grouping("a b", "p q"), replay(said))
    assert people.names == ["Bob", None] and notes == [] == replay(said).notes[1:]
