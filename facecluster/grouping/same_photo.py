"""Two faces of one photo are hardly ever one person: of those that meet in a group, the one that fits best stays.

Average linkage asks more of two groups that share photos, but the mean over large groups lets single pairs through (twins). Here each face
of a photo that is not the best of its group there is asked what a single face would be asked: its mean cosine to the other faces of the
group must exceed the bound by `same_photo_penalty` sd, which outweighs the prior odds (identify.IdentifyConfig). Otherwise it leaves, and
may join a better group, or others that left.

Near-copies of a face that stays (cosine NEAR_COPY: a collage, a mirror, a screen) stay with it, and so do faces that the user or an earlier
grouping has put there. What is left is asked about (uncertainty.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.average_linkage import AverageLinkage, Ints
from facecluster.grouping.candidate_edges import EdgeShard, edges_at
from facecluster.grouping.cohort import NEAR_COPY
from facecluster.grouping.face_vectors import Vectors
from facecluster.grouping.probability import face_excess

Mask = NDArray[np.bool_]


def give_to_better_groups(linkage: AverageLinkage, x: Vectors, labels: Ints, stay: Mask, edges: Sequence[EdgeShard]) -> Ints:
    """Labels (n,) after twins left their groups and joined others, or each other, if they belong there.

    Args:
        linkage: the rule that merges two clusters; without photos nothing changes.
        x: (n, dim), rows of length 1.
        labels: (n,) cluster of each face.
        stay: (n,) faces that do not leave.
        edges: of the graph.
    """
    alone, gone = release_twins(linkage, x, labels, stay, "twins")
    if not gone.any():
        return alone
    return linkage.merge_clusters(x, alone, edges_at(linkage.crew, "twins/edges", edges, gone), "twins/linkage")


def release_twins(linkage: AverageLinkage, x: Vectors, labels: Ints, stay: Mask, name: str = "twins") -> tuple[Ints, Mask]:
    """Labels (n,) after twins left their groups, each to a cluster of its own; and which faces (n,) those are."""
    rows, excess = lesser_twins(linkage, x, labels, stay, name)
    rows = rows[excess < linkage.same_photo_penalty]
    gone, out = np.zeros(len(x), dtype=bool), labels.copy()
    gone[rows] = True
    out[rows] = labels.max(initial=-1) + 1 + np.arange(len(rows))
    return out, gone


def lesser_twins(
    linkage: AverageLinkage, x: Vectors, labels: NDArray[np.integer], stay: Mask, name: str = "twins"
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
    about = np.where(np.isin(labels, labels[rows]), labels, -1)  # clusters without twins need no look
    excess = face_excess(x, about, linkage.cohort, linkage.merge, linkage.impostor_weight, linkage.crew, f"{name}/excess").round(6)
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
