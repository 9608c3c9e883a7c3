"""Joining groups of faces: average linkage on the neighbour graph, with the odds that strangers are as alike.

HDBSCAN's groups are pure but cut too fine. Two groups a and b are one person if the mean cosine over all pairs of their faces exceeds

    base + merge * sd + alone * reach * |mean vector of a| * |mean vector of b|

where base, reach and sd are those of `strangers`: cosines of means are spread as those of single faces are, and a mean over many faces that
vary is shorter than 1 by as much as the mean over all pairs is nearer to 0. Groups that are each other's best are joined, until none are.

Odd inputs: two groups with a cannot-link between them are never joined. `constraints` sees to must-links, and to cannot-links in a group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from facecluster.strangers import Strangers

Ints = NDArray[np.int64]
Pairs = NDArray[np.integer]  # (m, 2) rows


@dataclass(slots=True)
class _Groups:
    """Sums over the faces of each of g groups."""

    sizes: NDArray[np.float64]  # (g,)
    vectors: NDArray[np.float64]  # (g, dim)
    base: NDArray[np.float64]  # (g,)
    reach: NDArray[np.float64]  # (g,)

    def folded(self, into: Ints) -> _Groups:
        count = int(into.max()) + 1
        fold = csr_matrix((np.ones(len(into)), (into, np.arange(len(into)))), shape=(count, len(into)))
        return _Groups(*(fold @ v for v in (self.sizes, self.vectors, self.base, self.reach)))


@dataclass(frozen=True, slots=True)
class Joiner:
    """What decides that two groups are one, and what must not be."""

    around: Strangers
    merge: float
    alone: float
    cannot: Pairs | None = None
    photos: Ints | None = None  # (n,) photo of each face
    same_photo: float = 0.0  # sd: two groups that share photos must be that much more alike

    def join(self, x: NDArray[np.float32], labels: Ints, source: Ints, target: Ints, above: NDArray[np.float64]) -> Ints:
        """Groups (n,) from 0 of faces that start in `labels` (n,).

        Along the graph's edges source[i] - target[i], each once; above[i]: how far its cosine lies above the best stranger's level, less
        what sharing a photo costs. Between two single faces it says all.
        """
        group = numbered(labels)
        own = _Groups(np.ones(len(x)), x.astype(np.float64), self.around.base, self.around.reach).folded(group)
        free = (own.sizes[group[source]] == 1) & (own.sizes[group[target]] == 1)
        a, b = self._pairs(group, group[source[~free]], group[target[~free]], len(own.sizes))
        excess = self._excess(own, group, a, b)
        one, other, plus = self._singles(group, source[free], target[free], above[free], len(own.sizes))
        a, b, excess = np.r_[a, one], np.r_[b, other], np.r_[excess, plus]
        while (into := _mutual(a, b, excess, len(own.sizes))) is not None:
            grown = np.bincount(into)[into] > 1
            own, group = own.folded(into), into[group]
            again = grown[a] | grown[b]  # only what these are part of has changed
            new = self._pairs(group, into[a[again]], into[b[again]], len(own.sizes))
            a, b = np.r_[into[a[~again]], new[0]], np.r_[into[b[~again]], new[1]]
            excess = np.r_[excess[~again], self._excess(own, group, *new)]
        return group

    def compare(self, x: NDArray[np.float32], group: Ints, source: Ints, target: Ints) -> tuple[Ints, Ints, NDArray[np.float64]]:
        """Pairs of linked groups a < b, and how far their mean cosine lies above what is asked; groups (n,) are 0, 1, ... without a gap."""
        own = _Groups(np.ones(len(x)), x.astype(np.float64), self.around.base, self.around.reach).folded(group)
        a, b = self._pairs(group, group[source], group[target], len(own.sizes))
        return a, b, self._excess(own, group, a, b)

    def excess_of(self, x: NDArray[np.float32], rows: Ints, others: Ints) -> float:
        """How far the mean cosine of two sets of faces lies above what is asked of it, whatever photos they share."""
        base, reach = (float(v[rows].mean() + v[others].mean()) / 2 for v in (self.around.base, self.around.reach))
        one, other = x[rows].mean(axis=0, dtype=np.float64), x[others].mean(axis=0, dtype=np.float64)
        asked = base + self.merge * self.around.sd + self.alone * reach * float(np.linalg.norm(one) * np.linalg.norm(other))
        return float(one @ other) - asked

    def _singles(
        self, group: Ints, source: Ints, target: Ints, above: NDArray[np.float64], count: int
    ) -> tuple[Ints, Ints, NDArray[np.float64]]:
        """The same as `_pairs` and `_excess` for faces alone in their groups: their mean cosine is the link's."""
        a, b = group[source], group[target]
        a, b = np.minimum(a, b), np.maximum(a, b)
        reach = (self.around.reach[source] + self.around.reach[target]) / 2
        excess = (above + (1 - self.alone) * reach - self.merge * self.around.sd).round(6)
        if self.cannot is not None and len(self.cannot):
            apart = np.isin(_keys(a, b, count), _keys(group[self.cannot[:, 0]], group[self.cannot[:, 1]], count))
            a, b, excess = a[~apart], b[~apart], excess[~apart]
        return a, b, excess

    def _pairs(self, group: Ints, a: Ints, b: Ints, count: int) -> tuple[Ints, Ints]:
        """Each pair of two groups once, but for those that must not be one."""
        key = _distinct(_keys(a, b, count)[a != b])
        if self.cannot is not None and len(self.cannot):
            key = key[~np.isin(key, _keys(group[self.cannot[:, 0]], group[self.cannot[:, 1]], count))]
        return key // count, key % count

    def attach(self, x: NDArray[np.float32], group: Ints, faces: Ints, source: Ints, target: Ints) -> Ints:
        """Give each of `faces` (rows, alone in their groups) to the group that it belongs to most clearly, if to any.

        They don't count in what the groups are: two groups never meet through them.
        """
        loose = np.zeros(len(x), dtype=bool)
        loose[faces] = True
        loose &= np.bincount(group)[group] == 1
        own = _Groups(np.ones(len(x)), x.astype(np.float64), self.around.base, self.around.reach).folded(group)
        face, to = np.r_[source, target], group[np.r_[target, source]]
        use = loose[face] & (own.sizes[to] > 1)
        key = np.unique(face[use] * len(own.sizes) + to[use])
        face, to = key // len(own.sizes), key % len(own.sizes)
        if self.cannot is not None and len(self.cannot):
            a, b = self.cannot[:, 0], self.cannot[:, 1]
            barred = np.r_[a * len(own.sizes) + group[b], b * len(own.sizes) + group[a]]
            face, to = face[~np.isin(key, barred)], to[~np.isin(key, barred)]
        excess = self._excess(own, group, group[face], to)
        order = np.lexsort((to, -excess, face))
        first = order[np.unique(face[order], return_index=True)[1]]
        first = first[excess[first] >= 0]
        out = group.copy()
        out[face[first]] = to[first]
        return out

    def _excess(self, own: _Groups, group: Ints, a: Ints, b: Ints) -> NDArray[np.float64]:
        """How far the mean cosine of each pair of groups lies above what is asked of it."""
        size_a, size_b = own.sizes[a], own.sizes[b]
        mean = dots(own.vectors, a, b) / (size_a * size_b)
        base = (own.base[a] / size_a + own.base[b] / size_b) / 2
        reach = (own.reach[a] / size_a + own.reach[b] / size_b) / 2
        length = np.linalg.norm(own.vectors, axis=1) / own.sizes  # of the groups' means: 1 for a single face
        excess = mean - base - self.merge * self.around.sd - self.alone * reach * length[a] * length[b]
        if self.photos is not None and self.same_photo:
            likely = np.flatnonzero(excess >= 0)
            shared = _shared(self.photos, group, a[likely], b[likely]) / np.minimum(size_a, size_b)[likely]
            # near-copies in one photo (a collage, a mirror, a screen) are one person all the same
            excess[likely] -= np.where(mean[likely] < 0.9, self.same_photo * self.around.sd * np.minimum(1, shared), 0)
        return np.asarray(excess.round(6))


def dots(rows: NDArray[np.float64], a: Ints, b: Ints) -> NDArray[np.float64]:
    """Dot products of rows a[i] and b[i], a block at a time: the whole would be gigabytes."""
    out = np.empty(len(a))
    for i in range(0, len(a), 1 << 16):
        part = slice(i, i + (1 << 16))
        out[part] = np.einsum("ij,ij->i", rows[a[part]], rows[b[part]])
    return out


def _shared(photos: Ints, group: Ints, a: Ints, b: Ints) -> NDArray[np.float64]:
    """Number of photos that groups a[i] and b[i] are both in."""
    seen = csr_matrix((np.ones(len(group), dtype=np.float32), (group, photos)))
    seen.data[:] = 1
    return np.asarray(seen[a].multiply(seen[b]).sum(axis=1), dtype=np.float64).ravel()


def _mutual(a: Ints, b: Ints, excess: NDArray[np.float64], count: int) -> Ints | None:
    """New numbers of the groups after joining those that are each other's best; None if there are none."""
    keep = excess >= 0
    ends, others, score = np.r_[a[keep], b[keep]], np.r_[b[keep], a[keep]], np.r_[excess[keep], excess[keep]]
    order = np.lexsort((others, -score, ends))
    first = order[np.unique(ends[order], return_index=True)[1]]
    best = np.full(count, -1)
    best[ends[first]] = others[first]
    mutual = np.flatnonzero((best >= 0) & (best[best] == np.arange(count)) & (np.arange(count) < best))
    if not len(mutual):
        return None
    into = np.arange(count)
    into[best[mutual]] = mutual
    return numbered(into)


def _keys(a: Ints, b: Ints, count: int) -> Ints:
    return np.asarray(np.minimum(a, b) * count + np.maximum(a, b))


def _distinct(keys: Ints) -> Ints:
    """Sorted, each once; several times as fast as np.unique, which hashes first."""
    keys.sort()
    return keys[np.r_[True, keys[1:] != keys[:-1]]] if len(keys) else keys


def numbered(labels: NDArray[np.integer]) -> Ints:
    """Labels as 0, 1, ... by their order."""
    numbers: Ints = np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return numbers
