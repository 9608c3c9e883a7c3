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
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.cohort import cohort_rows, compare_with_cohort, content_keys
from facecluster.grouping.face_vectors import Vectors
from facecluster.grouping.identify_config import IdentifyConfig
from facecluster.grouping.uncertainty import one_person_log_odds
from facecluster.people.grouped_faces import Grouped, blocks, group_faces

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_CANDIDATES = 128  # groups and faces that are measured one by one
_FACES = 4  # of a group, whose cohort statistics stand for all of it
_TARGET_FACES = 64  # of a person whom others are compared with, likewise
_SAMPLE = 1_024  # faces that the spread of the collection's impostors is measured on
_KEPT = 1 << 24  # log-odds that are kept for the next time: 64 MB


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Struct of arrays (m,), by falling probability."""

    target: Ints  # index of the target that it may be
    group: Ints  # number of the group; -1 = a single face
    row: Ints  # the single face; of a group its first face in `order`
    probability: Floats  # that it shows the target's person, 0 to 1


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
        keys = np.concatenate([np.zeros(0, np.uint64), *(content_keys(vectors[rows[s]]) for s in blocks(len(rows)))])
        members = cohort_rows(keys, group, 4_000)
        self._cohort = vectors[rows[members]]
        column = np.full(group.max(initial=-1) + 1, -1, np.int32)
        column[group[members]] = np.arange(len(members))
        self._column = np.full(len(labels), -1, np.int32)
        self._column[rows] = column[group]
        self._base, self._reach = np.full(len(labels), np.nan), np.full(len(labels), np.nan)
        sample = rows[:: max(1, len(rows) // _SAMPLE)]
        self.sd = self._measure(sample)
        self._kept: _Kept | None = None
        self._targets: tuple[object, dict[int, Target]] = None, {}  # token of the groups, and those of them that were compared

    def stats(self, rows: Ints) -> tuple[Floats, Floats]:
        """Base and reach (m,) of faces (cohort.CohortStats)."""
        self._measure(np.unique(rows[np.isnan(self._base[rows])]))
        return self._base[rows], self._reach[rows]

    def target(self, groups: Grouped, number: int) -> Target:
        """A group, to suggest others for."""
        token, known = self._targets
        if token is not groups.token:
            there = np.flatnonzero(np.isin(groups.was, [*known])).tolist() if token is groups.before else []
            known = {i: replace(known[int(groups.was[i])], group=i, sum=groups.sums[i]) for i in there}
            self._targets = groups.token, known
        if number not in known:
            rows = groups.rows_of(number)
            base, reach = self.stats(rows[:: max(1, len(rows) // _TARGET_FACES)])
            photos = np.unique(self.photos[rows])
            known[number] = Target(number, groups.sums[number], len(rows), _mean(base), _mean(reach), photos[photos >= 0])
        return known[number]

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

    def grouped(self, identity: Ints, surest: Ints, before: Grouped | None = None) -> Grouped:
        """The groups `identity` (n,; -1 and less = nobody) of the faces: see `group_faces`."""
        return group_faces(self.vectors, self.usable, identity, surest, before)

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
        units = _Units(
            np.r_[np.maximum(sizes, 1), np.ones(len(alone), np.int64)],
            np.r_[np.linalg.norm(groups.sums, axis=1) / np.maximum(sizes, 1), np.ones(len(alone))],
        )
        odds = self._all_odds(groups, targets, alone, units)
        whose, best = _likeliest(odds, targets, count, alone)
        best[:count][hidden | (sizes == 0)] = -np.inf
        likeliest = np.argsort(-best, kind="stable")[: min(_CANDIDATES, int(np.isfinite(best).sum()))]
        members = [groups.rows_of(c) if c < count else alone[c - count : c - count + 1] for c in likeliest.tolist()]
        mine = whose[likeliest]
        cosine = self._cosines(groups, alone, likeliest, targets, mine)
        log_odds = self._refined([targets[t] for t in mine], members, cosine, units.of(likeliest))
        by = np.argsort(-log_odds, kind="stable")[:top]
        row = np.array([int(m[0]) for m in members], np.int64)
        sure = 1 / (1 + np.exp(-np.clip(log_odds[by], -700, 700)))
        return Suggestions(mine[by], np.where(likeliest[by] < count, likeliest[by], -1), row[by], sure)

    def _all_odds(self, groups: Grouped, targets: Sequence[Target], alone: Ints, units: _Units) -> NDArray[np.float32]:
        """Log-odds (u, t) of all groups and single faces `alone` with the targets: those of the last time where neither has changed."""
        odds = np.empty((len(units.sizes), len(targets)), np.float32)
        known_units, known_targets = np.zeros(len(odds), bool), np.zeros(len(targets), bool)
        kept, numbers = self._kept, [t.group for t in targets]
        if kept is not None and kept.groups in (groups.token, groups.before):
            was = np.arange(len(groups.was)) if kept.groups is groups.token else groups.was
            unit, column = kept.units(was, alone), kept.columns(np.append(was, -1)[numbers])
            if kept.groups is groups.token and kept.odds.shape == odds.shape and (column == np.arange(len(column))).all():
                return kept.odds
            known_units, known_targets = unit >= 0, column >= 0
            odds[np.ix_(known_units, known_targets)] = kept.odds[np.ix_(unit[known_units], column[known_targets])]
        for some, others in ((~known_units, np.ones(len(targets), bool)), (known_units, ~known_targets)):
            self._fill(odds, np.flatnonzero(some), np.flatnonzero(others), groups, targets, alone, units)
        if 1 < len(targets) and min(numbers) >= 0 and odds.size <= _KEPT:
            self._kept = _Kept(groups.token, len(groups.was), np.array(numbers), alone, odds)
        return odds

    def _fill(
        self, odds: NDArray[np.float32], some: Ints, columns: Ints, groups: Grouped, targets: Sequence[Target], alone: Ints, units: _Units
    ) -> None:
        if not len(columns):
            return
        sums = np.array([targets[c].sum for c in columns.tolist()], np.float32) / [[max(targets[c].size, 1)] for c in columns.tolist()]
        for part in blocks(len(some)):
            rows = some[part]
            cosines = self._means(groups, alone, rows) @ sums.T.astype(np.float32)
            for i, c in enumerate(columns.tolist()):
                target = targets[c]
                odds[rows, c] = self._log_odds([target], cosines[:, i], units.of(rows), target.base, target.reach, np.zeros(1))

    def _means(self, groups: Grouped, alone: Ints, units: Ints) -> NDArray[np.float32]:
        """Mean vectors (m, dim) of groups and single faces, by their number among these."""
        count, sizes = len(groups.sums), groups.sizes
        grouped = units < count
        found = np.empty((len(units), self.vectors.shape[1]), np.float32)
        found[grouped] = groups.sums[units[grouped]] / np.maximum(sizes[units[grouped]], 1)[:, None]
        found[~grouped] = self.vectors[alone[units[~grouped] - count]]
        return found

    def _cosines(self, groups: Grouped, alone: Ints, units: Ints, targets: Sequence[Target], whose: Ints) -> Floats:
        """Mean cosines (m,) of groups and single faces with the targets beside them."""
        if not len(units):
            return np.zeros(0)
        means = np.array([t.sum / max(t.size, 1) for t in targets], np.float64)
        return np.asarray(np.einsum("ij,ij->i", self._means(groups, alone, units), means[whose]))

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


def _likeliest(odds: NDArray[np.float32], targets: Sequence[Target], count: int, alone: Ints) -> tuple[Ints, NDArray[np.float32]]:
    """The likeliest target of each group (the first `count`) and single face (rows `alone`) with its log-odds; -inf: all are closed."""
    units, columns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for i, target in enumerate(targets):
        shut = np.array([g for g in (target.group, *target.closed_groups) if g >= 0], np.int64)
        faces = np.array([*target.closed_faces], np.int64)
        units += [shut, count + np.flatnonzero(np.isin(alone, faces))] if len(faces) else [shut]
        columns.append(np.full(sum(map(len, units)) - sum(map(len, columns)), i))
    closed = np.concatenate(units), np.concatenate(columns)
    open_ = odds[closed]
    odds[closed] = -np.inf
    whose = odds.argmax(axis=1)
    best = odds[np.arange(len(odds)), whose]
    odds[closed] = open_  # it is kept: a decision does not change how alike two people are
    return whose, best


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """Log-odds (u, t) of some groups, then of some single faces, with some of the groups."""

    groups: object  # token
    count: int  # number of groups
    numbers: Ints  # (t,) of the groups that others are compared with
    alone: Ints  # rows of the single faces, rising
    odds: NDArray[np.float32]

    def units(self, was: Ints, alone: Ints) -> Ints:
        """The row of each of the groups that are those numbers `was`, and of the single faces; -1: it is not there."""
        at = np.searchsorted(self.alone, alone)
        there = np.append(self.alone, -1)[at] == alone
        return np.concatenate([was, np.where(there, self.count + at, -1)])

    def columns(self, was: Ints) -> Ints:
        """The column of each of some groups (t,) that are those numbers `was`; -1: it is not there."""
        column = np.append(np.full(self.count, -1, np.int64), -1)
        column[self.numbers] = np.arange(len(self.numbers))
        return np.asarray(column[was])


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
