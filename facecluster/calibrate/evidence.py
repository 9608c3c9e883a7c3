"""Known answers as rows to fit to: pairs of faces that are one person or two, faces that belong to their group or don't.

Rows of one person are not independent of each other, and one person may have a thousand times the pairs of another. So a person counts
as if MOST of its faces were there at most (the expected value over such draws), and all rows together for as many independent
answers as the people have faces besides their first, EACH a person at most (chosen among 1, 3 and 6; docs/decisions.md).

Odd inputs: a person of one face makes pairs of two people only; no rows at all are no error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.evaluation import pairs
from facecluster.evaluation.sample import cosines

MOST = 10  # faces that a person counts for at most
EACH = 6  # independent answers of a person at most
PAIRS = 100_000  # of a kind, drawn

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Struct of arrays: m answers about `people` people, numbered from 0."""

    x: Floats  # (m,) what is read: a cosine, or a face's place in its group
    right: Floats  # (m,) the answer: 1 one person, 0 not; a share where it is open which
    weight: Floats  # (m,) how much an answer counts beside the others
    one: Ints  # (m,) a person it is about
    other: Ints  # (m,) the other person it is about; the same one if it is about one only
    answers: Floats  # (people,) how many independent answers there are about each
    alike: bool  # whether both kinds of answers count as equally frequent

    @property
    def people(self) -> int:
        """How many people it may be about."""
        return len(self.answers)

    def weights(self, rows: NDArray[np.bool_]) -> Floats:
        """(m,) how many independent answers each of `rows` (m,) stands for; 0 for the others."""
        found = np.where(rows, self.weight, 0.0)
        about = np.zeros(self.people, bool)
        about[self.one[rows]] = about[self.other[rows]] = True
        total = float(self.answers[about].sum())
        if not self.alike:
            return found * (total / max(float(found.sum()), 1e-12))
        for kind in (self.right > 0.5, self.right <= 0.5):
            found[kind] *= total / 2 / max(float(found[kind].sum()), 1e-12)
        return found


def of_pairs(vectors: NDArray[np.floating], person: NDArray[np.integer]) -> Evidence:
    """Pairs of faces of vectors (n, dim), rows of length 1, whose persons (n,) are known: 0, 1, ... without a gap.

    Of each kind PAIRS are drawn at most. Both kinds count alike, as in the model's card.
    """
    who = np.asarray(person, np.int64)
    sizes = np.bincount(who)
    first, second, same = pairs(who, PAIRS)
    share = (np.minimum(sizes, MOST) / np.maximum(sizes, 1))[who]
    # of k faces drawn of m, a pair of one person is there with k (k - 1) / (m (m - 1)), a pair of two with the product of their k / m
    within = np.minimum(sizes, MOST) - 1
    chance = np.where(same, share[first] * (within / np.maximum(sizes - 1, 1))[who[first]], share[first] * share[second])
    found = np.asarray(cosines(vectors, first, second), np.float64)
    return Evidence(found, same.astype(np.float64), chance, who[first], who[second], np.minimum(sizes - 1.0, EACH), alike=True)


def of_faces(above: NDArray[np.floating], right: NDArray[np.floating], person: NDArray[np.integer]) -> Evidence:
    """Faces that lie `above` (m,) what joins their group, in sd, and whether they are `right` (m,) to be of its person (m,): 0, 1, ..."""
    who = np.asarray(person, np.int64)
    sizes = np.bincount(who)
    share = (np.minimum(sizes, MOST) / np.maximum(sizes, 1))[who]
    figures, answers = np.asarray(above, np.float64), np.asarray(right, np.float64)
    return Evidence(figures, answers, share, who, who, np.minimum(sizes * 1.0, EACH), alike=False)
