"""From a figure (a cosine, or a face's place in its group) to a probability: a logistic line fitted to known answers, drawn towards the
line that was used before.

The fitted line maximises  sum of weight * log-likelihood  -  log(1 + (t / SLOPE)^2)  -  log(1 + (d / SHIFT)^2),  where t is the
logarithm of its slope over the old line's, and d how far its log-odds lie above the old line's where that one is even (p = .5). These
are Cauchy priors (Gelman et al. 2008, "A weakly informative default prior distribution for logistic regression"): with few answers, or
answers that the old line already tells apart, the fit stays at the old line; where the old line is plainly wrong for this model, it is
left behind, since the prior's pull fades with the distance. The result does not depend on the unit of the figure.

Odd inputs: without rows, or with weights of 0, the old line comes back; answers that are told apart without an error give a finite slope;
an old line whose slope is not above 0 says nothing and is taken as slope 1 through 0.
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

    def odds(self, x: NDArray[np.floating]) -> Floats:
        """Log-odds (n,) at x (n,)."""
        return np.asarray(self.slope * np.asarray(x, np.float64) + self.intercept)

    def probability(self, x: NDArray[np.floating]) -> Floats:
        """Probability (n,) at x (n,)."""
        return np.asarray(1 / (1 + np.exp(-np.clip(self.odds(x), -700, 700))))

    def loss(self, x: NDArray[np.floating], right: NDArray[np.floating]) -> Floats:
        """Log loss (n,), in nats, of each statement at x (n,) about answers `right` (n,), 0 to 1."""
        odds = self.odds(x)
        return np.asarray(np.logaddexp(0, odds) - np.asarray(right, np.float64) * odds)


def fit(x: NDArray[np.floating], right: NDArray[np.floating], weight: NDArray[np.floating], old: Line) -> Line:
    """The line that answers speak for, see the module.

    Args:
        x: (n,) figures; higher speaks for "right".
        right: (n,) answers, 0 to 1.
        weight: (n,) 0 and up: how many independent answers each counts for.
        old: where to start from, and to stay without evidence.
    """
    if not (np.isfinite([old.slope, old.intercept]).all() and old.slope > 0):
        old = Line(1.0, 0.0)
    used = np.asarray(weight) > 0
    figures, truth, w = (np.asarray(a, np.float64)[used] for a in (x, right, weight))
    if not len(figures):
        return old
    even = -old.intercept / old.slope

    def lose(at: Floats) -> tuple[float, Floats]:
        """What is minimised at (t, d), and its gradient."""
        t, d = at
        slope = old.slope * np.exp(np.clip(t, -30, 30))
        odds = slope * (figures - even) + d
        wrong = w * (1 / (1 + np.exp(-np.clip(odds, -700, 700))) - truth)
        value = float(w @ (np.logaddexp(0, odds) - truth * odds)) + np.log1p((t / SLOPE) ** 2) + np.log1p((d / SHIFT) ** 2)
        gradient = np.array([
            slope * float(wrong @ (figures - even)) + 2 * t / (SLOPE**2 + t**2), float(wrong.sum()) + 2 * d / (SHIFT**2 + d**2),
        ])  # fmt: skip
        return float(value), gradient

    # the priors are not convex: from the old line and from where the data point to, the better one counts
    starts = [np.zeros(2), *_moments(figures, truth, w, old)]
    found = [minimize(lose, start, jac=True, method="BFGS", options={"gtol": 1e-7, "maxiter": 500}) for start in starts]
    t, d = min(found, key=lambda one: float(one.fun)).x
    slope = float(old.slope * np.exp(np.clip(t, -30, 30)))
    return Line(slope, float(d - slope * even))


def _moments(x: Floats, right: Floats, weight: Floats, old: Line) -> list[Floats]:
    """Where two normal distributions of one width with the means and the variance of the answers put the line: a start, if there is one."""
    one, two = weight * right, weight * (1 - right)
    if not (one.sum() > 0 and two.sum() > 0):
        return []
    high, low = np.average(x, weights=one), np.average(x, weights=two)
    variance = (one @ (x - high) ** 2 + two @ (x - low) ** 2) / weight.sum()
    if not (high > low and variance > 0):
        return []
    slope = min((high - low) / variance, 1e6 * old.slope)
    intercept = np.log(one.sum() / two.sum()) - slope * (high + low) / 2
    return [np.array([np.log(slope / old.slope), slope * -old.intercept / old.slope + intercept])]
