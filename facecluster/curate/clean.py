"""Finds wrong labels: compares each face with the other faces of its label, and with all other labels.

A face is compared with the trusted faces of its label (itself left out), and with the centroids of all other labels: see `similarity`. All
bounds are margins, which mean the same for every model and every set of people. The bound follows Bayes' rule for the share of wrong labels
found in the round before: if hardly any label is wrong, a face far from its label is more often an odd picture of the right person.
Flagged faces are no longer trusted. All faces, flagged ones too, are then judged again, until nothing changes.

Odd inputs: a face without a label (-1) is "unlabelled" and never trusted. The only face of a label has nothing to be compared with and is
"alone"; of two faces that disagree either could be wrong, so both are "alone". With fewer than three people the impostors are mostly those
of the model's card. No faces give empty arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from facecluster.curate.similarity import Floats, Ints, LabelSimilarity, label_similarity

RIGHT, WRONG, STRANGER, BYSTANDER, ALONE, UNLABELLED = "right", "wrong", "stranger", "bystander", "alone", "unlabelled"
_USUAL_ERRORS = 0.15  # share of wrong labels that `min_margin` is meant for
_SLOPE = 3.0  # rise of the log-odds of being right for each sd, near the bound: with fewer wrong labels the bound is lower
_PRIOR_FACES = 20  # faces that the usual share of errors counts as
_SAMPLE = 300  # trusted faces that the usual margin is measured on; with fewer, chance moves it
_MAX_ROUNDS = 12  # two or three are usual; a face between two people could change sides for ever


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanConfig:
    """Settings that decide which labels are wrong. Margins are in standard deviations, see `similarity`."""

    min_margin: float = 1.0  # lowest margin of a face to its label, if 15 % of the labels are wrong
    max_deviation: float = 4.0  # largest distance below the usual margin, in sd of right faces, if that asks for more
    other_weight: float = 0.5  # the own margin must also reach this share of the other label's margin above that of the best impostor
    impostor_mean: float = 0.035  # mean cosine of two different people, from the model's card
    impostor_sd: float = 0.115  # its standard deviation


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The result for n faces: struct of arrays."""

    verdict: NDArray[np.str_]  # (n,) RIGHT, WRONG (another label's person), STRANGER (no label's person), BYSTANDER, ALONE, UNLABELLED
    own_margin: Floats  # (n,) to the own label; NaN if there is nothing to compare with
    other_margin: Floats  # (n,) to the best other label; NaN if there is none
    best_other: Ints  # (n,) the best other label; -1 = none
    rounds: int  # until nothing changed

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """(n,) faces whose label is wrong."""
        return np.isin(self.verdict, (WRONG, STRANGER, BYSTANDER))


def clean_labels(
    vectors: NDArray[np.floating], labels: NDArray[np.integer], config: CleanConfig | None = None, *,
    photos: NDArray[np.integer] | None = None, doubtful: NDArray[np.bool_] | None = None,
) -> Verdicts:  # fmt: skip
    """Judge the label of each face.

    Args:
        vectors: (n, dim), rows of length 1.
        labels: (n,) label of each face, from 0; -1 = none.
        config: settings; the default ones if None.
        photos: (n,) number of each face's photo, if labels were given to whole photos: then only the most similar face of a photo can be
            the person, the others are bystanders.
        doubtful: (n,) faces that are judged but never trusted: of low quality, or found to be a second person.
    """
    config = config or CleanConfig()
    x = np.ascontiguousarray(vectors, dtype=np.float32)
    label = np.asarray(labels, dtype=np.int64)
    basis = (label >= 0) if doubtful is None else (label >= 0) & ~doubtful
    trusted, seen, wrong = basis, set(), _USUAL_ERRORS
    for rounds in range(1, _MAX_ROUNDS + 1):  # noqa: B007  counts them
        found = label_similarity(x, label, trusted, mean=config.impostor_mean, sd=config.impostor_sd)
        verdict = _judge(found, label, trusted, config, wrong)
        if photos is not None:
            verdict[_bystanders(found.own, label, np.asarray(photos), verdict)] = BYSTANDER
        now = basis & np.isin(verdict, (RIGHT, ALONE))
        key = now.tobytes()
        if key in seen:
            break
        seen.add(key)
        trusted = now
        wrong = (float((basis & ~trusted).sum()) + _PRIOR_FACES * _USUAL_ERRORS) / (float(basis.sum()) + _PRIOR_FACES)
    return Verdicts(verdict, found.own, found.other, found.best_other, rounds)


def _judge(found: LabelSimilarity, label: Ints, trusted: NDArray[np.bool_], config: CleanConfig, wrong: float) -> NDArray[np.str_]:
    """Verdicts (n,), if a share `wrong` of the labels is expected to be wrong."""
    people = int(label.max(initial=-1)) + 1
    others = np.bincount(label[trusted], minlength=people)[label] - trusted if people else np.zeros(len(label), np.int64)
    verdict = np.full(len(label), RIGHT, dtype="<U10")
    # the best of many people is similar to a face by chance: only the margin above that speaks for it
    labels = max(int((np.bincount(label[trusted], minlength=1) > 0).sum()), 3)
    extra = np.nan_to_num(found.other) - NormalDist().inv_cdf(1 - 1 / labels)
    bound = _bound(found.own[trusted], config) + (_logit(min(wrong, 0.5)) - _logit(_USUAL_ERRORS)) / _SLOPE
    far = found.own < bound + config.other_weight * np.maximum(extra, 0)
    elsewhere = far & (extra >= config.min_margin) & (found.other >= bound)
    verdict[far] = STRANGER
    verdict[elsewhere] = WRONG
    verdict[np.isnan(found.own) | (far & (others < 2) & trusted & ~elsewhere)] = ALONE
    verdict[label < 0] = UNLABELLED
    return verdict


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


def _bound(own: Floats, config: CleanConfig) -> float:
    """The least margin to the own label: `min_margin`, or more if right faces are well above impostors.

    The sd of right faces is measured below their median, by the 16th percentile, which a few wrong faces do not move.
    """
    own = own[~np.isnan(own)]
    if len(own) < _SAMPLE:
        return config.min_margin
    low, middle = (float(v) for v in np.quantile(own, (0.16, 0.5)))
    return max(config.min_margin, min(middle / 2, middle - config.max_deviation * (middle - low)))


def _bystanders(own: Floats, label: Ints, photos: NDArray[np.integer], verdict: NDArray[np.str_]) -> Ints:
    """Rows of RIGHT faces in photos where a more similar face has the same label."""
    rows = np.flatnonzero(verdict == RIGHT)
    order = rows[np.lexsort((-own[rows], label[rows], photos[rows]))]
    same = (photos[order][1:] == photos[order][:-1]) & (label[order][1:] == label[order][:-1])
    return np.asarray(order[1:][same], dtype=np.int64)
