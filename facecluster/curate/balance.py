"""Balance of a data set: picks good and varied faces of a person with too many, and measures how unequal people are.

Odd inputs: a limit of 0 faces picks none; without people all figures are 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_STEPS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1_000)


def pick_varied(vectors: NDArray[np.floating], quality: NDArray[np.floating], count: int) -> Ints:
    """The rows of a person's faces to keep, in order: the best one, then faces that are good and far from all kept ones.

    Farthest-point traversal (Gonzalez, 1985) with each distance weighted by quality: a blurred face is not picked for being different.

    Args:
        vectors: (m, dim), rows of length 1.
        quality: (m,) 0 to 1.
        count: number of faces to keep.
    """
    m = len(vectors)
    if m <= count:
        return np.lexsort((np.arange(m), -np.asarray(quality, np.float64))).astype(np.int64)
    x, weight = np.asarray(vectors, np.float64), np.maximum(np.asarray(quality, np.float64), 0.01)
    distance, kept = np.full(m, 2.0), []
    for _ in range(count):
        score = np.where(distance < 0, -1.0, weight * distance)
        best = int(score.round(9).argmax())
        kept.append(best)
        distance = np.minimum(distance, np.maximum(1 - x @ x[best], 0))
        distance[kept] = -1.0
    return np.array(kept, dtype=np.int64)


def balance_figures(counts: NDArray[np.integer]) -> dict[str, Any]:
    """Figures of how unequal people are, from the number of faces of each (p,).

    Gives the number of people by number of faces; least, median and most faces; the Gini coefficient (0 = equal, near 1 = all faces of one
    person); the effective number of people (exponential of the entropy); and the share of all faces that the tenth of people with most has.
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
