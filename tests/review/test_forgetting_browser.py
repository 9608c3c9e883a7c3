"""Forgetting a person in a real browser: shown first, done when the name was typed."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from people_store import call
from test_review_browser import Shown, browser, keys, shown  # noqa: F401

from facecluster.people import people_with_current_names


def test_a_person_is_forgotten_on_the_page(shown: Shown) -> None:  # noqa: F811
    person, other = shown.people()[0][0], shown.people()[1][0]
    call("name", shown.store.url, person, "Ada Lovelace")
    shown.go(f"person/{person}", ".tile, .face")
    shown.until(lambda: shown.one(".forget summary").text.startswith("Forget Ada Lovelace"))
    assert not shown.all(".forget input")
    chains = import_module("selenium.webdriver.common.action_chains")
    chains.ActionChains(shown.browser).move_to_element(shown.one(".face")).perform()  # on which a space opens a photo
    shown.one(".forget summary").send_keys(" ")
    shown.until(lambda: "can’t be undone" in shown.one(".forget").text)
    field = shown.one(".forget input")
    field.send_keys("Bob" + keys("ENTER"))
    shown.until(lambda: "nothing is forgotten" in shown.one("#problem").text)
    known = people_with_current_names(shown.store)
    assert known is not None and person in known[0].person_ids
    shown.browser.execute_script("document.activeElement.blur()")  # the page is not brought up to date while a field has the focus
    call("name", shown.store.url, other, "Bea")  # a change by another program: the page is drawn anew, and what is typed in the form stays
    shown.until(lambda: "2 named" in shown.one("#counts").text)
    field = shown.one(".forget input")
    assert field.get_attribute("value") == "Bob"
    field.clear()
    field.send_keys("ada lovelace")
    shown.one(".forget button").click()
    shown.until(lambda: shown.one("#status").text.startswith("Forgotten: 1 person"))
    shown.until(lambda: shown.browser.execute_script("return location.hash").startswith("#/people"))
    shown.until(lambda: shown.people() and person not in [p[0] for p in shown.people()])
    assert other in [p[0] for p in shown.people()]
    known = people_with_current_names(shown.store)
    assert known is not None and person not in known[0].person_ids
    assert not [p for p in Path(shown.store.root).rglob("*") if p.is_file() and b"Ada Lovelace" in p.read_bytes()]
