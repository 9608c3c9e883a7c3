"""The page of duplicates: every pair side by side, how similar they are, and why one is kept. It opens from disk without a network.

Pictures are the thumbnails of dedup/looks as data: URLs. Every text is escaped by the template; the only trusted text is base.css and
groups.css, which the Content-Security-Policy allows by its hash. The policy forbids scripts, other styles and any network.
"""

from __future__ import annotations

import base64
import hashlib
import os
from datetime import UTC, datetime
from importlib.resources import files
from itertools import groupby
from typing import Any

import jinja2
from markupsafe import Markup

from facecluster.dedup.explain import FIGURES
from facecluster.dedup.find import Findings
from facecluster.dedup.folders import format_bytes
from facecluster.dedup.groups import KINDS
from facecluster.dedup.plan import Plan, Row
from facecluster.report.pages import image_data_url
from facecluster.report.report_folder import replace_folder, write_manifest
from facecluster.report.styles import BASE_CSS, template
from facecluster.report.text import file_url, one_line, plural, short_name

PAIRS = 60  # on a page, about: 120 pictures of 5 KB
MEMBERS = 20  # of a group, shown
NOTES = 500  # shown
_TITLES = dict(zip(KINDS, ("the same bytes", "the same pixels", "one picture", "a burst"), strict=True))
_NAMES = {
    "copy": "exact copy", "copys": "exact copies", "pixels": "photo with the same pixels", "pixelss": "photos with the same pixels",
    "near": "near-duplicate", "nears": "near-duplicates", "burst": "other photo of a burst", "bursts": "other photos of bursts",
}  # fmt: skip


def write_page(found: Findings, plan: Plan, out: str, *, plan_path: str, created: datetime | None = None) -> str:
    """Write the pages to a local folder that is new, empty or holds older pages, which are replaced; gives the path of the first page.

    Raises:
        InputError: the folder holds other files, or can't be written.
    """
    css = template(BASE_CSS) + (files("facecluster.dedup") / "templates" / "groups.css").read_text(encoding="utf-8")
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("facecluster.dedup"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    env.filters |= {"one_line": one_line, "plural": plural, "bytes": format_bytes}
    env.globals |= {
        "css": Markup(css),
        "policy": Markup(f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"),
        "created": (created or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M %Z").strip(),
        "plan": plan, "plan_path": plan_path, "names": _NAMES, "page_name": page_name,
    }  # fmt: skip
    number = {photo_id: i for i, photo_id in enumerate(found.photos.ids)}
    notes = sorted({**found.not_opened, **found.locations.changed}.items())
    pages = _pages([list(rows) for _, rows in groupby(plan.rows, key=lambda row: row.group)])
    made = env.get_template("groups.html")
    with replace_folder(out) as folder:
        for here, groups in enumerate(pages):
            shown_groups = [_group(found, number, rows) for rows in groups]
            text = made.render(
                here=here, pages=len(pages), groups=shown_groups, notes=notes[:NOTES], more_notes=max(len(notes) - NOTES, 0)
            )
            (folder / page_name(here)).write_text(text, encoding="utf-8", errors="replace")
        write_manifest(folder)
    return os.path.join(out, page_name(0))


def page_name(n: int) -> str:
    """The file of page n, counted from 0."""
    return "index.html" if n == 0 else f"page-{n + 1:05d}.html"


def _pages(groups: list[list[Row]]) -> list[list[list[Row]]]:
    """Split groups into pages of about PAIRS pairs."""
    pages: list[list[list[Row]]] = [[]]
    room = PAIRS
    for rows in groups:
        size = min(len(rows) - 1, MEMBERS)
        if room < size and pages[-1]:
            pages.append([])
            room = PAIRS
        pages[-1].append(rows)
        room -= size
    return pages


def _group(found: Findings, number: dict[str, int], rows: list[Row]) -> dict[str, Any]:
    others = [row for row in rows if row.keeper]
    least_certain = max((row.kind for row in others), key=KINDS.index)
    return {
        "number": rows[0].group,
        "title": f"{_TITLES[least_certain]}, {plural(len(rows), 'file')}",
        "keeper": _item(found, number, rows[0]),
        "pairs": [_item(found, number, row) for row in others[:MEMBERS]],
        "more": max(len(others) - MEMBERS, 0),
    }


def _item(found: Findings, number: dict[str, int], row: Row) -> dict[str, Any]:
    photo = number[row.sha256]
    thumb = image_data_url(found.fingerprints.thumbnails[photo]) if found.fingerprints.exists[photo] else None
    words, found_figures, figures = row.why.partition(FIGURES)
    if words in ("", "the same bytes"):
        words = "The same file"
    elif found_figures:  # a copy that was made anew
        words = f"The same photo, {words}"
    said = {"words": words[:1].upper() + words[1:], "figures": found_figures.removeprefix("; ") + figures}
    return {"row": row, "thumb": thumb, "name": short_name(row.uri), "url": file_url(row.uri), **said}
