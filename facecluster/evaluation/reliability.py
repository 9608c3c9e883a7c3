"""Calibration of stated probabilities: of the statements with a probability of 90 %, are 90 % right?

Odd inputs: without a statement the result is None; equal statements are always in one bin, so there may be fewer bins than requested; a
probability outside 0 to 1, a NaN, or different lengths raise ValueError.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from facecluster.evaluation.clusters import Contingency, Floats, Ints

BINS = 15  # as in Guo et al. 2017


@dataclass(frozen=True, slots=True)
class Bin:
    """Statements with similar probabilities."""

    low: float  # the lowest and the highest stated probability
    high: float
    stated: float  # mean probability
    observed: float  # share that was right
    share: float  # of all weight
    count: int  # statements


@dataclass(frozen=True, slots=True)
class Calibration:
    """The difference between stated probabilities and observed shares."""

    ece: float  # expected calibration error over bins of equal mass: mean |stated - observed|, 0 to 1
    ece_width: float  # the same over bins of equal width
    brier: float  # mean squared error of the probabilities, 0 to 1
    count: int  # statements
    bins: tuple[Bin, ...]  # of equal mass, by rising probability: the reliability diagram


def calibration(probability: ArrayLike, right: ArrayLike, *, weights: ArrayLike | None = None, bins: int = BINS) -> Calibration | None:
    """Expected calibration error: Naeini et al. 2015 (equal mass), Guo et al. 2017, equation 3 (equal width).

    Both are a little above 0 even for perfect probabilities, by at most about sqrt(bins / n) / 2.

    Args:
        probability: (n,) stated, 0 to 1.
        right: (n,) bool, or a share of being right, 0 to 1.
        weights: (n,) above 0, of each statement; None for equal weights.
        bins: maximum number of bins.
    """
    stated, truth = np.asarray(probability, np.float64).ravel(), np.asarray(right, np.float64).ravel()
    weight = np.ones(len(stated)) if weights is None else np.asarray(weights, np.float64).ravel()
    if not len(stated) == len(truth) == len(weight):
        raise ValueError(f"expected as many answers and weights as probabilities, found {len(truth)}, {len(weight)} and {len(stated)}")
    if not ((stated >= 0) & (stated <= 1)).all() or not ((truth >= 0) & (truth <= 1)).all():
        raise ValueError("expected probabilities and answers of 0 to 1")
    if not len(stated):
        return None
    mass = _bins(stated, truth, weight, _equal_mass(stated, weight, bins))
    width = _bins(stated, truth, weight, np.minimum((stated * bins).astype(np.int64), bins - 1))
    brier = float(np.average((stated - truth) ** 2, weights=weight))
    return Calibration(_error(mass), _error(width), brier, len(stated), mass)


def balanced(same: ArrayLike) -> Floats:
    """Weights (n,) with mean 1 that give both kinds of pairs the same total, as for a probability with even prior odds."""
    flags = np.asarray(same, bool).ravel()
    counts = np.bincount(flags.astype(np.int64), minlength=2)
    return np.asarray(len(flags) / (2 * np.maximum(counts, 1))[flags.astype(np.int64)], np.float64)


def belongs(table: Contingency, nobody: ArrayLike) -> tuple[Ints, Floats]:
    """Which faces can be judged to belong to their group, and whether they do.

    A face belongs if its person has the most faces of the group; if m persons have the most, each counts as right with 1 / m. A group with
    only one known face is left out, and so are faces of nobody.

    Args:
        table: the contingency table of the faces.
        nobody: (n,) bool, faces of nobody by the labels.

    Returns:
        faces (m,) that can be judged, and whether each belongs, 0 to 1.
    """
    most = np.zeros(len(table.groups), np.int64)
    np.maximum.at(most, table.group, table.cells)
    leads = table.cells == most[table.group]
    ties = np.bincount(table.group[leads], minlength=len(table.groups))
    right = np.where(leads, 1 / np.maximum(ties, 1)[table.group], 0.0)
    judged = np.flatnonzero((table.groups[table.group][table.cell] > 1) & ~np.asarray(nobody, bool))
    return judged, right[table.cell[judged]]


def _equal_mass(stated: Floats, weight: Floats, bins: int) -> Ints:
    """Bin of each statement, with about the same weight in each bin; equal statements go to the bin of their middle."""
    values, place = np.unique(stated, return_inverse=True)
    mass = np.bincount(place.reshape(-1), weights=weight)
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    return np.asarray(np.minimum((middle * bins).astype(np.int64), bins - 1)[place.reshape(-1)], np.int64)


def _bins(stated: Floats, truth: Floats, weight: Floats, where: Ints) -> tuple[Bin, ...]:
    found = []
    order = np.argsort(where, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(where[order])) + 1):
        p, w = stated[rows], weight[rows]
        mean, observed = np.average(p, weights=w), np.average(truth[rows], weights=w)
        found.append(Bin(float(p.min()), float(p.max()), float(mean), float(observed), float(w.sum() / weight.sum()), len(rows)))
    return tuple(found)


def _error(bins: tuple[Bin, ...]) -> float:
    return sum(b.share * abs(b.stated - b.observed) for b in bins)
