"""Orders of a run's faces that stay as they are whatever is decided, so that the lists of people after an act need no sorting by value.

A face of a person has the probability of the run, or 1 if the run had it as nobody's: an order by probability is known before anybody
says whose a face is. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FaceOrders:
    """Rows (n,) of all faces in three orders."""

    surest: Ints  # by falling probability, equal ones by falling quality
    best: Ints  # by falling quality x probability
    by_photo: Ints  # of faces with a photo (m,), by its number

    @staticmethod
    def of(identity: Ints, probability: NDArray[np.floating], quality: NDArray[np.floating], photo: Ints) -> FaceOrders:
        """The orders, from the arrays (n,) of a run: group (-1 = nobody), probability, quality, and number of the photo (-1 = unknown)."""
        sure = np.where(identity < 0, 1.0, probability)
        known = np.flatnonzero(photo >= 0)
        return FaceOrders(np.lexsort((-quality, -sure)), np.argsort(-(quality * sure), kind="stable"), known[np.argsort(photo[known])])
