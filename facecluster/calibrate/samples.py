"""Labelled samples to fit a line to: pairs of faces (one person or two), and members of groups (right or wrong).

The samples of one person are not independent of each other, and one person may have a thousand times the pairs of another. So a person is
weighted as if it had at most MAX_FACES faces (the expected value over such draws). All samples together count for as many independent ones
as the people have faces besides their first, at most MAX_ANSWERS a person (chosen among 1, 3 and 6; docs/decisions.md).

Odd inputs: a person of one face makes pairs of two people only; an empty set of samples is no error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.evaluation import pairs
from facecluster.evaluation.face_pairs import cosines

MAX_FACES = 10  # that a person counts for
MAX_ANSWERS = 6  # independent samples of a person
MAX_PAIRS = 100_000  # drawn of each kind

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Samples:
    """Struct of arrays: m samples about `people` people, numbered from 0."""

    x: Floats  # (m,) the figure: a cosine, or a face's place in its group
    target: Floats  # (m,) 1 = one person, 0 = not; a share if that is uncertain
    weight: Floats  # (m,) relative weight
    person_a: Ints  # (m,) a person that the sample is about
    person_b: Ints  # (m,) the other person; the same number if there is one only
    independent: Floats  # (people,) number of independent samples about each person
    balanced: bool  # whether both targets have the same total weight

    @property
    def people(self) -> int:
        """How many people the samples may be about."""
        return len(self.independent)

    def weights(self, rows: NDArray[np.bool_]) -> Floats:
        """(m,) how many independent samples each of `rows` (m,) stands for; 0 for the others."""
        found = np.where(rows, self.weight, 0.0)
        about = np.zeros(self.people, bool)
        about[self.person_a[rows]] = about[self.person_b[rows]] = True
        total = float(self.independent[about].sum())
        if not self.balanced:
            return found * (total / max(float(found.sum()), 1e-12))
        for kind in (self.target > 0.5, self.target <= 0.5):
            found[kind] *= total / 2 / max(float(found[kind].sum()), 1e-12)
        return found


def pair_samples(vectors: NDArray[np.floating], person: NDArray[np.integer]) -> Samples:
    """Pairs of faces with vectors (n, dim), rows of length 1, and persons (n,) numbered 0, 1, ... without a gap.

    At most MAX_PAIRS of each kind are drawn. Both kinds have the same total weight, as in the fit of the model's card.
    """
    who = np.asarray(person, np.int64)
    sizes = np.bincount(who)
    first, second, same = pairs(who, MAX_PAIRS)
    share = (np.minimum(sizes, MAX_FACES) / np.maximum(sizes, 1))[who]
    # if k of m faces are drawn, a pair of one person is drawn with probability k (k - 1) / (m (m - 1)), a pair of two people with the
    # product of their k / m
    within = np.minimum(sizes, MAX_FACES) - 1
    chance = np.where(same, share[first] * (within / np.maximum(sizes - 1, 1))[who[first]], share[first] * share[second])
    found = np.asarray(cosines(vectors, first, second), np.float64)
    independent = np.minimum(sizes - 1.0, MAX_ANSWERS)
    return Samples(found, same.astype(np.float64), chance, who[first], who[second], independent, balanced=True)


def member_samples(place: NDArray[np.floating], target: NDArray[np.floating], person: NDArray[np.integer]) -> Samples:
    """Faces with their place in their group (m,), whether each shows the group's person (m,), and that person (m,): 0, 1, ..."""
    who = np.asarray(person, np.int64)
    sizes = np.bincount(who)
    share = (np.minimum(sizes, MAX_FACES) / np.maximum(sizes, 1))[who]
    independent = np.minimum(sizes * 1.0, MAX_ANSWERS)
    return Samples(np.asarray(place, np.float64), np.asarray(target, np.float64), share, who, who, independent, balanced=False)
