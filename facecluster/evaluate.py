"""How good a grouping or a model is, measured against known answers. Arrays in, figures out; nothing here reads a store.

Odd inputs: no faces, or no pair to judge, gives precision, recall and f of 1 (nothing is wrong). A face with the label -1 (nobody)
is a group of its own, in `truth` and in `labels` alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

NOBODY = -1
FAR = (1e-2, 1e-3, 1e-4)


@dataclass(frozen=True, slots=True)
class Scores:
    """Precision, recall and their harmonic mean, each 0 to 1."""

    precision: float
    recall: float
    f: float


def pairwise(truth: ArrayLike, labels: ArrayLike) -> Scores:
    """Score all pairs of faces: of those put together, how many belong together (precision); the other way round, recall.

    Args:
        truth: (n,) int, who each face is.
        labels: (n,) int, the group each face was put into.
    """
    cells, people, groups, _, _ = _contingency(truth, labels)
    right = _pairs(cells)
    return _scores(_ratio(right, _pairs(groups)), _ratio(right, _pairs(people)))


def bcubed(truth: ArrayLike, labels: ArrayLike) -> Scores:
    """Score each face's own group and take the mean over faces: BCubed (Bagga & Baldwin 1998; Amigo et al. 2009, section 3).

    A face's precision is the share of its group, itself included, that is the same person; its recall the share of its person,
    itself included, that is in its group.

    Args:
        truth: (n,) int, who each face is.
        labels: (n,) int, the group each face was put into.
    """
    cells, people, groups, person, group = _contingency(truth, labels)
    n = float(cells.sum())
    if not n:
        return _scores(1.0, 1.0)
    square = cells.astype(np.float64) ** 2
    return _scores(float((square / groups[group]).sum()) / n, float((square / people[person]).sum()) / n)


def verification(similarity: ArrayLike, same: ArrayLike, far: Sequence[float] = FAR) -> NDArray[np.float64]:
    """True accept rate at each false accept rate: how many same-person pairs pass a threshold that few others pass.

    The rule: a pair is accepted if its similarity is at or above the threshold; the threshold for a rate is the smallest similarity
    among the pairs given (or above them all) at which false accepts / different-person pairs is at most that rate. Ties go together.

    Args:
        similarity: (n,) higher is more alike; no NaN.
        same: (n,) bool, whether the pair is one person.
        far: rates, 0 to 1.

    Returns:
        (len(far),) share of the same-person pairs accepted, 0 to 1.

    Raises:
        ValueError: a NaN, lengths that differ, or no pair of one of the two kinds.
    """
    values, flags = np.asarray(similarity).ravel(), np.asarray(same, dtype=bool).ravel()
    if len(values) != len(flags):
        raise ValueError(f"expected as many similarities as answers, found {len(values)} and {len(flags)}")
    if np.isnan(values).any():
        raise ValueError("expected similarities without NaN")
    positive, negative = np.sort(values[flags]), np.sort(values[~flags])
    if not len(positive) or not len(negative):
        raise ValueError(f"expected pairs of both kinds, found {len(positive)} same and {len(negative)} different")
    accepts = []
    for rate in far:
        allowed = int(np.floor(rate * len(negative) + 1e-9))  # 1e-9: 0.29 * 100 is 28.999999999999996
        if allowed >= len(negative):
            accepts.append(1.0)
            continue
        # the best negative that must be refused: the threshold is the next similarity above it
        refused = negative[len(negative) - 1 - allowed]
        accepts.append(float(len(positive) - np.searchsorted(positive, refused, side="right")) / len(positive))
    return np.array(accepts)


Ints = NDArray[np.int64]


def _contingency(truth: ArrayLike, labels: ArrayLike) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Faces in each non-empty (person, group) cell, in each person and in each group; each cell's person and group."""
    a, b = _codes(truth), _codes(labels)
    if len(a) != len(b):
        raise ValueError(f"expected as many labels as faces, found {len(b)} and {len(a)}")
    columns = int(b.max()) + 1 if len(b) else 1
    keys, cells = np.unique(a * columns + b, return_counts=True)
    return cells.astype(np.int64), np.bincount(a).astype(np.int64), np.bincount(b).astype(np.int64), keys // columns, keys % columns


def _codes(labels: ArrayLike) -> Ints:
    """Labels as 0, 1, ...; each -1 its own."""
    values = np.asarray(labels).ravel()
    if len(values) and values.dtype.kind not in "iu":
        raise ValueError(f"expected whole numbers as labels, found {values.dtype}")
    codes = np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)
    alone = np.flatnonzero(values == NOBODY)
    codes[alone] = len(values) + np.arange(len(alone))
    return np.unique(codes, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _pairs(counts: Ints) -> int:
    return int((counts * (counts - 1) // 2).sum())


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _scores(precision: float, recall: float) -> Scores:
    total = precision + recall
    return Scores(precision, recall, 2 * precision * recall / total if total else 0.0)
