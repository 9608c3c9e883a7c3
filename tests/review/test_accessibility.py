"""axe-core finds no fault on any page: review, report and duplicates, light and dark, at 1,200 and at 400 px."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe import faults, script
from dedup import dedup_photos
from people_store import call
from review_store import divided, real_photo
from test_review_browser import Shown, asked, browser, keys, shown  # noqa: F401

from facecluster.decisions import append
from facecluster.dedup import DedupConfig, find_duplicates, make_plan, write_page
from facecluster.people import read_current_people
from facecluster.store import Store

LOOKS = [("light", 1200), ("dark", 1200), ("light", 400), ("dark", 400)]


@contextmanager
def look(browser: Any, scheme: str, width: int) -> Iterator[None]:  # noqa: F811
    """A colour scheme and a width of the screen."""
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_it_finds_faults(browser: Any) -> None:  # noqa: F811
    """The check itself: a button without a name, a picture without a text, pale grey on white."""
    browser.get("data:text/html,<html><body><button></button><img src='x'><p style='color:%23ccc'>pale</p></body></html>")
    found = " ".join(faults(browser, script()))
    assert all(rule in found for rule in ("button-name", "image-alt", "color-contrast", "html-has-lang"))


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_pages_of_the_review(shown: Shown, tmp_path: Path, scheme: str, width: int) -> None:  # noqa: F811
    source = script()
    first = shown.people()[0][0]
    face = shown.all(".card")[0].get_attribute("data-face")
    group, _ = divided(shown.store)
    real_photo(shown.store, face, tmp_path / "real.jpg")
    shown.until(lambda: "p-0000abcd" in [p[0] for p in shown.people()])
    shown.key(f"name-{first}").send_keys("Anna" + keys("ENTER"))
    shown.said("Named Anna")
    other = shown.people()[1][0]
    shown.key(f"name-{other}").send_keys("Bea" + keys("ENTER"))
    shown.said("Named Bea")
    now = read_current_people(shown.store)[0]
    append(shown.store, [now.aside("too-unclear", now.representatives(3)[:1])])
    pages = {
        "people": ".card", f"person/{first}": ".face", "suggestions": ".suggestion", "questions": ".pair", f"photo/{face}": ".mark",
        "nobody": ".face", "unclear": ".face", "history": ".history li", "regroup": '[data-key="start"]',
    }  # fmt: skip
    wrong = []
    with look(shown.browser, scheme, width):
        for path, css in pages.items():
            shown.go(path, css)
            wrong += [f"{path}, {scheme}, {width} px: {fault}" for fault in faults(shown.browser, source)]
            both = [shown.key(f"tick-{p}") for p in (first, other)] if path == "people" else []
            ticks = both or shown.all('#main [data-key^="tick-"]')[:2]
            for tick in ticks:
                shown.browser.execute_script("arguments[0].click()", tick)
            if ticks:  # the bar of what is selected
                wrong += [f"{path} with a selection, {scheme}, {width} px: {fault}" for fault in faults(shown.browser, source)]
            if path == "people":
                shown.key("merge").click()
                shown.until(lambda: shown.all("dialog[open]"))
                wrong += [f"the question, {scheme}, {width} px: {fault}" for fault in faults(shown.browser, source)]
                shown.key("answer-none").click()
            if ticks:
                shown.key("untick").click()
    assert wrong == []


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pages on disk: one of each kind of a report, and the duplicates."""
    folder = tmp_path_factory.mktemp("pages")
    store = importlib.import_module("review_store").grouped(folder, (12, 9, 7), singles=4)[0]
    call("name", store.url, "1", "Anna")
    call("report", store.url)
    report = Path(store.path("report"))
    kinds = [min(report.glob(f"{kind}/*.html")) for kind in ("people", "photos", "nobody")]
    photos = folder / "photos"
    photos.mkdir()
    image = dedup_photos.coded(dedup_photos.scene(1), quality=95)
    smaller = dedup_photos.coded(dedup_photos.scaled(dedup_photos.scene(1), 0.5))
    for name, data in (("a.jpg", image), ("b.jpg", image), ("c.jpg", smaller), ("d.jpg", dedup_photos.coded(dedup_photos.scene(2)))):
        (photos / name).write_bytes(data)
    dedup_photos.write_store(folder / "photos-store", sorted(photos.iterdir()))
    with find_duplicates(Store(str(folder / "photos-store")), DedupConfig(), bars=dedup_photos.silent) as found:
        page = write_page(found, make_plan(found), str(folder / "duplicates"), plan_path="plan.csv")
    return [report / "index.html", *kinds, Path(page)]


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_pages_on_disk(browser: Any, written: list[Path], scheme: str, width: int) -> None:  # noqa: F811
    source, wrong = script(), []
    with look(browser, scheme, width):
        for page in written:
            browser.get(page.as_uri())
            wrong += [f"{page.name}, {scheme}, {width} px: {fault}" for fault in faults(browser, source)]
            over = browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert over <= 0, f"{page.name} is {over} px too wide"
    assert wrong == []
