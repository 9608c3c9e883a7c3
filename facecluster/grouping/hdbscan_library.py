"""The library hdbscan, run on our spanning forest: its single linkage tree, its condensed tree and its selection of clusters.

The only file that imports the library. Loading it takes seconds, so others import this file inside the function that needs it.

Known limits of the library (0.8.44):
- Order: it adds stabilities up in the order of the tree's rows, some of them in single precision, and of several edges of one length it
  takes the first first. Another order of the faces can give other clusters where distances or stabilities are (nearly) equal.
- Time: its union-find does not shorten paths. Where many faces join one cluster one by one, the time is quadratic: 20,000 faces, half of
  which hang on the other half, take 69 s.
- Plots of thousands of clusters are slow: each cluster reads the whole tree.

Edges are (e, 3) float64 rows of face, face, distance, shortest first; they form one tree. A linkage is the (e, 4) array of scipy: rows of
left node, right node, distance, number of faces. A node is a face, or n + i: what row i makes.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

with warnings.catch_warnings():  # hdbscan 0.8.44 has invalid escape sequences in its docstrings
    warnings.simplefilter("ignore")
    from hdbscan import hdbscan_
    from hdbscan._hdbscan_linkage import label
    from hdbscan._hdbscan_tree import condense_tree, labelling_at_cut, outlier_scores
    from hdbscan.plots import CondensedTree, SingleLinkageTree

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def linkage_of(edges: Floats) -> Floats:
    """The linkage of a tree's edges, made by the library; trees.linkage_of makes the same without its quadratic time."""
    return np.asarray(label(edges))


def selected_clusters(
    linkage: Floats, faces: int, min_cluster_size: int, method: str = "eom", epsilon: float = 0.0
) -> tuple[Labels, Floats, Floats]:
    """The library's condensed tree and selection of clusters.

    Args:
        linkage: of n points: faces, then auxiliary points (trees.py).
        faces: how many are faces, fewer than n.
        min_cluster_size: points of a cluster, 2 or more.
        method: `cluster_selection_method` of the library, "eom" (excess of mass) or "leaf".
        epsilon: `cluster_selection_epsilon` of the library: clusters that split at a shorter distance than this stay whole.

    Returns:
        labels (faces,), from 0 with a gap, -1 = noise; membership strengths (faces,), 0 to 1, 0 for noise; GLOSH outlier scores (faces,),
        0 to 1.
    """
    labels, strengths, _, condensed, _ = hdbscan_._tree_to_labels(
        None, linkage, min_cluster_size, cluster_selection_method=method, cluster_selection_epsilon=epsilon
    )
    # single faces hang on the auxiliary points, and fall out of their cluster where it begins
    noise = (labels[:faces] < 0) | (labels[:faces] == labels[faces])
    scores = np.asarray(outlier_scores(condensed))[:faces]
    return np.where(noise, -1, labels[:faces]).astype(np.int64), np.where(noise, 0.0, strengths[:faces]), scores


def clusters_at(linkage: Floats, distance: float, min_cluster_size: int) -> Labels:
    """Labels (n,), -1 = noise: the connected components at a distance, as the library's SingleLinkageTree.get_clusters gives them."""
    return np.asarray(labelling_at_cut(linkage, distance, min_cluster_size), dtype=np.int64)


def plottable_linkage(linkage: Floats) -> Any:
    """The library's hdbscan.plots.SingleLinkageTree of a linkage."""
    return SingleLinkageTree(linkage)


def plottable_condensed(linkage: Floats, min_cluster_size: int, labels: Labels) -> Any:
    """The library's hdbscan.plots.CondensedTree of a linkage; `labels` (n,) are the clusters that plot(select_clusters=True) marks."""
    return CondensedTree(condense_tree(linkage, min_cluster_size), labels)
