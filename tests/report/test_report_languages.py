"""The report in other languages, in a real browser, opened from disk: no English is left, and its script speaks the same language."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import report_store as syn
from page_texts import english, marked_language, seen, unmarked
from test_report_browser import browser, shot  # noqa: F401

from facecluster.language import Language, language_of
from facecluster.report import PersonToCheck, plot, text, write_report

NAME = "<b>Ann</b> %(n)s $&"
WHY = ["truncated", "was not there yet"]


def write(folder: Path, language: Language) -> Path:
    """A report with every page but that of unclear faces: people with and without a name, photos that fail, faces of nobody."""
    store = syn.small_store(folder)
    check = [PersonToCheck(1, 0.55, 0.9), PersonToCheck(0, 0.95, 0.4)]
    write_report(store, "identities/bundled", str(folder / "report"), names={0: NAME}, to_check=check, language=language)
    return folder / "report"


def every_page(browser: Any, report: Path) -> Iterator[str]:  # noqa: F811
    """Show each page with what its script makes, and name it."""
    for path in sorted(report.rglob("*.html")):
        browser.get(path.as_uri())
        if path.name == "index.html":
            browser.find_element("css selector", "#filter").send_keys("ann")
        yield path.stem


def own() -> set[str]:
    """What the store has from the user: names and paths."""
    paths = [*syn.NASTY, "/copy/of first.jpg", "/photos/late.jpg", "/photos/<i>bad</i>\n.jpg"]
    return {NAME, *WHY, *map(text.one_line, paths), *map(text.short_name, paths), 'truncated</b> & "quoted"', "<b>"}


def test_every_text_comes_from_the_catalogue(browser: Any, tmp_path: Path) -> None:  # noqa: F811
    """In a language that puts brackets around its texts, nothing stands outside them but what is the user's."""
    pages = 0
    for name in every_page(browser, write(tmp_path, marked_language())):
        assert unmarked(seen(browser), own()) == [], name
        pages += 1
    assert pages >= 6


@pytest.mark.parametrize("tag", ["de", "fr"])
def test_no_english_is_left(browser: Any, tmp_path: Path, tag: str) -> None:  # noqa: F811
    every = []
    for name in every_page(browser, write(tmp_path, language_of(tag))):
        found = seen(browser)
        assert english(found, tag, own()) == [], name
        assert browser.find_element("css selector", "html").get_attribute("lang") == tag
        assert browser.find_elements("css selector", "main b") == []
        shot(browser, f"report-{tag}-{name}")
        every += found
    lang = language_of(tag)
    assert lang.tn("%(n)s found", "%(n)s found", 1) in every, "the script says this"
    assert lang.t("the least sure first") in every, "a choice"
    assert any(lang.date("2020-01-02") in text for text in every) and NAME in every and len(every) > 100
    assert english(["Photos on this page", *every], tag, own()) == ["Photos on this page"]
    assert not (tmp_path / "report" / "people.csv").read_text(encoding="utf-8-sig").startswith(lang.t("People"))


def test_a_large_report_has_the_separators_of_the_language() -> None:
    bars = plot.bars(np.full(1500, 3000), language_of("de"))
    assert (bars[-1].label, bars[-1].tick) == ("2.049–4.096", "2.049+")
