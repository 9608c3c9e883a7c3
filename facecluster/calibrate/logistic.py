"""Logistic regression with a prior: from a figure (a cosine, or a face's place in its group) to a probability, near the line used before.

The fitted line maximises  sum of weight * log-likelihood  -  log(1 + (t / SLOPE)^2)  -  log(1 + (d / SHIFT)^2).  Here t is the logarithm
of (its slope / the old line's slope), and d is its log-odds at the point where the old line has log-odds 0 (p = .5). These are Cauchy
priors (Gelman et al. 2008, "A weakly informative default prior distribution for logistic regression"). With few samples, or with samples
that the old line separates without error, the fit stays near the old line. If the old line is clearly wrong for this model, the fit leaves
it, because the pull of a Cauchy prior fades with distance. The result does not depend on the unit of the figure.

Odd inputs: without samples, or with weights of 0 only, the old line is returned; separable samples give a finite slope; an old line whose
slope is not above 0 is replaced by slope 1 and intercept 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

SLOPE = 0.25  # scale of the prior on log(slope / old slope). Between sets of people of one model t was .1 to .2,
SHIFT = 0.5  # and d (log-odds) .2 to .5

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Line:
    """log-odds = slope * x + intercept."""

    slope: float
    intercept: float

    def log_odds(self, x: NDArray[np.floating]) -> Floats:
        """Log-odds (n,) at x (n,)."""
        return np.asarray(self.slope * np.asarray(x, np.float64) + self.intercept)

    def probability(self, x: NDArray[np.floating]) -> Floats:
        """Probability (n,) at x (n,)."""
        return np.asarray(1 / (1 + np.exp(-np.clip(self.log_odds(x), -700, 700))))

    def log_loss(self, x: NDArray[np.floating], target: NDArray[np.floating]) -> Floats:
        """Log loss (n,), in nats, of the probabilities at x (n,) for targets (n,) of 0 to 1."""
        log_odds = self.log_odds(x)
        return np.asarray(np.logaddexp(0, log_odds) - np.asarray(target, np.float64) * log_odds)


def fit_line(x: NDArray[np.floating], target: NDArray[np.floating], weight: NDArray[np.floating], old: Line) -> Line:
    """The line that the module describes.

    Args:
        x: (n,) figures; a higher one makes target 1 more likely.
        target: (n,) 0 to 1.
        weight: (n,) 0 and up: how many independent samples each counts for.
        old: centre of the prior.
    """
    if not (np.isfinite([old.slope, old.intercept]).all() and old.slope > 0):
        old = Line(1.0, 0.0)
    used = np.asarray(weight) > 0
    figures, truth, w = (np.asarray(a, np.float64)[used] for a in (x, target, weight))
    if not len(figures):
        return old
    even = -old.intercept / old.slope  # where the old line has log-odds 0

    def objective(at: Floats) -> tuple[float, Floats]:
        """Negative log-posterior at (t, d), and its gradient."""
        t, d = at
        slope = old.slope * np.exp(np.clip(t, -30, 30))
        log_odds = slope * (figures - even) + d
        residual = w * (1 / (1 + np.exp(-np.clip(log_odds, -700, 700))) - truth)
        value = float(w @ (np.logaddexp(0, log_odds) - truth * log_odds)) + np.log1p((t / SLOPE) ** 2) + np.log1p((d / SHIFT) ** 2)
        gradient = np.array([
            slope * float(residual @ (figures - even)) + 2 * t / (SLOPE**2 + t**2), float(residual.sum()) + 2 * d / (SHIFT**2 + d**2),
        ])  # fmt: skip
        return float(value), gradient

    # Cauchy priors are not convex: start from the old line and from a fit of the moments, and keep the better result
    starts = [np.zeros(2), *_fit_moments(figures, truth, w, old)]
    found = [minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-7, "maxiter": 500}) for start in starts]
    t, d = min(found, key=lambda one: float(one.fun)).x
    slope = float(old.slope * np.exp(np.clip(t, -30, 30)))
    return Line(slope, float(d - slope * even))


def _fit_moments(x: Floats, target: Floats, weight: Floats, old: Line) -> list[Floats]:
    """A start (t, d) from linear discriminant analysis: two normal distributions with the samples' means and one variance. May be empty."""
    one, two = weight * target, weight * (1 - target)
    if not (one.sum() > 0 and two.sum() > 0):
        return []
    high, low = np.average(x, weights=one), np.average(x, weights=two)
    variance = (one @ (x - high) ** 2 + two @ (x - low) ** 2) / weight.sum()
    if not (high > low and variance > 0):
        return []
    slope = min((high - low) / variance, 1e6 * old.slope)
    intercept = np.log(one.sum() / two.sum()) - slope * (high + low) / 2
    return [np.array([np.log(slope / old.slope), slope * -old.intercept / old.slope + intercept])]
