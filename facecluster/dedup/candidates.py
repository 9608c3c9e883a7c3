"""Pairs of photos worth a second look: by hash, whole photo or window, however turned; and by time.

Odd input: photos without a look or without contrast are in no pair; a photo is never its own partner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.dedup.compare import BLANK, Hint
from facecluster.dedup.hamming import DOUBTS, PROBES, Table, distance
from facecluster.dedup.hashing import MIDDLE, WINDOWS, forms
from facecluster.dedup.library import NO_TIME, Looks, Photos

RADIUS = 12  # bits of 63: copies of the whole photo differ in at most 8, windows that fit to 2.5 % in 9 (90 of 100), written over 10
HINTS = 3  # ways to lay a pair that are tried, at most
PARTNERS = 40  # of a photo, the nearest: a thousand copies of one are joined by these as well
FOLLOWERS = 4  # photos after one in time that it is compared with


@dataclass(frozen=True, slots=True)
class Way:
    """A way to lay a photo over another."""

    first: int
    second: int
    hint: Hint
    bits: int  # in which their hashes differ


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs: arrays (m,), pairs in order, the best hint of a pair first; `first` is the photo of which a window is like all of `second`."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    window: NDArray[np.uint8]
    turn_first: NDArray[np.uint8]
    turn_second: NDArray[np.uint8]
    distance: NDArray[np.uint8]  # bits

    def way(self, row: int) -> Way:
        """A row."""
        hint = Hint(int(self.window[row]), int(self.turn_first[row]), int(self.turn_second[row]))
        return Way(int(self.first[row]), int(self.second[row]), hint, int(self.distance[row]))


def candidates(
    photos: Photos, looks: Looks, *, radius: int = RADIUS, probes: int = PROBES, windows: int = len(WINDOWS), threads: int = 2
) -> Candidates:
    """Pairs of photos that are alike by hash; `windows`: how many of the WINDOWS are looked at, the whole photo being the first."""
    use = np.flatnonzero(looks.seen & (looks.contrast >= BLANK))
    parts = []
    for rows, among in ((0, range(min(windows, MIDDLE))), (MIDDLE, range(MIDDLE, windows))):
        if not among:
            continue
        _, top, _, bottom = WINDOWS[rows]
        high = (photos.height[use] * (bottom - top)).astype(np.int32)
        forms_of = forms(looks.hashes[use, rows], looks.doubts[use, rows], looks.turns[use, rows], photos.width[use], high)
        table = Table(forms_of[1])
        for window in among:
            found = table.search(looks.hashes[use, window], looks.doubts[use, window], radius, probes=probes, threads=threads)
            first, second = use[found.query], use[forms_of[0][found.row]]
            keep = first != second
            first, second, row, apart = first[keep], second[keep], found.row[keep], found.distance[keep]
            window_of = np.full(len(first), window, np.uint8)
            part = Candidates(first, second, window_of, looks.turns[first, window], forms_of[2][row], apart)
            parts.append(_nearest(part, len(photos)))
    joined = Candidates(*(np.concatenate([getattr(p, name) for p in parts]) for name in Candidates.__slots__))
    return _nearest(joined, len(photos))


def _nearest(c: Candidates, photos: int) -> Candidates:
    """Each pair once with its best hints, and of each photo the pairs with its nearest partners only."""
    low, high = np.minimum(c.first, c.second), np.maximum(c.first, c.second)
    pair = low * photos + high
    order = np.lexsort((c.window, c.distance, pair))
    start = np.flatnonzero(np.diff(pair[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(start, np.diff(start, append=len(order)))
    order = order[rank < HINTS]
    best = np.flatnonzero(np.diff(pair[order], prepend=-1))  # the first row of each pair
    near = np.zeros(len(best), bool)
    for photo in (low, high):
        of = photo[order[best]]
        by = np.lexsort((c.distance[order[best]], of))
        start = np.flatnonzero(np.diff(of[by], prepend=-1))
        near[by] |= np.arange(len(by)) - np.repeat(start, np.diff(start, append=len(by))) < PARTNERS
    order = order[np.repeat(near, np.diff(best, append=len(order)))]
    return Candidates(*(getattr(c, name)[order] for name in Candidates.__slots__))


def hints_between(photos: Photos, looks: Looks, a: int, b: int, *, radius: int = RADIUS + 8) -> list[Way]:
    """The best ways to lay two photos over each other, though their hashes are farther apart."""
    found = []
    for first, second in ((a, b), (b, a)):
        one = np.array([second])
        shape = photos.width[one], photos.height[one]
        doubts = np.arange(DOUBTS, dtype=np.uint8)[None]  # the first bits decide the form: all of them are in doubt here
        _, form_hash, form_turn = forms(looks.hashes[one, 0], doubts, looks.turns[one, 0], *shape)
        apart = distance(looks.hashes[first, :MIDDLE][:, None], form_hash[None, :])
        for place in np.argsort(apart, axis=None, kind="stable")[:HINTS].tolist():
            window, form = divmod(place, len(form_hash))
            if apart[window, form] <= radius:
                hint = Hint(window, int(looks.turns[first, window]), int(form_turn[form]))
                found.append(Way(first, second, hint, int(apart[window, form])))
    return sorted(found, key=lambda way: way.bits)[:HINTS]


def near_in_time(photos: Photos, looks: Looks, seconds: float) -> NDArray[np.int64]:
    """Pairs (m, 2) of photos taken at most `seconds` apart, each with the next few."""
    use = np.flatnonzero(looks.seen & (photos.taken != NO_TIME))
    order = use[np.lexsort((use, photos.taken[use]))]
    pairs = [np.zeros((0, 2), np.int64)]
    for step in range(1, FOLLOWERS + 1):
        a, b = order[:-step], order[step:]
        near = photos.taken[b] - photos.taken[a] <= seconds
        pairs.append(np.stack([a[near], b[near]], axis=1))
    return np.concatenate(pairs)
