"""Whether one photo is a copy of another and how they differ, by thumbnails and times; results are cached.

Times: a copy usually has its original's time or none. Photos taken within a minute of each other, but not in the same second, are never
copies, however similar (a tripod, a still scene). If the times differ by more, and by no difference of time zones, less difference is
allowed.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.dedup.candidates import Alignment, Candidates, alignments_between
from facecluster.dedup.compare import Comparison, Points, compare
from facecluster.dedup.fingerprints import Fingerprints
from facecluster.dedup.shots import find_shots
from facecluster.dedup.store_photos import NO_TIME, Photos
from facecluster.photos.fingerprint import grey_thumbnail
from facecluster.photos.registration import Placement

MINUTE = 60
ZONE_STEP = 15 * 60  # seconds: all time zones are whole quarters of an hour
MAX_ZONE_SHIFT = 26 * 3600  # seconds between the farthest time zones
MIN_BAR_SHARE = 0.02  # share of a photo: less than this is a border, not a bar
SURE_CORRELATION = 0.95  # correlation from which the alignment is right, so that no other one is tried
OTHER_TIME_TOLERANCE = 0.6  # share of the difference between copies that is allowed to photos of different times
_CACHED = 4096  # decoded thumbnails, 15 KB each


@dataclass(frozen=True, slots=True)
class Relation:
    """How photo b relates to photo a, of which it is a copy."""

    difference: float  # worst block, 0 to 1 of what copies may have; 0 for the same pixels
    bits: int  # in which their hashes differ, in this alignment
    correlation: float
    scale: float  # px of b for a px of a, in the part that both show
    extra_a: float  # share of a that b does not show; 0 if that is a bar of one colour
    extra_b: float
    captioned: int  # which has a caption over it or a bar: 0 none, 1 a, 2 b
    turn: tuple[int, int]  # of a and of b to their common form; see perceptual_hash.describe_turn
    placement: Placement  # of b in a, in that form
    caption_blocks: Points = ()  # where a caption lies over one of them: centres of blocks in that form, as shares of a


class CopyCheck:
    """Compares photos by number."""

    def __init__(self, photos: Photos, fingerprints: Fingerprints, candidates: Candidates) -> None:
        self.photos, self.fingerprints, self.candidates = photos, fingerprints, candidates
        low, high = np.minimum(candidates.first, candidates.second), np.maximum(candidates.first, candidates.second)
        self._pair = low * len(photos) + high  # sorted
        self._relations: dict[tuple[int, int], Relation | None] = {}
        self.shots = find_shots(photos)  # RAW of each developed photo beside it
        self._grey: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()

    def pairs(self) -> NDArray[np.int64]:
        """The candidate pairs (m, 2), the nearest by hash first."""
        pair, first = np.unique(self._pair, return_index=True)
        order = np.lexsort((pair, self.candidates.window[first], self.candidates.distance[first]))
        return np.stack(np.divmod(pair[order], max(len(self.photos), 1)), axis=1)

    def relation(self, a: int, b: int) -> Relation | None:
        """How b relates to a; None if they are not copies."""
        if (a, b) not in self._relations:
            found = self._compare(a, b)
            self._relations[a, b] = found
            self._relations[b, a] = found and _reversed(found)
        return self._relations[a, b]

    def is_one_shot(self, a: int, b: int) -> bool:
        """Whether two photos are RAW and developed photo of one shot."""
        return b == self.shots.get(a) or a == self.shots.get(b)

    def grey(self, photo: int) -> NDArray[np.uint8]:
        """The thumbnail of a photo, grey."""
        if photo not in self._grey:
            self._grey[photo] = grey_thumbnail(self.fingerprints.thumbnails[photo])
            if len(self._grey) > _CACHED:
                self._grey.popitem(last=False)
        self._grey.move_to_end(photo)
        return self._grey[photo]

    def _compare(self, a: int, b: int) -> Relation | None:
        allowed = 0.0 if self.is_one_shot(a, b) else self._allowed(a, b)
        if not (allowed and self.fingerprints.exists[a] and self.fingerprints.exists[b]):
            return None
        key = min(a, b) * len(self.photos) + max(a, b)
        rows = range(*np.searchsorted(self._pair, (key, key + 1)).tolist())
        alignments = [self.candidates.alignment(r) for r in rows] or alignments_between(self.photos, self.fingerprints, a, b)
        for alignment in alignments:
            found = compare(self.grey(alignment.first), self.grey(alignment.second), alignment.hint)
            if found is not None and found.same and found.difference <= allowed:
                relation = self._relation(alignment, found)
                return relation if alignment.first == a else _reversed(relation)
            if found is not None and found.correlation > SURE_CORRELATION:
                break
        return None

    def _allowed(self, a: int, b: int) -> float:
        """Share of the difference between copies that the times of these two photos allow."""
        one, two = int(self.photos.taken[a]), int(self.photos.taken[b])
        if NO_TIME in (one, two) or one == two:
            return 1.0
        apart = abs(one - two)
        if apart <= MINUTE:
            return 0.0
        return 1.0 if apart % ZONE_STEP == 0 and apart <= MAX_ZONE_SHIFT else OTHER_TIME_TOLERANCE

    def _relation(self, alignment: Alignment, found: Comparison) -> Relation:
        _, width, _, height = found.placement
        pixels = [float(self.photos.width[p]) * float(self.photos.height[p]) for p in (alignment.first, alignment.second)]
        bars = [found.bar_first and found.extra_first > MIN_BAR_SHARE, found.bar_second and found.extra_second > MIN_BAR_SHARE]
        return Relation(
            difference=found.difference,
            bits=alignment.bits,
            correlation=found.correlation,
            scale=float(np.sqrt(pixels[1] / max(pixels[0] * width * height, 1e-9))),
            extra_a=0.0 if found.bar_first else found.extra_first,
            extra_b=0.0 if found.bar_second else found.extra_second,
            captioned=found.captioned or (1 if bars[0] else 2 if bars[1] else 0),
            placement=found.placement,
            caption_blocks=found.caption_blocks,
            turn=(alignment.hint.turn_first, alignment.hint.turn_second),
        )


def _reversed(relation: Relation) -> Relation:
    """The relation of a to b."""
    left, width, top, height = relation.placement
    return Relation(
        difference=relation.difference, bits=relation.bits, correlation=relation.correlation, scale=1 / max(relation.scale, 1e-9),
        extra_a=relation.extra_b, extra_b=relation.extra_a, captioned=(0, 2, 1)[relation.captioned],
        turn=(relation.turn[1], relation.turn[0]), placement=(-left / width, 1 / width, -top / height, 1 / height),
        caption_blocks=tuple(((x - left) / width, (y - top) / height) for x, y in relation.caption_blocks),
    )  # fmt: skip
