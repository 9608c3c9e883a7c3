"""Numbers as people write them."""

from __future__ import annotations

import math
import re

from facecluster.errors import InputError

_TIMES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_NUMBER = re.compile(r"([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)([kmg]?)")
MOST = 10**12  # photos or faces; more is a slip


def count_of(text: str, option: str) -> int:
    """A whole number: 250000, 250,000, 1e6, 3M, 100k. Raises InputError if it is none, under 1 or above MOST."""
    found = _NUMBER.fullmatch(text.strip().replace(",", "").replace("_", "").lower())
    value = float(found[1]) * _TIMES[found[2]] if found else math.nan
    if not 1 <= value <= MOST:
        raise InputError(f"expected {option} of 1 to 1e12, such as 250000, 1e6, 3M or 100k, found {text!r}: correct it")
    return round(value)


def positive(value: float | None, option: str) -> float | None:
    """A number above 0, or None. Raises InputError."""
    if value is not None and not (value > 0 and math.isfinite(value)):
        raise InputError(f"expected {option} above 0, found {value}: correct it")
    return value
