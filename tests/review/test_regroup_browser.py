"""Grouping again in a real browser: progress, what changes, no and yes; the pages follow without a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jobs import SETTINGS
from review_store import divided, grouped
from test_review_browser import Shown, asked, browser, quiet, shot  # noqa: F401

from facecluster.people import current_run, read_current_people

# the state was asked for before the grouping ended, the page after it
OLD_STATE = """
window.realFetch = window.fetch;
window.fetch = async (...given) => {
  const answer = await window.realFetch(...given);
  if (!String(given[0]).includes("/api/state")) return answer;
  const state = await answer.json();
  state.regroup.state = "running";
  return new Response(JSON.stringify(state), { status: answer.status, headers: answer.headers });
};
"""


def test_the_groups_change_when_the_user_says_so(browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    for key, value in SETTINGS.items():
        monkeypatch.setenv(key, value)
    store, _, _ = grouped(tmp_path)
    whole = read_current_people(store)[0].people.person_ids[0]
    divided(store)
    before = current_run(store)
    assert before is not None
    shown = Shown(browser, store)
    port = shown.review.server.server_port

    def sizes() -> list[int]:
        shown.go("people", ".card")
        return shown.sizes()

    def wait(css: str) -> None:
        for _ in range(6):  # a program of its own, on a machine with others
            try:
                shown.until(lambda: shown.all(css))
                return
            except Exception:
                assert not shown.all("#problem:not(:empty)"), shown.one("#problem").text
        raise AssertionError(css)

    try:
        shown.key(f"name-{whole}").send_keys("Anna")
        shown.one("h1").click()
        shown.said("Named Anna")
        was = sizes()
        shown.one('nav [data-page="regroup"]').click()
        wait('[data-key="start"]')
        shown.key("start").click()
        shown.until(lambda: shown.one("#grouping").is_displayed())
        shown.go("people", ".card")  # it goes on while the user looks at other pages
        wait('#grouping a[href="#/regroup"]')
        assert sizes() == was and current_run(store) == before
        shown.one("#grouping a").click()
        wait("#changes-joins")
        assert "joins Anna" in shown.one("#changes-joins").text and "1 face" in shown.one("#summary").text
        shot(browser, "review-regroup")
        narrow = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 400
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        shown.key("no").click()
        wait("#ended")
        assert "stay as they were" in shown.one("#ended").text and sizes() == was
        shown.go("regroup", '[data-key="start"]')
        shown.key("start").click()
        wait("#changes-joins")
        browser.execute_script(OLD_STATE)
        shown.go("people", ".card")
        shown.go("regroup", "#changes-joins")
        shown.one("h1").click()
        shown.one("body").send_keys("y")
        browser.execute_script("window.fetch = window.realFetch")
        shown.until(lambda: "Done" in (shown.one("#ended").text if shown.all("#ended") else ""))
        assert sizes() == [12, 9, 7, 5, 4] and current_run(store) != before
        # stopped while it works
        shown.go("regroup", '[data-key="start"]')
        shown.key("start").click()
        wait('[data-key="stop"]')
        shown.key("stop").click()
        shown.until(lambda: "stay as they were" in (shown.one("#ended").text if shown.all("#ended") else ""))
        quiet(browser, port)
    finally:
        shown.stop()
    with store.lock():
        pass
