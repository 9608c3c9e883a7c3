"""Candidate edges: the links of a kNN graph that are worth a comparison, each pair once, with its margin over the expected best impostor.

Odd inputs: a missing neighbour (-1) is no edge. If both faces have the link, with cosines that were rounded differently, the larger counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from facecluster.grouping.cohort import NEAR_COPY, CohortStats

_ROWS = 1 << 15  # faces at a time
_SHIFT = 4.0  # added to margins while they are in a sparse matrix, which takes a zero for a missing edge
_FLOOR = 1.5  # sd below the expected best impostor; edges down to this decide which clusters are compared


class _Links:
    """Edges of faces to others, collected block by block."""

    def __init__(self) -> None:
        self.counts: list[NDArray[np.int64]] = [np.zeros(1, dtype=np.int64)]  # of each face
        self.ends: list[NDArray[np.int32]] = []
        self.weights: list[NDArray[np.float32]] = []

    def add(self, near: NDArray[np.integer], above: NDArray[np.float64], keep: NDArray[np.bool_]) -> None:
        """Add the links `keep` of some faces: (rows, k) each."""
        self.counts.append(keep.sum(axis=1))
        self.ends.append(near[keep].astype(np.int32))
        self.weights.append((above[keep] + _SHIFT).astype(np.float32))

    def matrix(self, n: int) -> csr_matrix:
        """All edges as a matrix (n, n); frees the blocks."""
        parts = np.concatenate(self.weights), np.concatenate(self.ends), np.cumsum(np.concatenate(self.counts))
        del self.weights, self.ends, self.counts
        found = csr_matrix(parts, shape=(n, n))
        found.sort_indices()
        return found


def candidate_edges(
    neighbours: NDArray[np.integer],
    similarity: NDArray[np.floating],
    cohort: CohortStats,
    photos: NDArray[np.integer] | None,
    same_photo_penalty: float,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:  # fmt: skip
    """Edges as rows source < target, each pair once, and the margin of their cosine over the expected best impostor of the two faces."""
    n, level = len(neighbours), cohort.level
    onward, back = _Links(), _Links()
    for i in range(0, n, _ROWS):
        rows = np.arange(i, min(n, i + _ROWS))[:, None]
        near, cosine = neighbours[i : i + _ROWS], similarity[i : i + _ROWS].astype(np.float64)
        above = cosine - (level[rows] + level[near]) / 2
        if photos is not None:
            above -= np.where((photos[rows] == photos[near]) & (cosine < NEAR_COPY), same_photo_penalty * cohort.sd, 0.0)
        keep = (near >= 0) & (above >= -_FLOOR * cohort.sd)
        for side, some in ((onward, near > rows), (back, near < rows)):
            side.add(near, above, keep & some)
    # an edge seen from both ends is one edge with one weight: the larger, if they were rounded differently
    turned = back.matrix(n).T.tocsr()
    links = onward.matrix(n).maximum(turned)
    del turned
    source = np.repeat(np.arange(n, dtype=np.int32), np.diff(links.indptr))
    links.data -= np.float32(_SHIFT)
    return source, links.indices, links.data
