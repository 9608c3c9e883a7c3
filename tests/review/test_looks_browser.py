"""Where the model looks, in a real browser: in the place of a face, beside a photo, and a clear line if it can't be shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from review_store import grouped, real_photo
from test_review_browser import Shown, browser, shot  # noqa: F401

from facecluster.errors import ModelError
from facecluster.review.looks import Looks

WIDTH = "return arguments[0].complete && arguments[0].naturalWidth"


def loaded(shown: Shown, css: str, side: int) -> bool:
    """Whether a picture of this size is shown."""
    return bool(shown.browser.execute_script(WIDTH, shown.one(css)) == side)


def test_it_takes_the_place_of_a_face_and_gives_it_back(browser: Any, tmp_path: Path) -> None:  # noqa: F811
    store, ids, truth = grouped(tmp_path, (5, 4), singles=1)
    words = pa.table({"face_id": [ids[0]], "mask": pa.array([0.9], pa.float32())})
    store.write("attributes/mask", "00000", words, {"table": "attributes"})
    shown = Shown(browser, store)
    try:
        person = next(p for p in shown.review.server.session.view().current.people.person_ids)
        shown.go(f"person/{person}", ".face")
        said = {e.get_attribute("data-id"): e.text for e in shown.all(".face")}
        assert ids[0] in said and [face for face, text in said.items() if "mask" in text.split(" · ")] == [ids[0]]
        picture = f'[data-id="{ids[0]}"] img'
        shown.key(f"tick-{ids[0]}").click()
        shown.key("look").click()
        shown.until(lambda: loaded(shown, picture, 336))
        assert shown.key("look").get_attribute("aria-pressed") == "true"
        shot(browser, "review-look-person")
        shown.key("look").click()
        shown.until(lambda: loaded(shown, picture, 112))
        assert shown.key("look").get_attribute("aria-pressed") == "false"
    finally:
        shown.stop()


def test_on_a_photo_by_key_and_by_button(browser: Any, tmp_path: Path) -> None:  # noqa: F811
    store, ids, _ = grouped(tmp_path, (5, 4), singles=1)
    real_photo(store, ids[0], tmp_path / "turned.jpg")
    shown = Shown(browser, store)
    try:
        shown.go(f"photo/{ids[0]}", ".mark")
        assert not shown.all("#tray img")
        shown.one("body").send_keys("l")
        shown.until(lambda: loaded(shown, "#tray img", 336))
        assert shown.one("#tray .look").get_attribute("aria-pressed") == "true"
        shot(browser, "review-look-photo")
        shown.go(f"photo/{ids[1]}", ".mark")  # it stays for the next face
        shown.until(lambda: ids[1] in shown.one("#tray img").get_attribute("src") and loaded(shown, "#tray img", 336))
        shown.one("#tray .look").click()
        shown.until(lambda: not shown.all("#tray img"))
    finally:
        shown.stop()


def test_a_model_that_can_not_be_loaded_is_said_and_the_face_stays(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    def picture(self: Looks, face: str, crop: bytes) -> bytes:
        raise ModelError("expected the model given, found none of this name: add it again")

    monkeypatch.setattr(Looks, "picture", picture)
    store, ids, _ = grouped(tmp_path, (5, 4), singles=1)
    shown = Shown(browser, store)
    try:
        person = next(p for p in shown.review.server.session.view().current.people.person_ids)
        shown.go(f"person/{person}", ".face")
        shown.key(f"tick-{ids[0]}").click()
        shown.key("look").click()
        shown.until(lambda: shown.one("#problem").text == "expected the model given, found none of this name: add it again")
        shown.until(lambda: loaded(shown, f'[data-id="{ids[0]}"] img', 112))
        assert shown.key("look").get_attribute("aria-pressed") == "false"
        shown.go(f"photo/{ids[0]}", ".mark")
        shown.until(lambda: shown.one("#problem").text == "")
        shown.one("#tray .look").click()
        shown.until(lambda: shown.one("#problem").text.startswith("expected the model given"))
        shown.until(lambda: not shown.all("#tray img") and shown.one("#tray .look").get_attribute("aria-pressed") == "false")
    finally:
        shown.stop()
