"""Which labels of faces are wrong: each face against the other faces of its person, and against every other person.

A face is compared with its person's trusted faces (itself left out) and with the middles of all other people: see `likeness`. Every bound
is in sd above strangers, and means the same for every model and every set of people. It follows Bayes in the share of wrong labels that was
found in the round before: where hardly any are wrong, a face far from its label is more often an odd picture of the right person.
Flagged faces are no longer trusted; all faces, flagged ones too, are judged again, until nothing changes.

Odd inputs: a face without a label (-1) is "unlabelled" and never trusted; the only face of a label has nothing to be compared with and is
"alone"; one of two faces that disagree could be either, so both are "alone". Fewer than three people say little about strangers, then the
model's card says the rest. No faces give empty arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from facecluster.curate.likeness import Floats, Ints, Likeness, likeness

RIGHT, WRONG, STRANGER, BYSTANDER, ALONE, UNLABELLED = "right", "wrong", "stranger", "bystander", "alone", "unlabelled"
_USUAL = 0.15  # share of wrong labels that `low` is for
_SLOPE = 3.0  # what the log-odds of being right rise by with each sd, near the bound: fewer wrong labels ask for more to call one wrong
_FACES = 20  # faces' worth of trust in the usual share
_SAMPLE = 300  # right faces that say what is usual: fewer are moved by chance
_ROUNDS = 12  # two or three are usual; a face that two people claim could flip for ever


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanConfig:
    """What decides which labels are wrong. Bounds are in sd above strangers, see `likeness`."""

    low: float = 1.0  # a face less far above strangers than that is not of its label, where 15 % are wrong
    spread: float = 4.0  # nor one that is that many sd of right faces less like its label than is usual, where that asks for more
    share: float = 0.5  # of what another person has above the best of as many strangers, that the own label must have besides
    impostor_mean: float = 0.035  # cosine of two strangers, from the model's card
    impostor_sd: float = 0.115


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
    trusted, seen, wrong = basis, set(), _USUAL
    for rounds in range(1, _ROUNDS + 1):  # noqa: B007  counts them
        found = likeness(x, label, trusted, mean=config.impostor_mean, sd=config.impostor_sd)
        verdict = _judge(found, label, trusted, config, wrong)
        if photos is not None:
            verdict[_bystanders(found.own, label, np.asarray(photos), verdict)] = BYSTANDER
        now = basis & np.isin(verdict, (RIGHT, ALONE))
        key = now.tobytes()
        if key in seen:
            break
        seen.add(key)
        trusted = now
        wrong = (float((basis & ~trusted).sum()) + _FACES * _USUAL) / (float(basis.sum()) + _FACES)
    return Verdicts(verdict, found.own, found.other, found.best, rounds)


def _judge(found: Likeness, label: Ints, trusted: NDArray[np.bool_], config: CleanConfig, wrong: float) -> NDArray[np.str_]:
    """Verdicts (n,), if a share `wrong` of the labels is expected to be wrong."""
    people = int(label.max(initial=-1)) + 1
    others = np.bincount(label[trusted], minlength=people)[label] - trusted if people else np.zeros(len(label), np.int64)
    verdict = np.full(len(label), RIGHT, dtype="<U10")
    # the best of many people is like a face by chance: only what it has above that speaks for it
    extra = np.nan_to_num(found.other) - NormalDist().inv_cdf(1 - 1 / max(int((np.bincount(label[trusted], minlength=1) > 0).sum()), 3))
    bound = _bound(found.own[trusted], config) + (_logit(min(wrong, 0.5)) - _logit(_USUAL)) / _SLOPE
    far = found.own < bound + config.share * np.maximum(extra, 0)
    elsewhere = far & (extra >= config.low) & (found.other >= bound)
    verdict[far] = STRANGER
    verdict[elsewhere] = WRONG
    verdict[np.isnan(found.own) | (far & (others < 2) & trusted & ~elsewhere)] = ALONE
    verdict[label < 0] = UNLABELLED
    return verdict


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


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
