"""Similarity of faces to labels: to the centroid of a label's faces, and to the few of them that are nearest.

The centroid says what a person mostly looks like. The nearest faces support an odd picture of the person (a profile, another age, film
make-up) that is far from the centroid. The similarity to the own label is the mean of both.

Both are *margins*: standard deviations of the cosine above the mean of impostor cosines. An impostor cosine is that of a face to another
person. Impostors are measured in the data set: centroids against faces of other labels, and each label's nearest faces against probes of
other labels (of many faces the nearest are near by chance). So a margin means the same for every model, every set of people and every
number of faces.

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
_COHORT_SIZE = 1_000  # people whose centroids serve as impostors: their median is known to .04 sd then
# People that the prior counts as: for a face's own impostor mean the mean of all faces, for the data set the model's card
_PRIOR = 20
_NEAREST = 3  # nearest faces of a label that are averaged
# The m faces of a person reach less than m independent faces; sd of the mean of their nearest. Of 90 people, 4 to 60 faces each
_INDEPENDENT, _NEAREST_SD = 0.75, 0.73
_MAX_TRUSTED = 1_000  # trusted faces of a label that the nearest are taken from
_PROBES = 400  # faces that measure impostor cosines to the nearest faces of each label


@dataclass(frozen=True, slots=True)
class LabelSimilarity:
    """Margins of each face to labels."""

    own: Floats  # (n,) to the own label, mean of centroid and nearest faces; NaN if no other face of the label is trusted
    centroid: Floats  # (n,) to the centroid of the own label alone
    other: Floats  # (n,) to the centroid of the best other label; NaN if there is none
    best_other: Ints  # (n,) that label; -1 = none
    impostor_mean: Floats  # (n,) mean cosine of the face to centroids of other people
    impostor_sd: float  # of those cosines


def label_similarity(x: NDArray[np.float32], label: Ints, trusted: NDArray[np.bool_], *, mean: float, sd: float) -> LabelSimilarity:
    """Compare each face with the trusted faces of each label.

    Args:
        x: (n, dim), rows of length 1.
        label: (n,) from 0; -1 = none.
        trusted: (n,) faces that stand for their label.
        mean: of impostor cosines, from the model's card: the prior for data sets of few people.
        sd: the same.
    """
    n, people = len(x), int(label.max(initial=-1)) + 1
    sums, sizes = centroid_sums(x, label, trusted, people)
    unit = (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    existing = np.flatnonzero(sizes)
    cohort = existing if len(existing) <= _COHORT_SIZE else existing[np.linspace(0, len(existing) - 1, _COHORT_SIZE).astype(np.int64)]
    own, other, best, level = np.full(n, np.nan), np.full(n, np.nan), np.full(n, -1, dtype=np.int64), np.full(n, np.nan)
    total = np.zeros(3)  # number, sum and sum of squares of the impostor cosines below the median of their face
    for i in range(0, n, _ROWS):
        block = slice(i, min(n, i + _ROWS))
        mine = label[block]
        own[block] = _own_centroid_cosine(x[block], mine, trusted[block], sums, sizes)
        impostor = _mask_own(x[block] @ unit[cohort].T, mine, cohort)
        if len(cohort) > 2:
            # the person may be in the cohort under another label: the median, and what is below it, do not depend on that
            level[block] = np.nanmedian(impostor, axis=1)
            below = impostor - level[block][:, None]
            below = below[below < 0]
            total += len(below), below.sum(), (below**2).sum()
        if len(existing) > 1 or (len(existing) and (mine < 0).any()):
            cosines = _mask_own(x[block] @ unit[existing].T, mine, existing, -2.0)
            at = cosines.argmax(axis=1)
            top = cosines[np.arange(len(at)), at]
            other[block], best[block] = np.where(top > -2, top, np.nan), np.where(top > -2, existing[at], -1)
    trust = len(cohort) / (len(cohort) + _PRIOR) if len(cohort) > 2 else 0.0
    scale = float(np.sqrt(trust * total[2] / max(total[0], 1) + (1 - trust) * sd**2))
    usual = trust * (float(np.nanmean(level)) if trust else 0.0) + (1 - trust) * mean
    level = trust * np.where(np.isnan(level), usual, level) + (1 - trust) * usual
    centroid = (own - level) / scale
    near = _nearest_margin(x, label, trusted, level - usual, trust, mean, sd)
    return LabelSimilarity((centroid + near) / 2, centroid, (other - level) / scale, best, level, scale)


def centroid_sums(x: NDArray[np.float32], label: Ints, trusted: NDArray[np.bool_], people: int) -> tuple[Floats, Ints]:
    """Sums of vectors (people, dim) and numbers (people,) of the trusted faces of each label; a sum points to the centroid."""
    sums = np.zeros((people, x.shape[1]))
    np.add.at(sums, label[trusted], x[trusted].astype(np.float64))
    return sums, np.bincount(label[trusted], minlength=people).astype(np.int64)


def _own_centroid_cosine(x: NDArray[np.float32], mine: Ints, trusted: NDArray[np.bool_], sums: Floats, sizes: Ints) -> Floats:
    """(b,) cosine to the centroid of the label's other faces; NaN if it has none."""
    out = np.full(len(x), np.nan)
    rows = np.flatnonzero(mine >= 0)
    rest = sums[mine[rows]] - np.where(trusted[rows, None], x[rows], 0)
    some = sizes[mine[rows]] - trusted[rows] > 0
    length = np.linalg.norm(rest, axis=1)
    out[rows[some]] = (np.einsum("ij,ij->i", x[rows], rest) / np.maximum(length, 1e-9))[some]
    return out


def _mask_own(cosines: NDArray[np.float32], mine: Ints, people: Ints, value: float = np.nan) -> NDArray[np.float32]:
    """Cosines (b, p) to `people` (p, sorted), with `value` where the person is the face's own label."""
    at = np.searchsorted(people, mine)
    inside = np.flatnonzero((at < len(people)) & (people[np.minimum(at, len(people) - 1)] == mine)) if len(people) else at[:0]
    cosines[inside, at[inside]] = value
    return cosines


def _nearest_margin(
    x: NDArray[np.float32], label: Ints, trusted: NDArray[np.bool_], offset: Floats, trust: float, mean: float, sd: float
) -> Floats:
    """(n,) margin of each face to the nearest faces of its own label; NaN if it has none.

    `offset` (n,) is how much a face's impostor mean is above the usual one; `trust` is the weight of the data set, the prior being `mean`
    and `sd`.
    """
    n = len(x)
    out, level = np.full(n, np.nan), np.full(n, np.nan)
    by = np.argsort(x[:, 0], kind="stable")  # so that the faces picked do not depend on the order of rows
    probes = by[:: max(1, -(-n // _PROBES))]
    below = np.zeros(2)  # number and sum of squares of the impostor cosines below the median of their label
    for mine in _rows_by_label(label, by):
        basis = mine[trusted[mine]]
        if not len(basis):
            continue
        basis = basis[:: -(-len(basis) // _MAX_TRUSTED)]
        for i in range(0, len(mine), _ROWS):
            block = mine[i : i + _ROWS]
            out[block] = _mean_of_nearest(x[block] @ x[basis].T, block[:, None] == basis)
        away = probes[label[probes] != label[mine[0]]]
        impostor = _mean_of_nearest(x[away] @ x[basis].T) - offset[away]
        usual = float(np.median(impostor)) if len(impostor) else 0.0
        below += (impostor < usual).sum(), (np.minimum(impostor - usual, 0) ** 2).sum()
        level[mine] = trust * usual + (1 - trust) * (mean + sd * _expected_nearest(len(basis)))
    scale = np.sqrt(trust * below[1] / max(below[0], 1) + (1 - trust) * (_NEAREST_SD * sd) ** 2)
    return np.asarray((out - offset - level) / scale)


def _rows_by_label(label: Ints, order: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Rows of each label, in `order`; rows without a label are left out."""
    rows = order[np.argsort(label[order], kind="stable")]
    rows = rows[label[rows] >= 0]
    return np.split(rows, np.flatnonzero(np.diff(label[rows])) + 1) if len(rows) else []


def _expected_nearest(m: int) -> float:
    """About the mean cosine of an impostor to the _NEAREST most similar of a person's m faces, in sd of one cosine."""
    return _INDEPENDENT * max(NormalDist().inv_cdf(1 - 2 / (m + 1)), 0.0) if m > _NEAREST else 0.0


def _mean_of_nearest(cosines: NDArray[np.float32], itself: NDArray[np.bool_] | None = None) -> Floats:
    """Mean of the _NEAREST largest in each row of `cosines` (b, m), `itself` (b, m) left out; NaN if none is left."""
    c = cosines if itself is None else np.where(itself, np.float32(-2), cosines)
    top = np.partition(c, max(c.shape[1] - _NEAREST, 0), axis=1)[:, -_NEAREST:].astype(np.float64)
    count = (top > -2).sum(axis=1)
    return np.asarray(np.where(count, np.where(top > -2, top, 0).sum(axis=1) / np.maximum(count, 1), np.nan))
