"""Texts that know how they are said in other languages: English strings, which a page translates when it shows them.

Whoever makes a reason or an error says it once, for tables and the command line in English, and for pages in their language.

Odd inputs: an ordinary string is said as it is in every language.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from facecluster.language.language import ENGLISH, Language


class Bytes(int):
    """A number of bytes, which is said as a size: "3.4 MB"."""


class Said(str):
    """A text in English, with what it is made of."""

    _text: str
    _many: str
    _values: dict[str, Any]

    def translated(self, language: Language) -> str:
        """The text in a language."""
        values = {name: _value(value, language) for name, value in self._values.items()}
        form = language.plural_form(self._text, self._many, self._values["n"]) if self._many else language.form(self._text)
        return form % values


class Joined(Said):
    """Texts one after the other: `parts`."""

    parts: list[str]

    def translated(self, language: Language) -> str:
        return self._text.join(translated(part, language) for part in self.parts)


def say(text: str, /, **values: Any) -> Said:
    """A text with values: whole numbers, numbers with two decimals, sizes (Bytes), and texts, which may be Said themselves."""
    return _say(text, "", values)


def say_n(one: str, many: str, n: int, /, **values: Any) -> Said:
    """A text with a number, which %(n)s stands for."""
    return _say(one, many, {"n": n, **values})


def joined(separator: str, parts: Iterable[str]) -> Joined:
    """Texts with a separator between them."""
    listed = list(parts)
    made = Joined(separator.join(listed))
    made._text, made._many, made._values, made.parts = separator, "", {}, listed
    return made


def translated(text: str, language: Language) -> str:
    """A text in a language, if it is known how it is said."""
    return text.translated(language) if isinstance(text, Said) else text


def _say(text: str, many: str, values: dict[str, Any]) -> Said:
    def make(english: str) -> Said:
        made = Said(english)
        made._text, made._many, made._values = text, many, values
        return made

    return make(make("").translated(ENGLISH))


def _value(value: Any, language: Language) -> Any:
    if isinstance(value, Bytes):
        return language.size(value)
    if isinstance(value, float):
        return language.number(value, 2)
    if isinstance(value, int):
        return language.number(value)
    return translated(value, language) if isinstance(value, str) else value
