"""A face of which the user has said whose it is has probability 1; the others keep the calibrated figure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from people_store import call, people, ungrouped_store

from facecluster.decisions import Decision, append, read
from facecluster.grouping.identify import IdentifyConfig, group
from facecluster.people import read_current_people
from facecluster.people.told_faces import told_faces
from facecluster.privacy.decisions import change
from facecluster.privacy.forget_plan import ForgetPlan
from facecluster.review.session import Session
from facecluster.store import Store


@pytest.fixture
def grouped(tmp_path: Path) -> tuple[Store, list[str]]:
    """A store of four people, whose faces differ much, and a single face, the last one."""
    store, faces, _ = ungrouped_store(tmp_path, (12, 10, 9, 9, 1), noise=1.2)
    call("cluster", store.url)
    known = read_current_people(store)[0]
    assert known.faces.identity[known.rows[faces[-1]]] == -1
    return store, faces


def sure(store: Store) -> np.ndarray:
    """The probability of each face."""
    return read_current_people(store)[0].faces.probability


def test_a_named_face_in_a_larger_group_is_not_unsure(grouped: tuple[Store, list[str]]) -> None:
    store, faces = grouped
    call("name", store.url, faces[0], "Anna")
    call("cluster", store.url)
    before = sure(store)
    call("name", store.url, faces[-1], "Anna")
    call("cluster", store.url)
    known, now = read_current_people(store)[0], sure(store)
    rows = [known.rows[face] for face in faces]
    assert known.faces.identity[rows[-1]] == known.find("Anna") and now[rows[-1]] == 1
    other = [row for row in rows[:-1] if known.faces.identity[row] == known.find("Anna")]
    assert (now[other] < 1).any() and np.abs(now[other] - before[other]).max() < 0.1  # that of the others is measured
    for more in (["--full"], ["--algorithm", "hdbscan"]):
        call("cluster", store.url, *more)
        assert sure(store)[rows[-1]] == 1
    call("undo", store.url)
    call("cluster", store.url)
    assert sure(store)[rows[-1]] < 1


def test_the_page_says_so_at_once(grouped: tuple[Store, list[str]]) -> None:
    store, faces = grouped
    call("name", store.url, "1", "Anna")
    call("same", store.url, faces[0], faces[-1])
    call("cluster", store.url)
    session = Session(store)
    try:
        one = min(faces[12:22], key=lambda face: session.view().current.faces.probability[session.view().current.rows[face]])
        row, anna = session.view().current.rows[one], session.view().current.people.person_ids[session.view().current.find("Anna")]
        assert session.view().current.faces.probability[row] < 1
        session.act({"act": "give", "faces": [one], "person": anna})
        view = session.view()
        mine = view.rows_of(view.current.find("Anna")).tolist()
        shown = view.current.faces.probability
        assert row in mine and shown[row] == 1 and (np.diff(shown[mine]) <= 0).all()
    finally:
        session.close()


def test_a_row_linked_with_itself_has_probability_1_and_keeps_its_margin() -> None:
    vectors = people((6, 4))[0]
    cosine = vectors @ vectors.T
    near = np.argsort(-cosine, axis=1)[:, 1:5]
    similarity = np.take_along_axis(cosine, near, axis=1)
    plain = group(vectors, near, similarity, IdentifyConfig())
    told = group(vectors, near, similarity, IdentifyConfig(), must=np.array([[2, 2]]))
    assert (told.labels == plain.labels).all() and (told.margins == plain.margins).all()
    rest = np.arange(10) != 2
    assert plain.probabilities[2] < 1 == told.probabilities[2] and (told.probabilities == plain.probabilities)[rest].all()


def test_which_faces_were_told_one_by_one() -> None:
    def told(*decisions: Decision, followed: dict[str, list[str]] | None = None, stands: dict[str, list[str]] | None = None) -> set[str]:
        meant = {**(followed or {}), **(stands or {})}
        now = [Decision(act=d.act, faces=tuple(new for f in d.faces for new in meant.get(f, [f]))) for d in decisions]
        return told_faces(decisions, now, followed or {}, meant, set("abcdxyz"))

    one = Decision(act="name", faces=("a",), name="Anna", id="1")
    person = Decision(act="name", faces=("b", "c"), name="Berta", id="2")
    assert told(one, person) == {"a"}
    assert told(one, Decision(act="undo", of="1", id="3")) == set()
    given = Decision(act="same", faces=("b", "d"), id="4")
    assert told(person, given) == {"d"}  # b represents the person
    both = [Decision(act="same", faces=("c", "d"), batch="e", id="5"), Decision(act="name", faces=("c", "d"), name="C", batch="e", id="6")]
    assert told(*both) == {"c", "d"}
    cut = Decision(act="name", faces=("b",), name="Berta", each=False, id="8")
    assert told(cut) == set() and told(cut, given) == {"d"}
    regions = Decision(act="name", faces=("c", "d"), name="C", each=True, id="9")
    assert told(regions) == {"c", "d"} and told(regions, person) == {"c", "d"}
    assert told(replace(given, each=False)) == set()
    assert told(one, followed={"a": ["x", "y"]}) == {"x", "y"}
    assert told(Decision(act="name", faces=("gone",), name="G", id="7"), stands={"gone": ["z"]}) == set()



@pytest.mark.parametrize("came_later", [True, False])
def test_a_name_of_which_a_forgetting_left_one_face_was_not_said_of_that_face(grouped: tuple[Store, list[str]], came_later: bool) -> None:
    """Neither if it named that face among others, nor if that face takes the place of all that it named."""
    store, faces = grouped
    known = read_current_people(store)[0]
    anna = [face for face in faces if known.faces.identity[known.rows[face]] == 0]
    named = known.name(0, "Anna")
    append(store, [replace(named, faces=named.faces[:-1]) if came_later else named])
    stays = named.faces[-1]
    call("forget", store.url, *(face for face in anna if face != stays), "--yes")
    [left] = read(store).decisions
    assert left.faces == (stays,) and not left.each and left.name == "Anna" and told_faces([left], [left], {}, {}, {stays}) == set()


def test_what_forgetting_leaves_of_a_decision_is_told_of_no_face_that_it_did_not_name() -> None:
    ids = {letter: f"{ord(letter):024x}-0000" for letter in "abcdx"}
    plan = ForgetPlan(faces=[ids["a"]], instead={ids["a"]: ids["x"]})

    def left(act: str, faces: str, each: bool | None = None) -> tuple[str, bool | None]:
        name = "Anna" if act == "name" else None
        made = change(Decision(act=act, faces=tuple(ids[f] for f in faces), name=name, each=each, id="1"), plan)
        assert made is not None
        return "".join(letter for face in made.faces for letter, known in ids.items() if known == face), made.each

    assert left("name", "a") == ("x", False) and left("name", "b") == ("b", None) and left("name", "abc") == ("xbc", None)
    assert left("name", "abc", True) == ("bc", True) and left("name", "a", True) == ("x", False)
    assert left("same", "ab") == ("xb", False) and left("same", "bc") == ("bc", None)
    assert change(Decision(act="same", faces=(ids["a"], ids["b"]), id="1"), replace(plan, instead={})) is None
    alone = change(Decision(act="name", faces=(ids["a"], ids["b"]), name="Anna", id="1"), replace(plan, instead={}))
    assert alone is not None and alone.faces == (ids["b"],) and alone.each is False
