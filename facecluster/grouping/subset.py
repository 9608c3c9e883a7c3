"""A part of the faces of a graph: rows renumbered, as if the other faces were not there.

Odd inputs: a must-link or cannot-link with a face that is left out has no effect.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.average_linkage import Pairs


def pairs_within(keep: NDArray[np.bool_], pairs: Pairs | None) -> Pairs | None:
    """Pairs (m, 2) of faces that are both kept, as rows among these."""
    if pairs is None:
        return None
    row = np.cumsum(keep) - 1
    return np.asarray(row[pairs[keep[pairs].all(axis=1)]])


def rows_of_pairs(pairs: NDArray[np.integer] | None, n: int) -> NDArray[np.bool_]:
    """Which of n rows some pair (m, 2) names."""
    out = np.zeros(n, dtype=bool)
    if pairs is not None:
        out[pairs.ravel()] = True
    return out


def recognisable(recognisability: NDArray[np.floating] | None, must: NDArray[np.integer] | None, least: float, n: int) -> NDArray[np.bool_]:
    """Which of n faces are grouped: those that can be recognised, and those of whom the user has said whose they are."""
    if recognisability is None:
        return np.ones(n, dtype=bool)
    return np.asarray(np.asarray(recognisability) >= least) | rows_of_pairs(must, n)
