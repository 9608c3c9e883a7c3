"""Measure how large the pages of a report are, and how long a browser takes to show them from disk.

    python workflows/benchmarks/report_pages.py REPORT [REPORT ...] -o results/report_pages.json

Each report is a folder. Of each, the first page of people, of photos and of the first person (the largest) is opened five times in a
headless Chromium (Debian's chromium and chromium-driver, and selenium), in turn with the other reports, so that a busy machine is the same
for all. Times are the least of the five: until the first text or picture is painted, and the processor time of the page's main thread until
it is loaded.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import tempfile
from pathlib import Path
from typing import Any

FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --hide-scrollbars"
ROUNDS = 5
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


def open_browser(profile: str) -> Any:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in [*FLAGS.split(), f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    browser.set_window_size(1200, 900)
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    return browser


def look(browser: Any, page: Path) -> dict[str, float]:
    browser.get("about:blank")
    browser.get(page.as_uri())
    painted = browser.execute_async_script(f"requestAnimationFrame(() => setTimeout(() => arguments[0]({PAINT}), 50))")
    metrics = {m["name"]: m["value"] for m in browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]}
    return {"paint ms": painted or float("inf"), "processor ms": 1000 * metrics["TaskDuration"], "elements": metrics["Nodes"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", type=Path)
    parser.add_argument("-o", "--out", type=Path)
    arguments = parser.parse_args()
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as profile:
        browser = open_browser(profile)
        for _ in range(ROUNDS):
            for report in arguments.reports:
                for what, page in {"people": report / "index.html", "photos": report / "photos/photos.html",
                                   "person": min((report / "people").glob("person-?????.html"))}.items():  # fmt: skip
                    found = look(browser, page.resolve())
                    row = rows.setdefault(f"{report} {what}", {"bytes": page.stat().st_size})
                    row |= {name: round(min(value, row.get(name, float("inf"))), 1) for name, value in found.items()}
        version = browser.capabilities["browserVersion"]
        browser.quit()
    for report in arguments.reports:
        pages = [p.stat().st_size for p in report.rglob("*.html")]
        rows[f"{report}"] = {"pages": len(pages), "largest page": max(pages), "bytes of pages": sum(pages)}
    result = {"pages": rows, "chromium": version, "machine": platform.processor() or platform.machine()}
    print(json.dumps(result, indent=1))  # noqa: T201
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
