"""Bounds on faces a person: the cap picks good and different faces, the floor drops people with too few; and how unequal people are.

Odd inputs: a cap of 0 faces keeps none; nobody gives an empty tail with shares of 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_STEPS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1_000)


def pick(vectors: NDArray[np.floating], quality: NDArray[np.floating], most: int) -> Ints:
    """The rows of a person to keep, in order: the best first, then whichever is good and unlike all kept ones.

    Farthest-point choice (Gonzalez, 1985) with each distance weighed by the quality, so that a blurred face is no find for being odd.

    Args:
        vectors: (m, dim), rows of length 1.
        quality: (m,) 0 to 1.
        most: number to keep.
    """
    m = len(vectors)
    if m <= most:
        return np.lexsort((np.arange(m), -np.asarray(quality, np.float64))).astype(np.int64)
    x, weight = np.asarray(vectors, np.float64), np.maximum(np.asarray(quality, np.float64), 0.01)
    apart, kept = np.full(m, 2.0), []
    for _ in range(most):
        score = np.where(apart < 0, -1.0, weight * apart)
        best = int(score.round(9).argmax())
        kept.append(best)
        apart = np.minimum(apart, np.maximum(1 - x @ x[best], 0))
        apart[kept] = -1.0
    return np.array(kept, dtype=np.int64)


def tail(counts: NDArray[np.integer]) -> dict[str, Any]:
    """How unequal people are, from the number of faces of each (p,).

    Gives people by number of faces, quantiles, the Gini coefficient (0 equal, towards 1 all with one person), the number of people of equal
    share that would be as varied (exponential of the entropy), and the share of all faces that the tenth of people with most have.
    """
    sizes = np.sort(np.asarray(counts, np.int64))
    sizes = sizes[sizes > 0]
    p, total = len(sizes), int(sizes.sum())
    if not p:
        return {"people": 0, "faces": 0, "by_faces": {}, "gini": 0.0, "effective_people": 0.0, "top_tenth_share": 0.0}
    share = sizes / total
    by = {}
    for low, high in zip(_STEPS, (*_STEPS[1:], None), strict=True):
        inside = int(((sizes >= low) & (sizes < (high or np.inf))).sum())
        name = f"{low}+" if high is None else str(low) if high == low + 1 else f"{low}-{high - 1}"
        if inside:
            by[name] = inside
    return {
        "people": p, "faces": total, "by_faces": by, "least": int(sizes[0]), "median": float(np.median(sizes)),
        "most": int(sizes[-1]), "gini": round(float((2 * np.arange(1, p + 1) - p - 1) @ sizes / (p * total)), 4),
        "effective_people": round(float(np.exp(-(share * np.log(share)).sum())), 1),
        "top_tenth_share": round(float(share[-max(1, round(p / 10)) :].sum()), 4),
    }  # fmt: skip
