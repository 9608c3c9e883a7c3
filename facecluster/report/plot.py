"""Bars: the years of a person; and the histogram of group sizes, how many people have how many faces, in classes that double (a logarithmic
axis)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.language import ENGLISH, Language

WIDTH, HEIGHT, TOP, BASE = 640, 220, 24, 172  # px of the drawing; bars go from BASE up to TOP at most


@dataclass(frozen=True, slots=True)
class Bar:
    """A class of people by their number of faces, and its bar in px."""

    label: str
    last: int  # most faces of the class
    tick: str  # short label, below the bar
    count: int
    x: float
    y: float
    width: float
    height: float


STRIP, STRIP_WIDTH = 56, 30  # px: height of the bars of years, and width of a year
MAX_GAP = 5  # years without anything that are drawn at most: one photo with a wrong clock (1904) must not push all others out of sight


@dataclass(frozen=True, slots=True)
class Year:
    """A year in a person's timeline, and its bar in px."""

    year: int
    count: int
    x: float
    y: float
    width: float
    height: float


def timeline(years: NDArray[np.integer]) -> list[Year]:
    """Bars of the years from the first to the last (n,), 0 = unknown; a year without anything has no bar, and longer gaps are cut short."""
    known, counts = np.unique(years[years > 0], return_counts=True)
    most, found = max(counts.tolist(), default=1), []
    places = np.append(0, np.cumsum(np.minimum(np.diff(known), MAX_GAP + 1)))
    for year, count, place in zip(known.tolist(), counts.tolist(), places.tolist(), strict=False):  # without a year there is one place
        height = max(3.0, STRIP * count / most)
        found.append(Year(year, count, place * STRIP_WIDTH + 2.0, round(STRIP - height, 1), STRIP_WIDTH - 4.0, round(height, 1)))
    return found


def size_classes(sizes: NDArray[np.integer]) -> list[tuple[int, int, int]]:
    """(first, last, people) for classes 1, 2, 3 to 4, 5 to 8, 9 to 16, ... of group sizes (n,), each 1 or more; [] without sizes."""
    if not len(sizes):
        return []
    number = np.ceil(np.log2(np.asarray(sizes, np.float64))).astype(int)
    counts = np.bincount(number)
    return [(2 ** (i - 1) + 1 if i else 1, 2**i, int(counts[i])) for i in range(int(number.min()), len(counts))]


def bars(sizes: NDArray[np.integer], language: Language = ENGLISH) -> list[Bar]:
    """Bars of the histogram, smallest groups first. The tallest bar reaches the top; every class with people has a visible bar."""
    classes = size_classes(sizes)
    most = max((count for *_, count in classes), default=1)
    step = min(WIDTH / max(len(classes), 1), 90)
    result = []
    for i, (first, last, count) in enumerate(classes):
        height = max(2.0, (BASE - TOP) * count / most) if count else 0.0
        label = language.number(first) if first == last else f"{language.number(first)}–{language.number(last)}"
        tick = label if first == last else f"{language.number(first)}+"
        x, y, width = i * step + step * 0.08, BASE - height, step * 0.84
        result.append(Bar(label, last, tick, count, round(x, 1), round(y, 1), round(width, 1), round(height, 1)))
    return result
