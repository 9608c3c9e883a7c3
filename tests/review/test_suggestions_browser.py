"""Suggestions in a real browser: keys answer those that the page shows and no others, whatever the name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from review_store import divided, grouped
from test_review_browser import Shown, browser, keys  # noqa: F401  the fixture

from facecluster.decisions import read
from facecluster.people.known_names import Known, write_known
from facecluster.people.stand_ins import read_vectors

ODD = 'Zo"\\ë\']'


@pytest.fixture
def named(browser: Any, tmp_path: Path) -> Iterator[tuple[Shown, str, str]]:  # noqa: F811
    """A person with a name and with suggestions, and another person."""
    store, _, _ = grouped(tmp_path, (12, 10, 4))
    page = Shown(browser, store)
    first, second = (p[0] for p in page.people()[:2])
    divided(store)
    page.until(lambda: "p-0000abcd" in [p[0] for p in page.people()])
    page.key(f"name-{first}").send_keys("Anna" + keys("ENTER"))
    page.said("Named Anna")
    yield page, first, second
    page.stop()


def acts(shown: Shown) -> list[str]:
    """What is in the journal after the page has sent all and is drawn anew."""
    shown.go("history", ".history li")
    return [d.act for d in read(shown.store).decisions]


@pytest.mark.parametrize("where", ["{first}?year=2010", "{first}?offset=1", "{second}?year=2011"])
def test_keys_mean_nothing_where_no_suggestion_is_shown(named: tuple[Shown, str, str], where: str) -> None:
    shown, first, second = named
    shown.go(f"person/{first}", "#suggestions .suggestion")
    shown.go("person/" + where.format(first=first, second=second), ".face")
    assert not shown.all(".suggestion")
    shown.one("body").send_keys("yna")
    assert acts(shown) == ["name"]


def test_keys_mean_nothing_for_somebody_who_is_ignored(named: tuple[Shown, str, str]) -> None:
    shown, first, _ = named
    shown.go(f"person/{first}", "#suggestions .suggestion")
    shown.key("ignore").click()
    shown.until(lambda: shown.all('[data-key="unignore"]') and not shown.all(".suggestion"))
    shown.one("body").send_keys("yna")
    assert acts(shown) == ["name", "ignore"]
    shown.go(f"person/{first}", '[data-key="unignore"]')
    shown.key("unignore").click()
    shown.until(lambda: shown.all("#suggestions .suggestion"))
    shown.one("body").send_keys("n")
    shown.said("Not Anna")
    assert acts(shown)[2:] == ["undo", "not-same"]


def test_a_name_with_quotes_and_backslashes_is_answered(browser: Any, tmp_path: Path) -> None:  # noqa: F811
    store, ids, truth = grouped(tmp_path, (6, 5))
    face = ids[int(np.flatnonzero(truth == 1)[0])]
    known = Known([ODD], ["/pictures/odd.jpg"], np.stack([*read_vectors(store, "embeddings/bundled", [face]).values()]))
    write_known(store, "bundled", known, {"table": "known"})
    shown = Shown(browser, store)
    try:
        shown.go("suggestions", "#suggestions .suggestion")
        assert ODD in shown.one(".suggestion").text
        shown.one("body").send_keys("y")
        shown.said(f"Named {ODD}")
        assert not [e for e in shown.all(".suggestion") if f"Is this {ODD}?" in e.text] and acts(shown) == ["name"]
    finally:
        shown.stop()
