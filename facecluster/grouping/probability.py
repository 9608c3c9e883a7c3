"""The stated probability that a face belongs to its group's person: logistic in its margin, which is how clearly it belongs there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.cohort import CohortStats, to_grid
from facecluster.grouping.face_vectors import Vectors
from facecluster.grouping.work import Crew, LocalCrew, Shelf, Stored, kept, load

SLOPE, INTERCEPT = 2.1, 0.4  # log-odds for each sd of margin, and at margin 0: the default line
_ROWS = 1 << 15  # faces of one task, or one large group
_BLOCK = 1 << 14  # faces at a time: 16 MB
_GROUP_SIZE_WEIGHT = 0.7  # sd of margin for e times as many faces in the group (fitted together with the default line)
_CLEAR = 3.0  # log-odds of recognisability (.95) from which a face counts as clear
_CLEAR_WEIGHT = 0.9  # sd of margin for each unit that the group's mean lies lower (fitted with them)


def face_margins(
    x: Vectors, labels: NDArray[np.integer], cohort: CohortStats, merge: float, impostor_weight: float,
    recognisability: NDArray[np.floating] | None = None, crew: Crew | None = None,
) -> NDArray[np.float64]:  # fmt: skip
    """The margin (n,) of each face, in sd; NaN for faces without a group.

    It is the face's excess, with two corrections. The same mean says more where it is one over more faces: _GROUP_SIZE_WEIGHT *
    log(faces / 2) is added. Faces that hardly say who they are resemble each other, whoever they are: the mean of the log-odds of
    `recognisability` (n,) over the group, as far as it is below _CLEAR, counts _CLEAR_WEIGHT times.
    """
    out, inside = face_excess(x, labels, cohort, merge, impostor_weight, crew, "margins"), labels >= 0
    mine = labels[inside]
    sizes = np.bincount(mine)[mine]
    out[inside] += _GROUP_SIZE_WEIGHT * np.log(sizes / 2)
    if recognisability is not None and len(mine):
        p = np.clip(np.asarray(recognisability, dtype=np.float64)[inside], 0.5, 1 - 1e-6)
        unclear = to_grid(np.minimum(np.log(p / (1 - p)) - _CLEAR, 0))
        out[inside] += _CLEAR_WEIGHT * np.bincount(mine, unclear)[mine] / sizes
    return out


def face_excess(
    x: Vectors, labels: NDArray[np.integer], cohort: CohortStats, merge: float, impostor_weight: float,
    crew: Crew | None = None, name: str = "excess",
) -> NDArray[np.float64]:  # fmt: skip
    """How far (n,) the mean cosine of a face to the *other* faces of its group lies above the bound of average linkage, in sd; NaN for
    faces without a group."""
    out = np.full(len(x), np.nan)
    rows = np.flatnonzero(labels >= 0)
    if not len(rows):
        return out
    crew = LocalCrew() if crew is None else crew
    rows = rows[np.argsort(labels[rows], kind="stable")]
    begins = np.flatnonzero(np.r_[True, np.diff(labels[rows]) != 0])
    cuts = begins[np.minimum(np.searchsorted(begins, np.arange(0, len(rows), _ROWS)), len(begins) - 1)]  # no group is divided
    cuts = np.unique(np.r_[cuts, len(rows)])
    arrays = {"rows": rows, "labels": labels[rows], "base": cohort.base[rows], "reach": cohort.reach[rows]}
    shared = [crew.shelf.keep(f"{name}/{part}", array) for part, array in arrays.items()]
    rule = cohort.sd, merge, impostor_weight
    calls = [(crew.shelf, f"{name}/{a}", x, shared, slice(a, b), rule) for a, b in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)]
    out[rows] = np.concatenate([load(part) for (part,) in crew.map(_excess, calls)])
    crew.shelf.drop(shared)
    return out


def _excess(
    shelf: Shelf, name: str, x: Vectors, shared: Sequence[Stored], part: slice, rule: tuple[float, float, float]
) -> tuple[Stored, ...]:
    """`face_excess` of the faces of some whole groups; `rule` is the sd of the cohort, and the two settings."""

    def make() -> tuple[NDArray[np.float64]]:
        sd, merge, impostor_weight = rule
        faces, labels, base, reach = (load(array)[part] for array in shared)
        begins = np.flatnonzero(np.r_[True, np.diff(labels) != 0])
        group = np.repeat(np.arange(len(begins)), np.diff(np.r_[begins, len(labels)]))
        sums, sizes = np.zeros((len(begins), x.shape[1])), np.bincount(group)
        for i in range(0, len(faces), _BLOCK):
            mine = group[i : i + _BLOCK]
            edges = np.flatnonzero(np.r_[True, np.diff(mine) != 0])
            sums[mine[edges]] += np.add.reduceat(to_grid(x[faces[i : i + _BLOCK]]), edges, axis=0)
        out = np.empty(len(faces))
        for i in range(0, len(faces), _BLOCK):
            some = slice(i, i + _BLOCK)
            own, mine = to_grid(x[faces[some]]), group[some]
            others = (sums[mine] - own) / np.maximum(sizes[mine] - 1, 1)[:, None]
            cosine = np.einsum("ij,ij->i", own, others)
            bound = base[some] + merge * sd + impostor_weight * reach[some] * np.linalg.norm(others, axis=1)
            out[some] = (cosine - bound) / sd
        return (out,)

    return kept(shelf, name, ("excess",), make)


def membership_probabilities(
    margins: NDArray[np.float64], labels: NDArray[np.integer], slope: float, intercept: float
) -> NDArray[np.float32]:
    """(n,) that a face is its group's person; 0 for faces without a group."""
    log_odds = slope * np.nan_to_num(margins) + intercept
    return np.where(labels >= 0, 1 / (1 + np.exp(-np.clip(log_odds, -700, 700))), 0).astype(np.float32)


def impure_groups(
    margins: NDArray[np.float64], labels: NDArray[np.integer], said: NDArray[np.bool_], min_purity: float
) -> NDArray[np.bool_]:  # fmt: skip
    """Which faces (n,) are in a group of whose faces less than a share of `min_purity`, 0 to 1, is expected to be its person.

    Blurred faces, profiles and things are similar to their kind, so they form groups that are nobody. A group with a face of `said` (n,),
    which the user or an earlier grouping has put there, stays. The expectation is that of the default line, so a collection's own
    calibration changes what is stated and not who is grouped.
    """
    count = int(labels.max(initial=-1)) + 1
    inside = labels >= 0
    sizes = np.bincount(labels[inside], minlength=count)
    right = np.bincount(labels[inside], to_grid(membership_probabilities(margins, labels, SLOPE, INTERCEPT)[inside]), minlength=count)
    kept = np.bincount(labels[inside & said], minlength=count) > 0
    impure = (right < min_purity * sizes) & ~kept
    return np.asarray(inside & np.r_[impure, False][labels])


def margins_of(probabilities: NDArray[np.floating], slope: float, intercept: float) -> NDArray[np.float64]:
    """The margins (n,) that probabilities (n,) with this slope and intercept follow from, up to rounding."""
    p = np.clip(np.asarray(probabilities, dtype=np.float64), 1e-7, 1 - 1e-7)
    return np.asarray((np.log(p / (1 - p)) - intercept) / slope)
