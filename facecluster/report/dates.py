"""Dates and ages in words, and the parts that a page by date has. Pure. Dates are ISO 8601, '' = unknown."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from facecluster.decisions.birth import months_old
from facecluster.language import ENGLISH, Language, mark

T = TypeVar("T")
MONTHS = (
    mark("January"), mark("February"), mark("March"), mark("April"), mark("May"), mark("June"), mark("July"), mark("August"),
    mark("September"), mark("October"), mark("November"), mark("December"),
)  # fmt: skip
_BABY = 24  # months: up to then an age is said in months


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """What stands under one heading of a page by date: things of one year, or of one month."""

    key: str  # "2012" or "2012-05"; "" = without a date
    items: list[T]

    @property
    def year(self) -> int:
        """0 without a date."""
        return int(self.key[:4] or 0)

    @property
    def month(self) -> int:
        """1 to 12; 0 if the part is a year, or without a date."""
        return int(self.key[5:7] or 0)


def parts(items: Iterable[tuple[str, T]], length: int) -> Iterator[Part[T]]:
    """Parts of things that stand by date; `length` is 4 for years, 7 for months."""
    for key, some in itertools.groupby(items, key=lambda item: item[0][:length]):
        yield Part(key, [thing for _, thing in some])


def age(born: str, day: str, language: Language = ENGLISH) -> str:
    """How old a person born on a day is on another: months up to two years, then years; '' if one of the two is not known."""
    if not born or not day:
        return ""
    months = months_old(born, day)
    if months < 0:
        return language.t("before the birth")
    if months < _BABY:
        return language.tn("%(n)s month", "%(n)s months", months)
    return language.tn("%(n)s year", "%(n)s years", months // 12)


def ages(born: str, days: Iterable[str], language: Language = ENGLISH) -> str:
    """The ages from the first to the last of some days: "7 years", "7 to 8 years", "11 months to 2 years"; '' if none is known."""
    known = sorted(day for day in days if day)
    if not born or not known:
        return ""
    first, last = age(born, known[0], language), age(born, known[-1], language)
    low, high = months_old(born, known[0]), months_old(born, known[-1])
    if first == last:
        return first
    if 0 <= low and high < _BABY:
        return language.tn("%(first)s to %(n)s month", "%(first)s to %(n)s months", high, first=language.number(low))
    if low >= _BABY:
        return language.tn("%(first)s to %(n)s year", "%(first)s to %(n)s years", high // 12, first=language.number(low // 12))
    return language.t("%(first)s to %(last)s", first=first, last=last)
