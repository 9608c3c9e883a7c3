"""Cohort statistics: how similar different people are in this collection, and what the best impostor of each face is expected to reach.

A fixed threshold on the cosine means something else in each collection. The more faces there are, and the more they resemble each other
(children, people of one region), the higher is the cosine to the most similar other person. So it is measured, face by face, against a
cohort from the collection itself: one face of every cluster of a first grouping, so that five people with most of the photos do not make
up most of the cohort. Cohort normalisation is known from speaker verification (adaptive s-norm; Matejka et al., 2017). Here it also takes
the number of faces into account.

Odd inputs: in a small collection the cohort says little, and the model's card fills in. The choice of the cohort depends on the bytes of
the vectors alone, not on their order.

No result here, nor a sum of such results, depends on the order of the faces, on threads or on the processor: numbers are rounded to steps
so coarse that their products (EXACT) or sums (to_grid) are exact in any order.

Cost, for n faces of d numbers: n log n for the cohort, n d COHORT_SIZE for the cosines.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.face_vectors import FaceVectors, Vectors, as_vectors
from facecluster.grouping.work import Crew, LocalCrew, Shelf, Stored, kept, load

COHORT_SIZE = 4_000  # faces of other people that each face is compared with
NEAR_COPY = 0.9  # cosine from which two faces of one photo are one picture twice (a collage, a mirror, a screen)
PRIOR = 200  # the model's card weighs as much as so many cohort faces
QUANTILES = (0.80, 0.94)  # of the cosines to the cohort: above most, but below the few that may be the same person
_LOW, _HIGH = (NormalDist().inv_cdf(q) for q in QUANTILES)
_ROWS = 1_024  # at a time: 16 MB of cosines a thread
_PART = 1 << 15  # faces of one task
EXACT = 4000.0  # vectors in steps of 1/4000: float32 holds every sum of their products, so a cosine is the same however it is added up
_STEPS = 2.0**28  # of `to_grid`


@dataclass(frozen=True, slots=True)
class CohortStats:
    """Struct of arrays over n faces, and the scale of the collection."""

    base: NDArray[np.float64]  # (n,) cosine that a fifth of the impostors exceed
    reach: NDArray[np.float64]  # (n,) expected height of the best of n impostors above `base`
    sd: float  # of the cosines to impostors, mean over the faces

    @property
    def level(self) -> NDArray[np.float64]:
        """(n,) expected cosine of the best of n impostors."""
        return self.base + self.reach

    def of(self, rows: NDArray[np.integer]) -> CohortStats:
        """The same for some of the faces."""
        return replace(self, base=self.base[rows], reach=self.reach[rows])

    def with_impostors(self, count: int) -> CohortStats:
        """The same for the best of `count` impostors instead of as many as there are faces."""
        return replace(self, reach=to_grid(self.reach * ((_z(count) - _LOW) / (_z(len(self.base)) - _LOW))))


def prior_stats(n: int, *, mean: float, sd: float) -> CohortStats:
    """What the model's card expects for n faces: impostors with cosines of this `mean` and `sd`, the same for every face."""
    return CohortStats(to_grid(np.full(n, mean + _LOW * sd)), to_grid(np.full(n, sd * (_z(n) - _LOW))), sd)


def to_grid(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Values of -1 to 1 in steps of 2^-28: float64 holds the sum of 33 million of them exactly, in whatever order they are added."""
    out = np.asarray(values, dtype=np.float64) * _STEPS
    np.rint(out, out=out)
    out /= _STEPS
    return out


def content_keys(x: Vectors, crew: Crew | None = None) -> NDArray[np.uint64]:
    """A number for each row of `x` (n, dim) that follows from its bytes alone: breaks ties whatever the order of rows."""
    found = (LocalCrew() if crew is None else crew).map(_keys, [(x, start) for start in range(0, len(x), _PART)])
    return np.concatenate([np.zeros(0, dtype=np.uint64), *found])


def _keys(x: Vectors, first: int) -> NDArray[np.uint64]:
    weights = np.frombuffer(hashlib.shake_128(b"cohort").digest(8 * x.shape[1]), dtype=np.uint64) | np.uint64(1)
    mixed = np.zeros(min(_PART, len(x) - first), dtype=np.uint64)
    for start in range(0, len(mixed), _ROWS):
        block = np.ascontiguousarray(x[first + start : first + min(start + _ROWS, len(mixed))]).view(np.uint32)
        mixed[start : start + _ROWS] = (block * weights).sum(axis=1, dtype=np.uint64)
    return mixed


def cohort_stats(
    vectors: NDArray[np.floating] | FaceVectors, labels: NDArray[np.integer], *, mean: float, sd: float, cohort_size: int = COHORT_SIZE,
    contents: NDArray[np.uint64] | None = None, crew: Crew | None = None, name: str = "cohort",
) -> CohortStats:  # fmt: skip
    """Measure each face of `vectors` (n, dim), rows of length 1, against a cohort of the collection.

    Args:
        vectors: (n, dim).
        labels: (n,) cluster of each face by a first grouping; one face of each may be in the cohort.
        mean: of the cosine of faces of two people, from the model's card.
        sd: of the same.
        cohort_size: faces of the cohort at most.
        contents: (n,) content keys of the faces, if they are known.
        crew: does the work.
        name: place of the work on the crew's shelf.
    """
    x, crew = as_vectors(vectors), LocalCrew() if crew is None else crew
    n, shelf = len(x), crew.shelf
    rows = cohort_rows(content_keys(x, crew) if contents is None else contents, labels, cohort_size)
    if len(rows) < 3:
        return prior_stats(n, mean=mean, sd=sd)
    group = np.unique(labels, return_inverse=True)[1].reshape(-1)
    member = np.full(group.max() + 1, -1, dtype=np.int32)  # column of each group's face in the cohort
    member[group[rows]] = np.arange(len(rows))
    shared = shelf.keep(f"{name}/cohort", x[rows]), shelf.keep(f"{name}/columns", member[group])
    found = crew.map(_look, [(shelf, f"{name}/{start}", x, *shared, start) for start in range(0, n, _PART)])
    shelf.drop(shared)
    return _stats(np.concatenate([load(part) for (part,) in found]), len(rows), n, mean, sd)


def compare_with_cohort(
    x: NDArray[np.float32], columns: NDArray[np.int32], cohort: NDArray[np.float32], n: int, *, mean: float, sd: float
) -> CohortStats:
    """The statistics of faces `x` (m, dim) of a collection of n faces, against a cohort (c, dim) that was chosen before.

    Args:
        x: rows of length 1.
        columns: (m,) which face of the cohort is of the same group as the face; -1 = none.
        cohort: rows of length 1, as `cohort_rows` chooses them.
        n: faces of the collection.
        mean: of the cosine of faces of two people, from the model's card.
        sd: of the same.
    """
    if len(cohort) < 3 or not len(x):
        stats = prior_stats(n, mean=mean, sd=sd)
        return CohortStats(np.resize(stats.base, len(x)), np.resize(stats.reach, len(x)), sd)
    shelf = LocalCrew().shelf
    found = [_look(shelf, f"{start}", x, cohort, columns, start) for start in range(0, len(x), _PART)]
    return _stats(np.concatenate([load(part) for (part,) in found]), len(cohort), n, mean, sd)


def _stats(own: NDArray[np.float64], cohort: int, n: int, mean: float, sd: float) -> CohortStats:
    """Statistics from the quantiles (m, 2) of cosines to so many faces of the `cohort`, in a collection of n faces."""
    trust = cohort / (cohort + PRIOR)
    spread = trust * np.maximum(own[:, 1] - own[:, 0], 0) / (_HIGH - _LOW) + (1 - trust) * sd
    base = trust * own[:, 0] + (1 - trust) * (mean + _LOW * sd)
    return CohortStats(to_grid(base), to_grid(spread * (_z(n) - _LOW)), math.fsum(spread.tolist()) / len(own))


def _look(shelf: Shelf, name: str, x: Vectors, cohort: Stored, columns: Stored, first: int) -> tuple[Stored, ...]:
    """The two quantiles (rows, 2) of the cosines of some faces to the cohort, without those to the face itself and to its person."""

    def make() -> tuple[NDArray[np.float64]]:
        others = np.rint(load(cohort) * np.float32(EXACT)).T
        ranks = [round(1 + q * (others.shape[1] - 2)) for q in QUANTILES]
        own = np.empty((min(_PART, len(x) - first), 2))
        for start in range(0, len(own), _ROWS):
            some = slice(first + start, first + min(start + _ROWS, len(own)))
            cosines = np.rint(x[some] * np.float32(EXACT)) @ others
            column = load(columns)[some]
            mine = np.flatnonzero(column >= 0)
            cosines[mine, column[mine]] = -(EXACT**2)  # the face itself and its person are no impostors
            cosines.partition(ranks[0], axis=1)  # both ranks at once take twice as long
            upper = cosines[:, ranks[0] :].copy()
            own[start : start + _ROWS, 0] = upper[:, 0]
            upper.partition(ranks[1] - ranks[0], axis=1)
            own[start : start + _ROWS, 1] = upper[:, ranks[1] - ranks[0]]
        own /= EXACT**2
        return (own,)

    return kept(shelf, name, ("quantiles",), make)


def _z(n: int) -> float:
    """Expected largest of n standard normal numbers, roughly: the quantile 1 - 1/n."""
    return NormalDist().inv_cdf(1 - 1 / max(n, 10))


def cohort_rows(contents: NDArray[np.uint64], labels: NDArray[np.integer], most: int) -> NDArray[np.intp]:
    """Rows of one face of each cluster, `most` at most, chosen by their content keys (n,)."""
    order = np.argsort(contents, kind="stable")
    firsts = order[np.unique(labels[order], return_index=True)[1]]
    return np.asarray(firsts[np.argsort(contents[firsts], kind="stable")][:most], dtype=np.intp)
