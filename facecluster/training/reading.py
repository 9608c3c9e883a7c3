"""What the cosines of a model mean, fitted to faces of people whom it did not learn from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray


def fit_reading(
    vectors: NDArray[np.floating], names: NDArray[np.str_], rng: np.random.Generator
) -> tuple[float, float, float, float]:  # fmt: skip
    """Slope and intercept of the logistic fit, by maximum likelihood; mean and sd of cosines of strangers. No name ("") is a stranger."""
    i, j = np.triu_indices(len(names), 1)
    same = (names[i] == names[j]) & (names[i] != "")
    other = rng.choice(np.flatnonzero(~same), min((~same).sum(), 1_000_000), replace=False)
    strangers = np.einsum("ij,ij->i", vectors[i[other]], vectors[j[other]])
    one = np.flatnonzero(same)
    two = rng.choice(np.flatnonzero(~same & ((names[i] != "") | (names[j] != ""))), len(one))
    pick = np.r_[one, two]
    cosine = torch.tensor(np.einsum("ij,ij->i", vectors[i[pick]], vectors[j[pick]]), dtype=torch.float64)
    target = torch.tensor(same[pick], dtype=torch.float64)
    w = torch.tensor([10.0, -4.0], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([w], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(w[0] * cosine + w[1], target)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    solver.step(loss)  # type: ignore[no-untyped-call]
    return float(w[0].detach()), float(w[1].detach()), float(strangers.mean()), float(strangers.std())
