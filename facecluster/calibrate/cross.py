"""Whether a fitted line does better than the one before on people it was not fitted to.

People are dealt into folds. An answer about people of folds i and j is judged by a line that was fitted to answers about other people only:
neither fold had a part in it. So every answer is judged, and no person vouches for itself.

The fitted line is better if its log loss is lower by more than one standard error (people are the units) and its calibration error is
lower by WORTH and more. Log loss is a proper score; the calibration error alone is noisy, and a line that says "half" to all can have
none. But a small gain is not worth having: named people are those whom the grouping found, so their pairs are a little easier than all
pairs, and a good card fitted to them gets a little worse (docs/decisions.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecluster.calibrate.evidence import Evidence, Floats, Ints
from facecluster.calibrate.fit import Line, fit
from facecluster.evaluation import calibration

FOLDS = 5
WORTH = 0.01  # calibration error


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How the old line (before) and fitted ones (after) do on people left out."""

    ece: tuple[float, float]  # expected calibration error, 0 to 1: before, after
    loss: tuple[float, float]  # mean log loss, nats: before, after
    gain: float  # how much lower the mean log loss is
    error: float  # standard error of the gain

    @property
    def better(self) -> bool:
        """Whether the fitted line is to be used."""
        return self.gain > self.error and self.ece[0] - self.ece[1] >= WORTH


def held_out(evidence: Evidence, old: Line, folds: int = FOLDS) -> HeldOut:
    """Judge lines fitted to a part of the answers by the others. Two people or more.

    Raises:
        ValueError: fewer than two people, or no answers.
    """
    if evidence.people < 2 or not len(evidence.x):
        raise ValueError(f"expected answers about two people or more, found {len(evidence.x)} about {evidence.people}")
    fold = _dealt(evidence, min(folds, evidence.people))
    a, b = fold[evidence.one], fold[evidence.other]
    a, b = np.minimum(a, b), np.maximum(a, b)
    loss, stated = np.zeros(len(evidence.x)), np.zeros(len(evidence.x))
    for i, j in sorted(set(zip(a.tolist(), b.tolist(), strict=True))):
        rest = ~np.isin(a, (i, j)) & ~np.isin(b, (i, j))
        line = fit(evidence.x, evidence.right, evidence.weights(rest), old)
        test = (a == i) & (b == j)
        loss[test] = line.loss(evidence.x[test], evidence.right[test])
        stated[test] = line.probability(evidence.x[test])
    weight = evidence.weights(np.ones(len(evidence.x), bool))
    weight /= weight.sum()
    was = old.loss(evidence.x, evidence.right)
    eces = [calibration(p, evidence.right, weights=np.maximum(weight, 1e-300)) for p in (old.probability(evidence.x), stated)]
    assert eces[0] is not None and eces[1] is not None
    mean, error = _gain(evidence, weight * (was - loss))
    return HeldOut((eces[0].ece, eces[1].ece), (float(weight @ was), float(weight @ loss)), mean, error)


def _dealt(evidence: Evidence, folds: int) -> Ints:
    """(people,) fold of each: dealt out by falling weight, to and fro, so that the folds weigh about the same."""
    heavy = np.bincount(evidence.one, evidence.weight, evidence.people) + np.bincount(evidence.other, evidence.weight, evidence.people)
    order = np.argsort(-heavy.round(9), kind="stable")
    to_and_fro = np.r_[np.arange(folds), np.arange(folds)[::-1]]
    found = np.empty(evidence.people, np.int64)
    found[order] = np.resize(to_and_fro, evidence.people)
    return found


def _gain(evidence: Evidence, parts: Floats) -> tuple[float, float]:
    """Sum of the gains (m,), and its standard error with people as the units: a pair is half of each of its two."""
    by_person = (np.bincount(evidence.one, parts, evidence.people) + np.bincount(evidence.other, parts, evidence.people)) / 2
    n = evidence.people
    return float(by_person.sum()), float(np.sqrt(n / (n - 1) * ((by_person - by_person.mean()) ** 2).sum()))
