"""HDBSCAN on a sparse graph: density, the forest of shortest edges, and the groups that last longest (Campello et al., 2013).

Distances are whole numbers of 2^-22, and how long a group lasts is added up in whole numbers, so that no result depends on the order in
which anything is added. Where two edges are as long (the larger of two core distances is the length of many), the one between more alike
faces comes first, then what the faces' contents say: a face between two groups would else fall to whichever stands first in the table.

Groups that meet at the cut or farther never meet: every piece of the forest ends there, as if it hung on something far from all. Bridged
at infinity, every piece is born so early that it is never split, and a collection of one person would have no group at all.

The library hdbscan finds the same groups (tests/test_hierarchy.py). It is not used: its union-find is quadratic where many faces join a
large group one by one (20,000 faces that hang on the first half of themselves: 69 s, here .03 s), and its sums depend on the order.

Cost, for n faces and m edges: m log m to sort, and n log n for the tree. Odd inputs: no edge at all leaves every face alone; edges between
copies are 4 steps long, not 0: a sparse matrix takes a zero for a missing edge.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import minimum_spanning_tree

Rows = NDArray[np.int32]
STEP = 2.0**22  # steps of distance in 1
_NEAREST = 4  # steps: distance of copies
_FARTHEST = (1 << 24) - 1  # steps
_LASTING = 1 << 52  # over steps: how dense a place is, in whole numbers


def steps(distance: NDArray[np.float64]) -> Rows:
    """Distances from 0 to 4, in steps."""
    return np.asarray(np.clip(np.rint(distance * STEP), _NEAREST, _FARTHEST), dtype=np.int32)


def forest(
    n: int, source: Rows, target: Rows, distance: Rows, contents: NDArray[np.uint64], cut: int, min_samples: int
) -> tuple[Rows, Rows, Rows]:
    """The minimum spanning forest of the mutual reachability graph of n faces: ends and lengths in steps, shortest first.

    Args:
        n: number of faces.
        source: (m,) rows; each edge stands once.
        target: (m,) rows.
        distance: (m,) in steps, at most `cut`.
        contents: (n,) number of each face that follows from what it is, not from where it stands.
        cut: the longest edge, in steps.
        min_samples: neighbours that make a place dense.
    """
    core = _core(n, source, target, distance, min_samples)
    reach = np.maximum(np.maximum(core[source], core[target]), distance)
    near = np.flatnonzero(reach <= cut)
    order = near[_ordered(reach[near], distance[near], contents, source[near], target[near])]
    del near
    # the rank as the weight: no two are the same, so there is one forest only
    rank = np.arange(1, len(order) + 1, dtype=np.float64)
    found = minimum_spanning_tree(csr_matrix((rank, (source[order], target[order])), shape=(n, n)), overwrite=True).data
    kept = order[np.sort(found).astype(np.int64) - 1]
    return source[kept], target[kept], reach[kept]


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


def _ordered(reach: Rows, distance: Rows, contents: NDArray[np.uint64], source: Rows, target: Rows) -> NDArray[np.int64]:
    """Order of edges by reach, distance, and what their ends are."""
    keys = reach.astype(np.uint64) << np.uint64(40) | distance.astype(np.uint64) << np.uint64(16)
    a, b = contents[source], contents[target]
    keys |= (a + b) >> np.uint64(48)
    order = np.argsort(keys)
    keys = keys[order]
    same = np.zeros(len(keys) + 1, dtype=bool)
    same[1:-1] = keys[1:] == keys[:-1]
    tied = np.flatnonzero(same[1:] | same[:-1])
    mine = order[tied]
    low, high = np.minimum(a[mine], b[mine]), np.maximum(a[mine], b[mine])
    order[tied] = mine[np.lexsort((high, low, keys[tied]))]
    return order


@dataclass(slots=True)
class _Tree:
    """Clusters as they are found, the densest first: lists have an entry for each."""

    lasts: list[int] = field(default_factory=list)  # sum over its faces of the density at which they leave
    below: list[int] = field(default_factory=list)  # what the best of the clusters it splits into last, together
    parent: list[int] = field(default_factory=list)
    chosen: list[bool] = field(default_factory=list)  # whether it lasts as long as those
    peak: list[int] = field(default_factory=list)  # steps: where it is densest

    def open(self, lasts: int, below: int, peak: int) -> int:
        self.lasts.append(lasts)
        self.below.append(below)
        self.parent.append(-1)
        self.chosen.append(False)
        self.peak.append(peak)
        return len(self.lasts) - 1

    def close(self, cluster: int, size: int, density: int) -> int:
        """End a cluster at a density; what the best choice from it down lasts."""
        own, below = self.lasts[cluster] - size * density, self.below[cluster]
        self.chosen[cluster] = own >= below
        return max(own, below)

    def selected(self) -> list[int]:
        """The highest chosen cluster that each is part of; -1 if none is."""
        found = [-1] * len(self.parent)
        for c in range(len(found) - 1, -1, -1):  # a parent comes after its children
            above = found[self.parent[c]] if self.parent[c] >= 0 else -1
            found[c] = above if above >= 0 else c if self.chosen[c] else -1
        return found


def dense_groups(n: int, source: Rows, target: Rows, reach: Rows, cut: int, least: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
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
    tree, own, left = _Tree(), [-1] * n, [cut] * n  # the first cluster of each face, and where it left it, in steps
    top, size, cluster = list(range(n)), [1] * n, [-1] * n  # union-find; of a root: its faces, and its cluster while that is open
    few: dict[int, list[int]] = {}  # of a root of more than one face without a cluster: its faces
    for u, v, steps in zip(source.tolist(), target.tolist(), reach.tolist(), strict=True):
        while top[u] != u:
            top[u] = u = top[top[u]]
        while top[v] != v:
            top[v] = v = top[top[v]]
        if size[u] < size[v]:
            u, v = v, u
        density, total = _LASTING // steps, size[u] + size[v]
        one, other = cluster[u], cluster[v]
        if other >= 0:  # two clusters: what is less dense is their parent
            below = tree.close(one, size[u], density) + tree.close(other, size[v], density)
            cluster[u] = tree.open(total * density, below, min(tree.peak[one], tree.peak[other]))
            tree.parent[one] = tree.parent[other] = cluster[u]
        elif total >= least:
            faces = few.pop(v, [v])
            if one < 0:
                faces += few.pop(u, [u])
                one = cluster[u] = tree.open(0, 0, steps)
            tree.lasts[one] += len(faces) * density
            for face in faces:
                own[face], left[face] = one, steps
        else:
            few[u] = few.pop(u, [u]) + few.pop(v, [v])
        top[v], size[u] = u, total
    for u in range(n):
        if top[u] == u and cluster[u] >= 0:
            tree.close(cluster[u], size[u], _LASTING // cut)
    mine = np.array(own, dtype=np.int64)
    inside = mine >= 0
    peak = np.full(n, _NEAREST, dtype=np.float64)  # who is nobody's is measured against the densest there can be
    peak[inside] = np.array(tree.peak, dtype=np.float64)[mine[inside]]
    labels = np.full(n, -1, dtype=np.int64)
    labels[inside] = np.array(tree.selected(), dtype=np.int64)[mine[inside]]
    return labels, 1 - peak / np.array(left, dtype=np.float64)
