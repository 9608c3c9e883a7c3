"""The texts that a page shows in a browser, and which of them are in no language, or in the wrong one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import cache
from importlib.resources import files
from typing import Any

from facecluster.language import Language
from facecluster.language.po_file import Message, read_po

SEEN = """
const seen = [document.title], shown = (e) => e.checkVisibility ? e.checkVisibility() : true;
for (const e of document.querySelectorAll("body *")) {
  if (e.closest("script, style, noscript, datalist") || !shown(e.closest("select") || e)) continue;
  for (const name of ["aria-label", "title", "alt", "placeholder"]) if (e.getAttribute(name)) seen.push(e.getAttribute(name));
  for (const node of e.childNodes) if (node.nodeType === 3 && node.data.trim()) seen.push(node.data.trim());
}
return seen;
"""


def seen(browser: Any) -> list[str]:
    """Every visible text of the page, its title, and what assistive technology reads of it."""
    return [str(text) for text in browser.execute_script(SEEN)]


def messages(tag: str = "de") -> dict[str, Message]:
    """The messages of a catalogue that is shipped."""
    return read_po((files("facecluster.language") / "catalogue" / f"{tag}.po").read_text(encoding="utf-8")).messages


def marked_language() -> Language:
    """A language that says every text of the catalogue in English, in brackets: what has none on a page is not translated."""
    texts = {}
    for key, m in messages().items():
        if m.context in ("number", "date") or key.startswith("%(share)s %%"):
            texts[key] = (m.text,)
        else:
            texts[key] = tuple(f"⟦{form}⟧" for form in ((m.text, m.many) if m.many else (m.text,)))
    return Language("en", texts)


def unmarked(texts: Iterable[str], own: Collection[str]) -> list[str]:
    """The lines that have letters outside brackets, but for what is the user's `own`, dates, ids, files, and single letters (keys).

    A sentence with tags in it is several texts: brackets are matched over all of them.
    """
    rest = "\n".join(texts)
    for mine in sorted(own, key=len, reverse=True):
        rest = rest.replace(mine, "")
    while (less := re.sub(r"⟦[^⟦⟧]*⟧", "", rest)) != rest:
        rest = less
    rest = re.sub(r"\bp-[0-9a-f]{8}\b|\S+\.(?:jpg|csv|json|html)\b|\bfacecluster( \w+)*( [A-Z_]+)*", "", rest)
    rest = re.sub(r"\b[A-Z][a-z]+ \d+, \d{4}( at \d+:\d\d\s?[AP]M)?|\d+:\d+(:\d+)?\s?[AP]M|\bUTC\b", "", rest)
    return [line for line in rest.split("\n") if re.search(r"[^\W\d_]{2}", line)]


@cache
def _english_patterns(tag: str) -> list[re.Pattern[str]]:
    """Of each English text that a language says otherwise, what the text looks like with any values."""
    patterns = []
    theirs = {form for m in messages(tag).values() for form in m.forms}  # "Name" is German too
    for m in messages(tag).values():
        for form in filter(None, (m.text, m.many)):
            if form not in theirs and len(re.sub(r"%\(\w+\)s|[^a-z]", "", form)) > 3:  # with a place on each side, "in" is any text
                parts = [".+" if part.startswith("%(") else re.escape(part.replace("%%", "%")) for part in re.split(r"(%\(\w+\)s)", form)]
                patterns.append(re.compile("".join(parts), re.DOTALL))
    return patterns


def english(texts: Iterable[str], tag: str, own: Collection[str] = ()) -> list[str]:
    """The texts that are English although the catalogue of a language says them otherwise. What is the user's `own` may be English."""
    found = []
    for text in texts:
        said = text
        for mine in sorted(own, key=len, reverse=True):
            said = said.replace(mine, "…")
        if any(pattern.fullmatch(said) for pattern in _english_patterns(tag)):
            found.append(text)
    return found
