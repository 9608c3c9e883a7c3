"""Who else may be a person: groups and single faces, ranked by the probability that they show the same person. Pure.

The probability is that of the questions (grouping/uncertainty.py): it follows from the mean cosine of two groups, and from how similar
different people are in this collection. A question about one person compares it with the mean vectors of all groups in one matrix product.
The _CANDIDATES likeliest are then measured with the cohort statistics of their own faces, how similar they are within, and the photos that
they share with the person. A face's statistics are computed once.

Memory: two numbers a face, the mean vectors of the groups, the vectors of the cohort; single faces are read a block at a time.

Odd inputs: an index without groups suggests nothing; a face without a vector is in no mean and is never suggested.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.cohort import cohort_rows, compare_with_cohort, content_keys
from facecluster.grouping.face_vectors import Vectors
from facecluster.grouping.identify_config import IdentifyConfig
from facecluster.grouping.uncertainty import one_person_log_odds

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_CANDIDATES = 128  # groups and faces that are measured one by one
_FACES = 4  # of a group, whose cohort statistics stand for all of it
_SAMPLE = 1_024  # faces that the spread of the collection's impostors is measured on
_BLOCK = 1 << 16  # vectors at a time: 32 MB


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Struct of arrays (m,), by falling probability."""

    group: Ints  # number of the group; -1 = a single face
    row: Ints  # the single face; of a group its first face in `order`
    probability: Floats  # that it shows the person, 0 to 1


@dataclass(frozen=True, slots=True)
class Grouped:
    """The groups at one moment: p groups of the n faces of an index."""

    identity: Ints  # (n,) -1 = nobody
    order: Ints  # rows with a vector by group, those of one group by falling probability
    start: Ints  # (p + 1,) where each group begins in `order`
    sums: NDArray[np.float32]  # (p, dim) of the vectors

    @property
    def sizes(self) -> Ints:
        """Faces with a vector (p,)."""
        return np.diff(self.start)


class FaceIndex:
    """The vectors of a run's faces, prepared for many questions."""

    def __init__(self, vectors: Vectors, usable: NDArray[np.bool_], labels: Ints, photos: Ints, config: IdentifyConfig) -> None:
        """Take the faces of a run.

        Args:
            vectors: (n, dim), rows of length 1; rows that are not usable may be anything.
            usable: (n,) faces that have a vector, and are in a group or clear.
            labels: (n,) the groups of the run; -1 = nobody.
            photos: (n,) number of the photo of each face; -1 = unknown.
            config: of the grouping.
        """
        self.vectors, self.usable, self.photos, self.config = vectors, usable, photos, config
        rows = np.flatnonzero(usable)
        self.count = len(rows)
        group = labels[rows].copy()
        group[group < 0] = labels.max(initial=-1) + 1 + np.arange((group < 0).sum())
        keys = np.concatenate([np.zeros(0, np.uint64), *(content_keys(vectors[rows[s]]) for s in _blocks(len(rows)))])
        members = cohort_rows(keys, group, 4_000)
        self._cohort = vectors[rows[members]]
        column = np.full(group.max(initial=-1) + 1, -1, np.int32)
        column[group[members]] = np.arange(len(members))
        self._column = np.full(len(labels), -1, np.int32)
        self._column[rows] = column[group]
        self._base, self._reach = np.full(len(labels), np.nan), np.full(len(labels), np.nan)
        sample = rows[:: max(1, len(rows) // _SAMPLE)]
        self.sd = self._measure(sample)

    def stats(self, rows: Ints) -> tuple[Floats, Floats]:
        """Base and reach (m,) of faces (cohort.CohortStats)."""
        self._measure(np.unique(rows[np.isnan(self._base[rows])]))
        return self._base[rows], self._reach[rows]

    def outside(self, x: NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Base and reach (m,) of faces `x` (m, dim) that are not of the index."""
        config = self.config
        found = compare_with_cohort(
            x, np.full(len(x), -1, np.int32), self._cohort, self.count, mean=config.impostor_mean, sd=config.impostor_sd
        )
        return found.base, found.reach

    def _measure(self, rows: Ints) -> float:
        config = self.config
        found = compare_with_cohort(
            self.vectors[rows], self._column[rows], self._cohort, self.count, mean=config.impostor_mean, sd=config.impostor_sd
        )
        self._base[rows], self._reach[rows] = found.base, found.reach
        return found.sd

    def grouped(self, identity: Ints, probability: NDArray[np.floating], before: Grouped | None = None) -> Grouped:
        """The groups `identity` (n,) of the faces; only the groups that are not those of `before` are added up."""
        order = np.lexsort((-probability, identity))
        order = order[(identity[order] >= 0) & self.usable[order]]
        count = int(identity.max(initial=-1)) + 1
        start = np.searchsorted(identity[order], np.arange(count + 1))
        sums = np.zeros((count, self.vectors.shape[1]), np.float32)
        fresh = np.ones(count, bool)
        if before is not None:
            was, sizes = before.identity[order], np.diff(start)
            first = np.append(was, -1)[start[:-1]]
            strays = np.bincount(identity[order], was != first[identity[order]], minlength=count)
            fresh = (strays > 0) | (first < 0) | (sizes != np.append(before.sizes, -1)[first])
            sums[~fresh] = before.sums[first[~fresh]]
        rows = order[fresh[identity[order]]]
        for part in _blocks(len(rows)):
            mine = identity[rows[part]]
            edges = np.flatnonzero(np.r_[True, np.diff(mine) != 0])
            sums[mine[edges]] += np.add.reduceat(self.vectors[rows[part]], edges, axis=0)
        return Grouped(identity, order.astype(np.int64), start.astype(np.int64), sums)

    def suggest(
        self, groups: Grouped, person: int | NDArray[np.float32], no_groups: NDArray[np.bool_], no_faces: NDArray[np.bool_], top: int
    ) -> Suggestions:
        """The `top` groups and single faces that are most probably the person.

        Args:
            groups: of the faces of this index.
            person: number of a group; or vectors (m, dim) of faces that are not of the index.
            no_groups: (p,) groups that are not suggested.
            no_faces: (n,) single faces that are not suggested.
            top: how many.
        """
        target = self._group_target(groups, person) if isinstance(person, int) else self._target(person, *self.outside(person))
        sizes = groups.sizes
        cosine = np.full(len(sizes), -2.0)
        some = sizes > 0
        cosine[some] = (groups.sums[some] @ target.sum) / (sizes[some] * target.size)
        lengths = np.linalg.norm(groups.sums, axis=1) / np.maximum(sizes, 1)
        out = no_groups | ~some
        out[person if isinstance(person, int) else []] = True
        alone = np.flatnonzero((groups.identity < 0) & self.usable & ~no_faces)
        single = np.concatenate([np.zeros(0), *(self.vectors[alone[s]] @ target.sum / target.size for s in _blocks(len(alone)))])
        ones = np.ones(len(alone), np.int64)
        rough = target.log_odds(
            np.r_[cosine, single], np.r_[lengths, ones], target.base, target.reach, np.r_[sizes, ones], np.zeros(1), self
        )
        rough[: len(sizes)][out] = -np.inf
        best = np.argsort(-rough, kind="stable")[: min(_CANDIDATES, int(np.isfinite(rough).sum()))]
        return self._refined(groups, target, best, alone, np.r_[cosine, single][best], np.r_[lengths, ones][best], top)

    def _refined(
        self, groups: Grouped, target: _Target, best: Ints, alone: Ints, cosine: Floats, lengths: Floats, top: int
    ) -> Suggestions:
        """The candidates `best` (numbers of groups, and after them of the faces `alone`) with their own faces' statistics."""
        count = len(groups.sizes)
        members = [groups.order[groups.start[c] : groups.start[c + 1]] if c < count else alone[c - count : c - count + 1] for c in best]
        sizes = np.array([len(m) for m in members], np.int64)
        looked = [m[:: max(1, len(m) // _FACES)][:_FACES] for m in members]
        at = np.repeat(np.arange(len(best)), [len(m) for m in looked])
        base, reach = self.stats(np.concatenate([np.zeros(0, np.int64), *looked]))
        n = np.maximum(np.bincount(at, minlength=len(best)), 1)
        base, reach = np.bincount(at, base, len(best)) / n, np.bincount(at, reach, len(best)) / n
        within = ((sizes * lengths) ** 2 - sizes) / np.maximum(sizes * (sizes - 1), 1)
        apart = np.where(np.minimum(sizes, target.size) > 2, (within + target.within) / 2 - cosine, 0)
        log_odds = target.log_odds(cosine, lengths, base, reach, sizes, apart, self)
        shared = np.array([len(np.intersect1d(self.photos[m][self.photos[m] >= 0], target.photos)) for m in members])
        log_odds += np.log(self.config.same_photo_odds) * np.minimum(1, shared / np.maximum(np.minimum(sizes, target.size), 1))
        sure = 1 / (1 + np.exp(-np.clip(log_odds, -700, 700)))
        by = np.argsort(-log_odds, kind="stable")[:top]
        row = np.array([int(m[0]) for m in members], np.int64)
        return Suggestions(np.where(best[by] < count, best[by], -1), row[by], sure[by])

    def _group_target(self, groups: Grouped, person: int) -> _Target:
        rows = groups.order[groups.start[person] : groups.start[person + 1]]
        base, reach = self.stats(rows[:: max(1, len(rows) // 64)])
        photos = np.unique(self.photos[rows])
        return _Target(groups.sums[person], len(rows), float(base.mean()), float(reach.mean()), photos[photos >= 0])

    def _target(self, x: NDArray[np.float32], base: Floats, reach: Floats) -> _Target:
        return _Target(x.sum(axis=0), len(x), float(base.mean()), float(reach.mean()), np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True)
class _Target:
    """The person whom the others are compared with."""

    sum: NDArray[np.float32]  # (dim,) of the vectors
    size: int
    base: float  # mean over the faces
    reach: float
    photos: Ints  # that show the person

    @property
    def length(self) -> float:
        return float(np.linalg.norm(self.sum)) / self.size

    @property
    def within(self) -> float:
        return ((self.size * self.length) ** 2 - self.size) / max(self.size * (self.size - 1), 1)

    def log_odds(
        self, cosine: Floats, lengths: Floats, base: Floats | float, reach: Floats | float, sizes: Ints, apart: Floats, index: FaceIndex
    ) -> Floats:
        """Log-odds (m,) that groups of these sizes, mean cosines and mean statistics are the person, if no photo shows both."""
        usual = IdentifyConfig()
        expected = usual.impostor_weight * (self.reach + reach) / 2 * self.length * lengths
        above = (cosine - (self.base + base) / 2 - usual.merge * index.sd - expected) / index.sd
        return one_person_log_odds(above, apart / index.sd, np.full(len(sizes), self.size), sizes)


def _blocks(n: int) -> list[slice]:
    return [slice(i, i + _BLOCK) for i in range(0, n, _BLOCK)]
