"""Who else may be a person: groups and single faces, ranked by the probability that they show the same person. Pure.

The probability is that of the questions (grouping/uncertainty.py): it follows from the mean cosine of two groups, and from how similar
different people are in this collection. A question about one person compares it with the mean vectors of all groups in one matrix product.
The _CANDIDATES likeliest are then measured with the cohort statistics of their own faces, how similar they are within, and the photos that
they share with the person. A face's statistics are computed once.

Memory: two numbers a face, the mean vectors of the groups, the vectors of the cohort; single faces are read a block at a time.

Odd inputs: an index without groups suggests nothing; a face without a vector is in no mean and is never suggested.
"""

from __future__ import annotations

from collections.abc import Sequence
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
_TARGET_FACES = 64  # of a person whom others are compared with, likewise
_SAMPLE = 1_024  # faces that the spread of the collection's impostors is measured on
_BLOCK = 1 << 16  # vectors at a time: 32 MB


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Struct of arrays (m,), by falling probability."""

    target: Ints  # index of the target that it may be
    group: Ints  # number of the group; -1 = a single face
    row: Ints  # the single face; of a group its first face in `order`
    probability: Floats  # that it shows the target's person, 0 to 1


@dataclass(frozen=True, slots=True)
class Grouped:
    """The groups at one moment: p groups of the n faces of an index."""

    identity: Ints  # (n,) -1 = nobody; -2 = nobody, and never suggested
    order: Ints  # rows with a vector by group, those of one group by falling probability
    start: Ints  # (p + 1,) where each group begins in `order`
    sums: NDArray[np.float32]  # (p, dim) of the vectors

    @property
    def sizes(self) -> Ints:
        """Faces with a vector (p,)."""
        return np.diff(self.start)

    def rows_of(self, group: int) -> Ints:
        """Rows of a group's faces with a vector, by falling probability."""
        return self.order[self.start[group] : self.start[group + 1]]


@dataclass(frozen=True, slots=True)
class Target:
    """A person whom others are compared with."""

    group: int  # number of the group; -1 = none of the index
    sum: NDArray[np.float32]  # (dim,) of the vectors
    size: int  # faces with a vector
    base: float  # mean over the faces (cohort.CohortStats)
    reach: float
    photos: Ints  # numbers of those that show the person
    closed_groups: frozenset[int] = frozenset()  # groups that decisions keep apart from the person
    closed_faces: frozenset[int] = frozenset()  # rows of single faces likewise

    @property
    def length(self) -> float:
        """Length of the mean vector."""
        return float(np.linalg.norm(self.sum)) / max(self.size, 1)


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

    def target(self, groups: Grouped, number: int) -> Target:
        """A group, to suggest others for."""
        rows = groups.rows_of(number)
        base, reach = self.stats(rows[:: max(1, len(rows) // _TARGET_FACES)])
        photos = np.unique(self.photos[rows])
        return Target(number, groups.sums[number], len(rows), _mean(base), _mean(reach), photos[photos >= 0])

    def outside_target(self, x: NDArray[np.float32]) -> Target:
        """Someone with faces `x` (m, dim) that are not of the index."""
        config, none = self.config, np.full(len(x), -1, np.int32)
        found = compare_with_cohort(x, none, self._cohort, self.count, mean=config.impostor_mean, sd=config.impostor_sd)
        return Target(-1, x.sum(axis=0), len(x), _mean(found.base), _mean(found.reach), np.zeros(0, np.int64))

    def _measure(self, rows: Ints) -> float:
        config = self.config
        found = compare_with_cohort(
            self.vectors[rows], self._column[rows], self._cohort, self.count, mean=config.impostor_mean, sd=config.impostor_sd
        )
        self._base[rows], self._reach[rows] = found.base, found.reach
        return found.sd

    def grouped(self, identity: Ints, probability: NDArray[np.floating], before: Grouped | None = None) -> Grouped:
        """The groups `identity` (n,; -1 and less = nobody) of the faces; only the groups that are not those of `before` are added up."""
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
        self, groups: Grouped, targets: Sequence[Target], hidden: NDArray[np.bool_], top: int, *, faces: bool = True
    ) -> Suggestions:
        """The `top` groups and single faces that are most probably one of the targets, each with its likeliest target.

        Args:
            groups: of the faces of this index.
            targets: t people; each costs a row of cosines.
            hidden: (p,) groups that are not suggested.
            top: how many.
            faces: whether single faces are suggested.
        """
        if not targets:
            none: Ints = np.zeros(0, np.int64)
            return Suggestions(none, none, none, np.zeros(0))
        sizes = groups.sizes
        count, alone = len(sizes), np.flatnonzero((groups.identity == -1) & self.usable & faces)
        sums = np.array([t.sum for t in targets], np.float32).reshape(len(targets), -1)
        parts = [groups.sums @ sums.T / np.maximum(sizes, 1)[:, None], *(self.vectors[alone[s]] @ sums.T for s in _blocks(len(alone)))]
        cosines = np.concatenate(parts) / np.array([max(t.size, 1) for t in targets], np.float32)
        units = _Units(
            np.r_[np.maximum(sizes, 1), np.ones(len(alone), np.int64)],
            np.r_[np.linalg.norm(groups.sums, axis=1) / np.maximum(sizes, 1), np.ones(len(alone))],
        )
        best, whose = np.full(count + len(alone), -np.inf), np.zeros(count + len(alone), np.int64)
        for i, target in enumerate(targets):
            odds = self._log_odds([target], cosines[:, i], units, target.base, target.reach, np.zeros(1))
            odds[[g for g in (target.group, *target.closed_groups) if g >= 0]] = -np.inf
            odds[count + np.flatnonzero(np.isin(alone, [*target.closed_faces]))] = -np.inf
            whose[odds > best] = i
            best = np.maximum(best, odds)
        best[:count][hidden | (sizes == 0)] = -np.inf
        likeliest = np.argsort(-best, kind="stable")[: min(_CANDIDATES, int(np.isfinite(best).sum()))]
        members = [groups.rows_of(c) if c < count else alone[c - count : c - count + 1] for c in likeliest.tolist()]
        mine = whose[likeliest]
        log_odds = self._refined([targets[t] for t in mine], members, cosines[likeliest, mine], units.of(likeliest))
        by = np.argsort(-log_odds, kind="stable")[:top]
        row = np.array([int(m[0]) for m in members], np.int64)
        sure = 1 / (1 + np.exp(-np.clip(log_odds[by], -700, 700)))
        return Suggestions(mine[by], np.where(likeliest[by] < count, likeliest[by], -1), row[by], sure)

    def _refined(self, targets: Sequence[Target], members: Sequence[Ints], cosine: Floats, units: _Units) -> Floats:
        """Log-odds (m,) that candidates with these rows are the targets beside them, with the statistics of their own faces."""
        looked = [m[:: max(1, len(m) // _FACES)][:_FACES] for m in members]
        at = np.repeat(np.arange(len(members)), [len(m) for m in looked])
        base, reach = self.stats(np.concatenate([np.zeros(0, np.int64), *looked]))
        n = np.maximum(np.bincount(at, minlength=len(members)), 1)
        base, reach = np.bincount(at, base, len(members)) / n, np.bincount(at, reach, len(members)) / n
        theirs = _Units(np.array([t.size for t in targets], np.int64), np.array([t.length for t in targets]))
        smaller = np.minimum(units.sizes, theirs.sizes)
        apart = np.where(smaller > 2, (units.within + theirs.within) / 2 - cosine, 0)
        log_odds = self._log_odds(targets, cosine, units, base, reach, apart)
        photos = [np.unique(self.photos[m]) for m in members]
        shared = np.array([len(np.intersect1d(p, t.photos)) for p, t in zip(photos, targets, strict=True)])
        return np.asarray(log_odds + np.log(self.config.same_photo_odds) * np.minimum(1, shared / np.maximum(smaller, 1)))

    def _log_odds(
        self, targets: Sequence[Target], cosine: Floats, units: _Units, base: Floats | float, reach: Floats | float, apart: Floats
    ) -> Floats:
        """Log-odds (m,) that groups with these mean cosines and statistics are the targets (one for all, or m), if no photo shows both."""
        usual = IdentifyConfig()  # as `assess`: the settings of a run do not change who is one person
        own_base, own_reach, length = (np.array([getattr(t, key) for t in targets]) for key in ("base", "reach", "length"))
        expected = usual.impostor_weight * (own_reach + reach) / 2 * length * units.lengths
        above = (cosine - (own_base + base) / 2 - usual.merge * self.sd - expected) / self.sd
        sizes = np.broadcast_to(np.array([t.size for t in targets], np.int64), len(units.sizes))
        return one_person_log_odds(above, apart / self.sd, sizes, units.sizes)


@dataclass(frozen=True, slots=True)
class _Units:
    """Groups and single faces: struct of arrays (m,)."""

    sizes: Ints
    lengths: Floats  # of the mean vectors

    @property
    def within(self) -> Floats:
        """Mean cosine of two faces of one."""
        return np.asarray(((self.sizes * self.lengths) ** 2 - self.sizes) / np.maximum(self.sizes * (self.sizes - 1), 1))

    def of(self, some: Ints) -> _Units:
        return _Units(self.sizes[some], self.lengths[some])


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0


def _blocks(n: int) -> list[slice]:
    return [slice(i, i + _BLOCK) for i in range(0, n, _BLOCK)]
