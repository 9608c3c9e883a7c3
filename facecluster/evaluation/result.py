"""All figures in one go, from arrays: `score` for a grouping, `judge_pairs` for pairs.

Odd inputs: without pairs of both kinds there is no verification (None); a false accept rate that the pairs of two people are too few to
measure (fewer than 1 / rate) has no true accept rate (None).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facecluster.evaluation.clusters import NOBODY, Floats, Scores, ari_of, bcubed_of, contingency, nmi_of, pairwise_of
from facecluster.evaluation.groups import GroupScore, by_group
from facecluster.evaluation.pairgroups import GroupPairs, pairs_by_group
from facecluster.evaluation.reliability import Calibration, balanced, belongs, calibration
from facecluster.evaluation.sample import cosines, pairs
from facecluster.evaluation.verify import RATES, Folds, Roc, finite, folds, roc, thinned


@dataclass(frozen=True, slots=True)
class Grouping:
    """How good a grouping is."""

    faces: int
    people: int  # by the truth
    groups: int  # of the labels, nobody not counted
    nobody: int  # faces of nobody by the labels
    pairwise: Scores
    bcubed: Scores
    nmi: float
    ari: float
    calibration: Calibration | None  # of the stated probabilities that a face belongs to its group
    by_group: list[GroupScore]


@dataclass(frozen=True, slots=True)
class Accept:
    """What passes at one false accept rate."""

    far: float
    tar: float | None  # 0 to 1; None if there are too few pairs of two people
    threshold: float | None  # similarity; None if nothing passes


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """How well pairs are told."""

    same: int
    different: int
    accepts: list[Accept]
    roc: Roc
    folds: Folds | None
    calibration: Calibration | None  # of the stated probabilities that a pair is one person, both kinds of pairs counting alike
    by_group: list[GroupPairs] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that was measured; what could not be is None."""

    grouping: Grouping | None = None
    verification: Verification | None = None

    @property
    def warnings(self) -> list[str]:
        """One line for each figure in which a group fares far worse than the rest."""
        grouping = [g.warning for g in (self.grouping.by_group if self.grouping else []) if g.warning]
        return grouping + [w for g in (self.verification.by_group if self.verification else []) for w in g.warnings]

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers, for JSON."""
        return {
            "grouping": asdict(self.grouping) if self.grouping else None,
            "verification": verification_dict(self.verification) if self.verification else None,
            "warnings": self.warnings,
        }


Groups = Mapping[str, ArrayLike] | ArrayLike
Stated = Callable[[Floats], NDArray[np.floating]]


def score(
    truth: ArrayLike,
    labels: ArrayLike,
    groups: Groups | None = None,
    *,
    probability: ArrayLike | None = None,
    vectors: NDArray[np.floating] | None = None,
    stated: Stated | None = None,
) -> Evaluation:
    """Measure a grouping, and the vectors it was made of, against known answers.

    Args:
        truth: (n,) int or str, who each face is; -1 or '' is somebody who is nowhere else.
        labels: (n,) int or str, the group each face was put into; -1 or '' is nobody.
        groups: (n,) text by which to break the figures down, or several such columns by name; '' is not stated.
        probability: (n,) 0 to 1, how sure each face is said to belong to its group.
        vectors: (n, dim), rows of length 1: pairs of all faces are verified by cosine (of each kind 2 million at most, drawn).
        stated: what the model says of cosines: the probability that a pair is one person, if as many pairs are as are not.

    Raises:
        ValueError: lengths that differ, or labels, probabilities or vectors that are none.
    """
    table = contingency(truth, labels)
    found = np.asarray(labels).ravel()
    nobody = found == ("" if found.dtype.kind in "UO" else NOBODY)
    sure = None
    if probability is not None:
        judged, right = belongs(table, nobody)
        sure = calibration(np.asarray(probability, np.float64)[judged], right)
    columns = groups if isinstance(groups, Mapping) else {} if groups is None else {"group": groups}
    grouping = Grouping(
        len(found), len(table.people), len(table.groups) - int(nobody.sum()), int(nobody.sum()),
        pairwise_of(table), bcubed_of(table), nmi_of(table), ari_of(table), sure, by_group(table, columns),
    )  # fmt: skip
    return Evaluation(grouping, None if vectors is None else judge_faces(truth, vectors, columns, stated=stated))


def judge_faces(
    truth: ArrayLike, vectors: NDArray[np.floating], groups: Mapping[str, ArrayLike] | None = None, *, stated: Stated | None = None
) -> Verification | None:
    """Measure how well pairs of faces are told by the cosine of their vectors, as `score` does; None without both kinds of pairs."""
    first, second, same = pairs(truth)
    if same.all() or not same.any():
        return None
    found = judge_pairs(cosines(vectors, first, second), same, stated=stated)
    return replace(found, by_group=pairs_by_group(truth, vectors, groups or {}, found.roc))


def judge_pairs(similarity: ArrayLike, same: ArrayLike, *, fold: ArrayLike | None = None, stated: Stated | None = None) -> Verification:
    """Measure how well pairs are told.

    Args:
        similarity: (n,) higher is more alike; no NaN.
        same: (n,) bool, whether the pair is one person.
        fold: (n,) int, for the protocol of LFW; two different ones or more.
        stated: the probability that is stated for similarities.

    Raises:
        ValueError: a NaN, lengths that differ, no pair of one of the two kinds, or one fold.
    """
    curve = roc(similarity, same)
    values = np.asarray(similarity, np.float64).ravel()
    sure = calibration(stated(values), same, weights=balanced(same)) if stated else None
    accepts = []
    for rate, i in zip(RATES, curve.at(RATES).tolist(), strict=True):
        enough = rate * curve.different >= 1
        accepts.append(Accept(rate, float(curve.tar[i]) if enough else None, finite(curve.threshold[i]) if enough else None))
    parts = None if fold is None else folds(values, same, fold)
    return Verification(curve.same, curve.different, accepts, curve, parts, sure)


def verification_dict(found: Verification) -> dict[str, Any]:
    """Plain dicts, lists and numbers, for JSON; the curve thinned."""
    far, tar, threshold = thinned(found.roc)
    parts = found.folds
    return {
        "pairs": {"same": found.same, "different": found.different},
        "accepts": [asdict(a) for a in found.accepts],
        "folds": {**asdict(parts), "mean": parts.mean, "error": parts.error} if parts else None,
        "calibration": asdict(found.calibration) if found.calibration else None,
        "by_group": [g.to_dict() for g in found.by_group],
        "roc": {"far": far.tolist(), "tar": tar.tolist(), "threshold": [finite(t) for t in threshold]},
    }
