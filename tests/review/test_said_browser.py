"""Faces by what models of attributes say of them, in a real browser: by mouse and by keys, narrow, dark, in German, and after an act."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from axe import faults, script
from page_texts import english, seen
from review_store import grouped
from test_accessibility import LOOKS, look
from test_review_browser import Shown, browser, keys, shot  # noqa: F401

from facecluster.language import language_of
from facecluster.review import api
from facecluster.store import Store


@pytest.fixture
def measured(tmp_path: Path) -> tuple[Store, list[str]]:
    """A store whose largest person has 12 faces, the first two with a mask, one of which is happy; and two of the four of nobody."""
    store, ids, _ = grouped(tmp_path, (12, 9), singles=4)
    of = [*ids[:12], *ids[-4:]]
    masks = pa.array([0.9, 0.8, *[0.1] * 9, None, 0.9, 0.7, 0.2, 0.1], pa.float32())
    store.write("attributes/mask", "00000", pa.table({"face_id": of, "mask": masks}), {"table": "attributes"})
    moods = pa.table({"face_id": ids[1:3], "expression": ["happy", "sad"]})
    store.write("attributes/mood", "00000", moods, {"table": "attributes"})
    return store, ids


@pytest.fixture
def served(browser: Any, measured: tuple[Store, list[str]]) -> Iterator[Any]:  # noqa: F811
    pages = []

    def serve(tag: str = "en") -> Shown:
        pages.append(Shown(browser, measured[0], language_of(tag)))
        return pages[-1]

    yield serve
    for page in pages:
        page.stop()


def faces(shown: Shown) -> set[str]:
    return {e.get_attribute("data-id") for e in shown.all(".face")}


def choose(shown: Shown, text: str) -> None:
    import_module("selenium.webdriver.support.ui").Select(shown.key("said")).select_by_visible_text(text)


def options(shown: Shown) -> list[str]:
    return [e.text for e in shown.all('[data-key="said"] option')]


def test_a_person_by_mouse_and_what_is_done_to_those_who_are_left(served: Any, measured: tuple[Store, list[str]]) -> None:
    (_, ids), shown = measured, served()
    person = shown.people()[0][0]
    shown.go(f"person/{person}", ".face")
    assert options(shown) == ["all faces", "mask (2)", "no mask (9)", "expression: happy (1)", "expression: sad (1)"]
    choose(shown, "mask (2)")
    shown.until(lambda: faces(shown) == {*ids[:2]})
    import_module("selenium.webdriver.support.ui").Select(shown.key("order")).select_by_value("unsure")
    shown.until(lambda: "order=unsure" in shown.browser.execute_script("return location.hash"))
    shown.until(lambda: faces(shown) == {*ids[:2]})
    shown.key("select-all").click()
    shown.key("split").click()
    shown.said("2 faces split off")
    shown.until(lambda: not faces(shown) and options(shown)[:3] == ["all faces", "mask (0)", "no mask (9)"])
    assert shown.key("said").get_attribute("value") == "mask", "it says what is shown: none"
    choose(shown, "all faces")
    shown.until(lambda: faces(shown) == {*ids[2:12]})
    view = shown.review.server.session.view()
    assert {view.current.faces.identity[view.run_data.rows[face]] for face in ids[:2]} == {view.count - 1}, "they are a person of their own"


def test_a_year_of_a_person_keeps_what_is_asked_for(served: Any, measured: tuple[Store, list[str]]) -> None:
    (_, ids), shown = measured, served()
    one, two = (person for person, *_ in shown.people()[:2])
    api.act(shown.review.server.session, {"act": "merge", "people": [one, two]})
    shown.go(f"person/{one}?said=no mask", ".face")
    assert faces(shown) == {*ids[2:11]}
    shown.key("year-2010").click()
    shown.until(lambda: "year=2010" in shown.browser.execute_script("return location.hash"))
    shown.until(lambda: faces(shown) == {*ids[2:11]} and shown.key("said").get_attribute("value") == "no mask")
    shown.key("year-2011").click()
    shown.until(lambda: not faces(shown) and shown.key("said").get_attribute("value") == "no mask")


def test_unknown_faces_by_keys(served: Any, measured: tuple[Store, list[str]]) -> None:
    (_, ids), shown = measured, served()
    shown.go("nobody", ".face")
    assert faces(shown) == {*ids[-4:]} and options(shown) == ["all faces", "mask (2)", "no mask (2)"]
    for _ in range(40):  # by the tabulator alone
        shown.browser.switch_to.active_element.send_keys(keys("TAB"))
        if shown.browser.switch_to.active_element.get_attribute("data-key") == "said":
            break
    shown.browser.switch_to.active_element.send_keys("no" + keys("ENTER"))
    shown.until(lambda: faces(shown) == {*ids[-2:]})
    assert shown.browser.switch_to.active_element.get_attribute("data-key") == "said", "the focus stays"
    shown.browser.refresh()
    shown.until(lambda: faces(shown) == {*ids[-2:]} and shown.key("said").get_attribute("value") == "no mask")


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_it_fits_and_axe_finds_nothing(served: Any, scheme: str, width: int) -> None:
    shown = served("de")
    person = shown.people()[0][0]
    with look(shown.browser, scheme, width):
        for page in (f"person/{person}?said=mask", "nobody?said=mask"):
            shown.go(page, ".face")
            assert options(shown)[:3] == ["alle Gesichter", "Maske (2)", "keine Maske (" + ("9)" if person in page else "2)")]
            assert faults(shown.browser, script()) == []
            over = shown.browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
            inside = "return [...document.querySelectorAll('.face')].every((f) => f.scrollWidth <= f.clientWidth)"
            assert shown.browser.execute_script(inside), "what is said of a face stays under its picture"
            assert over <= 0 and english(seen(shown.browser), "de") == []
            shot(shown.browser, f"review-said-{page.split('/')[0].split('?')[0]}-{scheme}-{width}")


def test_without_attributes_there_is_no_list_and_an_unknown_word_shows_all(browser: Any, tmp_path: Path) -> None:  # noqa: F811
    store = grouped(tmp_path, (5, 4), singles=2)[0]
    shown = Shown(browser, store)
    try:
        shown.go("nobody", ".face")
        assert not shown.all('[data-key="said"]')
        session = shown.review.server.session
        found = api.nobody(session, {"said": "no such word"})
        assert found["words"] == [] and found["total"] == 2
    finally:
        shown.stop()
