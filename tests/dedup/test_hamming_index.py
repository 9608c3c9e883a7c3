"""The Hamming index against brute force: all pairs compared one by one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facecluster.dedup import hamming_index
from facecluster.dedup.hamming_index import MAX_BUCKET, HammingIndex, distance, probe_sets
from facecluster.photos.perceptual_hash import KEY_BITS, WEAK_BITS


def weak_bits_of(n: int, seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(KEY_BITS)[:WEAK_BITS] for _ in range(n)] or [np.zeros(WEAK_BITS)]).astype(np.uint8)[:n]


def brute_force(rows: list[int], queries: list[int], weak_bits: NDArray[np.uint8], radius: int, probes: int) -> set[tuple[int, int, int]]:
    """All pairs within the radius whose first bits differ by a probed set of weak bits."""
    found = set()
    for q, query in enumerate(queries):
        allowed = {frozenset(int(weak_bits[q, rank]) for rank in ranks) for ranks in probe_sets(probes)}
        for r, row in enumerate(rows):
            bits = bin(query ^ row)[2:].zfill(64)
            flipped = frozenset(i for i in range(KEY_BITS) if bits[i] == "1")
            if bits.count("1") <= radius and flipped in allowed:
                found.add((q, r, bits.count("1")))
    return found


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 12), st.sampled_from([1, 16, 64]), st.sampled_from([1, 2]))
def test_search_finds_what_comparing_all_pairs_finds(seed: int, radius: int, probes: int, threads: int) -> None:
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, 40)), int(rng.integers(1, 40))
    base = rng.integers(0, 2**63, 3, dtype=np.uint64)
    weak_bits = weak_bits_of(m, seed)

    def near(which: NDArray[np.int64], high: NDArray[np.uint8]) -> NDArray[np.uint64]:
        hashes = base[which]
        for i in range(len(which)):
            places = [*rng.choice(high[i], rng.integers(0, 4), replace=False), *rng.integers(KEY_BITS, 64, rng.integers(0, 7))]
            for place in places:
                hashes[i] ^= np.uint64(1) << np.uint64(63 - place)
        return hashes

    rows = near(rng.integers(0, 3, n), weak_bits_of(n, seed + 1))
    queries = near(rng.integers(0, 3, m), weak_bits)
    found = HammingIndex(rows).search(queries, weak_bits, radius, probes=probes, threads=threads)
    pairs = list(zip(found.query.tolist(), found.row.tolist(), found.distance.tolist(), strict=True))
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == brute_force(rows.tolist(), queries.tolist(), weak_bits, radius, probes)


def test_probe_sets_start_with_no_flip_and_the_weakest_bit() -> None:
    sets = probe_sets(64)
    assert sets[0] == () and sets[1] == (0,) and len(set(sets)) == 64
    every = {s for k in range(3) for s in combinations(range(4), k)}
    assert every <= set(sets)


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), min_size=1))
def test_distance_counts_bits(pairs: list[tuple[int, int]]) -> None:
    a, b = (np.array(side, np.uint64) for side in zip(*pairs, strict=True))
    expected = [bin(x ^ y).count("1") for x, y in pairs]
    assert distance(a, b).tolist() == expected
    assert hamming_index._count_by_steps(a ^ b).tolist() == expected  # what older versions of numpy use


def test_a_full_bucket_costs_little_and_still_gives_the_nearest() -> None:
    rng = np.random.default_rng(0)
    rows = np.sort(rng.integers(0, 2**39, 20_000, dtype=np.uint64))  # all with the same first bits
    weak_bits = weak_bits_of(10, 0)
    queries = rows[::2000].copy()
    found = HammingIndex(rows).search(queries, weak_bits, 64)
    assert len(found.query) <= 10 * MAX_BUCKET
    exact = {(int(q), int(r)) for q, r, d in zip(found.query, found.row, found.distance, strict=True) if d == 0}
    assert {(i, i * 2000) for i in range(10)} <= exact


@pytest.mark.parametrize(("rows", "queries"), [(0, 3), (3, 0), (0, 0)])
def test_empty_inputs_give_no_pairs(rows: int, queries: int) -> None:
    found = HammingIndex(np.zeros(rows, np.uint64)).search(np.zeros(queries, np.uint64), weak_bits_of(queries, 0), 5)
    assert len(found.query) == len(found.row) == len(found.distance) == 0


def test_weak_bits_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="weak_bits"):
        HammingIndex(np.zeros(1, np.uint64)).search(np.zeros(2, np.uint64), np.zeros((2, 3), np.uint8), 5)
