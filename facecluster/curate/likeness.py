"""How like faces are to people: to the middle of a person's faces, and to the few of them that are nearest.

The middle says what a person mostly looks like; the nearest faces vouch for an odd picture of it (from the side, another age, in a film's
make-up) that is far from the middle. Half of the likeness to the own label is either. Both are in sd above what strangers reach, which is
measured in the data set: middles against the faces of other labels, the nearest faces of each label against probes of the other labels (the
nearest of many faces are near by chance). So a figure means the same for every model, every set of people and every number of faces.

Odd inputs: as in `clean`.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_ROWS = 4_096  # faces a block
_COHORT = 1_000  # people whose middles stand for strangers: their median is known to .04 sd then
_PRIOR = 20  # people's worth of trust: of a face's own level in that of all faces, and of the data in the model's card
_NEAREST = 3  # faces of a label that vouch for one
_ALIKE, _NEAR_SD = 0.75, 0.73  # m faces of a person reach less than m of anybody; sd of their mean. Of 90 people, 4 to 60 faces each
_MOST = 1_000  # trusted faces of a label that may vouch
_PROBES = 400  # faces that show what strangers reach with the nearest faces of each label


@dataclass(frozen=True, slots=True)
class Likeness:
    """How like each face is to people, in sd above strangers."""

    own: Floats  # (n,) to the own label, middle and nearest faces; NaN if there is no other face to compare with
    middle: Floats  # (n,) to the middle of the own label alone
    other: Floats  # (n,) to the middle of the best other label; NaN if there is none
    best: Ints  # (n,) that label; -1 = none
    level: Floats  # (n,) a face's mean cosine to the middles of strangers
    sd: float  # of those cosines


def likeness(x: NDArray[np.float32], label: Ints, trusted: NDArray[np.bool_], *, mean: float, sd: float) -> Likeness:
    """Compare each face with the trusted faces of each label.

    Args:
        x: (n, dim), rows of length 1.
        label: (n,) from 0; -1 = none.
        trusted: (n,) faces that stand for their label.
        mean: cosine of two strangers, as the model's card says: what counts where the data set has few people.
        sd: the same.
    """
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
    scale = float(np.sqrt(trust * total[2] / max(total[0], 1) + (1 - trust) * sd**2))
    usual = trust * (float(np.nanmean(level)) if trust else 0.0) + (1 - trust) * mean
    level = trust * np.where(np.isnan(level), usual, level) + (1 - trust) * usual
    middle = (own - level) / scale
    near = _to_nearest(x, label, trusted, level - usual, trust, mean, sd)
    return Likeness((middle + near) / 2, middle, (other - level) / scale, best, level, scale)


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


def _to_nearest(
    x: NDArray[np.float32], label: Ints, trusted: NDArray[np.bool_], offset: Floats, trust: float, mean: float, sd: float
) -> Floats:
    """(n,) how like each face is to the nearest faces of its own label, in sd above strangers; NaN where there is none.

    `offset` (n,) is how much more alike than usual a face is to any stranger; `trust` what the data set counts beside `mean` and `sd`.
    """
    n = len(x)
    out, level = np.full(n, np.nan), np.full(n, np.nan)
    by = np.argsort(x[:, 0], kind="stable")  # choices that do not depend on the order of rows
    probes = by[:: max(1, -(-n // _PROBES))]
    below = np.zeros(2)  # number and sum of squares of what is below the level of its label
    for mine in _groups(label, by):
        basis = mine[trusted[mine]]
        if not len(basis):
            continue
        basis = basis[:: -(-len(basis) // _MOST)]
        for i in range(0, len(mine), _ROWS):
            block = mine[i : i + _ROWS]
            out[block] = _top(x[block] @ x[basis].T, block[:, None] == basis)
        away = probes[label[probes] != label[mine[0]]]
        strange = _top(x[away] @ x[basis].T) - offset[away]
        usual = float(np.median(strange)) if len(strange) else 0.0
        below += (strange < usual).sum(), (np.minimum(strange - usual, 0) ** 2).sum()
        level[mine] = trust * usual + (1 - trust) * (mean + sd * _nearest_of(len(basis)))
    scale = np.sqrt(trust * below[1] / max(below[0], 1) + (1 - trust) * (_NEAR_SD * sd) ** 2)
    return np.asarray((out - offset - level) / scale)


def _groups(label: Ints, order: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Rows of each label, in `order`; those of none are left out."""
    rows = order[np.argsort(label[order], kind="stable")]
    rows = rows[label[rows] >= 0]
    return np.split(rows, np.flatnonzero(np.diff(label[rows])) + 1) if len(rows) else []


def _nearest_of(m: int) -> float:
    """About where the mean cosine of a stranger to the _NEAREST likest of a person's m faces is, in sd of one cosine."""
    return _ALIKE * max(NormalDist().inv_cdf(1 - 2 / (m + 1)), 0.0) if m > _NEAREST else 0.0


def _top(cosines: NDArray[np.float32], itself: NDArray[np.bool_] | None = None) -> Floats:
    """Mean of the _NEAREST largest of each row of `cosines` (b, m), but for `itself` (b, m); NaN where none is left."""
    c = cosines if itself is None else np.where(itself, np.float32(-2), cosines)
    top = np.partition(c, max(c.shape[1] - _NEAREST, 0), axis=1)[:, -_NEAREST:].astype(np.float64)
    count = (top > -2).sum(axis=1)
    return np.asarray(np.where(count, np.where(top > -2, top, 0).sum(axis=1) / np.maximum(count, 1), np.nan))
