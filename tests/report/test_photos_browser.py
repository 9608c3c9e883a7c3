"""Photos of the report in a real browser: justified rows, faces named on hover and focus, a photo shown large, the years of a person."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import report_store as syn
from PIL import Image
from test_report_browser import browser, open_page, quiet, shot  # noqa: F401  the fixture

from facecluster.report import write_report
from facecluster.report.report_data import PersonInfo
from facecluster.store import Store

SIZES = [(400, 300), (300, 400), (640, 360), (300, 300), (360, 640), (900, 300), (400, 300), (300, 400), (500, 400)]
RECTS = """
  return [...document.querySelectorAll('.rows > li')].map((li) => { const r = li.getBoundingClientRect(); const v =
    li.querySelector('.view').getBoundingClientRect(); return [li.id, r.top, r.left, r.right, v.width, v.height]; });
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    store = Store(str(folder / "store"))
    store.create()
    for i, size in enumerate(SIZES):
        Image.fromarray(np.full((*size[::-1], 3), 90 + 9 * i, np.uint8)).save(folder / f"{i}.jpg")
        row = (syn.photo_id(i), str(folder / f"{i}.jpg"), datetime(2012 + 3 * (i > 5), 5, 1 + i), None)
        syn.write_photos(store, f"{i}", [row], size)
    faces = [(syn.face_id(i, 0), syn.photo_id(i)) for i in range(len(SIZES))]
    syn.write_faces(store, "0", faces, [syn.crop((200, 120, 90))] * len(faces))
    syn.write_identities(store, [(f, 0, 0.9) for f, _ in faces])
    write_report(store, "identities/bundled", str(folder / "report"), people={0: PersonInfo("Ann", "p-00000001", born="2011-01-01")})
    return folder / "report"


def rows_of(browser: Any) -> dict[float, list[list[Any]]]:  # noqa: F811
    found: dict[float, list[list[Any]]] = {}
    for tile in browser.execute_script(RECTS):
        found.setdefault(round(tile[1]), []).append(tile)
    return found


@pytest.mark.parametrize("width", [400, 1200])
def test_rows_are_justified_and_keep_the_shapes(browser: Any, report: Path, width: int) -> None:  # noqa: F811
    open_page(browser, report / "photos" / "photos.html", width)
    shot(browser, f"rows-{width}")
    rows = rows_of(browser)
    assert len(rows) > 2
    inner = browser.execute_script("return document.querySelector('.rows').getBoundingClientRect().right")
    for tiles in rows.values():
        heights = [tile[5] for tile in tiles]
        assert max(heights) - min(heights) < 1.5  # one height in a row
    for (_, _, _, _, w, h), (a, b) in zip(browser.execute_script(RECTS), SIZES, strict=True):
        assert w / h == pytest.approx(a / b, abs=0.02)
    full = [tiles for tiles in rows.values() if abs(tiles[-1][3] - inner) < 2]
    assert len(full) >= len(rows) - 2  # all but the last row of each month reach the right side
    assert browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    quiet(browser)


def test_faces_are_marked_and_named_on_hover_and_focus(browser: Any, report: Path) -> None:  # noqa: F811
    from selenium.webdriver.common.action_chains import ActionChains

    open_page(browser, report / "photos" / "photos.html")
    seen = "return getComputedStyle(document.querySelector('#photo-%d .view %s')).visibility"
    assert browser.execute_script(seen % (0, "rect")) == "visible" and browser.execute_script(seen % (0, "text")) == "hidden"
    ActionChains(browser).move_to_element(browser.find_element("id", "photo-0")).perform()
    assert browser.execute_script(seen % (0, "text")) == "visible" and browser.execute_script(seen % (1, "text")) == "hidden"
    browser.execute_script("document.querySelector('#photo-1 svg a').focus()")
    assert browser.execute_script(seen % (1, "text")) == "visible"
    assert browser.find_element("css selector", "#photo-1 svg a").get_attribute("aria-label") == "Ann"
    quiet(browser)


def test_a_photo_is_shown_large_and_the_keys_go_on_and_back(browser: Any, report: Path) -> None:  # noqa: F811
    keys = {"right": "\ue014", "left": "\ue012", "escape": "\ue00c"}
    open_page(browser, report / "photos" / "photos.html")
    small = browser.execute_script(RECTS)[0][4]
    browser.find_element("css selector", "#photo-0 .open").click()
    large = "return document.querySelector('.photo:target')?.id"
    assert browser.execute_script(large) == "photo-0" and "1 face" in browser.find_element("css selector", ":target .more").text
    shot(browser, "large")
    assert browser.execute_script(RECTS)[0][4] > 1.4 * small and "16 months" in browser.find_element("css selector", ":target .strip").text
    for key, wanted in (("right", "photo-1"), ("right", "photo-2"), ("left", "photo-1")):
        browser.find_element("css selector", "body").send_keys(keys[key])
        assert browser.execute_script(large) == wanted
    browser.find_element("css selector", "body").send_keys(keys["escape"])
    assert browser.execute_script(large) is None
    assert browser.execute_script("return document.activeElement.id") == "name-1"
    browser.find_element("css selector", "#photo-4 .open").click()
    browser.find_element("css selector", "#photo-4 .close").click()
    assert browser.execute_script(large) is None
    quiet(browser)


def test_the_years_of_a_person(browser: Any, report: Path) -> None:  # noqa: F811
    open_page(browser, report / "people" / "person-00001.html", 400)
    shot(browser, "person-years")
    labels = [e.get_attribute("aria-label") for e in browser.find_elements("css selector", ".years a")]
    assert labels == ["2012: 6 faces, 16 months", "2015: 3 faces, 4 years"]
    browser.find_element("css selector", ".years a:last-of-type .bar").click()
    assert browser.current_url.endswith("#y2015")
    top = browser.execute_script("return document.getElementById('y2015').getBoundingClientRect().top")
    assert top < browser.execute_script("return innerHeight")
    pictures = browser.execute_script("return [...document.querySelectorAll('.rows.small img')].map((i) => i.src)")
    assert len(pictures) == len(SIZES) and all(src.startswith("file:") for src in pictures)
    assert json.loads(browser.execute_script("return JSON.stringify(document.getElementById('order').value)")) == "date"
    quiet(browser)
