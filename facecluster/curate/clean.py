"""Which labels of faces are wrong: each face against the other faces of its person, and against every other person.

A face is compared with the middle of its person's trusted faces (itself left out) and with the middles of all other people. What strangers
reach is measured in the data set itself: the cosines of each face to the middles of the other people. So every bound is in sd above
strangers, and means the same for every model and every set of people. Flagged faces are no longer trusted; the middles are taken anew and
all faces, flagged ones too, are judged again, until nothing changes.

Odd inputs: a face without a label (-1) is "unlabelled" and never trusted; the only face of a label has nothing to be compared with and is
"alone"; one of two faces that disagree could be either, so both are "alone". Fewer than three people say little about strangers, then the
model's card says the rest. No faces give empty arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
RIGHT, WRONG, STRANGER, BYSTANDER, ALONE, UNLABELLED = "right", "wrong", "stranger", "bystander", "alone", "unlabelled"
_ROWS = 4_096  # faces a block
_COHORT = 1_000  # people whose middles stand for strangers: their median is known to .04 sd then
_PRIOR = 20  # people's worth of trust: of a face's own level in that of all faces, and of the data in the model's card
_SAMPLE = 300  # right faces that say what is usual: fewer are moved by chance
_ROUNDS = 12  # two or three are usual; a face that two people claim could flip for ever


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanConfig:
    """What decides which labels are wrong. Bounds are in sd of strangers' cosines to the middle of a person."""

    low: float = 0.8  # a face less far above strangers than that is not of its label
    spread: float = 4.0  # nor one that is that many sd of right faces less like its label than is usual, where that asks for more
    share: float = 0.5  # of what another person has above the best of as many strangers, that the own label must have besides
    stranger_mean: float = 0.035  # cosine of two strangers, from the model's card
    stranger_sd: float = 0.115


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Struct of arrays over n faces."""

    verdict: NDArray[np.str_]  # (n,) RIGHT, WRONG (another known person's), STRANGER (nobody's), BYSTANDER, ALONE, UNLABELLED
    own: Floats  # (n,) sd above strangers of the likeness to the own label; NaN if there is nothing to compare with
    other: Floats  # (n,) the same for the best other label; NaN if there is none
    best: Ints  # (n,) the best other label; -1 = none
    rounds: int  # until nothing changed

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """(n,) faces whose label is wrong."""
        return np.isin(self.verdict, (WRONG, STRANGER, BYSTANDER))


@dataclass(frozen=True, slots=True)
class Likeness:
    """How like each face is to people, in sd above strangers."""

    own: Floats  # (n,)
    other: Floats  # (n,)
    best: Ints  # (n,)
    level: Floats  # (n,) a face's mean cosine to the middles of strangers
    sd: float


def clean(
    vectors: NDArray[np.floating], labels: NDArray[np.integer], config: CleanConfig | None = None, *,
    photos: NDArray[np.integer] | None = None, doubtful: NDArray[np.bool_] | None = None,
) -> Verdicts:  # fmt: skip
    """Judge the label of each face.

    Args:
        vectors: (n, dim), rows of length 1.
        labels: (n,) number of the person that each face is said to be, from 0; -1 = not said.
        config: see there.
        photos: (n,) number of the photo of each face, if labels are those of whole photos: then only the likeliest face of a photo can be
            the person, the others are bystanders.
        doubtful: (n,) faces that are not trusted from the beginning, though judged: of low quality, or found to be a second person.
    """
    config = config or CleanConfig()
    x = np.ascontiguousarray(vectors, dtype=np.float32)
    label = np.asarray(labels, dtype=np.int64)
    basis = (label >= 0) if doubtful is None else (label >= 0) & ~doubtful
    trusted, seen = basis, set()
    for rounds in range(1, _ROUNDS + 1):  # noqa: B007  counts them
        found = likeness(x, label, trusted, config)
        verdict = _judge(found, label, trusted, config)
        if photos is not None:
            verdict[_bystanders(found.own, label, np.asarray(photos), verdict)] = BYSTANDER
        now = basis & np.isin(verdict, (RIGHT, ALONE))
        key = now.tobytes()
        if key in seen:
            break
        seen.add(key)
        trusted = now
    return Verdicts(verdict, found.own, found.other, found.best, rounds)


def likeness(x: NDArray[np.float32], label: Ints, trusted: NDArray[np.bool_], config: CleanConfig) -> Likeness:
    """Compare each face of x (n, dim) with the middles of the `trusted` (n,) faces of each label."""
    n, people = len(x), int(label.max(initial=-1)) + 1
    sums, sizes = middles(x, label, trusted, people)
    unit = (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    there = np.flatnonzero(sizes)
    cohort = there if len(there) <= _COHORT else there[np.linspace(0, len(there) - 1, _COHORT).astype(np.int64)]
    own, other, best, level = np.full(n, np.nan), np.full(n, np.nan), np.full(n, -1, dtype=np.int64), np.full(n, np.nan)
    total = np.zeros(3)  # number, sum and sum of squares of what is below the level of its face
    for i in range(0, n, _ROWS):
        block = slice(i, min(n, i + _ROWS))
        mine = label[block]
        own[block] = _to_own(x[block], mine, trusted[block], sums, sizes)
        strange = _but(x[block] @ unit[cohort].T, mine, cohort)
        if len(cohort) > 2:
            # the person itself may be among them under another label: the median and what is below it know nothing of that
            level[block] = np.nanmedian(strange, axis=1)
            below = strange - level[block][:, None]
            below = below[below < 0]
            total += len(below), below.sum(), (below**2).sum()
        if len(there) > 1 or (len(there) and (mine < 0).any()):
            cosines = _but(x[block] @ unit[there].T, mine, there, -2.0)
            at = cosines.argmax(axis=1)
            top = cosines[np.arange(len(at)), at]
            other[block], best[block] = np.where(top > -2, top, np.nan), np.where(top > -2, there[at], -1)
    trust = len(cohort) / (len(cohort) + _PRIOR) if len(cohort) > 2 else 0.0
    sd = np.sqrt(trust * total[2] / max(total[0], 1) + (1 - trust) * config.stranger_sd**2)
    mean = trust * (float(np.nanmean(level)) if trust else 0.0) + (1 - trust) * config.stranger_mean
    level = trust * np.where(np.isnan(level), mean, level) + (1 - trust) * mean
    return Likeness((own - level) / sd, (other - level) / sd, best, level, float(sd))


def middles(x: NDArray[np.float32], label: Ints, trusted: NDArray[np.bool_], people: int) -> tuple[Floats, Ints]:
    """Sums of vectors (people, dim) and numbers (people,) of the trusted faces of each label."""
    sums = np.zeros((people, x.shape[1]))
    np.add.at(sums, label[trusted], x[trusted].astype(np.float64))
    return sums, np.bincount(label[trusted], minlength=people).astype(np.int64)


def _to_own(x: NDArray[np.float32], mine: Ints, trusted: NDArray[np.bool_], sums: Floats, sizes: Ints) -> Floats:
    """(b,) cosine to the middle of the label's other faces; NaN where there is none."""
    out = np.full(len(x), np.nan)
    rows = np.flatnonzero(mine >= 0)
    rest = sums[mine[rows]] - np.where(trusted[rows, None], x[rows], 0)
    some = sizes[mine[rows]] - trusted[rows] > 0
    length = np.linalg.norm(rest, axis=1)
    out[rows[some]] = (np.einsum("ij,ij->i", x[rows], rest) / np.maximum(length, 1e-9))[some]
    return out


def _but(cosines: NDArray[np.float32], mine: Ints, people: Ints, value: float = np.nan) -> NDArray[np.float32]:
    """Cosines (b, p) to `people` (p,), rising, with `value` where the person is the face's own label."""
    at = np.searchsorted(people, mine)
    inside = np.flatnonzero((at < len(people)) & (people[np.minimum(at, len(people) - 1)] == mine)) if len(people) else at[:0]
    cosines[inside, at[inside]] = value
    return cosines


def _judge(found: Likeness, label: Ints, trusted: NDArray[np.bool_], config: CleanConfig) -> NDArray[np.str_]:
    people = int(label.max(initial=-1)) + 1
    others = np.bincount(label[trusted], minlength=people)[label] - trusted if people else np.zeros(len(label), np.int64)
    verdict = np.full(len(label), RIGHT, dtype="<U10")
    # the best of many people is like a face by chance: only what it has above that speaks for it
    extra = np.nan_to_num(found.other) - NormalDist().inv_cdf(1 - 1 / max(int((np.bincount(label[trusted], minlength=1) > 0).sum()), 3))
    bound = _bound(found.own[trusted], config)
    far = found.own < bound + config.share * np.maximum(extra, 0)
    elsewhere = far & (extra >= config.low) & (found.other >= bound)
    verdict[far] = STRANGER
    verdict[elsewhere] = WRONG
    verdict[np.isnan(found.own) | (far & (others < 2) & trusted & ~elsewhere)] = ALONE
    verdict[label < 0] = UNLABELLED
    return verdict


def _bound(own: Floats, config: CleanConfig) -> float:
    """What a face's likeness to its label must be: where right labels stand well clear of strangers, more than the least.

    The sd of right faces is that below their median, by the 16th percentile, which few wrong ones do not move.
    """
    own = own[~np.isnan(own)]
    if len(own) < _SAMPLE:
        return config.low
    low, middle = (float(v) for v in np.quantile(own, (0.16, 0.5)))
    return max(config.low, min(middle / 2, middle - config.spread * (middle - low)))


def _bystanders(own: Floats, label: Ints, photos: NDArray[np.integer], verdict: NDArray[np.str_]) -> Ints:
    """Rows of faces said to be right in photos where a likelier face has the same label."""
    rows = np.flatnonzero(verdict == RIGHT)
    order = rows[np.lexsort((-own[rows], label[rows], photos[rows]))]
    same = (photos[order][1:] == photos[order][:-1]) & (label[order][1:] == label[order][:-1])
    return np.asarray(order[1:][same], dtype=np.int64)
