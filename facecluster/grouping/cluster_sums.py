"""Sums over the faces of clusters, exact in any order of addition, and the number of photos that two clusters share.

Vectors and impostor levels are summed in steps of 2^-28 (cohort.to_grid), so a sum does not depend on the order in which faces and clusters
were added. Most clusters of a large collection are single faces: these keep no sum, their vector is read where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.cohort import CohortStats, to_grid

Rows = NDArray[np.int32]
_BLOCK = 1 << 14  # vectors at a time: 16 MB


@dataclass(slots=True)
class ClusterSums:
    """Struct of arrays over g clusters. A cluster that was merged into another keeps its number, but its entries are void."""

    x: NDArray[np.float32]  # (n, dim) vectors of the faces
    first: Rows  # (g,) one face of each cluster
    row: Rows  # (g,) row of its sum in `sums`; -1 = a single face
    sums: NDArray[np.float64]  # (m, dim)
    used: int  # rows of `sums` in use
    sizes: NDArray[np.float64]  # (g,)
    base: NDArray[np.float64]  # (g,) sum over its faces of CohortStats.base
    reach: NDArray[np.float64]  # (g,) the same of CohortStats.reach
    contents: NDArray[np.uint64]  # (g,) sum of its faces' content keys (cohort.content_keys)
    length: NDArray[np.float64]  # (g,) of the mean vector: 1 for a single face

    @classmethod
    def of(cls, x: NDArray[np.float32], group: Rows, cohort: CohortStats, contents: NDArray[np.uint64]) -> ClusterSums:
        """Sums of the clusters `group` (n,), 0, 1, ... without gaps, of the faces `x` (n, dim)."""
        count = int(group.max(initial=-1)) + 1
        sizes = np.bincount(group, minlength=count)
        first = np.empty(count, dtype=np.int32)
        first[group] = np.arange(len(group), dtype=np.int32)
        row = np.full(count, -1, dtype=np.int32)
        row[sizes > 1] = np.arange((sizes > 1).sum())
        key = np.zeros(count, dtype=np.uint64)
        np.add.at(key, group, contents)
        sums = sums_by_cluster(x, row[group])
        base, reach = (np.bincount(group, values, minlength=count).astype(np.float64) for values in (cohort.base, cohort.reach))
        own = cls(x, first, row, sums, len(sums), sizes.astype(np.float64), base, reach, key, np.ones(count))
        own._measure(np.arange(count))
        return own

    def vectors(self, groups: NDArray[np.integer]) -> NDArray[np.float64]:
        """Sums of the vectors of `groups` (m,): (m, dim)."""
        row = self.row[groups]
        many = row >= 0
        if many.all():
            return np.asarray(self.sums[row])
        out = np.empty((len(row), self.x.shape[1]))
        out[many] = self.sums[row[many]]
        out[~many] = to_grid(self.x[self.first[groups[~many]]])
        return out

    def dots(self, a: Rows, b: Rows) -> NDArray[np.float64]:
        """Dot products of the sums of groups a[i] and b[i]."""
        return np.asarray(np.einsum("ij,ij->i", self.vectors(a), self.vectors(b)))

    def within(self, groups: Rows) -> NDArray[np.float64]:
        """Mean cosine (m,) of two different faces of each of `groups` (m,); 1 for a single face."""
        sizes = self.sizes[groups]
        return np.asarray((sizes * self.length[groups] ** 2 - 1 + (sizes == 1)) / np.maximum(sizes - 1, 1))

    def merge(self, into: Rows, gone: Rows) -> None:
        """Merge clusters `gone` (m,), each once, into clusters `into` (m,), none of which is in `gone`."""
        alone = np.unique(into[self.row[into] < 0])
        if self.used + len(alone) > len(self.sums):
            more = max(len(alone), len(self.sums) // 4)
            self.sums = np.concatenate([self.sums[: self.used], np.zeros((more, self.x.shape[1]))])
        at = np.arange(self.used, self.used + len(alone), dtype=np.int32)
        self.sums[at] = self.vectors(alone)
        self.row[alone] = at
        self.used += len(alone)
        for start in range(0, len(into), _BLOCK):
            block = slice(start, start + _BLOCK)
            np.add.at(self.sums, self.row[into[block]], self.vectors(gone[block]))
        for values in (self.sizes, self.base, self.reach, self.contents):
            np.add.at(values, into, values[gone])
        self._measure(np.unique(into))

    def _measure(self, groups: NDArray[np.integer]) -> None:
        for start in range(0, len(groups), _BLOCK):
            block = groups[start : start + _BLOCK]
            self.length[block] = np.linalg.norm(self.vectors(block), axis=1) / self.sizes[block]


def sums_by_cluster(x: NDArray[np.float32], group: NDArray[np.integer]) -> NDArray[np.float64]:
    """Sums of the rows of `x` (n, dim) by `group` (n,), -1 = in no sum: (groups, dim)."""
    sums = np.zeros((int(group.max(initial=-1)) + 1, x.shape[1]))
    order = np.argsort(group, kind="stable")
    order = order[np.searchsorted(group[order], 0) :]
    for start in range(0, len(order), _BLOCK):
        rows = order[start : start + _BLOCK]
        mine = group[rows]
        begins = np.flatnonzero(np.r_[True, mine[1:] != mine[:-1]])
        sums[mine[begins]] += np.add.reduceat(to_grid(x[rows]), begins, axis=0)
    return sums


def shared_photos(photos: NDArray[np.int64], group: Rows, a: Rows, b: Rows) -> NDArray[np.float64]:
    """Number of photos (m,) that clusters a[i] and b[i] are both in; `photos` and `group` (n,) are of the faces.

    Each photo of the smaller cluster is looked up, so the cost of a large cluster does not grow with the number of its small neighbours.
    """
    out = np.zeros(len(a))
    if not len(a):
        return out
    asked = np.zeros(int(group.max()) + 1, dtype=bool)
    asked[a] = asked[b] = True
    rows = np.flatnonzero(asked[group])
    kinds = int(photos.max()) + 1
    keys = np.unique(group[rows].astype(np.int64) * kinds + photos[rows])  # each photo of each group once
    starts = np.searchsorted(keys, np.arange(len(asked) + 1) * kinds)
    count = np.diff(starts)
    small, large = np.where(count[a] <= count[b], a, b), np.where(count[a] <= count[b], b, a).astype(np.int64)
    for at in np.array_split(np.arange(len(a)), max(1, int(count[small].sum()) >> 20)):
        each = count[small[at]]
        pair = np.repeat(np.arange(len(at)), each)
        within = np.arange(len(pair)) - np.repeat(np.cumsum(each) - each, each)
        wanted = large[at][pair] * kinds + keys[starts[small[at]][pair] + within] % kinds
        found = keys[np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)] == wanted
        out[at] = np.bincount(pair, found, minlength=len(at))
    return out
