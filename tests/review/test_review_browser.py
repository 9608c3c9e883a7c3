"""The review page in a real browser: name, merge, split, undo, a question; all of it survives reload, restart and 'cluster'."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import need
from people_store import call
from review_store import divided, grouped, real_photo

from facecluster.decisions import read
from facecluster.language import ENGLISH, Language
from facecluster.people import current_run, people_with_current_names, read_current_people
from facecluster.people.runs import read_faces
from facecluster.review import open_review, server, session
from facecluster.review.people_view import RunData
from facecluster.review.questions import Questions
from facecluster.store import Store

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --hide-scrollbars --force-device-scale-factor=1"
)
CONTROLS = {"button", "link", "checkbox", "textbox", "searchbox", "combobox", "progressbar"}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    need(importlib.util.find_spec("selenium") is not None, "selenium (PyPI)")
    selenium = import_module("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    need(bool(chromium and driver), "chromium and chromedriver (Debian: chromium chromium-driver)")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driving = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    driving.get("about:blank")
    driving.get_log("performance")  # drop what the browser did before, such as its own start page
    yield driving
    driving.quit()


def shot(browser: Any, name: str) -> None:
    """Save a screenshot in the folder FACECLUSTER_SCREENSHOTS, if that is set."""
    if folder := os.environ.get("FACECLUSTER_SCREENSHOTS"):
        browser.save_screenshot(f"{folder}/{name}.png")


class Shown:
    """A served store in the browser."""

    def __init__(self, browser: Any, store: Store, language: Language = ENGLISH) -> None:
        self.browser, self.store = browser, store
        self.review = open_review(store, language=language)
        self.thread = threading.Thread(target=self.review.serve, daemon=True)  # a test that fails must not keep the process
        self.thread.start()
        for log in ("browser", "performance"):
            browser.get_log(log)  # drop earlier messages
        browser.set_window_size(1200, 900)
        browser.get(self.review.url)
        self.until(lambda: self.all("main h1"))

    def stop(self) -> None:
        """End the server; the browser stays."""
        self.browser.get("about:blank")
        self.review.stop()
        self.thread.join()
        self.review.close()

    def until(self, true: Callable[[], Any]) -> Any:
        """Wait until a condition of the page holds."""
        wait = import_module("selenium.webdriver.support.ui").WebDriverWait
        errors = import_module("selenium.common.exceptions")
        ignored = [errors.StaleElementReferenceException, errors.NoSuchElementException]
        return wait(self.browser, 20, 0.05, ignored).until(lambda _: true())

    def all(self, css: str) -> list[Any]:
        return list(self.browser.find_elements("css selector", css))

    def one(self, css: str) -> Any:
        return self.browser.find_element("css selector", css)

    def key(self, name: str) -> Any:
        return self.one(f'[data-key="{name}"]')

    def go(self, path: str, css: str) -> None:
        """Go to a page of the review, and wait until it shows `css`."""
        self.browser.execute_script(
            "if (location.hash !== arguments[0]) { delete document.getElementById('main').dataset.version; location.hash = arguments[0]; }",
            f"#/{path}",
        )
        self.until(lambda: self.one("#main").get_attribute("data-version") and self.all(css))

    def people(self) -> list[tuple[str, str, str]]:
        """id, name and number of faces of the cards on the page."""
        return [
            (e["id"], e["name"], e["size"])
            for e in self.browser.execute_script(
                "return [...document.querySelectorAll('.card')].map((c) => ({id: c.dataset.id, name: c.querySelector('[type=text]').value,"
                " size: c.querySelector('p').textContent.split(' ')[0]}))"
            )
        ]

    def sizes(self) -> list[int]:
        return [int(size) for _, _, size in self.people()]

    def said(self, text: str) -> None:
        """Wait until the page announces this text and shows the people after the last decision."""
        self.until(lambda: self.one("#status").text == text)
        self.until(lambda: self.one("#main").get_attribute("data-version").endswith(f"-{len(read(self.store).decisions)}"))


def find_questions(store: Store, base: RunData) -> Questions:
    """Fixed questions about people 3, 4 and 5, because the questions of the grouping depend on its settings."""
    rows = [int(np.flatnonzero(base.faces.identity == i)[0]) for i in range(6)]
    a, b = np.array([rows[3], rows[4], rows[3]]), np.array([rows[4], rows[5], rows[5]])
    return Questions(["same"] * 3, a, b, np.array([0.6, 0.5, 0.4]), np.array([7, 3, 3]))


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "find_questions", find_questions)


@pytest.fixture
def shown(browser: Any, tmp_path: Path) -> Iterator[Shown]:
    store, _, _ = grouped(tmp_path, (12, 10, 9, 8, 7, 4), singles=8)
    page = Shown(browser, store)
    yield page
    page.stop()


def keys(*names: str) -> str:
    return "".join(getattr(import_module("selenium.webdriver.common.keys").Keys, name) for name in names)


def quiet(browser: Any, port: int) -> None:
    """No error in the console, requests to this server only, and no token in the address."""
    assert [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []
    sent = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    assert urls and [url for url in urls if not url.startswith((f"http://127.0.0.1:{port}/", "data:", "about:"))] == []
    assert "token" not in browser.current_url


def test_all_actions_and_that_they_persist(shown: Shown) -> None:
    """Name, merge, split, undo, a question; then a reload, another server, and a new run."""
    port = shown.review.server.server_port
    before = shown.people()
    first, second, third = before[:3]
    shown.key(f"name-{first[0]}").send_keys("Ann <b>x</b>" + keys("ENTER"))
    shown.said("Named Ann <b>x</b>")
    shown.until(lambda: shown.people()[0][1] == "Ann <b>x</b>")
    shot(shown.browser, "review-people")
    # merge by selecting cards
    for person in (second, first):
        shown.key(f"tick-{person[0]}").click()
    assert shown.key("merge").text.startswith("Merge into Ann <b>x</b>")
    shown.key("merge").click()
    shown.until(lambda: len(shown.people()) == len(before) - 1)
    assert shown.people()[0] == (first[0], "Ann <b>x</b>", str(int(first[2]) + int(second[2])))
    # split by selecting faces
    shown.go(f"person/{third[0]}", ".face")
    ids = [e.get_attribute("data-id") for e in shown.all(".face")]
    shot(shown.browser, "review-person")
    for face in ids[:3]:
        shown.key(f"tick-{face}").click()
    shown.key("split").click()
    shown.until(lambda: len(shown.all(".face")) == len(ids) - 3)
    # not this person, and undo by key
    shown.key(f"not-{ids[4]}").click()
    shown.until(lambda: len(shown.all(".face")) == len(ids) - 4)
    shown.one("h1").click()
    shown.one("body").send_keys("u")
    shown.until(lambda: len(shown.all(".face")) == len(ids) - 3)
    shown.said("Undone: Split off")
    # a question by key
    shown.go("questions", ".pair")
    asked = [e.get_attribute("data-id") for e in shown.all("figure")]
    shot(shown.browser, "review-question")
    shown.one("body").send_keys("y")
    shown.said("Yes, the same")
    skipped = [e.get_attribute("data-id") for e in shown.all("figure")]
    assert skipped != asked
    shown.one("body").send_keys("s")
    shown.until(lambda: [e.get_attribute("data-id") for e in shown.all("figure")] != skipped)
    other = [e.get_attribute("data-id") for e in shown.all("figure")]
    shown.one("body").send_keys("n")
    shown.said("No, two people")
    assert shown.one(".note").text.startswith("No questions left")
    assert [d.act for d in read(shown.store).decisions] == ["name", "merge", "split", "split", "undo", "same", "not-same"]
    shown.go("people", ".card")
    kept = sorted(shown.people())
    shown.browser.refresh()
    shown.until(lambda: shown.all(".card"))
    assert sorted(shown.people()) == kept
    quiet(shown.browser, port)
    # another server, another token
    again = Shown(shown.browser, shown.store)
    try:
        assert sorted(again.people()) == kept
        call("cluster", shown.store.url)
        again.until(lambda: again.one("#main").get_attribute("data-version").startswith("2-"))  # the page notices the new run by itself
        held = {person: (name, size) for person, name, size in again.people()}
        assert held[first[0]] == ("Ann <b>x</b>", str(int(first[2]) + int(second[2])))
        assert third[0] in held
        run = current_run(shown.store)
        assert run is not None
        faces = read_faces(shown.store, run)
        group = dict(zip(faces.ids, faces.identity.tolist(), strict=True))
        assert len({group[f] for f in ids[:3]}) == 1 and group[ids[0]] not in {group[f] for f in ids[3:]}
        assert group[asked[0]] == group[asked[1]] and group[other[0]] != group[other[1]]
        again.go("history", ".history li")
        assert len(again.all(".history li")) == 5
        shot(again.browser, "review-history")
    finally:
        again.stop()
    known = people_with_current_names(shown.store)
    assert known is not None and "Ann <b>x</b>" in known[0].names


def test_two_tabs(shown: Shown) -> None:
    """Both tabs act, each shows the actions of the other, and the journal is complete."""
    browser = shown.browser
    one, two, three = (p[0] for p in shown.people()[:3])
    first = browser.current_window_handle
    browser.switch_to.new_window("tab")
    second = browser.current_window_handle
    try:
        browser.get(shown.review.url)
        shown.until(lambda: shown.all(".card"))
        shown.key(f"name-{one}").send_keys("From two" + keys("ENTER"))
        shown.said("Named From two")
        browser.switch_to.window(first)
        shown.until(lambda: shown.people()[0][1] == "From two")
        for person in (one, two):
            shown.key(f"tick-{person}").click()
        shown.key("merge").click()
        shown.until(lambda: two not in [p[0] for p in shown.people()])
        browser.switch_to.window(second)
        shown.until(lambda: two not in [p[0] for p in shown.people()])
        shown.key(f"name-{three}").send_keys("Zoë" + keys("ENTER"))
        shown.said("Named Zoë")
    finally:
        browser.switch_to.window(second)
        browser.close()
        browser.switch_to.window(first)
    journal = read(shown.store)
    assert (journal.notes, [d.act for d in journal.decisions]) == ([], ["name", "merge", "name"])


def test_a_name_that_the_page_does_not_show_yet_is_not_overwritten(shown: Shown) -> None:
    """While a name is typed the page does not follow others: what they named meanwhile stays, and the page shows it."""
    one = shown.people()[0][0]
    field = shown.key(f"name-{one}")
    field.send_keys("Zo")
    session = shown.review.server.session
    session.act({"act": "name", "person": one, "name": "Anna"})
    field.send_keys("ë" + keys("ENTER"))
    shown.until(lambda: "one who is called 'Anna' by now" in shown.one("#problem").text)
    shown.until(lambda: shown.people()[0][1] == "Anna")
    assert [d.name for d in read(shown.store).decisions] == ["Anna"]
    field = shown.key(f"name-{one}")
    field.send_keys(keys("CONTROL") + "a" + keys("NULL") + "Zoë" + keys("ENTER"))
    shown.said("Named Zoë")
    assert [d.name for d in read(shown.store).decisions] == ["Anna", "Zoë"]


def test_merge_by_dragging(shown: Shown) -> None:
    browser = shown.browser
    before = shown.people()
    chains = import_module("selenium.webdriver.common.action_chains")
    first, second = (card.find_element("css selector", "p") for card in shown.all(".card")[:2])
    chains.ActionChains(browser).drag_and_drop(second, first).perform()
    shown.until(lambda: len(shown.people()) == len(before) - 1)
    assert shown.people()[0][0] == before[0][0] and shown.sizes()[0] == int(before[0][2]) + int(before[1][2])


def test_people_with_two_names_are_merged_only_after_a_question(shown: Shown) -> None:
    """By keyboard alone: X selects, M asks, Escape leaves them apart; the name that is chosen stays, and undo brings both back."""
    browser = shown.browser
    first, second = (p[0] for p in shown.people()[:2])
    for person, name in ((first, "Anna"), (second, "Bea")):
        shown.key(f"name-{person}").send_keys(name + keys("ENTER"))
        shown.said(f"Named {name}")
    before = shown.people()
    for person in (first, second):
        shown.key(f"open-{person}").send_keys("x")
    shown.key(f"open-{second}").send_keys("m")
    shown.until(lambda: shown.one("dialog h2").text == "Are Anna and Bea the same person?")
    browser.switch_to.active_element.send_keys("u")  # means nothing while the page waits for the answer
    browser.switch_to.active_element.send_keys(keys("ESCAPE"))
    shown.until(lambda: not shown.all("dialog"))
    assert shown.people() == before and len(read(shown.store).decisions) == 2
    shown.one("h1").click()
    shown.one("body").send_keys("m")
    shown.until(lambda: shown.all("dialog"))
    assert browser.switch_to.active_element.text == "No, leave them apart"
    browser.execute_script("location.hash = '#/history'")  # it does not outlive its page
    shown.until(lambda: not shown.all("dialog"))
    shown.go("people", ".card")
    shown.one("h1").click()
    shown.one("body").send_keys("m")
    shown.until(lambda: shown.all("dialog"))
    browser.switch_to.active_element.send_keys(keys("SHIFT", "TAB"))
    assert browser.switch_to.active_element.text == "Yes, call them Bea"
    browser.switch_to.active_element.send_keys(keys("ENTER"))
    shown.said("Merged 2 people")
    assert shown.people()[0] == (second, "Bea", str(int(before[0][2]) + int(before[1][2])))
    assert first not in [p[0] for p in shown.people()]
    shown.until(lambda: browser.switch_to.active_element.get_attribute("data-key") == f"open-{second}")
    browser.switch_to.active_element.send_keys("u")
    shown.until(lambda: sorted(shown.people()) == sorted(before))


def test_merging_twice_in_a_row_merges_once(shown: Shown) -> None:
    for person in shown.people()[:2]:
        shown.key(f"open-{person[0]}").send_keys("x")
    press = "document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'm', bubbles: true }));"
    shown.browser.execute_script(press * 2)
    shown.said("Merged 2 people")
    assert shown.one("#problem").text == "" and [d.act for d in read(shown.store).decisions] == ["merge"]


def test_a_drop_on_somebody_with_another_name_asks(shown: Shown) -> None:
    chains = import_module("selenium.webdriver.common.action_chains")
    first, second = (p[0] for p in shown.people()[:2])
    for person, name in ((first, "Anna"), (second, "Bea")):
        shown.key(f"name-{person}").send_keys(name + keys("ENTER"))
        shown.said(f"Named {name}")
    one, two = (card.find_element("css selector", "p") for card in shown.all(".card")[:2])
    chains.ActionChains(shown.browser).drag_and_drop(two, one).perform()
    shown.until(lambda: shown.all("dialog"))
    shown.all("dialog button")[0].click()
    shown.said("Merged 2 people")
    assert shown.people()[0][:2] == (first, "Anna")


def test_faces_are_given_to_a_person_by_dragging_and_by_a_button(shown: Shown) -> None:
    chains = import_module("selenium.webdriver.common.action_chains")
    first, second = (p[0] for p in shown.people()[:2])
    shown.key(f"name-{first}").send_keys("Anna" + keys("ENTER"))
    shown.said("Named Anna")
    shown.go(f"person/{second}", ".face")
    ids = [e.get_attribute("data-id") for e in shown.all(".face")]
    link = shown.key(f"photo-{ids[0]}")
    link.send_keys("x")
    shown.until(lambda: shown.all(".target"))
    tile = shown.all(".face")[1].find_element("css selector", "label")
    shown.key(f"photo-{ids[1]}").send_keys("x")
    hand = chains.ActionChains(shown.browser).click_and_hold(tile).move_by_offset(5, 5).pause(0.3)
    hand.move_to_element(shown.one(".target")).move_by_offset(2, 2).pause(0.3).release().perform()
    shown.said("2 faces moved to Anna")
    shown.until(lambda: len(shown.all(".face")) == len(ids) - 2)
    shown.key(f"photo-{ids[2]}").send_keys("x")
    shown.until(lambda: shown.all(".target"))
    shown.one(".target").send_keys(keys("ENTER"))
    shown.said("1 face moved to Anna")
    shown.go(f"person/{first}", ".face")
    there = {e.get_attribute("data-id") for e in shown.all(".face")}
    assert {*ids[:3]} <= there and ids[3] not in there


def test_search_and_filters_are_in_the_address(shown: Shown) -> None:
    target = shown.people()[2]
    shown.key(f"name-{target[0]}").send_keys("Zoë" + keys("ENTER"))
    shown.said("Named Zoë")
    shown.one("body").send_keys("/")
    shown.browser.switch_to.active_element.send_keys("zOË")
    shown.until(lambda: shown.one("#found").text == "1 person")
    assert shown.browser.switch_to.active_element.get_attribute("id") == "search"
    shown.browser.refresh()
    shown.until(lambda: shown.all(".card"))
    assert [p[0] for p in shown.people()] == [target[0]]
    shown.go("people", ".card:nth-child(2)")
    everyone = len(shown.people())
    select = import_module("selenium.webdriver.support.ui").Select
    select(shown.key("year")).select_by_value("2012")
    shown.until(lambda: 0 < len(shown.people()) < everyone)
    select(shown.key("year")).select_by_value("")
    shown.until(lambda: len(shown.people()) == everyone)
    select(shown.key("size")).select_by_value("5-19")
    shown.until(lambda: len(shown.people()) < everyone)
    assert all(5 <= size <= 19 for size in shown.sizes())


def test_keyboard_alone(shown: Shown) -> None:
    """Every control can be reached with Tab, shows its focus, and has a name for screen readers."""
    browser = shown.browser
    ids = [p[0] for p in shown.people()[:2]]
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    used = [n for n in nodes if n.get("role", {}).get("value") in CONTROLS]
    assert len(used) > 20 and [n for n in used if not n.get("ignored") and not n.get("name", {}).get("value")] == []
    reached = []
    for _ in range(60):
        browser.switch_to.active_element.send_keys(keys("TAB"))
        key, width = browser.execute_script(
            "const e = document.activeElement; return [e.dataset.key || e.id || e.textContent, getComputedStyle(e).outlineWidth]"
        )
        assert width == "3px", f"{key} does not show that it has the focus"
        reached.append(key)
        if key == f"tick-{ids[0]}" or key == f"tick-{ids[1]}":
            browser.switch_to.active_element.send_keys(" ")
        if key == f"tick-{ids[1]}":
            break
    assert {"People", "Questions", "Unknown faces", "search", "show", f"open-{ids[0]}", f"name-{ids[0]}"} <= {*reached}
    shown.key("merge").send_keys(keys("ENTER"))
    shown.until(lambda: ids[1] not in [p[0] for p in shown.people()])
    status = shown.one("#status")
    assert (status.get_attribute("role"), status.get_attribute("aria-live")) == ("status", "polite")
    shown.said("Merged 2 people")


def test_narrow_light_and_dark(shown: Shown) -> None:
    browser = shown.browser
    person = shown.people()[0][0]
    pages = {"people": ".card", f"person/{person}": ".face", "questions": ".pair", "nobody": ".face", "history": "h1"}
    pages["regroup"] = '[data-key="start"]'
    pages |= {"suggestions": "h1", f"photo/{shown.all('.card')[0].get_attribute('data-face')}": ".mark"}
    shown.key(f"name-{person}").send_keys("W" * 60 + keys("ENTER"))
    shown.said(f"Named {'W' * 60}")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True})
    shades = []
    try:
        for scheme in ("light", "dark"):
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
            for path, css in pages.items():
                shown.go(path, css)
                if path == "people":
                    shown.key(f"tick-{person}").click()
                over = browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
                shot(browser, f"review-{scheme}-{path.split('/')[0]}-400")
                assert over <= 0, f"{path} is {over} px too wide"
                if path == "people":
                    shown.key("untick").click()
            colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
            shades.append(sum(map(int, colour[4:-1].split(","))))
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert shades[0] > 700 and shades[1] < 150


def test_names_of_files_are_text(shown: Shown) -> None:
    """The name of the first photo is an image tag with a script."""
    for person, _, _ in shown.people():
        shown.go(f"person/{person}", f'[aria-label^="Faces of Unnamed {person}"] .face')
        if any("onerror" in e.get_attribute("aria-label") for e in shown.all(".face a")):
            break
    else:
        shown.go("nobody", '[aria-label="Unknown faces"] .face')
        assert any("onerror" in e.get_attribute("aria-label") for e in shown.all(".face a"))
    assert shown.browser.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
    quiet(shown.browser, shown.review.server.server_port)


def test_when_the_server_has_ended_the_page_says_so(browser: Any, tmp_path: Path) -> None:
    page = Shown(browser, grouped(tmp_path)[0])
    page.review.stop()
    page.thread.join()
    page.review.close()
    browser.find_element("css selector", '[data-page="history"]').click()
    page.until(lambda: page.one("#problem").text.endswith("All your decisions are saved."))
    page.one("main").click()
    browser.execute_script("location.hash = '#/people'")
    page.until(lambda: page.all(".card"))
    page.key(f"name-{page.people()[0][0]}").send_keys("Anna" + keys("ENTER"))
    page.until(lambda: page.one("#problem").text.endswith("What you did just now may not be saved; all before it is."))
    assert read(page.store).decisions == []
    browser.get("about:blank")
    browser.get_log("browser")  # drop the expected error that the server can't be reached


def test_a_store_that_was_away_for_a_while(shown: Shown) -> None:
    """As a disk that drops off: the page says so, and goes on by itself once it is back."""
    root = Path(shown.store.root)
    root.rename(root.with_name("away"))
    shown.until(lambda: "found none" in shown.one("#problem").text)
    root.with_name("away").rename(root)
    shown.until(lambda: shown.one("#problem").text == "")
    assert shown.all(".card")
    shown.browser.get_log("browser")  # drop the expected error


def type_slowly(shown: Shown, text: str, pause: float) -> None:
    """Type as a person does, whatever has the focus: events come from the browser itself."""
    for letter in text:
        special = {"\n": ("Enter", "Enter", 13, "\r"), "\t": ("Tab", "Tab", 9, "")}.get(letter)
        key, code, number, inserted = special or (letter, f"Key{letter.upper()}", ord(letter.upper()), letter)
        more = {"text": inserted} if inserted else {}
        event = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        shown.browser.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyDown", **event, **more})
        shown.browser.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyUp", **event})
        time.sleep(pause)


def test_names_that_are_typed_fast_are_whole(browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 names at 60 ms a key, with Enter, which goes on to the next card, while each answer of the server takes 300 ms."""
    store, _, _ = grouped(tmp_path, (9, 9, 9, 8, 8, 8, 7, 7, 7, 6, 6, 6, 5, 5, 5, 4, 4, 4, 3, 3, 3, 3), singles=0)
    shown = Shown(browser, store)
    try:
        answer = server._Handler._send

        def slow(*args: Any, **more: Any) -> None:
            time.sleep(0.3)
            answer(*args, **more)

        monkeypatch.setattr(server._Handler, "_send", slow)
        people = [person for person, _, _ in shown.people()]
        names = {person: f"person{chr(97 + i)}{chr(122 - i)}x" for i, person in enumerate(people[:20])}
        shown.key(f"name-{people[0]}").click()
        for name in names.values():
            type_slowly(shown, f"{name}\n", 0.06)
        shown.until(lambda: len(read(store).decisions) >= 20)
        shown.said(f"Named {names[people[19]]}")
    finally:
        shown.stop()
    assert [d.name for d in read(store).decisions] == list(names.values())
    known = people_with_current_names(store)
    assert known is not None and dict(zip(known[0].person_ids, known[0].names, strict=True)) == dict.fromkeys(people) | names


def test_an_update_keeps_the_focus_wherever_its_element_goes(shown: Shown) -> None:
    """Against building the list anew: the same elements in the same order, whatever changes; and the field keeps what is typed."""
    script = """
      const done = arguments[arguments.length - 1];
      import("/update.js").then(({ update }) => {
        const place = document.createElement("ul");
        document.body.append(place);
        const item = (id) => {
          const li = document.createElement("li");
          li.dataset.id = id;
          const input = document.createElement("input");
          input.type = "text";
          li.append(`item ${id} of ${Math.random()}`, input);
          return li;
        };
        let seed = 7;
        const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
        update(place, ["a", "b", "c", "d", "e"].map(item));
        const field = place.children[2].lastChild;
        field.focus();
        field.value = "typed";
        const wrong = [];
        for (let n = 0; n < 300; n += 1) {
          const ids = [..."abcdefgh"].filter((id) => id === "c" || random() < 0.7).sort(() => random() - 0.5);
          const made = ids.map(item);
          const texts = made.map((li) => li.firstChild.data);
          update(place, made);
          const shown = [...place.children];
          const same = (one, two) => one.join() === two.join();
          if (!same(shown.map((li) => li.dataset.id), ids) || !same(shown.map((li) => li.firstChild.data), texts)) wrong.push(ids.join());
          if (document.activeElement !== field || field.value !== "typed") wrong.push(`focus at ${n}`);
        }
        place.remove();
        done(wrong);
      });
    """
    assert shown.browser.execute_async_script(script) == []


def test_suggestions_by_key(shown: Shown) -> None:
    """The other group and the single face of a person who was named are suggested, and answered with one key each; undo takes one back."""
    first = shown.people()[0][0]
    group, single = divided(shown.store)
    shown.until(lambda: "p-0000abcd" in [p[0] for p in shown.people()])
    shown.key(f"name-{first}").send_keys("Anna" + keys("ENTER"))
    shown.until(lambda: shown.one("#more").is_displayed() and len(shown.all("#more img")) > 1)
    shot(shown.browser, "review-named")
    shown.one("#more a").click()
    asked = [f"{first}/p-0000abcd", f"{first}/{single}"]
    likeliest = lambda: [e.get_attribute("data-id") for e in shown.all(".suggestion")][:2]  # noqa: E731
    shown.until(lambda: likeliest() == asked)
    shot(shown.browser, "review-suggestions")
    shown.key(f"all-{asked[1]}").click()
    shown.said("2 suggestions accepted for Anna")
    assert len(shown.all(".face")) == 12
    shown.one("body").send_keys("u")
    shown.until(lambda: likeliest() == asked)
    shown.one("body").send_keys("yn")
    shown.said("Not Anna")
    journal = read(shown.store).decisions
    assert [d.act for d in journal] == ["name", "merge", "same", "undo", "merge", "not-same"]
    assert {*journal[4].others} == {*group} and single in journal[5].faces
    assert asked[1] not in likeliest() and len(shown.all(".face")) == 11
    shown.go("suggestions", "h1")
    assert asked[1] not in likeliest()
    shown.one("body").send_keys("u")
    shown.until(lambda: likeliest()[:1] == asked[1:])
    shot(shown.browser, "review-suggestions-all")
    quiet(shown.browser, shown.review.server.server_port)


def test_the_whole_photo_and_what_is_said_of_its_faces(browser: Any, tmp_path: Path) -> None:
    """A photo on disk that EXIF turns: faces stand where their colours are; they are named, set aside and brought back there."""
    store, ids, truth = grouped(tmp_path, (6, 5, 4), singles=2)
    mine, alone = ids[1], ids[-1]
    real_photo(store, mine, tmp_path / "turned.jpg")
    shown = Shown(browser, store)
    try:
        first, second = (p[0] for p in shown.people()[:2])
        shown.key(f"name-{first}").send_keys("Anna" + keys("ENTER"))
        shown.said("Named Anna")
        assert browser.switch_to.active_element.get_attribute("data-key") == f"name-{second}"
        shown.key(f"open-{first}").send_keys(keys("ENTER"))
        shown.until(lambda: shown.all(".face"))
        shown.key(f"photo-{mine}").send_keys(" ")
        sides = "const box = (css) => document.querySelector(css).getBoundingClientRect(), [m, i] = [box('.mark'), box('.whole img')];"
        shares = sides + "return [(m.x - i.x) / i.width, (m.y - i.y) / i.height, m.width / i.width, m.height / i.height]"
        shown.until(lambda: shown.all(".mark") and browser.execute_script("return document.querySelector('.whole img').naturalWidth"))
        assert np.allclose(browser.execute_script(shares), [50 / 400, 60 / 300, 100 / 400, 120 / 300], atol=0.02)
        assert shown.one(".mark span").text == "Anna" and str(tmp_path / "turned.jpg") in shown.one(".path").text
        shot(browser, "review-photo")
        shown.key("not-a-face").click()
        shown.until(lambda: shown.one(".mark span").text == "not a face")
        shown.one("h1").click()
        shown.one("body").send_keys(keys("ARROW_RIGHT"))  # a photo that is no file
        shown.until(lambda: shown.one("#missing").is_displayed() and "no file" in shown.one("#missing").text)
        shown.one("body").send_keys(" ")
        shown.until(lambda: shown.one(".mark span").text == "not a face")
        shown.go(f"photo/{alone}", ".mark")
        shown.until(lambda: shown.one(".mark span").text == "unknown")
        shown.key(f"whose-{alone}").send_keys("Anna" + keys("ENTER"))
        shown.until(lambda: shown.one(".mark span").text == "Anna")
    finally:
        shown.stop()
    call("cluster", store.url)
    known, _, _ = read_current_people(store)
    group = dict(zip(known.faces.ids, known.faces.identity.tolist(), strict=True))
    assert group[mine] == -1 and known.people.names[group[alone]] == "Anna" == known.people.names[group[ids[2]]]


def test_ranges_and_all_are_selected(shown: Shown) -> None:
    chains = import_module("selenium.webdriver.common.action_chains")
    ids = [p[0] for p in shown.people()]
    shown.key(f"tick-{ids[1]}").click()
    shift = import_module("selenium.webdriver.common.keys").Keys.SHIFT
    chains.ActionChains(shown.browser).key_down(shift).click(shown.key(f"tick-{ids[4]}")).key_up(shift).perform()
    assert [shown.key(f"tick-{i}").is_selected() for i in ids] == [False, True, True, True, True, False]
    shown.one("h1").click()
    shown.one("body").send_keys(keys("CONTROL") + "a")
    assert all(shown.key(f"tick-{i}").is_selected() for i in ids) and "6 people" in shown.one("#tray p").text
    shown.go("nobody", ".face")
    assert not shown.all("#tray p")
    faces = [e.get_attribute("data-id") for e in shown.all(".face")]
    shown.key("select-all").click()
    shown.key("ignore-face").click()
    shown.until(lambda: not shown.all(".face"))
    shown.one("body").send_keys("u")
    shown.until(lambda: [e.get_attribute("data-id") for e in shown.all(".face")] == faces)


def test_the_file_that_opens_the_page_works_once_and_holds_the_only_secret(shown: Shown) -> None:
    """A browser's command line can be read by every user of the machine: it has the path of a file that only its owner can read."""
    path = shown.review.write_opener()
    assert path.stat().st_mode & 0o077 == 0
    text = path.read_text()
    assert shown.review.server.token not in text
    shown.browser.delete_all_cookies()
    shown.browser.get("about:blank")
    shown.browser.get(path.as_uri())
    shown.until(lambda: shown.all("main h1"))
    assert not path.exists()
    assert "once" not in shown.browser.current_url
    shown.browser.delete_all_cookies()
    address = re.search(r'replace\("([^"]+)"', text)
    assert address
    shown.browser.get(address[1])
    assert "open the whole address" in shown.browser.page_source
    shown.browser.get(shown.review.url)  # what the command printed still opens it
    shown.until(lambda: shown.all("main h1"))
