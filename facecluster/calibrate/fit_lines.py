"""JOB: fit the probabilities of a model in a store to the user's labels.

Two lines are fitted independently: from a cosine to "these two faces are one person" (match, verify, evaluate, dedup), and from a face's
place in its group to "it shows the group's person" (cluster, questions, report). `labels` defines which decisions count, `logistic` how
much they count beside the model's card, `cross_validation` when the fitted line is used.

Odd inputs: too few labels for pairs raise InputError; with too few for membership, that line stays as it is and the reason is given.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.calibrate.cross_validation import MIN_ECE_GAIN, HeldOutScore, cross_validate
from facecluster.calibrate.labels import LabelledFaces, judge_members
from facecluster.calibrate.logistic import Line, fit_line
from facecluster.calibrate.samples import Samples, member_samples, pair_samples
from facecluster.calibrate.store_calibration import StoreCalibration
from facecluster.errors import InputError, shell
from facecluster.grouping.groups import Groups
from facecluster.grouping.identify import IdentifyConfig
from facecluster.matching.posterior import median_and_sd
from facecluster.models.card import Card

MIN_PEOPLE = 5  # with a name and two faces or more, for any fit
MIN_FACES = 40  # of such people
MIN_WRONG = 10  # faces known to be in a wrong group, for the fit of membership
MIN_WRONG_PEOPLE = 3  # people in whose groups they are
_MAX_COHORT = 4000  # impostors that a face is compared with, as in `match`
_MAX_PROBES = 500  # faces that are compared with them


@dataclass(frozen=True, slots=True)
class LineFit:
    """The fit of one of the two lines."""

    people: int  # that it is based on
    faces: int
    yes: int  # pairs of one person, or faces that are right
    no: int  # pairs of two people, or faces that are wrong
    old: Line
    fitted: Line | None = None  # None: too few labels
    held_out: HeldOutScore | None = None
    why: str = ""  # the fitted line is not used; empty if it is

    @property
    def used(self) -> Line | None:
        """The fitted line if it is to be used, else None."""
        return None if self.why else self.fitted

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        held_out = self.held_out
        ece = None if held_out is None else {"before": held_out.ece[0], "after": held_out.ece[1]}
        loss = None if held_out is None else {"before": held_out.log_loss[0], "after": held_out.log_loss[1]}
        return {
            "people": self.people, "faces": self.faces, "yes": self.yes, "no": self.no, "old": asdict(self.old),
            "fitted": asdict(self.fitted) if self.fitted else None, "calibration_error": ece, "log_loss": loss,
            "used": self.used is not None, "why_not": self.why or None,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """The result of a calibration."""

    calibration: StoreCalibration  # to be used from now on; empty: the card's probabilities hold
    pairs: LineFit
    membership: LineFit
    unnamed: int  # faces of decisions that have no name

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"pairs": self.pairs.to_dict(), "place": self.membership.to_dict(), "faces_without_name": self.unnamed}


def check_enough_labels(labelled: LabelledFaces, url: str) -> None:
    """Raise InputError if there are too few names to fit anything; `url` is the store's."""
    sizes = np.bincount(labelled.person[labelled.person >= 0])
    people, faces = int((sizes >= 2).sum()), int(sizes[sizes >= 2].sum())
    if people < MIN_PEOPLE or faces < MIN_FACES:
        raise InputError(
            f"expected {MIN_PEOPLE} people with names and at least two faces each, {MIN_FACES} faces in all, to calibrate on, found "
            f"{people} people and {faces} faces: name more of them with 'facecluster review {shell(url)}', then calibrate again"
        )


def calibrate(labelled: LabelledFaces, vectors: NDArray[np.floating], groups: Groups, card: Card) -> CalibrationResult:
    """Fit both lines.

    Args:
        labelled: the labels of n faces; see `check_enough_labels`.
        vectors: (n, dim), rows of length 1.
        groups: of the same faces, made without the user's decisions and with the usual probabilities.
        card: the model's own.
    """
    pairs = _fit_pairs(labelled, vectors, card)
    membership = _fit_membership(labelled, groups)
    mean, sd = impostor_stats(vectors, groups.labels, card) if pairs.used else (0.0, 0.0)
    calibration = StoreCalibration(pairs=pairs.used, impostor_mean=mean, impostor_sd=sd, membership=membership.used)
    return CalibrationResult(calibration, pairs, membership, labelled.unnamed)


def _fit_pairs(labelled: LabelledFaces, vectors: NDArray[np.floating], card: Card) -> LineFit:
    rows = np.flatnonzero(labelled.person >= 0)
    samples = pair_samples(np.asarray(vectors[rows], np.float32), np.unique(labelled.person[rows], return_inverse=True)[1])
    return _fit(samples, Line(card.slope, card.intercept), len(rows))


def _fit_membership(labelled: LabelledFaces, groups: Groups) -> LineFit:
    usual = Line(IdentifyConfig().confidence_slope, IdentifyConfig().confidence_intercept)
    rows, right, name = judge_members(labelled, groups.labels)
    people, wrong = len(np.unique(name)), right < 0.5
    wrong_people = len(np.unique(name[wrong]))
    if people < MIN_PEOPLE or wrong.sum() < MIN_WRONG or wrong_people < MIN_WRONG_PEOPLE:
        why = (
            f"of {len(rows)} faces of {people} people you marked {wrong.sum()} (of {wrong_people} people) as somebody else; needed are "
            f"{MIN_WRONG} faces of {MIN_WRONG_PEOPLE} people out of {MIN_PEOPLE}"
        )
        return LineFit(people, len(rows), int((~wrong).sum()), int(wrong.sum()), usual, why=why)
    return _fit(member_samples(groups.margins[rows], right, np.unique(name, return_inverse=True)[1]), usual, len(rows))


def _fit(samples: Samples, old: Line, faces: int) -> LineFit:
    """Fit a line, and compare it with the old one on people left out."""
    line = fit_line(samples.x, samples.target, samples.weights(np.ones(len(samples.x), bool)), old)
    held_out, yes = cross_validate(samples, old), int((samples.target > 0.5).sum())
    why = "" if held_out.better else f"the fitted line is not better by {MIN_ECE_GAIN} or more for people left out of the fit"
    return LineFit(samples.people, faces, yes, len(samples.x) - yes, old, line, held_out, why)


def impostor_stats(vectors: NDArray[np.floating], labels: NDArray[np.integer], card: Card) -> tuple[float, float]:
    """Mean and sd of the impostor cosines of this collection, measured as in `match`.

    `match` normalises a new face's cosines to the card's impostor mean and sd. The fitted line holds for the cosines of this collection, so
    its card must have the mean and sd of this collection: then normalisation leaves the collection's own cosines, on average, unchanged.
    """
    rows = _cohort_rows(labels)
    if len(rows) < 3:
        return card.impostor_mean, card.impostor_sd
    x = np.asarray(vectors[rows], np.float32)
    found = [median_and_sd(np.delete(x @ x[i], i)) for i in range(0, len(rows), -(-len(rows) // _MAX_PROBES))]
    mean, sd = np.mean(found, axis=0)
    return float(mean), max(float(sd), 0.01)


def _cohort_rows(labels: NDArray[np.integer]) -> NDArray[np.intp]:
    """Rows of one face of each group and of all faces of nobody, _MAX_COHORT at most."""
    firsts = np.unique(labels, return_index=True)[1]
    rows = np.union1d(firsts[labels[firsts] >= 0], np.flatnonzero(labels < 0))
    return np.asarray(rows[:: -(-len(rows) // _MAX_COHORT)] if len(rows) else rows, np.intp)
