"""One language of the pages: its texts, plural forms, numbers, sizes and dates.

A text is its English in the source, with places as %(name)s, and %% for a percent sign. The formats of numbers and dates are texts of the
catalogue too. Values are inserted as they are: what puts them into HTML escapes them.

Odd inputs: a text that the catalogue lacks is English; a date that is not ISO 8601 stays as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import cache
from gettext import c2py
from importlib.resources import files
from typing import Any

from facecluster.errors import InputError
from facecluster.language.po_file import CONTEXT_END, read_po

LANGUAGES = ("en", "de", "fr")  # those that are shipped
AUTO = "auto"
_PLACES = ("LC_ALL", "LC_MESSAGES", "LANG")  # the first that is set counts (POSIX)
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(.*))?")
_ENGLISH_PLURAL = "n != 1"


def mark(text: str) -> str:
    """The text itself. Marks a text of a table for the catalogue; it is translated where it is used."""
    return text


class Language:
    """The texts of a language."""

    def __init__(self, tag: str, texts: Mapping[str, tuple[str, ...]] | None = None, plural: str = _ENGLISH_PLURAL) -> None:
        """Make a language.

        Args:
            tag: as in HTML (BCP 47).
            texts: the forms of each text, by its English (of plural forms the singular), with a context before CONTEXT_END.
            plural: the number of the form for n, as an expression in C (gettext's Plural-Forms).
        """
        self.tag, self.texts, self.plural = tag, texts or {}, plural
        self._number_of_form: Callable[[int], int] = c2py(plural)
        example = self.tp("number", "1,234.5")
        self._group, self._point = example[1], example[-2]

    def t(self, text: str, /, **values: Any) -> str:
        """A text, filled with values."""
        return self.form(text) % values

    def tp(self, context: str, text: str, /, **values: Any) -> str:
        """A text that has another translation in another context."""
        return self.form(text, context) % values

    def tn(self, one: str, many: str, n: int, /, **values: Any) -> str:
        """A text with a number, which %(n)s stands for."""
        return self.plural_form(one, many, n) % {"n": self.number(n), **values}

    def form(self, text: str, context: str = "") -> str:
        """A text with its places."""
        return self.texts.get(f"{context}{CONTEXT_END}{text}" if context else text, (text,))[0]

    def plural_form(self, one: str, many: str, n: int) -> str:
        """The form of a text for a number, with its places."""
        forms = self.texts.get(one, (one, many))
        return forms[min(self._number_of_form(abs(n)), len(forms) - 1)]

    def number(self, n: float, decimals: int = 0) -> str:
        """A number with the language's separators."""
        return f"{n:,.{decimals}f}".translate({ord(","): self._group, ord("."): self._point})

    def percent(self, share: float) -> str:
        """A share, 0 to 1, as a percentage; only 1 itself is 100 %."""
        return self.t("%(share)s %%", share=100 if share >= 1 else min(99, round(100 * share)))

    def size(self, n: int) -> str:
        """A number of bytes in words: "812 bytes", "3.4 MB"."""
        units = (10**9, mark("%(size)s GB")), (10**6, mark("%(size)s MB")), (10**3, mark("%(size)s kB"))
        for size, text in units:
            if abs(n) >= size:
                return self.form(text) % {"size": self.number(n / size, 1)}
        return self.tn("%(n)s byte", "%(n)s bytes", n)

    def date(self, moment: str) -> str:
        """A date, or a date with a time, that is given in ISO 8601."""
        found = _DATE.fullmatch(moment)
        if not found:
            return moment
        year, month, day, time, zone = found.groups()
        date = self.tp("date", "%(year)s-%(month)s-%(day)s", year=year, month=month, day=day)
        return self.tp("date", "%(date)s %(time)s", date=date, time=time + zone) if time else date


ENGLISH = Language("en")


@cache
def _shipped(tag: str) -> Language:
    """A language that is shipped."""
    if tag == "en":
        return ENGLISH
    found = read_po((files("facecluster.language") / "catalogue" / f"{tag}.po").read_text(encoding="utf-8"))
    return Language(tag, found.texts(), found.plural)


def language_of(wanted: str = AUTO, environment: Mapping[str, str] | None = None) -> Language:
    """A language by its tag; with AUTO the user's as the environment says, or English if that is not shipped.

    Raises:
        InputError: there is no such language.
    """
    if wanted in LANGUAGES:
        return _shipped(wanted)
    if wanted != AUTO:
        raise InputError(f"expected a language ({', '.join(LANGUAGES)} or {AUTO}), found {wanted!r}: choose one of these")
    given = os.environ if environment is None else environment
    locale = next((given[name] for name in _PLACES if given.get(name)), "")
    tag = re.split(r"[_.@-]", locale, maxsplit=1)[0].lower()
    return _shipped(tag) if tag in LANGUAGES else ENGLISH
