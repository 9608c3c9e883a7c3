"""Verification by similarity, one person or two: the ROC, and accuracy by the protocol of LFW.

Odd inputs: pairs of only one kind, a NaN, or different lengths raise ValueError. Equal similarities are accepted or rejected together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from facecluster.evaluation.clusters import Floats, Ints

FAR = (1e-2, 1e-3, 1e-4)
RATES = (*FAR, 1e-5)
POINTS = 200  # of a thinned curve


@dataclass(frozen=True, slots=True, eq=False)
class Roc:
    """Accepted pairs at each threshold: those with a similarity at or above it. Thresholds fall; the first accepts no pair."""

    threshold: Floats  # (m,) infinity, then each distinct similarity
    false_accepts: Ints  # (m,) accepted pairs of two people
    true_accepts: Ints  # (m,) accepted pairs of one person
    different: int  # pairs of two people, 1 or more
    same: int  # pairs of one person, 1 or more

    @property
    def far(self) -> Floats:
        """False accept rates, rising from 0 to 1."""
        return self.false_accepts / self.different

    @property
    def tar(self) -> Floats:
        """True accept rates, rising from 0 to 1."""
        return self.true_accepts / self.same

    def at(self, rates: Sequence[float]) -> Ints:
        """Index of the lowest threshold whose false accept rate is at most each of `rates` (0 to 1)."""
        allowed = np.floor(np.asarray(rates, np.float64) * self.different + 1e-9)  # 1e-9: 0.29 * 100 is 28.999999999999996
        return np.asarray(np.searchsorted(self.false_accepts, allowed, side="right") - 1, np.int64)


def roc(similarity: ArrayLike, same: ArrayLike) -> Roc:
    """The receiver operating characteristic of pairs.

    Args:
        similarity: (n,) higher is more similar; no NaN.
        same: (n,) bool, whether the pair is one person.

    Raises:
        ValueError: a NaN, different lengths, or no pair of one of the two kinds.
    """
    values, flags = np.asarray(similarity).ravel(), np.asarray(same, dtype=bool).ravel()
    if len(values) != len(flags):
        raise ValueError(f"expected as many similarities as answers, found {len(values)} and {len(flags)}")
    if np.isnan(values).any():
        raise ValueError("expected similarities without NaN")
    positive = int(flags.sum())
    if not 0 < positive < len(flags):
        raise ValueError(f"expected pairs of both kinds, found {positive} same and {len(flags) - positive} different")
    order = np.argsort(values)[::-1]
    values, flags = values[order], flags[order]
    last = np.append(np.flatnonzero(values[1:] != values[:-1]), len(values) - 1)  # of each run of equal similarities
    true = np.cumsum(flags)[last]
    return Roc(np.append(np.inf, values[last]), np.append(0, last + 1 - true), np.append(0, true), len(flags) - positive, positive)


def verification(similarity: ArrayLike, same: ArrayLike, far: Sequence[float] = FAR) -> Floats:
    """True accept rate at each false accept rate.

    A pair is accepted if its similarity is at or above the threshold. The threshold for a false accept rate is the smallest similarity
    among the given pairs (or one above them all) at which false accepts / pairs of two people is at most that rate. Ties are accepted
    together.

    Args:
        similarity: (n,) higher is more similar; no NaN.
        same: (n,) bool, whether the pair is one person.
        far: rates, 0 to 1.

    Returns:
        (len(far),) share of the pairs of one person that are accepted, 0 to 1.

    Raises:
        ValueError: a NaN, different lengths, or no pair of one of the two kinds.
    """
    curve = roc(similarity, same)
    return np.asarray(curve.tar[curve.at(far)], np.float64)


def thinned(curve: Roc, points: int = POINTS) -> tuple[Floats, Floats, Floats]:
    """False and true accept rates and thresholds at up to `points` points of a curve, evenly spaced on a logarithmic axis."""
    rates = np.geomspace(1 / curve.different, 1, points - 1) if curve.different > 1 else np.ones(1)
    keep = np.unique(np.append(curve.at([0.0]), curve.at(rates.tolist())))
    return curve.far[keep], curve.tar[keep], curve.threshold[keep]


def finite(value: float) -> float | None:
    """A number for JSON: None if it is not finite."""
    return float(value) if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Folds:
    """Accuracy by the protocol of LFW, fold by fold."""

    accuracy: tuple[float, ...]  # share of a fold's pairs that are right with the threshold of the other folds, 0 to 1
    threshold: tuple[float, ...]  # similarity from which a pair of that fold counts as one person
    right: int  # number of right pairs of all folds

    @property
    def mean(self) -> float:
        """Mean accuracy of the folds."""
        return float(np.mean(self.accuracy))

    @property
    def error(self) -> float:
        """Standard error of the mean: the sample standard deviation of the folds / sqrt(folds)."""
        return float(np.std(self.accuracy, ddof=1) / np.sqrt(len(self.accuracy)))


def folds(similarity: ArrayLike, same: ArrayLike, fold: ArrayLike) -> Folds:
    """Accuracy on each fold with the threshold that is best on all others: Huang et al., "Labeled Faces in the Wild" (2007), view 2.

    Args:
        similarity: (n,) higher is more similar; no NaN.
        same: (n,) bool, whether the pair is one person.
        fold: (n,) int, the fold of each pair; at least two different folds. LFW has ten.

    Raises:
        ValueError: a NaN, different lengths, or fewer than two folds.
    """
    values, flags, part = np.asarray(similarity, np.float64).ravel(), np.asarray(same, dtype=bool).ravel(), np.asarray(fold).ravel()
    if not len(values) == len(flags) == len(part):
        raise ValueError(f"expected as many similarities, answers and folds, found {len(values)}, {len(flags)} and {len(part)}")
    if np.isnan(values).any():
        raise ValueError("expected similarities without NaN")
    names = np.unique(part)
    if len(names) < 2:
        raise ValueError(f"expected two folds or more, found {len(names)}")
    accuracy, thresholds, right = [], [], 0
    for name in names:
        test = part == name
        threshold = best_threshold(values[~test], flags[~test])
        told = int(((values[test] >= threshold) == flags[test]).sum())
        accuracy.append(told / int(test.sum()))
        thresholds.append(threshold)
        right += told
    return Folds(tuple(accuracy), tuple(thresholds), right)


def best_threshold(similarity: Floats, same: ArrayLike) -> float:
    """The threshold that gives the most right pairs (n,), n > 0; of equally good ones the lowest.

    It is the midpoint between the lowest accepted and the highest rejected similarity: any value between them is as good on these pairs.
    """
    order = np.argsort(similarity)
    values, flags = np.asarray(similarity, np.float64)[order], np.asarray(same, bool)[order]
    starts = np.append(0, np.flatnonzero(values[1:] != values[:-1]) + 1)
    rejected = np.append(starts, len(values))  # number of rejected pairs; the last threshold accepts no pair
    below = np.append(0, np.cumsum(flags))
    right = (rejected - below[rejected]) + (below[-1] - below[rejected])
    best = int(rejected[np.argmax(right)])
    if best == 0:
        return float(values[0])
    if best == len(values):
        return float(np.nextafter(values[-1], np.inf))
    middle = float((values[best - 1] + values[best]) / 2)
    return middle if middle > values[best - 1] else float(values[best])  # adjacent floats have no midpoint
