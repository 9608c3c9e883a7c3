"""The choice of words and the pictures of where the model looks, in a real browser, opened from disk."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import report_store as syn
from test_report_browser import browser, open_page, shot  # noqa: F401

from facecluster.explain import SmallPictures
from facecluster.report import write_report

TILES = "return [...document.querySelectorAll('#tiles li')].filter((e) => e.offsetParent).map((e) => e.id)"


def test_faces_are_chosen_by_what_is_said_of_them(browser: Any, tmp_path: Path) -> None:  # noqa: F811
    store = syn.small_store(tmp_path)
    ids = [syn.face_id(i, 0) for i in range(4)]
    masks = pa.table({"face_id": ids, "mask": pa.array([0.9, 0.1, 0.8, None], pa.float32())})
    store.write("attributes/mask", store.shards("faces")[0], masks, {"table": "attributes"})
    write_report(store, "identities/bundled", str(tmp_path / "report"), look=SmallPictures("bundled"))
    open_page(browser, tmp_path / "report" / "people" / "person-00001.html")
    every = browser.execute_script(TILES)
    assert len(every) == 4
    choice = import_module("selenium.webdriver.support.ui").Select(browser.find_element("id", "only"))
    assert [o.text for o in choice.options] == ["all faces on this page", "mask", "no mask"]
    choice.select_by_visible_text("mask")
    masked = browser.execute_script(TILES)
    choice.select_by_visible_text("no mask")
    bare = browser.execute_script(TILES)
    choice.select_by_visible_text("all faces on this page")
    assert (len(masked), len(bare)) == (2, 1) and not set(masked) & set(bare) and browser.execute_script(TILES) == every
    script = "return [...document.querySelectorAll('[aria-labelledby=looks] img')].map((e) => [e.complete && e.naturalWidth, e.width])"
    pictures = browser.find_elements("css selector", "section[aria-labelledby=looks] img")
    browser.execute_script("arguments[0].scrollIntoView()", pictures[-1])
    wait = import_module("selenium.webdriver.support.ui").WebDriverWait(browser, 20, 0.05)
    wait.until(lambda _: browser.execute_script(script) == [[224, 112]] * 4)
    shot(browser, "report-looks")
    assert [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []
