"""Error rates of pairs with intervals over samples of people: pairs with a person in common are not independent.

Odd inputs: without pairs the share is 0 and the interval 0 to 1. If no pair (or every pair) is wrong, the variance tells nothing, and the
number of people, or of pairs of people, is used instead of the number of pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from facecluster.evaluation.clusters import Ints


def wilson(share: float, n: float, level: float) -> tuple[float, float]:
    """Wilson's interval (1927) of a share, 0 to 1, observed in n draws; n may be a fraction."""
    z = float(ndtri((1 + level) / 2))
    middle, half = (share + z * z / (2 * n)) / (1 + z * z / n), z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def effective(share: float, variance: float, people: int, level: float) -> float:
    """Effective sample size: the number of independent draws with this variance of a share, for 2 people or more (Korn & Graubard 1998)."""
    z = float(ndtri((1 + level) / 2))
    return share * (1 - share) / variance * (z / float(stdtrit(people - 1, (1 + level) / 2))) ** 2


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval at 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Rate:
    """The share of pairs for which a condition holds."""

    share: float  # 0 to 1
    pairs: int
    units: int  # people, or pairs of two people
    people: int
    variance: float  # of the share

    def interval(self, level: float) -> tuple[float, float]:
        """Wilson's interval with the effective number of pairs."""
        if not self.pairs:
            return 0.0, 1.0
        n = float(self.units)
        if self.people > 1 and self.variance > 0 and 0 < self.share < 1:
            n = min(effective(self.share, self.variance, self.people, level), float(self.pairs))
        return wilson(self.share, n, level)

    def estimate(self, level: float) -> Estimate:
        """The share with its interval."""
        return Estimate(self.share, *self.interval(level))


class Pairs:
    """Pairs of faces and the people in them: (n,) each. A pair of one person has that person twice."""

    def __init__(self, first: NDArray[np.integer], second: NDArray[np.integer]) -> None:
        people, codes = np.unique(np.stack([first, second]), return_inverse=True)
        one, two = codes.reshape(2, -1)
        self.people, self.count = len(people), len(one)
        key, self._unit = np.unique(np.minimum(one, two) * max(self.people, 1) + np.maximum(one, two), return_inverse=True)
        self._one, self._two = key // max(self.people, 1), key % max(self.people, 1)

    def rate(self, holds: NDArray[np.bool_]) -> Rate:
        """The share of pairs for which a condition (n,) holds.

        The variance treats any two pairs with a person in common as dependent: the variance of dyadic data (Fafchamps & Gubert 2007;
        Aronow, Samii & Assenova 2015), computed as the sum over people of squared sums, minus what is counted twice.
        """
        if not self.count:
            return Rate(0.0, 0, 0, self.people, 0.0)
        share = float(holds.mean())
        off = np.bincount(self._unit.reshape(-1), weights=holds - share, minlength=len(self._one))
        apart = self._one != self._two
        person = np.bincount(self._one, weights=off, minlength=self.people)
        person += np.bincount(self._two[apart], weights=off[apart], minlength=self.people)
        square = max(float((person**2).sum() - (off[apart] ** 2).sum()), float((off**2).sum()))
        return Rate(share, self.count, len(off), self.people, square / self.count**2 * self.people / max(self.people - 1, 1))


def together(rates: Sequence[Rate], weights: Sequence[int] | Ints) -> Rate:
    """The mean of rates of different people, each weighted by the number of pairs from which its pairs were drawn."""
    total = float(np.sum(weights))
    w = np.asarray(weights, np.float64) / total if total else np.zeros(len(rates))
    pairs, units, people = (sum(getattr(r, name) for r in rates) for name in ("pairs", "units", "people"))
    share, variance = (float(w**power @ np.array([getattr(r, name) for r in rates])) for name, power in (("share", 1), ("variance", 2)))
    return Rate(min(share, 1.0), pairs if total else 0, units, people, variance)
