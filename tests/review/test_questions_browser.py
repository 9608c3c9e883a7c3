"""The page of questions in a real browser: names of known people, what an answer changes, and the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_questions import known_store
from test_review_browser import Shown, browser, quiet, shot  # noqa: F401

from facecluster.decisions import read
from facecluster.review import session
from facecluster.review.people_view import RunData
from facecluster.review.questions import Questions
from facecluster.store import Store


def find_questions(store: Store, data: RunData) -> Questions:
    """Whether people 3 and 4 are one, and a single face that is hardly person 2."""
    rows = [int(np.flatnonzero(data.faces.identity == i)[0]) for i in range(5)] + [int(np.flatnonzero(data.faces.identity < 0)[0])]
    return Questions(
        ["same", "same"], np.array([rows[3], rows[2]]), np.array([rows[4], rows[5]]), np.array([0.5, 0.3]), np.array([4, 1]),
    )  # fmt: skip


def test_known_people_gains_and_the_end(browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(session, "find_questions", find_questions)
    store, _, _ = known_store(tmp_path)
    shown = Shown(browser, store)
    try:
        shown.go("questions", ".pair")
        assert shown.one("#question").text == "Is this Anna?" and shown.one("#gain").text.startswith("Yes names 12 photos Anna.")
        assert "until it is 95 %" in shown.one("#coverage").text and len(shown.all("figure")) == 1
        shot(browser, "review-question-known")
        shown.one("body").send_keys("y")
        shown.until(lambda: shown.one("#question").text == "Is this Bert?")
        shown.one("body").send_keys("n")
        shown.until(lambda: "same person" in shown.one("#question").text and len(shown.all("figure")) == 2)
        assert shown.one("#gain").text.startswith("Yes joins 4 photos to the others of this person.")
        shot(browser, "review-question-gain")
        shown.one("body").send_keys("s")
        shown.until(lambda: shown.all(".note"))
        assert "Nothing is left that is worth your time. The other 1 question would change about 0 faces" in shown.one(".note").text
        assert shown.all('main a[href="#/regroup"]')
        shown.key("all").click()
        shown.until(lambda: shown.all(".pair"))
        assert shown.one("#gain").text.startswith("Yes joins a single face")
        shown.one("body").send_keys("n")
        shown.until(lambda: shown.all(".note") and shown.one(".note").text.startswith("No questions left"))
        assert [(d.act, d.name) for d in read(store).decisions] == [("name", "Anna"), ("not-named", "Bert"), ("not-same", None)]
        quiet(browser, shown.review.server.server_port)
    finally:
        shown.stop()
