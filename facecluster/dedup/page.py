"""The page of duplicates: every pair side by side, how similar they are, and why one is kept. It opens from disk without a network.

Pictures are the thumbnails of dedup/looks as data: URLs. Every text is escaped by the template; the only trusted text is base.css and
groups.css, which the Content-Security-Policy allows by its hash. The policy forbids scripts, other styles and any network.
"""

from __future__ import annotations

import base64
import hashlib
import os
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from itertools import groupby
from typing import Any

from markupsafe import Markup

from facecluster.dedup.explain import FIGURES
from facecluster.dedup.find import Findings
from facecluster.dedup.groups import COPY, IN_BURST, KINDS, PIXELS
from facecluster.dedup.plan import Plan, Row
from facecluster.dedup.store_photos import CHANGED, NO_FILE
from facecluster.language import ENGLISH, Language, mark
from facecluster.language.said import Joined, translated
from facecluster.language.templates import environment
from facecluster.photos.picture_type import image_data_url
from facecluster.report.report_folder import replace_folder, write_manifest
from facecluster.report.styles import BASE_CSS, template
from facecluster.report.text import file_url, one_line, short_name

PAIRS = 60  # on a page, about: 120 pictures of 5 KB
MEMBERS = 20  # of a group, shown
NOTES = 500  # shown
_TITLES = dict(zip(KINDS, (mark("the same bytes"), mark("the same pixels"), mark("one picture"), mark("a burst")), strict=True))


def write_page(
    found: Findings, plan: Plan, out: str, *, plan_path: str, created: datetime | None = None, language: Language = ENGLISH
) -> str:  # fmt: skip
    """Write the pages to a local folder that is new, empty or holds older pages, which are replaced; gives the path of the first page.

    Raises:
        InputError: the folder holds other files, or can't be written.
    """
    css = template(BASE_CSS) + (files("facecluster.dedup") / "templates" / "groups.css").read_text(encoding="utf-8")
    env = environment("facecluster.dedup", language)
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    env.filters |= {"one_line": one_line, "sentence": lambda text: text[:1].upper() + text[1:]}
    env.globals |= {
        "css": Markup(css),
        "policy": Markup(f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"),
        "created": (created or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M %Z").strip(),
        "plan": plan, "plan_path": plan_path, "page_name": page_name, "counted": partial(_counted, language),
    }  # fmt: skip
    number = {photo_id: i for i, photo_id in enumerate(found.photos.ids)}
    left_out = {**found.not_opened, **found.locations.changed}
    own = (CHANGED, NO_FILE)  # kept in the store, in English
    notes = [(uri, language.t(why) if why in own else translated(why, language)) for uri, why in sorted(left_out.items())]
    pages = _pages([list(rows) for _, rows in groupby(plan.rows, key=lambda row: row.group)])
    made = env.get_template("groups.html")
    with replace_folder(out) as folder:
        for here, groups in enumerate(pages):
            shown_groups = [_group(found, number, rows, language) for rows in groups]
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


def _group(found: Findings, number: dict[str, int], rows: list[Row], language: Language) -> dict[str, Any]:
    others = [row for row in rows if row.keeper]
    least_certain = max((row.kind for row in others), key=KINDS.index)
    return {
        "number": rows[0].group,
        "title": f"{language.t(_TITLES[least_certain])}, {language.tn('%(n)s file', '%(n)s files', len(rows))}",
        "keeper": _item(found, number, rows[0], language),
        "pairs": [_item(found, number, row, language) for row in others[:MEMBERS]],
        "more": max(len(others) - MEMBERS, 0),
    }


def _counted(language: Language, kind: str, n: int) -> str:
    """A number of files of a kind, in words."""
    if kind == COPY:
        return language.tn("%(n)s exact copy", "%(n)s exact copies", n)
    if kind == PIXELS:
        return language.tn("%(n)s photo with the same pixels", "%(n)s photos with the same pixels", n)
    if kind == IN_BURST:
        return language.tn("%(n)s other photo of a burst", "%(n)s other photos of bursts", n)
    return language.tn("%(n)s near-duplicate", "%(n)s near-duplicates", n)


def _item(found: Findings, number: dict[str, int], row: Row, language: Language) -> dict[str, Any]:
    photo = number[row.sha256]
    thumb = image_data_url(found.fingerprints.thumbnails[photo]) if found.fingerprints.exists[photo] else None
    words, figures = translated(row.why, language), ""
    if isinstance(row.why, Joined) and FIGURES in row.why:  # a copy that was made anew
        how, figures = (translated(part, language) for part in row.why.parts)
        words = language.t("The same photo, %(how)s", how=how)
    if row.kind == COPY or not words:
        words = language.t("The same file")
    said = {"words": words, "figures": figures, "reason": translated(row.reason, language)}
    stays = row.reason.startswith("stays: ")
    return {"row": row, "thumb": thumb, "name": short_name(row.uri), "url": file_url(row.uri), "stays": stays, **said}
