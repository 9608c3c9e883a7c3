"""What is wrong with whole labels: two labels for one person, one label for two. Proposals: a person says yes or no.

Two labels are proposed to be one if the mean cosine of their faces is what joins two groups of an unnamed collection (`joining`), and
their middles are more alike than those of any two strangers among as many labels. A label is proposed to be split if its faces fall into
groups by themselves (`identify.group`) and the middle of a group is no more like that of the largest than strangers are.

Odd input: a label with fewer than twice LEAST trusted faces is never split; one with a single face may be joined.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from facecluster.curate.clean import CleanConfig
from facecluster.curate.likeness import Floats, Ints, middles
from facecluster.grouping.average_linkage import AverageLinkage
from facecluster.grouping.cohort import QUANTILES, cohort_stats
from facecluster.grouping.identify import IdentifyConfig, group
from facecluster.grouping.link import nearest

LEAST = 3  # faces of a second person in a label
APART = 2.0  # sd above strangers from which two groups of one label are one person after all
_FEW, _FEW_APART = 6, 0.5  # a group of fewer faces must be stranger: pictures of one occasion look like a person of their own
_CLEAR = 1.0  # sd that the middles of two labels must be more alike than the likest pair of as many strangers
_NEAR = 8  # labels compared with each label


@dataclass(frozen=True, slots=True)
class Merge:
    """Two labels that seem to be one person."""

    first: int
    second: int
    above: float  # sd of strangers' cosines above what is asked of one person


@dataclass(frozen=True, slots=True)
class Split:
    """A label that seems to be several people: the largest group keeps it."""

    label: int
    others: list[Ints]  # rows of the faces of each further person
    likeness: float  # sd above strangers of the likest of them to the largest group


def merges(vectors: NDArray[np.floating], labels: NDArray[np.integer], trusted: NDArray[np.bool_], config: CleanConfig) -> list[Merge]:
    """Labels that seem to be one person, the clearest first.

    Args:
        vectors: (n, dim), rows of length 1.
        labels: (n,) from 0; -1 = none.
        trusted: (n,) faces whose label is right.
        config: the model's figures for strangers.
    """
    rows = np.flatnonzero(trusted & (np.asarray(labels) >= 0))
    people, first, label = np.unique(np.asarray(labels, np.int64)[rows], return_index=True, return_inverse=True)
    if len(people) < 2:
        return []
    x = np.ascontiguousarray(vectors, dtype=np.float32)[rows]
    sums, _ = middles(x, label, np.ones(len(x), bool), len(people))
    near, _ = nearest(_unit(sums), min(_NEAR, len(people) - 1))
    source, target = np.repeat(np.arange(len(people)), near.shape[1]), near.ravel()
    keep = target >= 0
    defaults = IdentifyConfig()
    cohort = cohort_stats(x, label, mean=config.impostor_mean, sd=config.impostor_sd)
    linkage = AverageLinkage(cohort, defaults.merge, defaults.impostor_weight)
    a, b, excess = linkage.compare(x, label, first[source[keep]], first[target[keep]])
    unit, mean = _unit(sums), float(cohort.base.mean()) - cohort.sd * NormalDist().inv_cdf(QUANTILES[0])
    asked = mean + cohort.sd * (_CLEAR + NormalDist().inv_cdf(1 - 1 / max(len(people) ** 2 / 2, 10)))
    excess = np.minimum(excess, np.einsum("ij,ij->i", unit[a], unit[b]) - asked)
    found = [Merge(int(people[a[i]]), int(people[b[i]]), float(excess[i] / cohort.sd)) for i in np.flatnonzero(excess >= 0)]
    return sorted(found, key=lambda m: (-m.above, m.first, m.second))


def splits(
    vectors: NDArray[np.floating], labels: NDArray[np.integer], trusted: NDArray[np.bool_], config: CleanConfig,
    level: float | None = None, sd: float | None = None,
) -> list[Split]:  # fmt: skip
    """Labels that seem to be several people, by label.

    Args:
        vectors: (n, dim), rows of length 1.
        labels: (n,) from 0; -1 = none.
        trusted: (n,) faces to look at.
        config: the model's figures for strangers.
        level: mean cosine of a face to the middle of a stranger, measured; None = the model's card's.
        sd: the same.
    """
    x, label = np.ascontiguousarray(vectors, dtype=np.float32), np.asarray(labels, np.int64)
    order = np.flatnonzero(trusted & (label >= 0))
    order = order[np.argsort(label[order], kind="stable")]
    found = []
    for rows in np.split(order, np.flatnonzero(np.diff(label[order])) + 1):
        if len(rows) >= 2 * LEAST:
            parts = _parts(x[rows], config)
            one = _several(x[rows], parts, config.impostor_mean if level is None else level, sd or config.impostor_sd)
            if one is not None:
                others, likeness = one
                found.append(Split(int(label[rows[0]]), [rows[o] for o in others], likeness))
    return found


def _parts(x: NDArray[np.float32], config: CleanConfig) -> Ints:
    """(m,) groups that the faces of one label fall into by themselves, by falling size; -1 = none."""
    near, cosine = nearest(x, min(32, len(x) - 1))
    rules = IdentifyConfig(impostor_mean=config.impostor_mean, impostor_sd=config.impostor_sd)
    return group(x, near, cosine, rules).labels.astype(np.int64)


def _several(x: NDArray[np.float32], parts: Ints, level: float, sd: float) -> tuple[list[Ints], float] | None:
    """Rows of each group that is as strange to the largest as strangers are, and how like it the likest is; None if all are one."""
    if not (parts >= 0).any():
        return None
    sums, sizes = middles(x, parts, parts >= 0, int(parts.max()) + 1)
    group_of = np.arange(len(sums))
    while True:  # the likest two become one, until all are apart
        alive = np.unique(group_of)
        unit = _unit(sums[alive])
        cosines = np.triu(unit @ unit.T, 1) + np.tril(np.full((len(alive),) * 2, -2.0))
        a, b = np.unravel_index(int(cosines.argmax()), cosines.shape)
        if len(alive) < 2 or (cosines[a, b] - level) / sd < APART:
            break
        sums[alive[a]] += sums[alive[b]]
        sizes[alive[a]] += sizes[alive[b]]
        group_of[group_of == alive[b]] = alive[a]
    first, *large = alive[np.argsort(-sizes[alive], kind="stable")]
    above = {g: (float(_unit(sums[[g]])[0] @ _unit(sums[[first]])[0]) - level) / sd for g in large if sizes[g] >= LEAST}
    further = [g for g in above if sizes[g] >= _FEW or above[g] < _FEW_APART]
    if sizes[first] < LEAST or not further:
        return None
    mine = np.where(parts >= 0, group_of[np.maximum(parts, 0)], -1)
    return [np.flatnonzero(mine == g) for g in further], max(above[g] for g in further)


def _unit(sums: Floats) -> Floats:
    return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9))
