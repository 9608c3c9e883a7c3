"""HDBSCAN on a sparse graph (Campello et al., 2013): clusters selected by excess of mass from a minimum spanning forest.

Distances are integers (spanning_forest.py). Stabilities are sums of integers. So no result depends on the order of additions.

Ties. Many edges have the same length, because a mutual reachability distance often is the core distance of one of its faces. All edges of
one length are added at once, so their order does not matter. Two rules follow. Faces that become dense at the very length at which they
meet a cluster fall into that cluster; they do not count as a cluster of their own that splits from it. Faces at which two clusters meet
belong to neither, but to the parent cluster.

The forest ends at the cut, the longest distance that counts. Each of its trees ends there, as if it were linked at the cut to something
far away. If the trees were linked at infinity instead, each would begin at density 0 and last so long that it would never be split; and a
collection of one person would have no cluster, since HDBSCAN never selects the root.

The library hdbscan finds the same clusters where no two edges have the same length (tests/grouping/test_hierarchy.py). It is not the
default for two reasons. Its union-find is quadratic where many faces join one large cluster one by one (20,000 faces, half of which hang on
the other half: 69 s, here .03 s). And what it makes of edges of the same length depends on the order of the faces. hdbscan_library.py runs
it on the same forest.

Cost, for n faces: n log n. Odd inputs: without edges every face is alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.spanning_forest import SHORTEST

Rows = NDArray[np.int32]
_DENSITY_SCALE = 1 << 52  # divided by a distance in steps: density, an integer


@dataclass(slots=True)
class _CondensedTree:
    """Clusters in the order in which they form, the densest first. Each list has one entry a cluster.

    The stability of a cluster is the sum, over its faces, of the density at which the face enters it less the density at which it ends.
    """

    size: list[int] = field(default_factory=list)  # faces so far
    density_sum: list[int] = field(default_factory=list)  # over its faces, of the density at which each enters
    best_below: list[int] = field(default_factory=list)  # stability of the best selection among its descendants
    parent: list[int] = field(default_factory=list)  # -1: none
    stable: list[bool] = field(default_factory=list)  # whether it is at least as stable as that selection
    peak: list[int] = field(default_factory=list)  # steps: the shortest length in it

    def new(self, peak: int) -> int:
        """Add a cluster without faces; returns its number."""
        self.size.append(0)
        self.density_sum.append(0)
        self.best_below.append(0)
        self.parent.append(-1)
        self.stable.append(False)
        self.peak.append(peak)
        return len(self.size) - 1

    def add_faces(self, cluster: int, faces: int, density: int) -> None:
        """Let a number of faces enter a cluster at a density."""
        self.size[cluster] += faces
        self.density_sum[cluster] += faces * density

    def merge(self, clusters: list[int], density: int) -> int:
        """End clusters that meet at a density; returns the number of their parent."""
        parent = self.new(min(self.peak[c] for c in clusters))
        for c in clusters:
            self.best_below[parent] += self.end(c, density)
            self.parent[c] = parent
            self.add_faces(parent, self.size[c], density)
        return parent

    def end(self, cluster: int, density: int) -> int:
        """End a cluster at a density; returns the stability of the best selection among it and its descendants."""
        own, below = self.density_sum[cluster] - self.size[cluster] * density, self.best_below[cluster]
        self.stable[cluster] = own >= below
        return max(own, below)

    def selected(self) -> list[int]:
        """For each cluster: its highest stable ancestor or itself; -1 if there is none."""
        found = [-1] * len(self.parent)
        for c in range(len(found) - 1, -1, -1):  # a parent has a higher number than its children
            above = found[self.parent[c]] if self.parent[c] >= 0 else -1
            found[c] = above if above >= 0 else c if self.stable[c] else -1
        return found


def excess_of_mass_clusters(
    n: int, source: Rows, target: Rows, length: Rows, cut: int, min_cluster_size: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """HDBSCAN's clusters, selected by excess of mass.

    Args:
        n: number of faces.
        source: (e,) rows, ends of the edges of a forest, shortest first.
        target: (e,) rows, the other ends.
        length: (e,) in steps.
        cut: longest edge, in steps.
        min_cluster_size: faces of a cluster, 2 or more.

    Returns:
        labels (n,), from 0 with gaps, -1 = none; and GLOSH outlier scores (n,), 0 to 1.
    """
    tree = _CondensedTree()
    first, entered = [-1] * n, [cut] * n  # of each face: the first cluster that it enters, and the length in steps at which it does
    root, size = list(range(n)), [1] * n  # union-find
    cluster = [-1] * n  # of each root: its cluster
    waiting: dict[int, list[int]] = {}  # of each root of several faces that has no cluster: its faces
    for steps, edges in groupby(zip(length.tolist(), source.tolist(), target.tolist(), strict=True), key=itemgetter(0)):
        density = _DENSITY_SCALE // steps
        for top, parts in _merge_components(root, size, edges).items():
            faces = [face for part in parts if cluster[part] < 0 for face in waiting.pop(part, (part,))]
            clusters = [cluster[part] for part in parts if cluster[part] >= 0]
            if len(clusters) > 1:
                mine = tree.merge(clusters, density)
            elif clusters:
                mine = clusters[0]
            elif len(faces) >= min_cluster_size:
                mine = tree.new(steps)
            else:
                waiting[top] = faces
                continue
            cluster[top] = mine
            tree.add_faces(mine, len(faces), density)
            for face in faces:
                first[face], entered[face] = mine, steps
    for u in range(n):
        if root[u] == u and cluster[u] >= 0:
            tree.end(cluster[u], _DENSITY_SCALE // cut)
    return _labels_and_scores(tree, np.array(first, dtype=np.int64), np.array(entered, dtype=np.float64))


def _merge_components(root: list[int], size: list[int], edges: Iterable[tuple[int, int, int]]) -> dict[int, list[int]]:
    """Add the edges of one length to a union-find; returns, for each new root, the roots that it was made of."""
    merged: dict[int, list[int]] = {}
    for _, u, v in edges:
        while root[u] != u:
            root[u] = u = root[root[u]]
        while root[v] != v:
            root[v] = v = root[root[v]]
        one, other = merged.pop(u, [u]), merged.pop(v, [v])
        if len(one) < len(other):
            one, other = other, one
        one += other
        if size[u] < size[v]:
            u, v = v, u
        root[v], merged[u] = u, one
        size[u] += size[v]
    return merged


def _labels_and_scores(
    tree: _CondensedTree, first: NDArray[np.int64], entered: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels (n,), and outlier scores (n,): how much less dense a face is than the densest place of the first cluster that it enters."""
    inside = first >= 0
    peak = np.full(len(first), SHORTEST, dtype=np.float64)  # a face without a cluster is compared with the highest possible density
    peak[inside] = np.array(tree.peak, dtype=np.float64)[first[inside]]
    labels = np.full(len(first), -1, dtype=np.int64)
    labels[inside] = np.array(tree.selected(), dtype=np.int64)[first[inside]]
    return labels, 1 - peak / entered
