"""Finds 64-bit hashes that differ in few bits, among millions: a table keyed by the first 24 bits, probed at several keys.

One index with query-directed probing (Lv et al., "Multi-Probe LSH", VLDB 2007). The program that makes a hash knows which of its bits are
weak (a coefficient near zero), so the keys to probe are those with weak bits flipped, the most probable first. A row within the radius is
found if its first 24 bits differ from the query's by one of the probed sets of weak bits, and only then.

Odd input: no rows or no queries give no pairs. If more than MAX_BUCKET rows share their first 24 bits, only the MAX_BUCKET rows nearest to
the query in the sort order of the whole hash are compared, so a million blank pages cost no more than other photos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from facecluster.photos.perceptual_hash import KEY_BITS, WEAK_BITS

PROBES = 64  # keys probed for each query: 16 find .91 of photos with a caption over them, 64 .98, 256 .99
MAX_BUCKET = 256  # rows of one key that are compared
_CHUNK = 1 << 16  # queries at a time: their keys stay in the processor cache
_SHIFT = np.uint64(64 - KEY_BITS)


@dataclass(frozen=True, slots=True)
class HammingPairs:
    """Queries and rows within the radius: arrays (n,), in any order."""

    query: NDArray[np.int64]
    row: NDArray[np.int64]
    distance: NDArray[np.uint8]  # bits, 0 to 64


def distance(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Number of bits in which hashes differ, elementwise."""
    return _count(a ^ b)


def _count_by_steps(x: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Number of bits set in each number: sums of neighbouring bits, pairs, nibbles (Warren, "Hacker's Delight", figure 5-2)."""
    one, two, four = (np.uint64(n) for n in (1, 2, 4))
    x = x - ((x >> one) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> two) & np.uint64(0x3333333333333333))
    x = (x + (x >> four)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.asarray((x * np.uint64(0x0101010101010101)) >> np.uint64(56), np.uint8)


_count: Callable[[NDArray[np.uint64]], NDArray[np.uint8]] = getattr(np, "bitwise_count", _count_by_steps)  # numpy 2 has it


@lru_cache(maxsize=4)
def probe_sets(probes: int) -> tuple[tuple[int, ...], ...]:
    """Sets of weak bits to flip, by rank, 0 = the weakest: sorted by the sum of ranks (counted from 1)."""
    sets = [s for size in range(5) for s in combinations(range(WEAK_BITS), size)]
    return tuple(sorted(sets, key=lambda s: (sum(s) + len(s), len(s), s))[:probes])


class HammingIndex:
    """The hashes that are searched."""

    def __init__(self, hashes: NDArray[np.uint64]) -> None:
        """Args: hashes (n,)."""
        self._order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[self._order]
        keys = (self._sorted >> _SHIFT).astype(np.int64)
        self._starts = np.zeros((1 << KEY_BITS) + 1, np.int32)
        np.cumsum(np.bincount(keys, minlength=1 << KEY_BITS), out=self._starts[1:])

    def search(
        self, hashes: NDArray[np.uint64], weak_bits: NDArray[np.uint8], radius: int, *, probes: int = PROBES, threads: int = 2
    ) -> HammingPairs:
        """Find the rows near each query.

        Args:
            hashes: (q,) the queries.
            weak_bits: (q, WEAK_BITS) numbers of their weak bits, 0 = the first (highest) bit, each below KEY_BITS, the weakest first.
            radius: number of bits in which a row may differ, at most.
            probes: keys probed for each query.
            threads: number of threads.
        """
        if weak_bits.shape != (len(hashes), WEAK_BITS):
            raise ValueError(f"expected weak_bits of shape ({len(hashes)}, {WEAK_BITS}), found {weak_bits.shape}")
        near = np.argsort(hashes >> _SHIFT, kind="stable")  # neighbours in the table share the processor cache
        chunks = [near[i : i + _CHUNK] for i in range(0, len(near), _CHUNK)]
        if not chunks or not len(self._sorted):
            return HammingPairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint8))
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(lambda chunk: self._chunk(hashes, weak_bits, chunk, radius, probes), chunks))
        query, row, apart = (np.concatenate([p[i] for p in parts]) for i in range(3))
        return HammingPairs(query.astype(np.int64), row.astype(np.int64), apart.astype(np.uint8))

    def _chunk(
        self, hashes: NDArray[np.uint64], weak_bits: NDArray[np.uint8], chunk: NDArray[np.int64], radius: int, probes: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
        mine = hashes[chunk]
        bits = np.uint32(1) << (KEY_BITS - 1 - weak_bits[chunk].astype(np.uint32)).T  # (WEAK_BITS, chunk)
        found = []
        for turned, low, size in self._buckets((mine >> _SHIFT).astype(np.uint32), bits, probes):
            hit = np.flatnonzero(size)
            low, size = low[hit], size[hit]
            crowded = np.flatnonzero(size > MAX_BUCKET)
            if len(crowded):
                whole = mine[hit[crowded]] ^ (turned[hit[crowded]].astype(np.uint64) << _SHIFT)
                at = np.searchsorted(self._sorted, whole) - MAX_BUCKET // 2
                low[crowded] = np.clip(at, low[crowded], low[crowded] + size[crowded] - MAX_BUCKET)
                size[crowded] = MAX_BUCKET
            query = np.repeat(hit, size)
            row = np.arange(len(query)) + np.repeat(low - (np.cumsum(size) - size), size)
            apart = distance(mine[query], self._sorted[row])
            keep = np.flatnonzero(apart <= radius)
            found.append((chunk[query[keep]], self._order[row[keep]], apart[keep]))
        query, row, apart = (np.concatenate([f[i] for f in found]) for i in range(3))
        return query, row, apart

    def _buckets(
        self, keys: NDArray[np.uint32], bits: NDArray[np.uint32], probes: int
    ) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]]:
        """For each probe: the bits flipped, the first row of the key and the number of rows, each (chunk,)."""
        for flips in probe_sets(probes):
            turned = np.zeros(len(keys), np.uint32)
            for rank in flips:
                turned ^= bits[rank]
            place = keys ^ turned
            low = self._starts[place].astype(np.int64)
            yield turned, low, self._starts[place + np.uint32(1)] - low
