"""The stated probability that a face belongs to its group's person: logistic in its margin, which is how clearly it belongs there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.cluster_sums import sums_by_cluster
from facecluster.grouping.cohort import CohortStats, to_grid

_ROWS = 1 << 15  # faces at a time
_GROUP_SIZE_WEIGHT = 0.7  # sd of margin for e times as many faces in the group (fitted together with the default line)
_CLEAR = 3.0  # log-odds of recognisability (.95) from which a face counts as clear
_CLEAR_WEIGHT = 0.9  # sd of margin for each unit that the group's mean lies lower (fitted with them)


def face_margins(
    x: NDArray[np.float32], labels: NDArray[np.integer], cohort: CohortStats, merge: float, impostor_weight: float,
    recognisability: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:  # fmt: skip
    """The margin (n,) of each face, in sd; NaN for faces without a group.

    It is the face's excess, with two corrections. The same mean says more where it is one over more faces: _GROUP_SIZE_WEIGHT *
    log(faces / 2) is added. Faces that hardly say who they are resemble each other, whoever they are: the mean of the log-odds of
    `recognisability` (n,) over the group, as far as it is below _CLEAR, counts _CLEAR_WEIGHT times.
    """
    out, inside = face_excess(x, labels, cohort, merge, impostor_weight), labels >= 0
    mine = labels[inside]
    sizes = np.bincount(mine)[mine]
    out[inside] += _GROUP_SIZE_WEIGHT * np.log(sizes / 2)
    if recognisability is not None and len(mine):
        p = np.clip(np.asarray(recognisability, dtype=np.float64)[inside], 0.5, 1 - 1e-6)
        unclear = to_grid(np.minimum(np.log(p / (1 - p)) - _CLEAR, 0))
        out[inside] += _CLEAR_WEIGHT * np.bincount(mine, unclear)[mine] / sizes
    return out


def face_excess(
    x: NDArray[np.float32], labels: NDArray[np.integer], cohort: CohortStats, merge: float, impostor_weight: float
) -> NDArray[np.float64]:
    """How far (n,) the mean cosine of a face to the *other* faces of its group lies above the bound of average linkage, in sd; NaN for
    faces without a group."""
    out = np.full(len(x), np.nan)
    inside = np.flatnonzero(labels >= 0)
    if not len(inside):
        return out
    sums, sizes = sums_by_cluster(x, labels), np.bincount(labels[inside])
    for i in range(0, len(inside), _ROWS):
        faces = inside[i : i + _ROWS]
        own, mine = to_grid(x[faces]), labels[faces]
        others = (sums[mine] - own) / np.maximum(sizes[mine] - 1, 1)[:, None]
        cosine = np.einsum("ij,ij->i", own, others)
        bound = cohort.base[faces] + merge * cohort.sd + impostor_weight * cohort.reach[faces] * np.linalg.norm(others, axis=1)
        out[faces] = (cosine - bound) / cohort.sd
    return out


def membership_probabilities(
    margins: NDArray[np.float64], labels: NDArray[np.int32], slope: float, intercept: float
) -> NDArray[np.float32]:
    """(n,) that a face is its group's person; 0 for faces without a group."""
    log_odds = slope * np.nan_to_num(margins) + intercept
    return np.where(labels >= 0, 1 / (1 + np.exp(-np.clip(log_odds, -700, 700))), 0).astype(np.float32)


def margins_of(probabilities: NDArray[np.floating], slope: float, intercept: float) -> NDArray[np.float64]:
    """The margins (n,) that probabilities (n,) with this slope and intercept follow from, up to rounding."""
    p = np.clip(np.asarray(probabilities, dtype=np.float64), 1e-7, 1 - 1e-7)
    return np.asarray((np.log(p / (1 - p)) - intercept) / slope)
