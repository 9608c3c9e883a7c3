"""axe-core on a page that a browser shows: its rules of WCAG 2.1 A and AA, and its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conftest import needs


def script() -> str:
    """axe-core, from the package that brings it for tests."""
    return (Path(needs("axe_core_python").__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def faults(browser: Any, source: str) -> list[str]:
    """What axe-core finds on the page: impact, rule, and the elements."""
    if not browser.execute_script("return typeof axe !== 'undefined'"):
        browser.execute_script(source)
    found = browser.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run(document, { resultTypes: ['violations'] })"
        ".then((r) => done(r.violations), (e) => done([{ impact: 'critical', id: `${e}`, nodes: [] }]));"
    )
    return [f"{v['impact']}: {v['id']}: {[n['html'][:120] for n in v['nodes'][:3]]}" for v in found]
