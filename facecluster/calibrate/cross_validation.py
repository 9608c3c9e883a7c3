"""Whether a fitted line is better than the old one for people who were left out of the fit.

People are divided into folds. A sample about people of folds i and j is scored by a line that was fitted without the people of both folds.
So every sample is scored, and no person takes part in the fit that scores it.

The fitted line is better if its log loss is lower by more than one standard error (people are the units) and its calibration error is
lower by MIN_ECE_GAIN or more. Log loss is a proper score. The calibration error alone is noisy, and a line that always says one half
can have none. A small gain is not worth a change: named people are those whom the grouping found, so their pairs are a little easier than
all pairs, and a good card gets a little worse when it is fitted to them (docs/decisions.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecluster.calibrate.logistic import Line, fit_line
from facecluster.calibrate.samples import Floats, Ints, Samples
from facecluster.evaluation import calibration

FOLDS = 5
MIN_ECE_GAIN = 0.01  # of the expected calibration error


@dataclass(frozen=True, slots=True)
class HeldOutScore:
    """Scores of the old line (before) and of fitted lines (after) on people who were left out of the fit."""

    ece: tuple[float, float]  # expected calibration error, 0 to 1: before, after
    log_loss: tuple[float, float]  # mean, nats: before, after
    gain: float  # by how much the mean log loss is lower
    gain_error: float  # standard error of the gain

    @property
    def better(self) -> bool:
        """Whether the fitted line is to be used."""
        return self.gain > self.gain_error and self.ece[0] - self.ece[1] >= MIN_ECE_GAIN


def cross_validate(samples: Samples, old: Line, folds: int = FOLDS) -> HeldOutScore:
    """Score lines that were fitted to some of the samples on the others. Needs two people or more.

    Raises:
        ValueError: fewer than two people, or no samples.
    """
    if samples.people < 2 or not len(samples.x):
        raise ValueError(f"expected samples about two people or more, found {len(samples.x)} about {samples.people}")
    fold = _assign_folds(samples, min(folds, samples.people))
    a, b = fold[samples.person_a], fold[samples.person_b]
    a, b = np.minimum(a, b), np.maximum(a, b)
    loss, stated = np.zeros(len(samples.x)), np.zeros(len(samples.x))
    for i, j in sorted(set(zip(a.tolist(), b.tolist(), strict=True))):
        rest = ~np.isin(a, (i, j)) & ~np.isin(b, (i, j))
        line = fit_line(samples.x, samples.target, samples.weights(rest), old)
        test = (a == i) & (b == j)
        loss[test] = line.log_loss(samples.x[test], samples.target[test])
        stated[test] = line.probability(samples.x[test])
    weight = samples.weights(np.ones(len(samples.x), bool))
    weight /= weight.sum()
    old_loss = old.log_loss(samples.x, samples.target)
    eces = [calibration(p, samples.target, weights=np.maximum(weight, 1e-300)) for p in (old.probability(samples.x), stated)]
    assert eces[0] is not None and eces[1] is not None
    gain, error = _gain_and_error(samples, weight * (old_loss - loss))
    return HeldOutScore((eces[0].ece, eces[1].ece), (float(weight @ old_loss), float(weight @ loss)), gain, error)


def _assign_folds(samples: Samples, folds: int) -> Ints:
    """(people,) fold of each person: dealt out by falling weight, forwards then backwards, so that folds weigh about the same."""
    weight = np.bincount(samples.person_a, samples.weight, samples.people) + np.bincount(samples.person_b, samples.weight, samples.people)
    order = np.argsort(-weight.round(9), kind="stable")
    snake = np.r_[np.arange(folds), np.arange(folds)[::-1]]
    found = np.empty(samples.people, np.int64)
    found[order] = np.resize(snake, samples.people)
    return found


def _gain_and_error(samples: Samples, gains: Floats) -> tuple[float, float]:
    """Sum of the gains (m,), and its standard error with people as the units: a pair counts half for each of its two people."""
    by_person = (np.bincount(samples.person_a, gains, samples.people) + np.bincount(samples.person_b, gains, samples.people)) / 2
    n = samples.people
    return float(by_person.sum()), float(np.sqrt(n / (n - 1) * ((by_person - by_person.mean()) ** 2).sum()))
