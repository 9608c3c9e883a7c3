"""HDBSCAN on a sparse graph: density, the forest of shortest edges, and the groups that last longest (Campello et al., 2013).

Distances are whole numbers of 2^-22, and how long a group lasts is added up in whole numbers, so that no result depends on the order in
which anything is added. Nor does it depend on which of several edges of one length comes first (the larger of two core distances is the
length of many): what meets at one length meets at once. Faces that get dense at the length at which they meet a group fall into it, and
do not count as a group that it is split from; those at which two groups meet belong to neither, but to what the two become.

Groups that meet at the cut or farther never meet: every piece of the forest ends there, as if it hung on something far from all. Bridged
at infinity, every piece is born so early that it is never split, and a collection of one person would have no group at all.

The library hdbscan finds the same groups where no two edges are as long (tests/test_hierarchy.py). It is not used: its union-find is
quadratic where many faces join a large group one by one (20,000 faces that hang on the first half of themselves: 69 s, here .03 s), and
what it makes of edges as long depends on the order of the faces.

Cost, for n faces and m edges: m log m to sort, and n log n for the tree. Odd inputs: no edge at all leaves every face alone; edges between
copies are 4 steps long, not 0: a sparse matrix takes a zero for a missing edge.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import minimum_spanning_tree

Rows = NDArray[np.int32]
STEP = 2.0**22  # steps of distance in 1
_NEAREST = 4  # steps: distance of copies
_FARTHEST = (1 << 24) - 1  # steps
_LASTING = 1 << 52  # over steps: how dense a place is, in whole numbers


def quantise(distance: NDArray[np.float64]) -> Rows:
    """Distances from 0 to 4, in steps."""
    return np.asarray(np.clip(np.rint(distance * STEP), _NEAREST, _FARTHEST), dtype=np.int32)


def spanning_forest(n: int, source: Rows, target: Rows, distance: Rows, cut: int, min_samples: int) -> tuple[Rows, Rows, Rows]:
    """A minimum spanning forest of the mutual reachability graph of n faces: ends and lengths in steps, shortest first.

    Args:
        n: number of faces.
        source: (m,) rows; each edge stands once.
        target: (m,) rows.
        distance: (m,) in steps, at most `cut`.
        cut: the longest edge, in steps.
        min_samples: neighbours that make a place dense.
    """
    core = _core(n, source, target, distance, min_samples)
    reach = np.maximum(np.maximum(core[source], core[target]), distance)
    near = reach <= cut
    graph = coo_matrix((reach[near].astype(np.float64), (source[near], target[near])), shape=(n, n)).tocsr()
    del reach, near
    found = minimum_spanning_tree(graph, overwrite=True).tocoo()
    order = np.argsort(found.data)
    return found.row[order], found.col[order], found.data[order].astype(np.int32)


def _core(n: int, source: Rows, target: Rows, distance: Rows, min_samples: int) -> Rows:
    """(n,) distance to the min_samples-th nearest linked face; beyond all where there are fewer."""
    m = len(source)
    keys = np.empty(2 * m, dtype=np.int64)  # one sort by face, then distance
    for half, end in ((keys[:m], source), (keys[m:], target)):
        half[:] = end
        half <<= 32
        half |= distance
    keys.sort()
    starts = np.searchsorted(keys, np.arange(n + 1) << 32)
    at = starts[:-1] + min_samples - 1
    core = np.full(n, np.iinfo(np.int32).max, dtype=np.int32)
    enough = at < starts[1:]
    core[enough] = keys[at[enough]] & 0xFFFFFFFF
    return core


@dataclass(slots=True)
class _Tree:
    """Clusters as they are found, the densest first: lists have an entry for each."""

    size: list[int] = field(default_factory=list)  # faces so far
    lasts: list[int] = field(default_factory=list)  # sum over its faces of the density at which they leave
    below: list[int] = field(default_factory=list)  # what the best of the clusters it splits into last, together
    parent: list[int] = field(default_factory=list)
    chosen: list[bool] = field(default_factory=list)  # whether it lasts as long as those
    peak: list[int] = field(default_factory=list)  # steps: where it is densest

    def open(self, peak: int) -> int:
        """A new cluster without faces."""
        self.lasts.append(0)
        self.size.append(0)
        self.below.append(0)
        self.parent.append(-1)
        self.chosen.append(False)
        self.peak.append(peak)
        return len(self.lasts) - 1

    def take(self, cluster: int, faces: int, density: int) -> None:
        """Let faces come to a cluster, so many, at a density."""
        self.size[cluster] += faces
        self.lasts[cluster] += faces * density

    def join(self, clusters: list[int], density: int) -> int:
        """End clusters that meet at a density; what they become."""
        mine = self.open(min(self.peak[c] for c in clusters))
        for c in clusters:
            self.below[mine] += self.close(c, density)
            self.parent[c] = mine
            self.take(mine, self.size[c], density)
        return mine

    def close(self, cluster: int, density: int) -> int:
        """End a cluster at a density; what the best choice from it down lasts."""
        own, below = self.lasts[cluster] - self.size[cluster] * density, self.below[cluster]
        self.chosen[cluster] = own >= below
        return max(own, below)

    def selected(self) -> list[int]:
        """The highest chosen cluster that each is part of; -1 if none is."""
        found = [-1] * len(self.parent)
        for c in range(len(found) - 1, -1, -1):  # a parent comes after its children
            above = found[self.parent[c]] if self.parent[c] >= 0 else -1
            found[c] = above if above >= 0 else c if self.chosen[c] else -1
        return found


def excess_of_mass_clusters(
    n: int, source: Rows, target: Rows, reach: Rows, cut: int, least: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The groups of HDBSCAN by excess of mass.

    Args:
        n: number of faces.
        source: (e,) rows, ends of the edges of a forest, shortest first.
        target: (e,) rows, the other ends.
        reach: (e,) lengths in steps.
        cut: steps at which pieces end.
        least: faces of a group, from 2.

    Returns:
        labels (n,), from 0 with gaps, -1 = none; and GLOSH outlier scores (n,), 0 to 1.
    """
    tree, own, left = _Tree(), [-1] * n, [cut] * n  # the first cluster of each face, and where it came to it, in steps
    top, size, cluster = list(range(n)), [1] * n, [-1] * n  # union-find; of a root: its faces, and its cluster while that is open
    few: dict[int, list[int]] = {}  # of a root of more than one face without a cluster: its faces
    for length, edges in groupby(zip(reach.tolist(), source.tolist(), target.tolist(), strict=True), key=itemgetter(0)):
        met: dict[int, list[int]] = {}  # of a root: what it was made of before this length
        for _, u, v in edges:
            while top[u] != u:
                top[u] = u = top[top[u]]
            while top[v] != v:
                top[v] = v = top[top[v]]
            one, other = met.pop(u, [u]), met.pop(v, [v])
            if len(one) < len(other):
                one, other = other, one
            one += other
            if size[u] < size[v]:
                u, v = v, u
            top[v], met[u] = u, one
            size[u] += size[v]
        density = _LASTING // length
        for root, parts in met.items():
            faces = [face for part in parts if cluster[part] < 0 for face in few.pop(part, (part,))]
            open_ones = [cluster[part] for part in parts if cluster[part] >= 0]
            if len(open_ones) > 1:
                mine = tree.join(open_ones, density)
            elif open_ones:
                mine = open_ones[0]
            elif len(faces) >= least:
                mine = tree.open(length)
            else:
                few[root] = faces
                continue
            cluster[root] = mine
            tree.take(mine, len(faces), density)
            for face in faces:
                own[face], left[face] = mine, length
    for u in range(n):
        if top[u] == u and cluster[u] >= 0:
            tree.close(cluster[u], _LASTING // cut)
    first = np.array(own, dtype=np.int64)
    inside = first >= 0
    peak = np.full(n, _NEAREST, dtype=np.float64)  # who is nobody's is measured against the densest there can be
    peak[inside] = np.array(tree.peak, dtype=np.float64)[first[inside]]
    labels = np.full(n, -1, dtype=np.int64)
    labels[inside] = np.array(tree.selected(), dtype=np.int64)[first[inside]]
    return labels, 1 - peak / np.array(left, dtype=np.float64)
