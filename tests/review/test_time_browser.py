"""The years of a person in a real browser: the bars, faces of a year, photos by date in rows, the date of birth and ages."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from test_review_browser import Shown, browser, shot  # noqa: F401  the fixture
from test_time import YEARS, dated_store

from facecluster.decisions import read
from facecluster.store import PHOTOS

SIDES = "const r = document.querySelector(arguments[0]).getBoundingClientRect(); return [r.x, r.y, r.width, r.height]"


@pytest.fixture
def shown(browser: Any, tmp_path: Path) -> Iterator[Shown]:  # noqa: F811
    page = Shown(browser, dated_store(tmp_path))
    yield page
    page.stop()


def test_the_years_of_a_person_and_the_date_of_birth(shown: Shown) -> None:
    who = shown.people()[0][0]
    shown.go(f"person/{who}", "#timeline .year")
    labels = [e.get_attribute("aria-label") for e in shown.all(".year")]
    assert labels == ["2012: 3 faces", "2013: 1 face", "2015: 1 face", "2020: 1 face", "Without a date: 2 faces"]
    heights = shown.browser.execute_script(
        "return [...document.querySelectorAll('.year')].map((e) => parseFloat(getComputedStyle(e, '::before').height))"
    )
    assert heights[0] == max(heights) and heights[0] / heights[1] == pytest.approx(3, abs=0.4)

    field = shown.key(f"born-{who}")
    shown.browser.execute_script("arguments[0].focus(); arguments[0].value = '2012-03-01'", field)
    field.send_keys("\ue007")
    shown.until(lambda: "14 months" in shown.one("#timeline").text)
    shown.browser.execute_script("document.activeElement.blur()")
    shot(shown.browser, "timeline")
    assert [(d.act, d.date) for d in read(shown.store).decisions] == [("born", "2012-03-01")]  # once, though Enter and leaving both save

    shown.key("year-2012").click()
    shown.until(lambda: len(shown.all(".tiles .face")) == 3)
    assert "year=2012" in shown.browser.current_url and shown.key("year-2012").get_attribute("aria-current") == "true"
    assert "2012-06-15, 3 months" in shown.one(".tiles").text
    shown.key("all-years").click()
    shown.until(lambda: len(shown.all(".tiles .face")) == len(YEARS))
    shown.browser.execute_script("location.hash = '#/history'")
    shown.until(lambda: "Born 2012-03-01" in shown.one("main").text)
    shown.one(".history button").click()
    shown.until(lambda: len(read(shown.store).decisions) == 2)


@pytest.mark.parametrize("width", [400, 1200])
def test_photos_by_date_stand_in_rows_with_the_face_marked(shown: Shown, width: int) -> None:
    who = shown.people()[0][0]
    shown.browser.set_window_size(width, 900)
    shown.go(f"person/{who}", "#timeline .year")
    shown.key("album").click()
    shown.until(lambda: len(shown.all(".album > li")) == len(YEARS))
    assert [e.text.split()[0] for e in shown.all("main h2")] == ["2012", "2013", "2015", "2020", "Without"]
    frame, mark = (shown.browser.execute_script(SIDES, css) for css in (".album a", ".album .face-box"))
    x, y, w, h = frame
    wide = 4 / 3 / 1.3  # the row shows a little less than the whole width
    assert w / h == pytest.approx(1.3, abs=0.02)
    assert mark == pytest.approx([x + w * (0.5 - 0.375 * wide), y + h / 5, w / 4 * wide, h * 2 / 5], abs=2)
    assert shown.browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    shot(shown.browser, f"album-{width}")
    shown.one(".album a").click()
    shown.until(lambda: "/photo/" in shown.browser.current_url and shown.all(".mark"))


@pytest.mark.parametrize("width, height", [(800, 200), (200, 600), (400, 300), (2400, 400)])
def test_a_face_is_marked_where_it_is_seen(browser: Any, tmp_path: Path, width: int, height: int) -> None:  # noqa: F811
    """Wide and tall photos are cropped in rows: the mark is around what is red, and there is none if that is cut off."""
    store, red = dated_store(tmp_path), (50, 60, 150, 180)  # the box of every face of report_store
    rows = store.read("photos", "00000").to_pylist()
    picture = Image.new("RGB", (width, height), "white")
    picture.paste((255, 0, 0), red)
    for i, row in enumerate(rows):
        path = tmp_path / f"{i}.png"
        picture.save(path)
        row |= {"uri": str(path), "width": width, "height": height}
    store.write("photos", "00000", pa.Table.from_pylist(rows, PHOTOS), {"stage": "collect"})
    shown = Shown(browser, store)
    try:
        shown.go(f"album/{shown.people()[0][0]}", ".album img")
        shown.until(lambda: browser.execute_script("const i = document.querySelector('.album img'); return i.complete && i.naturalWidth"))
        if width == 2400:
            assert not shown.all(".album .face-box")
            return
        frame, mark = (browser.execute_script(SIDES, css) for css in (".album a", ".album .face-box"))
        hide = "for (const mark of document.querySelectorAll('.face-box')) mark.style.visibility = 'hidden'"
        browser.execute_script(hide)
        seen = Image.open(io.BytesIO(shown.one(".album a").screenshot_as_png)).convert("RGB")
        is_red = (np.asarray(seen, int) * [1, -1, -1]).sum(axis=2) > 100
        ys, xs = np.flatnonzero(is_red.any(axis=1)), np.flatnonzero(is_red.any(axis=0))
        box = [frame[0] + xs[0], frame[1] + ys[0], xs[-1] + 1 - xs[0], ys[-1] + 1 - ys[0]]
        assert mark == pytest.approx(box, abs=3)
    finally:
        shown.stop()
