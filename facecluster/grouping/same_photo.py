"""Two faces of one photo are hardly ever one person: of those that meet in a group, the one that fits best stays.

Average linkage asks more of two groups that share photos, but the mean over large groups lets single pairs through (twins). Here each face
of a photo that is not the best of its group there is asked what a single face would be asked: its mean cosine to the other faces of the
group must exceed the bound by `same_photo_penalty` sd, which outweighs the prior odds (identify.IdentifyConfig). Otherwise it leaves, and
may join a better group, or others that left.

Near-copies of a face that stays (cosine NEAR_COPY: a collage, a mirror, a screen) stay with it, and so do faces that the user or an earlier
grouping has put there. What is left is asked about (uncertainty.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.average_linkage import AverageLinkage, Ints, compact_labels
from facecluster.grouping.cluster_sums import Rows
from facecluster.grouping.cohort import NEAR_COPY
from facecluster.grouping.probability import face_excess

Mask = NDArray[np.bool_]


def give_to_better_groups(
    linkage: AverageLinkage, x: NDArray[np.float32], labels: Ints, stay: Mask, source: Rows, target: Rows, above: NDArray[np.float32]
) -> Ints:
    """Labels (n,) after twins left their groups and joined others, or each other, if they belong there.

    Args:
        linkage: the rule that merges two clusters; without photos nothing changes.
        x: (n, dim), rows of length 1.
        labels: (n,) cluster of each face.
        stay: (n,) faces that do not leave.
        source: (m,) rows, ends of the edges of the graph.
        target: (m,) rows, the other ends.
        above: (m,) as for `merge_clusters`.
    """
    alone, gone = release_twins(linkage, x, labels, stay)
    edges = gone[source] | gone[target]
    return linkage.merge_clusters(x, alone, source[edges], target[edges], above[edges]) if edges.any() else alone


def release_twins(linkage: AverageLinkage, x: NDArray[np.float32], labels: Ints, stay: Mask) -> tuple[Ints, Mask]:
    """Labels (n,) after twins left their groups, each to a cluster of its own; and which faces (n,) those are."""
    rows, excess = lesser_twins(linkage, x, labels, stay)
    rows = rows[excess < linkage.same_photo_penalty]
    gone, out = np.zeros(len(x), dtype=bool), labels.copy()
    gone[rows] = True
    out[rows] = labels.max(initial=-1) + 1 + np.arange(len(rows))
    return out, gone


def lesser_twins(
    linkage: AverageLinkage, x: NDArray[np.float32], labels: NDArray[np.integer], stay: Mask
) -> tuple[Ints, NDArray[np.float64]]:
    """Faces whose cluster holds a face of their photo that fits better and is no copy of theirs, without those of `stay` (n,); and by how
    many sd their mean cosine to the other faces of the cluster exceeds the bound. Clusters are numbers from 0; -1 = none."""
    photos = linkage.photos
    if photos is None or not linkage.same_photo_penalty:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    order = np.lexsort((photos, labels))
    same = (np.diff(labels[order]) == 0) & (np.diff(photos[order]) == 0) & (labels[order[1:]] >= 0)
    rows = order[np.r_[same, False] | np.r_[False, same]]
    if not len(rows):
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    about = np.flatnonzero(np.isin(labels, labels[rows]))  # clusters without twins need no look
    excess = np.full(len(x), np.nan)
    excess[about] = face_excess(
        x[about], compact_labels(labels[about]), linkage.cohort.of(about), linkage.merge, linkage.impostor_weight
    ).round(6)  # fmt: skip
    keys = linkage.content_keys_of(x)[rows]
    rows = rows[np.lexsort((keys, -excess[rows], ~stay[rows], photos[rows], labels[rows]))]
    begins = np.flatnonzero((np.diff(labels[rows]) != 0) | (np.diff(photos[rows]) != 0)) + 1
    lesser: list[int] = []
    for some in np.split(rows, begins):
        better = [some[0]]
        for row in some[1:].tolist():
            if stay[row] or _cosines(x[better], x[row]).max() >= NEAR_COPY:
                better.append(row)
            else:
                lesser.append(row)
    found = np.array(lesser, dtype=np.int64)
    return found, excess[found]


def _cosines(some: NDArray[np.float32], one: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.einsum("ij,j->i", some.astype(np.float64), one.astype(np.float64)))
