"""Dates of birth, and ages on a day. Pure."""

from __future__ import annotations

import re
from datetime import date

from facecluster.errors import InputError
from facecluster.language.said import say

EARLIEST = 1800  # year: photos have no earlier dates


def read_birth(text: str, today: date | None = None) -> str:
    """A date of birth as ISO 8601 (2012-05-03).

    Raises:
        InputError: it is no day, one before 1800, or one to come.
    """
    found = " ".join(text.split())
    day = _day(found)
    if day is None:
        raise InputError(say("expected a date of birth as year-month-day (2012-05-03), found '%(found)s': write it so", found=text[:40]))
    if day.year < EARLIEST or day > (today or date.today()):
        text = say("expected a date of birth from %(first)s to today, found %(found)s: correct it", first=str(EARLIEST), found=found)
        raise InputError(text)
    return found


def is_birth(text: str) -> bool:
    """Whether a text is a day in ISO 8601, or empty."""
    return not text or _day(text) is not None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else None
    except ValueError:
        return None


def months_old(born: str, day: str) -> int:
    """Full months from a date of birth to a day, both ISO 8601 (a time after the day is left out); negative before the birth."""
    one, two = date.fromisoformat(born), date.fromisoformat(day[:10])
    return (two.year - one.year) * 12 + two.month - one.month - (two.day < one.day)
