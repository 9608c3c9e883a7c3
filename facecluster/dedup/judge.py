"""Says of two photos whether one is a copy of the other, and how they differ; remembers what it said.

Time speaks too: a copy has its original's time or none. Photos taken within a minute of each other but not in the same second are never
copies, however alike (a tripod, a still scene); with other differences of time that no time zone explains, less difference is allowed.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.dedup.candidates import Candidates, Way, hints_between
from facecluster.dedup.compare import Comparison, Points, compare
from facecluster.dedup.library import NO_TIME, Looks, Photos
from facecluster.dedup.looks import grey_thumb
from facecluster.dedup.register import Map

MINUTE = 60
ZONE = 15 * 60  # seconds: all time zones are whole quarters of an hour
DAY = 26 * 3600  # seconds between the farthest time zones
LITTLE = 0.02  # share of a photo: less than this is no bar, only a border
FITS = 0.95  # correlation from which pictures lie as they must, so that no other way to lay them need be tried
OTHER_TIME = 0.6  # of the difference between copies that is allowed to photos of different times
_KEPT = 4096  # decoded thumbnails, 15 KB each


@dataclass(frozen=True, slots=True)
class Relation:
    """How photo b relates to photo a, which are one picture."""

    difference: float  # worst block, 0 to 1 of what copies may have; 0 for the same pixels
    bits: int  # in which their hashes differ, as they were laid over each other
    likeness: float  # correlation
    scale: float  # px of b for a px of a, in what both show
    more_a: float  # share of a that b does not show; 0 where that is a bar of one colour
    more_b: float
    written: int  # 0 none, 1 a was written over or has a bar, 2 b
    turn: tuple[int, int]  # of a and of b to the form in which they lie alike; see hashing.turn_between
    place: Map  # where b lies in a, in that form
    marks: Points = ()  # where one was written over, not only beside: middles of blocks in that form, as shares of a


class Judge:
    """Compares photos by number."""

    def __init__(self, photos: Photos, looks: Looks, hints: Candidates) -> None:
        self.photos, self.looks, self.hints = photos, looks, hints
        low, high = np.minimum(hints.first, hints.second), np.maximum(hints.first, hints.second)
        self._pair = low * len(photos) + high  # in order
        self._said: dict[tuple[int, int], Relation | None] = {}
        self._grey: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()

    def pairs(self) -> NDArray[np.int64]:
        """The pairs (m, 2) that there are hints for, the nearest by hash first."""
        pair, first = np.unique(self._pair, return_index=True)
        order = np.lexsort((pair, self.hints.window[first], self.hints.distance[first]))
        return np.stack(np.divmod(pair[order], max(len(self.photos), 1)), axis=1)

    def relation(self, a: int, b: int) -> Relation | None:
        """How b relates to a; None if they are not one picture."""
        if (a, b) not in self._said:
            said = self._look(a, b)
            self._said[a, b] = said
            self._said[b, a] = said and _reversed(said)
        return self._said[a, b]

    def grey(self, photo: int) -> NDArray[np.uint8]:
        """The thumbnail of a photo, grey."""
        if photo not in self._grey:
            self._grey[photo] = grey_thumb(self.looks.thumbs[photo])
            if len(self._grey) > _KEPT:
                self._grey.popitem(last=False)
        self._grey.move_to_end(photo)
        return self._grey[photo]

    def _look(self, a: int, b: int) -> Relation | None:
        allowed = self._allowed(a, b)
        if not (allowed and self.looks.seen[a] and self.looks.seen[b]):
            return None
        key = min(a, b) * len(self.photos) + max(a, b)
        rows = range(*np.searchsorted(self._pair, (key, key + 1)).tolist())
        for way in [self.hints.way(r) for r in rows] or hints_between(self.photos, self.looks, a, b):
            found = compare(self.grey(way.first), self.grey(way.second), way.hint)
            if found is not None and found.same and found.difference <= allowed:
                said = self._described(way, found)
                return said if way.first == a else _reversed(said)
            if found is not None and found.likeness > FITS:
                break
        return None

    def _allowed(self, a: int, b: int) -> float:
        """Share of the difference between copies that these two may have."""
        one, two = int(self.photos.taken[a]), int(self.photos.taken[b])
        if NO_TIME in (one, two) or one == two:
            return 1.0
        apart = abs(one - two)
        if apart <= MINUTE:
            return 0.0
        return 1.0 if apart % ZONE == 0 and apart <= DAY else OTHER_TIME

    def _described(self, way: Way, found: Comparison) -> Relation:
        _, width, _, height = found.place
        pixels = [float(self.photos.width[p]) * float(self.photos.height[p]) for p in (way.first, way.second)]
        bars = [found.blank_first and found.more_first > LITTLE, found.blank_second and found.more_second > LITTLE]
        return Relation(
            difference=found.difference,
            bits=way.bits,
            likeness=found.likeness,
            scale=float(np.sqrt(pixels[1] / max(pixels[0] * width * height, 1e-9))),
            more_a=0.0 if found.blank_first else found.more_first,
            more_b=0.0 if found.blank_second else found.more_second,
            written=found.written or (1 if bars[0] else 2 if bars[1] else 0),
            place=found.place,
            marks=found.marks,
            turn=(way.hint.turn_first, way.hint.turn_second),
        )


def _reversed(said: Relation) -> Relation:
    """The relation of a to b."""
    left, width, top, height = said.place
    return Relation(
        difference=said.difference, bits=said.bits, likeness=said.likeness, scale=1 / max(said.scale, 1e-9),
        more_a=said.more_b, more_b=said.more_a, written=(0, 2, 1)[said.written], turn=(said.turn[1], said.turn[0]),
        place=(-left / width, 1 / width, -top / height, 1 / height),
        marks=tuple(((x - left) / width, (y - top) / height) for x, y in said.marks),
    )  # fmt: skip
