"""Proposals about whole labels, which the user decides: merge two labels of one person, split a label of several people.

Two labels are proposed to be one person if two conditions hold: average linkage would join their faces in a collection without labels
(`grouping.average_linkage`), and their centroids are more similar than the most similar pair of as many different people. A label is
proposed to be split if its faces form groups by themselves (`identify.group`), and the centroid of a group is no more similar to that of
the largest group than impostors are.

Odd input: a label with fewer than twice MIN_SECOND trusted faces is never split; one with a single face may be merged.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from facecluster.curate.clean import CleanConfig
from facecluster.curate.similarity import Floats, Ints, centroid_sums
from facecluster.grouping.average_linkage import AverageLinkage
from facecluster.grouping.cohort import QUANTILES, cohort_stats
from facecluster.grouping.identify import IdentifyConfig, group
from facecluster.grouping.link import nearest

MIN_SECOND = 3  # faces of a second person in a label
ONE_PERSON = 2.0  # margin from which two groups of one label are one person after all
_FEW, _FEW_MARGIN = 6, 0.5  # a group of fewer faces must have a lower margin: pictures of one occasion look like a person of their own
_CLEAR = 1.0  # sd that two centroids must be more similar than the most similar pair of as many different people
_NEIGHBOURS = 8  # labels compared with each label


@dataclass(frozen=True, slots=True)
class MergeProposal:
    """Two labels that seem to be one person."""

    first: int
    second: int
    margin: float  # above what is asked of one person, in sd of impostor cosines


@dataclass(frozen=True, slots=True)
class SplitProposal:
    """A label that seems to be several people. The largest group keeps it."""

    label: int
    others: list[Ints]  # rows of the faces of each further person
    margin: float  # of the most similar of them to the largest group


def propose_merges(
    vectors: NDArray[np.floating], labels: NDArray[np.integer], trusted: NDArray[np.bool_], config: CleanConfig
) -> list[MergeProposal]:
    """Pairs of labels that seem to be one person, the clearest first.

    Args:
        vectors: (n, dim), rows of length 1.
        labels: (n,) from 0; -1 = none.
        trusted: (n,) faces whose label is right.
        config: its impostor figures are used.
    """
    rows = np.flatnonzero(trusted & (np.asarray(labels) >= 0))
    people, first, label = np.unique(np.asarray(labels, np.int64)[rows], return_index=True, return_inverse=True)
    if len(people) < 2:
        return []
    x = np.ascontiguousarray(vectors, dtype=np.float32)[rows]
    sums, _ = centroid_sums(x, label, np.ones(len(x), bool), len(people))
    near, _ = nearest(_unit(sums), min(_NEIGHBOURS, len(people) - 1))
    source, target = np.repeat(np.arange(len(people)), near.shape[1]), near.ravel()
    keep = target >= 0
    defaults = IdentifyConfig()
    cohort = cohort_stats(x, label, mean=config.impostor_mean, sd=config.impostor_sd)
    linkage = AverageLinkage(cohort, defaults.merge, defaults.impostor_weight)
    a, b, excess = linkage.compare(x, label, first[source[keep]], first[target[keep]])
    unit, mean = _unit(sums), float(cohort.base.mean()) - cohort.sd * NormalDist().inv_cdf(QUANTILES[0])
    asked = mean + cohort.sd * (_CLEAR + NormalDist().inv_cdf(1 - 1 / max(len(people) ** 2 / 2, 10)))
    excess = np.minimum(excess, np.einsum("ij,ij->i", unit[a], unit[b]) - asked)
    found = [MergeProposal(int(people[a[i]]), int(people[b[i]]), float(excess[i] / cohort.sd)) for i in np.flatnonzero(excess >= 0)]
    return sorted(found, key=lambda m: (-m.margin, m.first, m.second))


def propose_splits(
    vectors: NDArray[np.floating], labels: NDArray[np.integer], trusted: NDArray[np.bool_], config: CleanConfig,
    impostor_mean: float | None = None, impostor_sd: float | None = None,
) -> list[SplitProposal]:  # fmt: skip
    """Labels that seem to be several people, sorted by label.

    Args:
        vectors: (n, dim), rows of length 1.
        labels: (n,) from 0; -1 = none.
        trusted: (n,) faces that are used.
        config: its impostor figures are used.
        impostor_mean: measured mean cosine of a face to the centroid of another person; None = the model card's.
        impostor_sd: the same.
    """
    x, label = np.ascontiguousarray(vectors, dtype=np.float32), np.asarray(labels, np.int64)
    order = np.flatnonzero(trusted & (label >= 0))
    order = order[np.argsort(label[order], kind="stable")]
    mean, sd = config.impostor_mean if impostor_mean is None else impostor_mean, impostor_sd or config.impostor_sd
    found = []
    for rows in np.split(order, np.flatnonzero(np.diff(label[order])) + 1):
        if len(rows) >= 2 * MIN_SECOND:
            split = _further_people(x[rows], _groups(x[rows], config), mean, sd)
            if split is not None:
                others, margin = split
                found.append(SplitProposal(int(label[rows[0]]), [rows[o] for o in others], margin))
    return found


def _groups(x: NDArray[np.float32], config: CleanConfig) -> Ints:
    """(m,) groups that the faces of one label form by themselves, by falling size; -1 = none."""
    near, cosine = nearest(x, min(32, len(x) - 1))
    settings = IdentifyConfig(impostor_mean=config.impostor_mean, impostor_sd=config.impostor_sd)
    return group(x, near, cosine, settings).labels.astype(np.int64)


def _further_people(x: NDArray[np.float32], groups: Ints, mean: float, sd: float) -> tuple[list[Ints], float] | None:
    """Rows of each group that is another person than the largest, and the highest margin among them; None if all are one person."""
    if not (groups >= 0).any():
        return None
    sums, sizes = centroid_sums(x, groups, groups >= 0, int(groups.max()) + 1)
    group_of = np.arange(len(sums))
    while True:  # merge the two most similar groups, until all are different people
        alive = np.unique(group_of)
        unit = _unit(sums[alive])
        cosines = np.triu(unit @ unit.T, 1) + np.tril(np.full((len(alive),) * 2, -2.0))
        a, b = np.unravel_index(int(cosines.argmax()), cosines.shape)
        if len(alive) < 2 or (cosines[a, b] - mean) / sd < ONE_PERSON:
            break
        sums[alive[a]] += sums[alive[b]]
        sizes[alive[a]] += sizes[alive[b]]
        group_of[group_of == alive[b]] = alive[a]
    first, *rest = alive[np.argsort(-sizes[alive], kind="stable")]
    margin = {g: (float(_unit(sums[[g]])[0] @ _unit(sums[[first]])[0]) - mean) / sd for g in rest if sizes[g] >= MIN_SECOND}
    further = [g for g in margin if sizes[g] >= _FEW or margin[g] < _FEW_MARGIN]
    if sizes[first] < MIN_SECOND or not further:
        return None
    mine = np.where(groups >= 0, group_of[np.maximum(groups, 0)], -1)
    return [np.flatnonzero(mine == g) for g in further], max(margin[g] for g in further)


def _unit(sums: Floats) -> Floats:
    return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9))
