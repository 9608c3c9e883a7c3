"""All measures at once, from arrays: `score` for a grouping, `judge_pairs` for pairs.

Odd inputs: without pairs of both kinds there is no verification (None); a false accept rate has no true accept rate (None) if there are
too few pairs of two people to measure it (fewer than 1 / rate).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facecluster.evaluation.clusters import NOBODY, Floats, Scores, ari_of, bcubed_of, contingency, nmi_of, pairwise_of
from facecluster.evaluation.face_pairs import cosines, pairs
from facecluster.evaluation.pair_subgroups import GroupPairs, pairs_by_group
from facecluster.evaluation.reliability import Calibration, balanced, belongs, calibration
from facecluster.evaluation.subgroups import GroupScore, by_group
from facecluster.evaluation.verify import RATES, Folds, Roc, finite, folds, roc, thinned


@dataclass(frozen=True, slots=True)
class Grouping:
    """Measures of a grouping."""

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
    """The true accept rate at one false accept rate."""

    far: float
    tar: float | None  # 0 to 1; None if there are too few pairs of two people
    threshold: float | None  # similarity; None if no pair is accepted


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """Measures of verification: one person or two."""

    same: int  # pairs of one person
    different: int  # pairs of two people
    accepts: list[Accept]
    roc: Roc
    folds: Folds | None
    calibration: Calibration | None  # of the stated probabilities that a pair is one person, with equal total weights of both kinds
    by_group: list[GroupPairs] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All measures; None for what could not be measured."""

    grouping: Grouping | None = None
    verification: Verification | None = None

    @property
    def warnings(self) -> list[str]:
        """One line for each figure in which a subgroup is much worse than the rest."""
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
    """Measure a grouping, and the vectors that it was made from, against known answers.

    Args:
        truth: (n,) int or str, the person of each face; -1 or '' is a person with this face only.
        labels: (n,) int or str, the group of each face; -1 or '' is nobody.
        groups: (n,) text to break the figures down by, or several such columns by name; '' is not stated.
        probability: (n,) 0 to 1, stated probability that each face belongs to its group.
        vectors: (n, dim), rows of length 1: pairs of faces are verified by cosine (at most 2 million of each kind, drawn).
        stated: a function from cosines to the model's probability that a pair is one person, with even prior odds.

    Raises:
        ValueError: different lengths, or invalid labels, probabilities or vectors.
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
    """Verification of pairs of faces by the cosine of their vectors, as in `score`; None without both kinds of pairs."""
    first, second, same = pairs(truth)
    if same.all() or not same.any():
        return None
    found = judge_pairs(cosines(vectors, first, second), same, stated=stated)
    return replace(found, by_group=pairs_by_group(truth, vectors, groups or {}, found.roc))


def judge_pairs(similarity: ArrayLike, same: ArrayLike, *, fold: ArrayLike | None = None, stated: Stated | None = None) -> Verification:
    """Verification of pairs.

    Args:
        similarity: (n,) higher is more similar; no NaN.
        same: (n,) bool, whether the pair is one person.
        fold: (n,) int, for the protocol of LFW; at least two different folds.
        stated: a function from similarities to stated probabilities.

    Raises:
        ValueError: a NaN, different lengths, no pair of one of the two kinds, or only one fold.
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
    """Plain dicts, lists and numbers, for JSON; the curve is thinned."""
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
