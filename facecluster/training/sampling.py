"""Which faces a step learns from, and how much each counts, where people have very different numbers of faces.

Balanced sampling draws a person with a probability in proportion to n^(1 - balance), n their faces, then one of their faces. 0 draws faces
as they are; 1 draws every person as often; between them the power law of Mahajan et al. 2018 (arXiv:1805.00932, section 2.2).

Re-weighting gives a face the weight (1 - beta) / (1 - beta^n), scaled to mean 1 over the faces: the inverse of the effective number of a
person's faces (Cui et al. 2019, arXiv:1901.05555, equation 4). 0 leaves all faces alike.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Sampler:
    """Draws rows of faces, with replacement."""

    def __init__(self, rows: NDArray[np.int64], label: NDArray[np.int64], balance: float) -> None:
        """Take rows (m,) of faces, and the label (n,) of all; a face without a person (-1) is drawn as in proportion to its number."""
        own = label[rows]
        counts = np.bincount(own[own >= 0], minlength=1).astype(np.float64)
        chance = np.where(own >= 0, np.maximum(counts[np.maximum(own, 0)], 1) ** -balance, 1.0)
        named = own >= 0
        if named.any():  # together the named faces keep their share
            chance[named] *= named.sum() / chance[named].sum()
        self.rows, self.ends = torch.from_numpy(np.ascontiguousarray(rows)), torch.from_numpy(np.cumsum(chance))

    def draw(self, n: int, g: torch.Generator) -> Tensor:
        """Rows (n,)."""
        at = torch.rand(n, generator=g, dtype=torch.float64) * self.ends[-1]
        return self.rows[torch.searchsorted(self.ends, at, right=True).clamp_max(len(self.rows) - 1)]


def face_weights(counts: NDArray[np.integer], beta: float) -> NDArray[np.float32]:
    """The weight (people,) of a face of each person, by their numbers of faces (people,), each 1 or more; the mean over faces is 1."""
    if not len(counts):
        return np.zeros(0, np.float32)
    n = np.maximum(np.asarray(counts, np.float64), 1)
    effective = n if beta >= 1 else (1 - beta**n) / (1 - beta) if beta > 0 else np.ones(len(n))
    weight = 1 / effective
    return np.asarray(weight * n.sum() / (weight * n).sum(), np.float32)
