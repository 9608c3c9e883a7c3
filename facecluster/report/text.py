"""Text for people and spreadsheets, from any file names and numbers. The templates do the HTML escaping (autoescape)."""

from __future__ import annotations

import re
from urllib.parse import quote

from facecluster.language import mark

_CONTROL = {c: 0x2400 + c for c in range(32)} | {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # starts that a spreadsheet may take for a formula (OWASP, CSV injection)


def clock(ms: int) -> str:
    """A time in a video: minutes and seconds (1:05), or hours, minutes and seconds (1:02:05)."""
    minutes, seconds = divmod(ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def file_url(uri: str) -> str | None:
    """The percent-encoded file: URL, without a host, of a photo on this machine; None for photos elsewhere.

    `uri` is an absolute path or a file: URI (a path that is not UTF-8 is always given as a URI). A file: URI with a host is elsewhere.
    """
    if uri.startswith("/"):
        return "file:///" + quote(uri.lstrip("/"), safe="/")
    if re.match(r"[A-Za-z]:[\\/]", uri):
        return "file:///" + quote(uri.replace("\\", "/"), safe="/:")
    if uri[:8].lower() == "file:///":
        return "file:///" + quote(uri[8:].lstrip("/"), safe="/%:")
    return None


def one_line(text: str) -> str:
    """`text` on one line, with visible symbols for control characters (U+240A for a newline)."""
    return text.translate(_CONTROL)


def short_name(uri: str, most: int = 60) -> str:
    """The last part of a path or URI, on one line; a long one is shortened in the middle."""
    windows = re.match(r"[A-Za-z]:\\", uri)
    name = one_line(re.split(r"[\\/]" if windows else "/", uri)[-1] or uri)
    return name if len(name) <= most else f"{name[: most - 16]}…{name[-15:]}"


def confidence_word(probability: float) -> str:
    """A probability, 0 to 1, as a word: "very sure" from .95, "sure" from .8, "likely" from .5, else "unsure"."""
    for bound, words in ((0.95, mark("very sure")), (0.8, mark("sure")), (0.5, mark("likely"))):
        if probability >= bound:
            return words
    return mark("unsure")


def percent(probability: float) -> str:
    """A probability, 0 to 1, as a percentage; only 1 itself is 100 %."""
    return f"{100 if probability >= 1 else min(99, round(100 * probability))} %"


def csv_cell(text: str) -> str:
    """A text cell that no spreadsheet takes for a formula: a text that could be one gets a leading apostrophe.

    So does one that would else be read as one with such an apostrophe (`evaluation.csv_file`).
    """
    return "'" + text if text.startswith(_FORMULA) or text[:1] == "'" and text[1:].startswith((*_FORMULA, "'")) else text
