"""The page of duplicates in other languages, as `dedup --lang` writes it, in a real browser: no English is left."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from dedup import dedup_photos
from page_texts import english, marked_language, seen, unmarked
from test_review_browser import browser, shot  # noqa: F401

from facecluster.cli import main
from facecluster.dedup import DedupConfig, find_duplicates, make_plan, write_page
from facecluster.language import language_of
from facecluster.store import Store

NAMES = ["a.jpg", "IMG 1 (copy).jpg", "pixels.png", "smaller.jpg", "captioned.jpg", "b1.jpg", "b2.jpg", "other.jpg", "broken.jpg"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Photos of every kind: the same bytes, the same pixels, a smaller one, one with words on it, a burst, one that can't be opened."""
    folder = tmp_path_factory.mktemp("duplicates")
    first, image = dedup_photos.scene(1), dedup_photos.coded(dedup_photos.scene(1), quality=95)
    pixels = dedup_photos.coded(dedup_photos.Image.open(dedup_photos.io.BytesIO(image)), "PNG")
    data = [
        image, image, pixels, dedup_photos.coded(dedup_photos.scaled(first, 0.5)), dedup_photos.coded(dedup_photos.captioned(first)),
        dedup_photos.coded(dedup_photos.scene(3)), dedup_photos.coded(dedup_photos.moved(dedup_photos.scene(3))),
        dedup_photos.coded(dedup_photos.scene(2)), b"\xff\xd8\xff broken",
    ]  # fmt: skip
    for name, content in zip(NAMES, data, strict=True):
        (folder / name).write_bytes(content)
    when = datetime(2024, 5, 6, 7, 8, 9)
    taken = {"a.jpg": when, "b1.jpg": when, "b2.jpg": when + timedelta(seconds=1)}
    found = dedup_photos.write_store(folder / "store", [folder / name for name in NAMES[:-1]], taken)
    (folder / "other.jpg").write_bytes(b"\xff\xd8\xff another file by now")
    return found


def own(store: Store) -> set[str]:
    folder = str(Path(store.root).parent)
    return {*NAMES, *(f"{folder}/{name}" for name in NAMES), folder, "JPEG", "PNG", "KB", "kB", "MB"}


def test_every_text_comes_from_the_catalogue(store: Store, browser: Any, tmp_path: Path) -> None:  # noqa: F811
    """In a language that puts brackets around its texts, nothing stands outside them but what is the user's."""
    with find_duplicates(store, DedupConfig(), bars=dedup_photos.silent) as found:
        page = write_page(found, make_plan(found), str(tmp_path / "pages"), plan_path="plan.csv", language=marked_language())
    browser.get(Path(page).as_uri())
    browser.execute_script("for (const e of document.querySelectorAll('details')) e.open = true")
    texts = seen(browser)
    assert unmarked(texts, own(store)) == []
    assert sum("⟦" in text for text in texts) > 40
    for said in ("exact cop", "same pixels", "near-duplicate", "photo of a burst", "Left out", "In figures"):
        assert any(said in text for text in texts), f"the page should show it: {said}"


@pytest.mark.parametrize(("tag", "title", "copies"), [("de", "Duplikate", "1 exakte Kopie"), ("fr", "Doublons", "1 copie exacte")])
def test_no_english_is_left(store: Store, browser: Any, tmp_path: Path, tag: str, title: str, copies: str) -> None:  # noqa: F811
    result = CliRunner().invoke(main, ["dedup", store.url, "--out", str(tmp_path), "--lang", tag], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    browser.get((tmp_path / "pages" / "index.html").as_uri())
    browser.execute_script("for (const e of document.querySelectorAll('details')) e.open = true")
    texts = seen(browser)
    shot(browser, f"dedup-{tag}")
    assert english(texts, tag, own(store)) == []
    assert browser.find_element("css selector", "html").get_attribute("lang") == tag
    assert browser.find_element("css selector", "h1").text == title
    assert any(copies in text for text in texts)
    assert any(language_of(tag).date("2024-05-06 07:08") in text or language_of(tag).date("2024-05-06") in text for text in texts)
    assert english([*texts, "Left out"], tag, own(store)) == ["Left out"]
