"""Drawing a missed face in a real browser, with the mouse and by the keyboard alone."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from missed_face import missed_face
from people_store import call
from test_review_browser import Shown, browser, keys, quiet, shot  # noqa: F401

from facecluster.decisions import active, read
from facecluster.geometry import iou
from facecluster.people import read_current_people
from facecluster.photos.drawn import drawn_faces

RECT = "const r = document.querySelector('.whole img').getBoundingClientRect(); return [r.x, r.y, r.width, r.height]"


def drag(browser: Any, share: list[float]) -> None:  # noqa: F811
    """Drag over the photo from one corner of a box to the other."""
    actions = import_module("selenium.webdriver.common.action_chains")
    mouse = import_module("selenium.webdriver.common.actions.pointer_input")
    x, y, w, h = browser.execute_script(RECT)
    corners = [(x + w * share[0], y + h * share[1]), (x + w * (share[0] + share[2]), y + h * (share[1] + share[3]))]
    chain = actions.ActionChains(browser, duration=20, devices=[mouse.PointerInput("mouse", "mouse")])
    pointer = chain.w3c_actions.pointer_action
    pointer.move_to_location(*(round(v) for v in corners[0]))
    pointer.pointer_down()
    pointer.move_to_location(*(round(v) for v in np.mean(corners, axis=0)))
    pointer.move_to_location(*(round(v) for v in corners[1]))
    pointer.pointer_up()
    chain.perform()


def test_a_missed_face_is_drawn_named_and_undone(browser: Any, tmp_path: Path) -> None:  # noqa: F811
    missed = missed_face(tmp_path)
    shown = Shown(browser, missed.store)
    port = shown.review.server.server_port
    x, y, w, h = missed.shares(missed.box)
    wide = [x - 0.1 * w, y - 0.1 * h, 1.2 * w, 1.2 * h]
    try:
        shown.go(f"photo/{missed.photo}", ".mark")
        shown.until(lambda: browser.execute_script("return document.querySelector('.whole img').naturalWidth"))
        marks = len(shown.all(".mark"))
        # with the mouse, the box is corrected once before it is taken
        drag(browser, [0.01, 0.01, 0.1, 0.1])
        shown.until(lambda: shown.all("#drawn"))
        drag(browser, wide)
        shown.until(lambda: browser.switch_to.active_element.get_attribute("id") == "drawn")
        at = [float(v) for v in shown.one("#drawn").get_attribute("data-box").split()]
        assert iou(np.array([at]), np.array([wide]))[0, 0] > 0.95
        shot(browser, "review-draw")
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True})
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 400
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        shown.key("take").click()
        shown.until(lambda: len(shown.all(".mark")) == marks + 1 and not shown.all("#drawn"))
        shown.until(lambda: (browser.switch_to.active_element.get_attribute("data-key") or "").startswith("whose-"))
        face = drawn_faces(missed.store)["face_id"].to_pylist()[0]
        browser.switch_to.active_element.send_keys("Anna" + keys("ENTER"))
        shown.until(lambda: shown.one(f'.mark[data-id="{face}"] span').text == "Anna")
        shot(browser, "review-drawn")
        # Escape takes the box away
        drag(browser, wide_beside(wide))
        shown.until(lambda: shown.all("#drawn"))
        shown.one("#drawn").send_keys(keys("ESCAPE"))
        shown.until(lambda: not shown.all("#drawn") and shown.all("#tray[hidden], #tray"))
        for _ in range(2):
            shown.one("h1").click()
            shown.one("body").send_keys("u")
            shown.until(lambda: shown.one("#status").text.startswith("Undone"))
            shown.until(lambda: not shown.one("#undo").get_attribute("disabled") or not active(read(missed.store).decisions))
            browser.execute_script("document.getElementById('status').replaceChildren()")
        shown.until(lambda: len(shown.all(".mark")) == marks)
        assert not len(drawn_faces(missed.store))
        # by the keyboard alone
        shown.one("body").send_keys("d")
        shown.until(lambda: browser.switch_to.active_element.get_attribute("id") == "drawn")
        for _ in range(120):
            now = [float(v) for v in browser.switch_to.active_element.get_attribute("data-box").split()]
            step = next_step(now, wide)
            if not step:
                break
            browser.switch_to.active_element.send_keys(step)
        browser.switch_to.active_element.send_keys(keys("ENTER"))
        shown.until(lambda: len(shown.all(".mark")) == marks + 1)
        again = drawn_faces(missed.store).to_pylist()[0]
        assert again["face_id"] != face and iou(np.array([again["box"]]), missed.box[None])[0, 0] > 0.75
        shown.until(lambda: (browser.switch_to.active_element.get_attribute("data-key") or "").startswith("whose-"))
        # a face that is marked is not drawn twice
        browser.execute_script("document.activeElement.blur()")
        shown.one("h1").click()
        quiet(browser, port)
        drag(browser, wide)
        shown.until(lambda: browser.switch_to.active_element.get_attribute("id") == "drawn")
        browser.switch_to.active_element.send_keys(keys("ENTER"))
        shown.until(lambda: "choose its mark" in shown.one("#problem").text)
        assert shown.all("#drawn"), "it can be put right"
    finally:
        shown.stop()
    call("cluster", missed.store.url)
    known, _, _ = read_current_people(missed.store)
    group = dict(zip(known.faces.ids, known.faces.identity.tolist(), strict=True))
    assert group[again["face_id"]] == group[missed.mates[0]] >= 0


def wide_beside(box: list[float]) -> list[float]:
    """A box of the same size in a corner of the photo."""
    return [0.005, 0.005, min(box[2], 0.1), min(box[3], 0.1)]


def next_step(now: list[float], wanted: list[float]) -> str:
    """The key that brings a box nearer to another one; '' if none does."""
    shift = keys("SHIFT")
    for i, (less, more, held) in enumerate((("LEFT", "RIGHT", ""), ("UP", "DOWN", ""), ("LEFT", "RIGHT", shift), ("UP", "DOWN", shift))):
        if abs(now[i] - wanted[i]) > 0.006:
            return held + keys(f"ARROW_{more if now[i] < wanted[i] else less}")
    return ""
