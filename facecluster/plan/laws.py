"""How a quantity grows: a sum of terms with factors of 0 and more, fitted by non-negative least squares.

The fit is of relative errors, so that small runs count as much as large ones. Factors that can't be negative keep a law from falling
beyond the sizes that were measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np
from scipy.optimize import nnls

from facecluster.grouping.link import ROWS
from facecluster.grouping.link_plan import chosen_lists
from facecluster.plan.runs import Size

HELD = 3.0  # megapixels: about what larger photos are reduced to while they are decoded (4000 x 3000 px: half each side)

Term = Callable[[Size], float]


def _scanned(size: Size) -> float:
    """Faces of the inverted lists that are looked at (link_plan.py)."""
    lists, probes = chosen_lists(int(max(size.faces, 1)))
    return size.faces * size.faces * probes / lists


TERMS: dict[str, Term] = {
    "once": lambda s: 1.0,
    "photos": lambda s: s.photos,
    "megapixel": lambda s: s.megapixels,
    "megapixels": lambda s: s.photos * s.megapixels,
    "held megapixels": lambda s: s.photos * min(s.megapixels, HELD),
    "faces": lambda s: s.faces,
    "faces of a task": lambda s: min(s.faces, ROWS),
    "numbers": lambda s: s.faces * s.dim,
    "faces x log faces": lambda s: s.faces * log2(max(s.faces, 2)),
    "pairs": lambda s: s.faces**2,
    "pairs x dim": lambda s: s.faces**2 * s.dim,
    "scanned": _scanned,
    "scanned x dim": lambda s: _scanned(s) * s.dim,
    "faces x lists x dim": lambda s: s.faces * chosen_lists(int(max(s.faces, 1)))[0] * s.dim,
}


@dataclass(frozen=True, slots=True)
class Law:
    """A fitted sum of terms."""

    factors: dict[str, float]  # by the name of a term; those that are 0 are left out

    def of(self, size: Size) -> float:
        """The quantity at a size, in the unit that was fitted."""
        return sum(factor * TERMS[name](size) for name, factor in self.factors.items())


def fit(terms: Sequence[str], sizes: Sequence[Size], values: Sequence[float]) -> Law:
    """The law with the least squares of relative errors.

    Args:
        terms: names in TERMS.
        sizes: (m,) of the runs, m at least 1.
        values: (m,) measured, 0 or more.
    """
    x = np.array([[TERMS[name](size) for name in terms] for size in sizes], dtype=np.float64)
    y = np.asarray(values, dtype=np.float64)
    weight = 1 / np.where(y > 0, y, max(y.max(), 1.0))
    scale = np.maximum(np.abs(x * weight[:, None]).max(axis=0), 1e-300)  # terms are 1 to 1e13
    found = nnls(x * weight[:, None] / scale, y * weight)[0] / scale
    return Law({name: float(factor) for name, factor in zip(terms, found, strict=True) if factor > 0})
