"""Average linkage on the neighbour graph: merges clusters that HDBSCAN has cut too fine.

Clusters a and b are one person if the mean cosine over all pairs of their faces exceeds

    base + merge * sd + impostor_weight * reach * |mean vector of a| * |mean vector of b|
         + separation_penalty * max(0, mean within a and b - mean between them - _APART sd) * (1 - 2 / faces of the smaller)
         + same_photo_penalty * sd * share of photos that both are in

`base`, `reach` and `sd` come from the cohort (cohort.py): they say how similar different people are in this collection. The last term
expects the best impostor. It shrinks with the lengths of the two mean vectors: the more the faces of a cluster vary, the shorter their
mean, and the nearer to 0 is a mean over pairs.

A round merges all pairs of clusters that are each other's best candidate. Rounds repeat until no pair exceeds the bound.

Ties: of two equally similar candidates the one with the lower content key wins (cohort.content_keys), so the result does not depend on
the order of the faces. Similarities are rounded to a millionth before they are compared.

Cost, for n faces, m edges and dim numbers a vector: a round looks at all pairs of linked clusters (at most m) and measures those that
changed, at most m log m + m dim. After _PATIENT rounds a cluster accepts every cluster whose best candidate it is, not one a round: a
thousand faces that wait for one large cluster would take a thousand rounds. It ends after 2 log n rounds more. A million generated faces
take 28 rounds.

Odd inputs: two clusters with a cannot-link between them are never merged. constraints.py handles must-links, and cannot-links inside a
cluster.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.cluster_sums import ClusterSums, Rows, shared_photos
from facecluster.grouping.cohort import NEAR_COPY, CohortStats, content_keys

Ints = NDArray[np.int64]
Pairs = NDArray[np.integer]  # (m, 2) rows
_FINE = 1e6  # steps of 1 in which similarities are compared
_NEVER = np.iinfo(np.int32).min
_APART = 2.3  # sd: for two clusters of one person, similarity within minus between is almost never more than this
_PATIENT = 64  # rounds of one merge a cluster
_BLOCK = 1 << 14  # pairs at a time: 32 MB of vectors


@dataclass(frozen=True, slots=True)
class AverageLinkage:
    """The rule that merges two clusters, and the pairs that it must not merge. `merge` and the penalties are in sd of the cohort."""

    cohort: CohortStats
    merge: float
    impostor_weight: float
    cannot: Pairs | None = None
    photos: Ints | None = None  # (n,) photo of each face
    same_photo_penalty: float = 0.0  # sd: two groups that share photos must be that much more alike
    contents: NDArray[np.uint64] | None = None  # (n,) content keys of the faces, if they are known
    fixed_faces: NDArray[np.bool_] | None = None  # (n,) faces of earlier clusters, which must not merge with each other (incremental.py)
    # sd more for each sd beyond _APART that two groups are less alike to each other than within themselves
    separation_penalty: float = 0.0

    def merge_clusters(self, x: NDArray[np.float32], labels: Ints, source: Rows, target: Rows, above: NDArray[np.float32]) -> Ints:
        """Merge clusters; returns labels (n,) from 0 of faces that start in the clusters `labels` (n,).

        Only clusters with an edge source[i] - target[i] between them are compared; each edge stands once. above[i] is how far its cosine
        lies above the expected best impostor, less
        what sharing a photo costs. Between two single faces it says all.
        """
        group = compact_labels(labels).astype(np.int32)
        own = self._gathered(x, group)
        count = len(own.sizes)
        a, b, excess = self._start(own, group, source, target, above)
        into = np.arange(count, dtype=np.int32)
        for turn in range(_PATIENT + 2 * count.bit_length()):
            to, gone, sure = _mutual(a, b, excess, own.contents, crowd=turn >= _PATIENT)
            if sure < len(gone):
                to, gone = self._allowed(into[group], to, gone, sure)
            if not len(gone):
                break
            own.merge(to, gone)
            into[gone] = to
            into = into[into]
            changed = np.zeros(count + 1, dtype=bool)
            changed[to] = changed[gone] = True
            stale = np.flatnonzero(changed[a] | changed[b])
            now = into[group]
            new = self._pairs(now, into[a[stale]], into[b[stale]], count)
            kept, lost = stale[: len(new[0])], stale[len(new[0]) :]
            a[kept], b[kept], excess[kept] = *new, self._excess(own, now, *new)
            a[lost], b[lost], excess[lost] = count, count, _NEVER  # of no group
        return compact_labels(into[group])

    def compare(
        self, x: NDArray[np.float32], group: NDArray[np.integer], source: NDArray[np.integer], target: NDArray[np.integer]
    ) -> tuple[Ints, Ints, NDArray[np.float64]]:
        """Pairs of linked groups a < b, and how far their mean cosine lies above what is asked; groups (n,) are 0, 1, ... without a gap."""
        a, b, excess, _ = self.measured(x, np.asarray(group, dtype=np.int32), group[source], group[target])
        return a.astype(np.int64), b.astype(np.int64), excess

    def measured(
        self, x: NDArray[np.float32], group: Rows, one: NDArray[np.integer], other: NDArray[np.integer]
    ) -> tuple[Rows, Rows, NDArray[np.float64], ClusterSums]:
        """Each pair a < b of the groups one[i] and other[i] once, but for those that must not be one; how far their mean cosine lies above
        what is asked, in steps of a millionth; and all groups (n,)."""
        own = self._gathered(x, group)
        a, b = self._pairs(group, one.astype(np.int32), other.astype(np.int32), len(own.sizes))
        return a, b, self._excess(own, group, a, b) / _FINE, own

    def content_keys_of(self, x: NDArray[np.float32]) -> NDArray[np.uint64]:
        """The content key of each face (cohort.content_keys)."""
        return content_keys(x) if self.contents is None else self.contents

    def excess_of(self, x: NDArray[np.float32], rows: Ints, others: Ints) -> float:
        """How far the mean cosine of two sets of faces exceeds the bound; photos that they share do not count."""
        base, reach = (float(v[rows].mean() + v[others].mean()) / 2 for v in (self.cohort.base, self.cohort.reach))
        one, other = x[rows].mean(axis=0, dtype=np.float64), x[others].mean(axis=0, dtype=np.float64)
        asked = base + self.merge * self.cohort.sd + self.impostor_weight * reach * float(np.linalg.norm(one) * np.linalg.norm(other))
        return float(one @ other) - asked

    def _gathered(self, x: NDArray[np.float32], group: Rows) -> ClusterSums:
        return ClusterSums.of(x, group, self.cohort, self.content_keys_of(x))

    def _start(self, own: ClusterSums, group: Rows, source: Rows, target: Rows, above: NDArray[np.float32]) -> tuple[Rows, Rows, Rows]:
        """Pairs of linked clusters and by how much they exceed the bound. For two single faces the edge itself says it."""
        count = len(own.sizes)
        a, b = group[source], group[target]
        free = (own.row[a] < 0) & (own.row[b] < 0)
        reach = (self.cohort.reach[source[free]] + self.cohort.reach[target[free]]) / 2
        plus = _fine(above[free] + (1 - self.impostor_weight) * reach - self.merge * self.cohort.sd)
        keys = _keys(a[free], b[free], count)
        if self.cannot is not None and len(self.cannot):
            allowed = ~np.isin(keys, self._barred(group, count))
            keys, plus = keys[allowed], plus[allowed]
        one, other = _split(keys, count)
        a, b = self._pairs(group, a[~free], b[~free], count)
        return np.r_[a, one], np.r_[b, other], np.r_[self._excess(own, group, a, b), plus]

    def _pairs(self, group: Rows, a: Rows, b: Rows, count: int) -> tuple[Rows, Rows]:
        """Each pair of two clusters once, without the pairs that must not merge."""
        two = a != b
        keys = _distinct(_keys(a[two], b[two], count))
        if self.cannot is not None and len(self.cannot):
            keys = keys[~np.isin(keys, self._barred(group, count))]
        one, other = _split(keys, count)
        if self.fixed_faces is None:
            return one, other
        held = self.held(group, count)
        free = ~(held[one] & held[other])
        return one[free], other[free]

    def _allowed(self, group: Rows, to: Rows, gone: Rows, sure: int) -> tuple[Rows, Rows]:
        """Which of the clusters `gone` may merge into `to` at once. The first `sure` are mutual bests. Of the others, those stay that would
        meet a cluster there which they must not merge with."""
        count = int(group.max()) + 1
        root = np.arange(count, dtype=np.int32)
        root[gone] = to
        waits = np.zeros(count, dtype=bool)
        waits[gone[sure:]] = True
        bad = np.zeros(count, dtype=bool)
        if self.cannot is not None and len(self.cannot):
            a, b = group[self.cannot[:, 0]], group[self.cannot[:, 1]]
            met = (a != b) & (root[a] == root[b])
            bad[np.r_[a[met], b[met]]] = True
        held = np.flatnonzero(self.held(group, count))
        bad[held] |= np.bincount(root[held], minlength=count)[root[held]] > 1
        stays = (bad & waits)[gone]
        return to[~stays], gone[~stays]

    def held(self, group: NDArray[np.integer], count: int) -> NDArray[np.bool_]:
        """Which clusters (count,) hold fixed faces and must not merge with each other; `group` (n,) is the cluster of each face."""
        out = np.zeros(count, dtype=bool)
        if self.fixed_faces is not None:
            out[group[self.fixed_faces]] = True
        return out

    def _barred(self, group: Rows, count: int) -> Ints:
        assert self.cannot is not None
        return _keys(group[self.cannot[:, 0]], group[self.cannot[:, 1]], count)

    def _excess(self, own: ClusterSums, group: Rows, a: Rows, b: Rows) -> Rows:
        """Excess of the mean cosine of each pair of clusters over the bound, in millionths; `group` (n,) is the cluster of each face."""
        out = np.empty(len(a), dtype=np.int32)
        sd = self.cohort.sd

        def look(start: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
            """Fill in a block; returns the pairs that shared photos may keep apart, and their excess without that."""
            one, other = a[start : start + _BLOCK], b[start : start + _BLOCK]
            sizes = own.sizes[one], own.sizes[other]
            mean = own.dots(one, other) / (sizes[0] * sizes[1])
            base = (own.base[one] / sizes[0] + own.base[other] / sizes[1]) / 2
            reach = (own.reach[one] / sizes[0] + own.reach[other] / sizes[1]) / 2
            excess = mean - base - self.merge * sd - self.impostor_weight * reach * own.length[one] * own.length[other]
            if self.separation_penalty:
                apart = (own.within(one) + own.within(other)) / 2 - mean
                few = 2 / np.minimum(*sizes)  # one or two faces say nothing about a spread
                excess -= self.separation_penalty * np.maximum(0, 1 - few) * np.maximum(0, apart - _APART * sd)
            out[start : start + _BLOCK] = _fine(excess)
            at = np.flatnonzero((excess >= 0) & (mean < NEAR_COPY))
            return at + start, excess[at]

        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            likely = list(pool.map(look, range(0, len(a), _BLOCK)))
        if self.photos is not None and self.same_photo_penalty and likely:
            at, excess = (np.concatenate(parts) for parts in zip(*likely, strict=True))
            share = shared_photos(self.photos, group, a[at], b[at]) / np.minimum(own.sizes[a[at]], own.sizes[b[at]])
            out[at] = _fine(excess - self.same_photo_penalty * self.cohort.sd * np.minimum(1, share))
        return out


def dots(rows: NDArray[np.float64], a: Ints, b: Ints) -> NDArray[np.float64]:
    """Dot products of rows a[i] and b[i], a block at a time: the whole would be gigabytes."""
    out = np.empty(len(a))
    for i in range(0, len(a), 1 << 16):
        part = slice(i, i + (1 << 16))
        out[part] = np.einsum("ij,ij->i", rows[a[part]], rows[b[part]])
    return out


def _mutual(a: Rows, b: Rows, excess: Rows, contents: NDArray[np.uint64], *, crowd: bool) -> tuple[Rows, Rows, int]:
    """Pairs of clusters that are each other's best candidate: lower numbers, higher numbers, and how many pairs there are.

    With `crowd`, clusters follow whose best candidate is in such a pair, though they are not its best.
    """
    count = len(contents)
    keep = np.flatnonzero(excess >= 0)
    ends, others, score = np.r_[a[keep], b[keep]], np.r_[b[keep], a[keep]], np.r_[excess[keep], excess[keep]]
    most = np.full(count, -1, dtype=np.int32)
    np.maximum.at(most, ends, score)
    alike = np.flatnonzero(score == most[ends])
    ends, others = ends[alike], others[alike]
    low = np.full(count, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(low, ends, contents[others])
    alike = np.flatnonzero(contents[others] == low[ends])
    best = np.full(count + 1, count, dtype=np.int32)  # the last: of no group
    np.minimum.at(best, ends[alike], others[alike])
    number = np.arange(count, dtype=np.int32)
    mutual = best[best[:count]] == number
    high_end = number[mutual & (number > best[:count])]
    if not crowd:
        return best[high_end], high_end, len(high_end)
    root = number.copy()
    root[high_end] = best[high_end]
    waiting = number[~mutual & np.r_[mutual, False][best[:count]]]
    return np.r_[best[high_end], root[best[waiting]]], np.r_[high_end, waiting], len(high_end)


def _fine(excess: NDArray[np.float64]) -> Rows:
    return np.asarray(np.rint(excess * _FINE), dtype=np.int32)


def _keys(a: NDArray[np.integer], b: NDArray[np.integer], count: int) -> Ints:
    return np.asarray(np.minimum(a, b).astype(np.int64) * count + np.maximum(a, b))


def _split(keys: Ints, count: int) -> tuple[Rows, Rows]:
    return (keys // max(count, 1)).astype(np.int32), (keys % max(count, 1)).astype(np.int32)


def _distinct(keys: Ints) -> Ints:
    """Sorted, each once; several times as fast as np.unique, which hashes first."""
    keys.sort()
    return keys[np.r_[True, keys[1:] != keys[:-1]]] if len(keys) else keys


def compact_labels(labels: NDArray[np.integer]) -> Ints:
    """Labels renumbered 0, 1, ... in the order of their values."""
    numbers: Ints = np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return numbers
