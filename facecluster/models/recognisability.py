"""Recognisability: the probability that a face says who it is, from its vector alone.

Faces that are too blurred or too small, and things that are no faces, have vectors near a few points of the embedding space, whoever or
whatever they show. So they are similar to each other, and without care they form the largest groups of a real folder. (Deng et al.,
"Harnessing Unrecognizable Faces for Improving Face Recognition", WACV 2023.) A logistic regression on the vector tells them from faces
that can be recognised:

    P = 1 / (1 + exp(-(weights . vector + intercept)))

It belongs to a model. The bundled one's is fitted when the model is published (workflows/embedder_recognisability.py) and is kept in its
card. Another model's is fitted to the faces of the store (faces/fit_recognisability.py).

Odd inputs: a model without these weights has no recognisability: every face counts as recognisable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

# sd above the mean cosine to other people's clean crops that the best of a thousand of them reaches: 3.6 and 4.2 at the median of 1,600
# degraded faces and two models, where single faces lie between 3.0 and 5.6
_BEST_OTHER_SD = 3.75


@dataclass(frozen=True, slots=True)
class Recognisability:
    """The logistic regression of a model."""

    weights: tuple[float, ...]  # a number for each of the vector
    intercept: float

    def of(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """Probability (n,), 0 to 1, that faces with these vectors (n, dim), of length 1, can be recognised. ValueError for another dim."""
        x = np.asarray(vectors, np.float32)
        if x.ndim != 2 or x.shape[1] != len(self.weights):
            raise ValueError(f"expected vectors (n, {len(self.weights)}), found {x.shape}")
        # products one row at a time, in float64: the same for a face whatever faces are beside it
        log_odds = np.einsum("ij,j->i", x.astype(np.float64), np.array(self.weights)) + self.intercept
        return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -40, 40))), np.float32)


def fit(vectors: NDArray[np.floating], right: NDArray[np.bool_], *, penalty: float = 1e-4) -> Recognisability:
    """Fit by maximum likelihood.

    Args:
        vectors: (n, dim), rows of length 1.
        right: (n,) whether the face can be recognised.
        penalty: weight of the squared weights against the mean log loss.

    Raises:
        ValueError: all faces can be recognised, or none.
    """
    x, y = np.asarray(vectors, np.float64), np.asarray(right, np.float64)
    if y.min() == y.max():
        raise ValueError("expected faces of both kinds to fit recognisability to, found one kind")
    sign = 2 * y - 1

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = sign * (x @ w[:-1] + w[-1])
        slope = -sign / (1 + np.exp(np.clip(z, -500, 500))) / len(y)
        gradient = np.r_[x.T @ slope + 2 * penalty * w[:-1], slope.sum()]
        return float(np.logaddexp(0, -z).mean() + penalty * (w[:-1] ** 2).sum()), gradient

    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 2_000})
    return Recognisability(tuple(float(round(v, 3)) for v in found.x[:-1]), float(round(found.x[-1], 3)))


def told_apart(worse: NDArray[np.floating], clean: NDArray[np.floating], same: float) -> NDArray[np.bool_]:
    """Which worse pictures (n, dim) of faces say whose they are: those nearer to their own clean picture than to any of 1,000 others.

    The best of a thousand others is taken to be _BEST_OTHER_SD above the mean, so that a few dozen others are enough.

    Args:
        worse: (n, dim), rows of length 1.
        clean: (n, dim), rows of length 1, of the same faces.
        same: cosine from which two clean pictures may be of one person: neither is an "other" of the other.
    """
    x, y = np.asarray(clean, np.float64), np.asarray(worse, np.float64)
    cosine, others = y @ x.T, (x @ x.T < same).astype(np.float64)
    count = np.maximum(others.sum(axis=1), 1)
    mean = (cosine * others).sum(axis=1) / count
    sd = np.sqrt(np.maximum((cosine**2 * others).sum(axis=1) / count - mean**2, 0))
    return np.asarray(np.diag(cosine) > mean + _BEST_OTHER_SD * sd)


def from_card(section: object, dim: int) -> Recognisability | None:
    """The section [recognisability] of a card; None if there is none. Raises ValueError if it does not fit."""
    if section is None:
        return None
    if not isinstance(section, dict) or not isinstance(section.get("weights"), Sequence) or len(section["weights"]) != dim:
        raise ValueError(f"[recognisability]: expected {dim} weights and an intercept")
    return Recognisability(tuple(float(v) for v in section["weights"]), float(section["intercept"]))
