"""HDBSCAN's tree of a grouping: for plots, and to cut other clusters from it without grouping again.

A `ClusterTree` keeps the spanning forest that HDBSCAN has worked on, 12 bytes a face. All else is computed when it is asked for, by the
library hdbscan, which is loaded then.

Distances are those of the graph: 1 - cosine, plus how far the expected best impostors of the two faces lie above the collection's mean
(cohort.py), plus the penalty for two faces of one photo; then the mutual reachability distance of two faces, which is the largest of
their distance and their two core distances. Density (lambda) is 1 / distance.

The forest is several trees, since nothing is linked beyond the cut. The library needs one tree. So the trees are linked one step (2^-22)
beyond the cut:
- For the selection of clusters, all trees and a few auxiliary points are linked to one of these points. The auxiliary points form a
  cluster that lies far from all faces. So a collection of one person has a cluster too: the library never selects the root. They are
  removed from the results.
- For plots and flat cuts, trees of a cluster's size are linked in pairs, pairs of pairs and so on, which keeps the top of the plot low;
  the others follow one by one. There are no auxiliary points. Where only one tree is of a cluster's size, it is the root of the plot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from facecluster.errors import ArgumentError
from facecluster.grouping.candidate_edges import EdgeShard
from facecluster.grouping.cohort import CohortStats
from facecluster.grouping.spanning_forest import SHORTEST, STEPS_PER_UNIT, Rows, forest_of_shards, quantise
from facecluster.grouping.work import Crew

METHODS = ("eom", "leaf")
_SHORTEST_CUT = 2e-6
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClusterTree:
    """HDBSCAN's tree of n faces, as the minimum spanning forest that it follows from."""

    n: int
    source: Rows  # (e,) ends of the edges, shortest first
    target: Rows  # (e,)
    length: Rows  # (e,) in steps of 2^-22
    cut: int  # steps: the longest edge
    min_cluster_size: int

    @property
    def beyond_cut(self) -> float:
        """The distance at which the trees of the forest are linked: one step more than the cut."""
        return (self.cut + 1) / STEPS_PER_UNIT

    @cached_property
    def linkage(self) -> Floats:
        """(n - 1, 4) single linkage tree in the form of scipy: left node, right node, distance, faces."""
        self._check_size()
        return linkage_of(self._edges(*self._pairs_of_trees()))

    @cached_property
    def single_linkage_tree_(self) -> Any:
        """The library's hdbscan.plots.SingleLinkageTree."""
        from facecluster.grouping import hdbscan_library  # takes seconds to load

        return hdbscan_library.plottable_linkage(self.linkage)

    @cached_property
    def condensed_tree_(self) -> Any:
        """The library's hdbscan.plots.CondensedTree; plot(select_clusters=True) marks the clusters that `recut()` gives."""
        from facecluster.grouping import hdbscan_library

        return hdbscan_library.plottable_condensed(self.linkage, self.min_cluster_size, self.recut().astype(np.int64))

    def edges_with_auxiliary_points(self, min_cluster_size: int) -> Floats:
        """(e, 3) point, point, distance: the forest, linked at one of the auxiliary points n, n + 1, ... (module docstring)."""
        heads = self._trees()[0]
        points = np.arange(self.n, self.n + min_cluster_size, dtype=np.int32)
        near = np.c_[points[:-1], points[1:], np.full(len(points) - 1, SHORTEST / STEPS_PER_UNIT)]
        return np.concatenate([near, self._edges(heads, np.full(len(heads), self.n, dtype=np.int32))])

    def recut(
        self, *, distance: float | None = None, min_cluster_size: int | None = None,
        cluster_selection_method: str = "eom", cluster_selection_epsilon: float = 0.0,
    ) -> NDArray[np.int32]:  # fmt: skip
        """Other clusters from the same tree.

        Args:
            distance: give the connected components at this distance (of edges shorter than it), instead of a selection of clusters. Beyond
                the cut nothing is linked: a longer distance gives the components at the cut.
            min_cluster_size: faces of a cluster; smaller ones are nobody. 2 or more, with `distance` 1 or more. None: that of the grouping.
            cluster_selection_method: "eom" (excess of mass) or "leaf" (the smallest clusters), as in the library.
            cluster_selection_epsilon: clusters that split at a shorter distance than this stay whole, as in the library.

        Returns:
            labels (n,), 0, 1, ... by falling size, -1 = nobody.

        Raises:
            ArgumentError: a value is out of its range.
        """
        from facecluster.grouping import hdbscan_library

        size = self.min_cluster_size if min_cluster_size is None else min_cluster_size
        _check_recut(distance, size, cluster_selection_method, cluster_selection_epsilon)
        self._check_size()
        if size > self.n:
            return np.full(self.n, -1, dtype=np.int32)
        if distance is not None:
            found = hdbscan_library.clusters_at(self.linkage, min(distance, self.beyond_cut), size)
        else:
            # beyond the cut an epsilon would put trees together that have no link
            epsilon = min(cluster_selection_epsilon, self.cut / STEPS_PER_UNIT)
            linkage = linkage_of(self.edges_with_auxiliary_points(size))
            found = hdbscan_library.selected_clusters(linkage, self.n, size, cluster_selection_method, epsilon)[0]
        return labels_by_size(found, size)

    def _check_size(self) -> None:
        if self.n < 2:
            raise ArgumentError(f"expected two faces or more to make a tree of, found {self.n}: group more faces")

    def _trees(self) -> tuple[Rows, Rows]:
        """One face of each tree of the forest, and the number of its faces."""
        graph = coo_matrix((np.ones(len(self.source), dtype=np.int8), (self.source, self.target)), shape=(self.n, self.n))
        tree = connected_components(graph, directed=False)[1]
        _, heads, sizes = np.unique(tree, return_index=True, return_counts=True)
        return heads.astype(np.int32), sizes.astype(np.int32)

    def _pairs_of_trees(self) -> tuple[Rows, Rows]:
        """Edges that link all trees of the forest, without auxiliary points: those of a cluster's size in pairs, pairs of pairs, ..."""
        heads, sizes = self._trees()
        large = heads[sizes >= self.min_cluster_size]
        small = heads[sizes < self.min_cluster_size]
        if not len(large):
            large, small = small[:1], small[1:]
        one, other = [], []
        while len(large) > 1:
            half = len(large) // 2
            one.append(large[: 2 * half : 2])
            other.append(large[1::2])
            large = large[::2]
        return np.concatenate([*one, np.repeat(large, len(small))]), np.concatenate([*other, small])

    def _edges(self, heads: Rows, others: Rows) -> Floats:
        """(e, 3) the forest's edges, and those that link its trees beyond the cut."""
        inside = np.c_[self.source, self.target, self.length / STEPS_PER_UNIT]
        return np.concatenate([inside, np.c_[heads, others, np.full(len(heads), self.beyond_cut)]])


def cluster_tree(
    crew: Crew, name: str, edges: Sequence[EdgeShard], cohort: CohortStats, margin: float, min_samples: int, min_cluster_size: int
) -> ClusterTree:
    """HDBSCAN's tree of edges between two faces and more.

    Args:
        crew: does the work.
        name: place of the tree on the crew's shelf.
        edges: shards; each edge stands once.
        cohort: of the n faces.
        margin: sd above the expected best impostor's cosine that an edge must reach to count: the cut.
        min_samples: the core distance of a face is the distance to its min_samples-th neighbour.
        min_cluster_size: faces of a cluster, 2 or more.
    """
    n = len(cohort.base)
    mean_level = math.fsum(cohort.level.tolist()) / n
    cut = int(quantise(np.array(max(1 - mean_level - margin * cohort.sd, _SHORTEST_CUT))))
    forest = forest_of_shards(crew, name, n, edges, mean_level, cut, min_samples)
    return ClusterTree(n, *forest, cut, min_cluster_size)


def _check_recut(distance: float | None, size: int, method: str, epsilon: float) -> None:
    least = 2 if distance is None else 1
    if not isinstance(size, int | np.integer) or size < least:
        raise ArgumentError(f"expected min_cluster_size, a whole number of {least} or more, found {size!r}: choose another")
    if method not in METHODS:
        raise ArgumentError(f"expected cluster_selection_method 'eom' or 'leaf', found {method!r}: choose one of the two")
    if not (_is_number(epsilon) and math.isfinite(epsilon) and epsilon >= 0):
        raise ArgumentError(f"expected cluster_selection_epsilon of 0 or more, found {epsilon!r}: choose a distance")
    if distance is None:
        return
    if not (_is_number(distance) and distance >= 0):
        raise ArgumentError(f"expected distance of 0 or more, found {distance!r}: choose a distance")
    if method != "eom" or epsilon:
        raise ArgumentError("expected distance, or a cluster_selection method and epsilon, found both: leave one out")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating)


def linkage_of(edges: Floats) -> Floats:
    """The linkage (e, 4) of the edges (e, 3) of one tree, shortest first: what the library's `label` gives, in n log n."""
    n = len(edges) + 1
    root, size, node = list(range(n)), [1] * n, list(range(n))  # union-find; of a root: its faces, and its node in the linkage
    left, right, faces = [0] * len(edges), [0] * len(edges), [0] * len(edges)
    ends = edges[:, :2].astype(np.int64)
    for i, (u, v) in enumerate(zip(ends[:, 0].tolist(), ends[:, 1].tolist(), strict=True)):
        while root[u] != u:
            root[u] = u = root[root[u]]
        while root[v] != v:
            root[v] = v = root[root[v]]
        left[i], right[i] = node[u], node[v]
        if size[u] < size[v]:
            u, v = v, u
        root[v] = u
        size[u] += size[v]
        node[u], faces[i] = n + i, size[u]
    return np.asarray(np.c_[left, right, edges[:, 2], faces], dtype=np.float64)


def labels_by_size(groups: NDArray[np.integer], min_cluster_size: int, said: NDArray[np.bool_] | None = None) -> NDArray[np.int32]:
    """Labels (n,) 0, 1, ... of groups (n,) by falling size, ties by their first face; -1 for negative groups and for those that are smaller
    than `min_cluster_size`, except for groups with a face of `said` (n,)."""
    values, first, inverse, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    large = sizes >= min_cluster_size
    if said is not None:
        large |= np.bincount(inverse[said], minlength=len(sizes)) > 0
    order = np.lexsort((first, -sizes))
    kept = order[large[order] & (values[order] >= 0)]
    number = np.full(len(sizes), -1, dtype=np.int32)
    number[kept] = np.arange(len(kept), dtype=np.int32)
    return np.asarray(number[inverse], dtype=np.int32)
