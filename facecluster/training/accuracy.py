"""How well a model tells people apart whom it did not learn from: true accept rates of all pairs of their faces, with intervals.

Head, body and tail are thirds of these people by their numbers of faces. All are judged at the threshold of all pairs. Intervals are
percentiles over draws of the people with replacement: a pair of people counts as often as both were drawn.

Odd inputs: without a pair of each kind there is no accuracy (None).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.evaluation.face_pairs import cosines, pairs
from facecluster.evaluation.verify import roc

RATES = (1e-2, 1e-3)  # false accept rates
PARTS = ("head", "body", "tail")
_MOST, _DRAWS = 400_000, 300  # pairs of each kind; draws of people
_LEVEL = 0.95

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """True accept rates, 0 to 1; lists are in the order of RATES."""

    people: int
    faces: int
    tar: list[float]
    low: list[float]  # ends of the interval at 95 %
    high: list[float]
    parts: dict[str, list[float]]  # of head, body and tail, as far as they have pairs

    def to_dict(self) -> dict[str, object]:
        """For JSON and cards, figures to four digits."""
        rows = {"people": self.people, "faces": self.faces, **_by_rate(self.tar)}
        rows |= {f"{name} of the interval": [round(v, 4) for v in ends] for name, ends in (("low end", self.low), ("high end", self.high))}
        return rows | {name: [round(v, 4) for v in tar] for name, tar in self.parts.items()}


def _by_rate(tar: Sequence[float]) -> dict[str, object]:
    return {f"tar at far {rate:g}": round(value, 4) for rate, value in zip(RATES, tar, strict=True)}


class HeldOutPairs:
    """Pairs of faces of people who are held out."""

    def __init__(self, person: NDArray[np.integer]) -> None:
        """Take the number of the person of each face (n,)."""
        self.names, self.person, self.size = np.unique(person, return_inverse=True, return_counts=True)
        self.first, self.second, self.same = pairs(self.person, _MOST)

    def __bool__(self) -> bool:
        return bool(self.same.any() and not self.same.all())

    def rates(self, vectors: NDArray[np.floating]) -> Floats:
        """True accept rates in the order of RATES, for vectors (n, dim) of length 1."""
        curve = roc(self._cosines(vectors), self.same)
        return np.asarray(curve.tar[curve.at(RATES)], np.float64)

    def accuracy(self, vectors: NDArray[np.floating]) -> Accuracy | None:
        """All figures for vectors (n, dim) of length 1."""
        if not self:
            return None
        similar = self._cosines(vectors)
        curve = roc(similar, self.same)
        at = curve.at(RATES)
        owner = self.person[self.first[self.same]]
        order = np.argsort(-self.size, kind="stable")
        parts = {}
        for name, people in zip(PARTS, np.array_split(order, len(PARTS)), strict=True):
            mine = np.isin(owner, people)
            if mine.any():
                parts[name] = [float((similar[self.same][mine] >= curve.threshold[i]).mean()) for i in at]
        low, high = np.quantile(self.draws([vectors])[:, 0], [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], axis=0)
        faces = len(self.person)
        return Accuracy(len(self.names), faces, [float(curve.tar[i]) for i in at], low.tolist(), high.tolist(), parts)

    def draws(self, models: Sequence[NDArray[np.floating]], seed: int = 0) -> Floats:
        """True accept rates (draws, models, rates) for draws of the people, which are the same for all models."""
        rng = np.random.default_rng(seed)
        sides = [self.person[rows] for rows in (self.first, self.second)]
        sorted_pairs = [np.lexsort((self.same, -self._cosines(vectors))) for vectors in models]  # of equal ones those of two people first
        out: list[list[list[float]]] = []
        n = len(self.names)
        while len(out) < _DRAWS:
            times = np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)
            weight = np.where(self.same, times[sides[0]], times[sides[0]] * times[sides[1]])
            if weight[self.same].any() and weight[~self.same].any():
                out.append([_weighted(weight[order], self.same[order]) for order in sorted_pairs])
            elif n < 3:  # hardly ever two different people
                out = [[self.rates(v).tolist() for v in models]]
                break
        return np.array(out)

    def _cosines(self, vectors: NDArray[np.floating]) -> Floats:
        return cosines(vectors, self.first, self.second)


def _weighted(weight: Floats, same: NDArray[np.bool_]) -> list[float]:
    """True accept rates of weighted pairs, the most similar first."""
    false = np.cumsum(weight * ~same)
    true = np.cumsum(weight * same)
    at = [int(np.searchsorted(false, rate * false[-1] * (1 + 1e-12), side="right")) for rate in RATES]
    return [float(true[i - 1] / true[-1]) if i else 0.0 for i in at]
