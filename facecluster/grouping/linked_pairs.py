"""Tasks of average linkage: the pairs of linked clusters in one shard of edges, and by how much they exceed the bound.

A task gives pairs as (2, m) int32 rows a < b, each pair once; and what it has measured as (4, m) float64: a, b, the excess without the
photos that they share, and whether shared photos count (1) or not (0: copies, or two single faces, whose edge counts them already).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.candidate_edges import EdgeShard
from facecluster.grouping.cluster_sums import ClusterSums, Rows
from facecluster.grouping.cohort import NEAR_COPY
from facecluster.grouping.work import GONE, Shelf, Stored, kept, load

FINE = 1e6  # steps of 1 in which similarities are compared
_APART = 2.3  # sd: for two clusters of one person, similarity within minus between is almost never more than this
_BLOCK = 1 << 14  # pairs at a time: 32 MB of vectors


@dataclass(frozen=True, slots=True)
class PairRule:
    """The bound of average linkage (average_linkage.py), and the pairs that must not merge. All but arrays is in sd of the cohort."""

    sd: float
    merge: float
    impostor_weight: float
    separation_penalty: float
    barred: Stored | None  # int64 keys of pairs with a cannot-link
    held: Stored | None  # (g,) clusters that must not merge with each other

    def allowed(self, keys: NDArray[np.int64], count: int) -> tuple[Rows, Rows]:
        """The pairs of these keys that may merge."""
        if self.barred is not None:
            keys = keys[~np.isin(keys, load(self.barred))]
        a, b = split_keys(keys, count)
        if self.held is None:
            return a, b
        held = load(self.held)
        free = ~(held[a] & held[b])
        return a[free], b[free]


def start_pairs(shelf: Shelf, name: str, sums: ClusterSums, group: Stored, shard: EdgeShard, rule: PairRule) -> tuple[Stored, ...]:
    """The pairs of a shard of edges, and those of them that exceed the bound; `group` (n,) is the cluster of each face."""

    def make() -> tuple[Rows, NDArray[np.float64]]:
        own, mine = sums.loaded(), load(group)
        source, target, above = shard.arrays()
        a, b, row, reach, count = mine[source], mine[target], load(own.row), load(own.reach), len(load(own.sizes))
        free = (row[a] < 0) & (row[b] < 0)  # two single faces: the edge itself says by how much they exceed it
        one, other = a[free], b[free]
        plus = above[free] + (1 - rule.impostor_weight) * (reach[one] + reach[other]) / 2 - rule.merge * rule.sd
        alone = np.stack([np.minimum(one, other), np.maximum(one, other)])
        if rule.barred is not None:
            may = ~np.isin(pair_keys(one, other, count), load(rule.barred))
            alone, plus = alone[:, may], plus[may]
        some = rule.allowed(_linked(a[~free], b[~free], count), count)
        likely = np.concatenate([_measured(own, some, rule), np.stack([*alone, plus, np.zeros(len(plus))])], axis=1)
        return np.concatenate([np.stack(some), alone], axis=1), likely[:, fine(likely[2]) >= 0]

    return kept(shelf, name, ("pairs", "likely"), make)


def renew_pairs(
    shelf: Shelf, name: str, sums: ClusterSums, pairs: Stored, into: Stored, changed: Stored, rule: PairRule
) -> tuple[Stored, ...]:
    """The pairs after clusters went `into` (g,) others, and of those with a `changed` (g,) cluster the ones that exceed the bound."""
    done = shelf.find(f"{name}/likely")
    if done is not None:  # the pairs themselves may be gone: a later round has them
        return shelf.find(f"{name}/pairs") or GONE, done

    def make() -> tuple[Rows, NDArray[np.float64]]:
        own, now, moved, (a, b) = sums.loaded(), load(into), load(changed), load(pairs)
        stale = moved[a] | moved[b]
        count = len(now)
        new = rule.allowed(_linked(now[a[stale]], now[b[stale]], count), count)
        likely = _measured(own, new, rule)
        return np.concatenate([np.stack([a[~stale], b[~stale]]), np.stack(new)], axis=1), likely[:, fine(likely[2]) >= 0]

    return kept(shelf, name, ("pairs", "likely"), make)


def measure_pairs(
    shelf: Shelf, name: str, sums: ClusterSums, group: Stored, shard: EdgeShard, rule: PairRule, sides: tuple[Stored, Stored] | None
) -> tuple[Stored, ...]:
    """All pairs of a shard of edges, measured; with `sides` (g,), (g,) only pairs of a cluster of one and a cluster of the other."""

    def make() -> tuple[NDArray[np.float64]]:
        own, mine = sums.loaded(), load(group)
        a, b, count = mine[load(shard.source)], mine[load(shard.target)], len(load(own.sizes))
        if sides is not None:
            one, other = (load(side) for side in sides)
            use = (one[a] & other[b]) | (other[a] & one[b])
            a, b = a[use], b[use]
        return (_measured(own, rule.allowed(_linked(a, b, count), count), rule),)

    return kept(shelf, name, ("measured",), make)


def _linked(a: Rows, b: Rows, count: int) -> NDArray[np.int64]:
    """Keys of the pairs of two clusters, rising, each once."""
    two = a != b
    keys = pair_keys(a[two], b[two], count)
    keys.sort()  # several times as fast as np.unique, which hashes first
    return keys[np.r_[True, keys[1:] != keys[:-1]]] if len(keys) else keys


def _measured(own: ClusterSums, pairs: tuple[Rows, Rows], rule: PairRule) -> NDArray[np.float64]:
    a, b = pairs
    out = np.empty((4, len(a)))
    out[0], out[1] = a, b
    all_sizes, all_base, all_reach, all_length = (load(v) for v in (own.sizes, own.base, own.reach, own.length))
    for start in range(0, len(a), _BLOCK):
        one, other = a[start : start + _BLOCK], b[start : start + _BLOCK]
        sizes = all_sizes[one], all_sizes[other]
        mean = own.dots(one, other) / (sizes[0] * sizes[1])
        base = (all_base[one] / sizes[0] + all_base[other] / sizes[1]) / 2
        reach = (all_reach[one] / sizes[0] + all_reach[other] / sizes[1]) / 2
        excess = mean - base - rule.merge * rule.sd - rule.impostor_weight * reach * all_length[one] * all_length[other]
        if rule.separation_penalty:
            apart = (own.within(one) + own.within(other)) / 2 - mean
            few = 2 / np.minimum(*sizes)  # one or two faces say nothing about a spread
            excess -= rule.separation_penalty * np.maximum(0, 1 - few) * np.maximum(0, apart - _APART * rule.sd)
        out[2, start : start + _BLOCK] = excess
        out[3, start : start + _BLOCK] = mean < NEAR_COPY
    return out


def fine(excess: NDArray[np.float64]) -> Rows:
    """Excess in millionths."""
    return np.asarray(np.rint(excess * FINE), dtype=np.int32)


def pair_keys(a: NDArray[np.integer], b: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """One number for each pair of `count` clusters, whatever their order."""
    return np.asarray(np.minimum(a, b).astype(np.int64) * count + np.maximum(a, b))


def split_keys(keys: NDArray[np.int64], count: int) -> tuple[Rows, Rows]:
    """The pairs a < b of these keys."""
    return (keys // max(count, 1)).astype(np.int32), (keys % max(count, 1)).astype(np.int32)
