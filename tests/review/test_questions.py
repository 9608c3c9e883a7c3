"""The list of questions: known people's names among them, what an answer changes, how many are left, and when to stop."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from people_store import call, people
from review_store import divided, grouped
from sessions import close_sessions, session_of

from facecluster.decisions import read
from facecluster.people.known_names import Known, write_known
from facecluster.review import api
from facecluster.review.question_list import NameProposal, gain, question_list
from facecluster.review.questions import DECIDED, WORTH, Questions, coverage, open_questions, questions_until, worth
from facecluster.review.session import Session
from facecluster.store import Store


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    close_sessions()


def ask(session: Session, **query: str) -> dict[str, Any]:
    """The questions, when they are found."""
    end = time.monotonic() + 100
    while not (found := api.questions(session, query))["ready"]:
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def pairs_of(session: Session, some: list[tuple[str, int, int, float, int]]) -> Questions:
    """Questions of a kind about two rows, with a probability and a stake."""
    kind, a, b, p, stake = (list(c) for c in zip(*some, strict=True))
    return Questions(kind, np.array(a), np.array(b), np.array(p), np.array(stake))


def first_rows(session: Session) -> list[int]:
    view = session.view()
    return [int(view.rows_of(i)[0]) for i in range(view.count)]


def test_what_changes_most_comes_first_and_one_photo_last(tmp_path: Path) -> None:
    store, _, _ = grouped(tmp_path, (12, 9, 7, 5, 4), singles=3)
    session = session_of(store)
    view, rows = session.view(), first_rows(session)
    single = int(view.nobody()[0])
    made = pairs_of(session, [("same", rows[0], single, 0.9, 1), ("same", rows[3], rows[4], 0.5, 4), ("same", rows[0], rows[1], 0.5, 9),
                              ("split", rows[0], int(view.rows_of(0)[-1]), 0.5, 5)])  # fmt: skip
    assert open_questions(made, view).tolist() == [2, 3, 1, 0]
    assert worth(made, np.array([0, 1, 2, 3]), view).tolist() == [0.9, 2, 4.5, 2.5]
    view.run_data.details.photo[rows[1]] = view.run_data.details.photo[rows[0]]
    assert open_questions(made, view).tolist() == [3, 1, 0, 2], "two faces of one photo come last, however many depend on them"
    # a group that grew since the run counts with its size now
    ids = view.current.people.person_ids
    api.act(session, {"act": "merge", "people": [ids[3], ids[2]]})
    now = session.view()
    assert worth(made, np.array([1]), now)[0] == 2 and worth(replace(made, b=made.b[[0, 1, 1, 3]]), np.array([2]), now)[0] == 2
    assert worth(pairs_of(session, [("same", rows[0], rows[3], 0.5, 5)]), np.array([0]), now)[0] == 6


def test_the_share_that_is_decided(tmp_path: Path) -> None:
    store, _, _ = grouped(tmp_path, (12, 9, 7, 5, 4), singles=3)  # 40 faces
    session = session_of(store)
    view, rows = session.view(), first_rows(session)
    made = pairs_of(session, [("same", rows[0], rows[1], 0.5, 9), ("split", rows[2], int(view.rows_of(2)[-1]), 0.5, 3),
                              ("same", rows[2], rows[1], 0.4, 7), ("same", rows[0], rows[4], 0.3, 4)])  # fmt: skip
    left = open_questions(made, view)
    assert left.tolist() == [0, 2, 1, 3]
    # 9 of the second person, 7 of the third (its 3 are among them), 4 of the last are in doubt; of the third until both are answered
    assert np.allclose(coverage(made, left, view), np.array([20, 29, 29, 36, 40]) / 40)
    assert questions_until(coverage(made, left, view)) == 4 and questions_until(np.array([0.96, 1])) == 0
    assert questions_until(np.array([0.5, 0.94])) == 1
    assert question_list(made, view, [], set()).until == 4
    nothing = pairs_of(session, [("same", rows[0], rows[1], 0.5, 9)])
    assert coverage(nothing, np.zeros(0, np.int64), view).tolist() == [1]


def test_an_answer_says_what_it_changes(tmp_path: Path) -> None:
    store, _, _ = grouped(tmp_path, (12, 9, 7, 5, 4), singles=3)
    session = session_of(store)
    ids, rows = session.view().current.people.person_ids, first_rows(session)
    single = int(session.view().nobody()[0])
    api.act(session, {"act": "name", "person": ids[1], "name": "Anna"})
    view = session.view()
    made = pairs_of(session, [("same", rows[0], rows[1], 0.5, 9), ("same", rows[2], rows[3], 0.5, 5), ("same", single, rows[1], 0.9, 1),
                              ("split", rows[1], int(view.rows_of(1)[-1]), 0.5, 2)])  # fmt: skip
    found = question_list(made, view, [NameProposal(ids[4], "Bert", 0.7), NameProposal(ids[1], "Cleo", 0.9)], set())
    told = {a.pair: gain(found, a, view) for a in found.asked}
    assert told[0] == {"answer": "yes", "faces": 12, "photos": 12, "who": "", "to": "Anna"}, "who has a name keeps it"
    assert told[1] == {"answer": "yes", "faces": 5, "photos": 5, "who": "", "to": ""}
    assert told[2] == {"answer": "yes", "faces": 1, "photos": 1, "who": "", "to": "Anna"}
    assert told[3] == {"answer": "no", "faces": 2, "photos": 0, "who": "Anna", "to": ""}
    assert told[-1] == {"answer": "yes", "faces": 4, "photos": 4, "who": "", "to": "Bert"}, "Anna has a name: nothing is proposed"
    assert [a.worth for a in found.asked] == sorted((a.worth for a in found.asked), reverse=True)


def test_it_stops_when_nothing_is_worth_it(tmp_path: Path) -> None:
    store, _, _ = grouped(tmp_path, (12, 9, 7, 5, 4), singles=6)
    session = session_of(store)
    view, rows = session.view(), first_rows(session)
    singles = view.nobody()[:4].tolist()
    some = [("same", rows[0], single, 0.3, 1) for single in singles]
    session._questions = pairs_of(session, [("same", rows[0], rows[4], 0.6, 4), *some])
    found = ask(session)
    assert (found["total"], found["worth"], len(found["questions"])) == (5, 1, 1) and abs(found["rest"] - 1.2) < 0.01
    api.act(session, {"act": "not-same", "faces": found["questions"][0]["skip"]})
    found = ask(session)
    assert (found["total"], found["worth"], found["questions"]) == (4, 0, [])
    assert len(ask(session, all="1")["questions"]) == 4 and 0.3 < WORTH


def known_store(folder: Path) -> tuple[Store, list[str], np.ndarray]:
    """People in two groups, of the first and second of whom there are pictures."""
    store, ids, truth = grouped(folder, (12, 9, 7, 5, 4))
    vectors = people((12, 9, 7, 5, 4, 1, 1, 1), 0.8)[0]
    firsts = [int(np.flatnonzero(truth == t)[0]) for t in (0, 1)]
    write_known(store, "bundled", Known(["Anna", "Bert"], ["/p/Anna.jpg", "/p/Bert.jpg"], vectors[firsts]), {"table": "known"})
    return store, ids, truth


def test_names_of_known_people_are_asked(tmp_path: Path) -> None:
    store, ids, truth = known_store(tmp_path)
    session = session_of(store)
    found = ask(session)
    named = [q for q in found["questions"] if q["kind"] == "known"]
    assert [(q["text"], q["gain"]["faces"]) for q in named[:2]] == [("Is this Anna?", 12), ("Is this Bert?", 9)]
    first, second = named[:2]
    api.act(session, {"act": "skip", "faces": first["skip"]})
    assert first["skip"] not in [q["skip"] for q in ask(session)["questions"]]
    api.act(session, {"act": "join", "pairs": [], "known": [[second["known"], second["person"]]]})
    assert second["skip"] not in [q["skip"] for q in ask(session)["questions"]]
    assert [(d.act, d.name) for d in read(store).decisions] == [("name", "Bert")]
    other = session_of(store)  # another page was not told to skip
    again = next(q for q in ask(other)["questions"] if q["kind"] == "known")
    assert again["known"] == "Anna"
    api.act(other, {"act": "apart", "pairs": [], "known": [["Anna", again["person"]]]})
    assert again["skip"] not in [q["skip"] for q in ask(other)["questions"]]
    api.act(other, {"act": "undo"})
    assert again["skip"] in [q["skip"] for q in ask(other)["questions"]]


@pytest.mark.parametrize("noise", [1.3, 1.4, 1.6])
def test_the_estimate_is_near_what_a_user_needs_who_is_always_right(tmp_path: Path, noise: float) -> None:
    store, ids, truth = grouped(tmp_path, (14, 12, 10, 9, 8, 8, 7, 6, 6, 5, 5, 4), noise=noise, singles=10)
    person = dict(zip(ids, truth.tolist(), strict=True))
    session = session_of(store)
    found = ask(session, all="1")
    expected, answers = found["until"], 0
    assert expected > 0, "this collection is too easy"
    while found["decided"] < DECIDED and found["questions"]:
        pair = found["questions"][0]["skip"]
        api.act(session, {"act": "same" if person[pair[0]] == person[pair[1]] else "not-same", "faces": pair})
        answers += 1
        found = ask(session, all="1")
    assert found["decided"] >= DECIDED and expected / 1.3 <= answers <= expected * 1.1


def test_a_store_without_known_people_or_vectors(tmp_path: Path) -> None:
    store, _, _ = grouped(tmp_path)
    divided(store)
    session = session_of(store)
    assert all(q["kind"] != "known" for q in ask(session)["questions"])


def test_the_command_asks_what_the_page_asks(tmp_path: Path) -> None:
    store, ids, truth = known_store(tmp_path)
    page = ask(session_of(store), all="1")
    printed = json.loads(call("questions", store.url, "--json").stdout)
    keys = [(q["kind"], q.get("known"), [s["face"]["id"] for s in q["sides"]]) for q in page["questions"]]
    assert [(q["kind"], q.get("name"), [q[k] for k in ("face_a", "face_b") if k in q]) for q in printed["questions"]] == keys
    first = printed["questions"][0]
    assert (printed["open"], first["text"], first["faces_at_stake"]) == (page["total"], "Is this Anna?", 12)
    said = call("questions", store.url, "--top", "1").stdout
    command = next(part for part in said.split("'") if part.startswith("facecluster name "))
    call(*shlex.split(command)[1:])
    later = json.loads(call("questions", store.url, "--json").stdout)
    assert [q["name"] for q in later["questions"] if q["kind"] == "known" and q["name"] == "Anna"] == []
