"""Pairs of photos to compare: with similar hashes, of the whole photo or a window, in any turn; or taken shortly after each other.

Odd input: photos without a fingerprint or without contrast are in no pair; a photo is never paired with itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.dedup.compare import BLANK, AlignmentHint
from facecluster.dedup.fingerprints import Fingerprints
from facecluster.dedup.hamming_index import PROBES, HammingIndex, distance
from facecluster.dedup.store_photos import NO_TIME, Photos
from facecluster.photos.perceptual_hash import MIDDLE_WINDOW, WEAK_BITS, WINDOWS, canonical_forms

# Bits of 63: copies of the whole photo differ in at most 8, windows that fit to 2.5 % in 9 (90 of 100), those with a caption over in 10
MAX_BITS = 12
MAX_HINTS = 3  # alignments tried for a pair, at most
MAX_PARTNERS = 40  # partners of a photo, the nearest: a thousand copies of one photo are still joined by these
MAX_FOLLOWERS = 4  # photos after one in time that it is paired with


@dataclass(frozen=True, slots=True)
class Alignment:
    """A way to lay one photo over another."""

    first: int
    second: int
    hint: AlignmentHint
    bits: int  # in which their hashes differ


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs, sorted, of each pair the best alignment first: arrays (m,). A window of `first` is similar to the whole of `second`."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    window: NDArray[np.uint8]
    turn_first: NDArray[np.uint8]
    turn_second: NDArray[np.uint8]
    distance: NDArray[np.uint8]  # bits

    def alignment(self, row: int) -> Alignment:
        """The alignment in a row."""
        hint = AlignmentHint(int(self.window[row]), int(self.turn_first[row]), int(self.turn_second[row]))
        return Alignment(int(self.first[row]), int(self.second[row]), hint, int(self.distance[row]))


def find_candidates(
    photos: Photos, prints: Fingerprints, *, radius: int = MAX_BITS, probes: int = PROBES, windows: int = len(WINDOWS), threads: int = 2
) -> Candidates:
    """Pairs of photos with similar hashes.

    Args:
        photos: the photos.
        prints: their fingerprints.
        radius: bits in which two hashes may differ, at most.
        probes: keys of the index probed for each hash.
        windows: how many of the WINDOWS are compared, the whole photo being the first.
        threads: number of threads.
    """
    use = np.flatnonzero(prints.exists & (prints.contrast >= BLANK))
    parts = []
    for rows, among in ((0, range(min(windows, MIDDLE_WINDOW))), (MIDDLE_WINDOW, range(MIDDLE_WINDOW, windows))):
        if not among:
            continue
        _, top, _, bottom = WINDOWS[rows]
        high = (photos.height[use] * (bottom - top)).astype(np.int32)
        form_of, form_hash, form_turn = canonical_forms(
            prints.hashes[use, rows], prints.weak_bits[use, rows], prints.turns[use, rows], photos.width[use], high
        )
        index = HammingIndex(form_hash)
        for window in among:
            found = index.search(prints.hashes[use, window], prints.weak_bits[use, window], radius, probes=probes, threads=threads)
            first, second = use[found.query], use[form_of[found.row]]
            keep = first != second
            first, second, row, apart = first[keep], second[keep], found.row[keep], found.distance[keep]
            window_of = np.full(len(first), window, np.uint8)
            part = Candidates(first, second, window_of, prints.turns[first, window], form_turn[row], apart)
            parts.append(_nearest(part, len(photos)))
    joined = Candidates(*(np.concatenate([getattr(p, name) for p in parts]) for name in Candidates.__slots__))
    return _nearest(joined, len(photos))


def _nearest(c: Candidates, photos: int) -> Candidates:
    """Each pair once with its MAX_HINTS best alignments; only pairs that are among the MAX_PARTNERS nearest of one of their photos."""
    low, high = np.minimum(c.first, c.second), np.maximum(c.first, c.second)
    pair = low * photos + high
    order = np.lexsort((c.window, c.distance, pair))
    start = np.flatnonzero(np.diff(pair[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(start, np.diff(start, append=len(order)))
    order = order[rank < MAX_HINTS]
    best = np.flatnonzero(np.diff(pair[order], prepend=-1))  # the first row of each pair
    near = np.zeros(len(best), bool)
    for photo in (low, high):
        of = photo[order[best]]
        by = np.lexsort((c.distance[order[best]], of))
        start = np.flatnonzero(np.diff(of[by], prepend=-1))
        near[by] |= np.arange(len(by)) - np.repeat(start, np.diff(start, append=len(by))) < MAX_PARTNERS
    order = order[np.repeat(near, np.diff(best, append=len(order)))]
    return Candidates(*(getattr(c, name)[order] for name in Candidates.__slots__))


def alignments_between(photos: Photos, prints: Fingerprints, a: int, b: int, *, radius: int = MAX_BITS + 8) -> list[Alignment]:
    """The best alignments of two given photos, with a larger radius."""
    found = []
    for first, second in ((a, b), (b, a)):
        one = np.array([second])
        shape = photos.width[one], photos.height[one]
        weak_bits = np.arange(WEAK_BITS, dtype=np.uint8)[None]  # the first bits decide the form: all of them count as weak here
        _, form_hash, form_turn = canonical_forms(prints.hashes[one, 0], weak_bits, prints.turns[one, 0], *shape)
        apart = distance(prints.hashes[first, :MIDDLE_WINDOW][:, None], form_hash[None, :])
        for place in np.argsort(apart, axis=None, kind="stable")[:MAX_HINTS].tolist():
            window, form = divmod(place, len(form_hash))
            if apart[window, form] <= radius:
                hint = AlignmentHint(window, int(prints.turns[first, window]), int(form_turn[form]))
                found.append(Alignment(first, second, hint, int(apart[window, form])))
    return sorted(found, key=lambda alignment: alignment.bits)[:MAX_HINTS]


def pairs_near_in_time(photos: Photos, prints: Fingerprints, seconds: float) -> NDArray[np.int64]:
    """Pairs (m, 2) of photos taken at most `seconds` apart, each with its next MAX_FOLLOWERS."""
    use = np.flatnonzero(prints.exists & (photos.taken != NO_TIME))
    order = use[np.lexsort((use, photos.taken[use]))]
    pairs = [np.zeros((0, 2), np.int64)]
    for step in range(1, MAX_FOLLOWERS + 1):
        a, b = order[:-step], order[step:]
        near = photos.taken[b] - photos.taken[a] <= seconds
        pairs.append(np.stack([a[near], b[near]], axis=1))
    return np.concatenate(pairs)
