"""JOB: fit the reading of a model's vectors to what the user said of a store's faces.

Two lines are fitted, each for itself: from a cosine to "these two are one person" (match, verify, evaluate, dedup), and from a face's place
in its group to "it is its group's person" (cluster, questions, report). `known` says which answers count,
`fit` how much they count beside the model's card, `cross` when the fitted line is used.

Odd inputs: too few answers for pairs raise InputError; too few for places leave that line as it is, with the reason.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.calibrate.cross import WORTH, HeldOut, held_out
from facecluster.calibrate.evidence import Evidence, of_faces, of_pairs
from facecluster.calibrate.fit import Line, fit
from facecluster.calibrate.known import Known, places
from facecluster.calibrate.reading import Reading
from facecluster.errors import InputError
from facecluster.grouping.identify import Groups, IdentifyConfig
from facecluster.matching.posterior import middle_and_sd
from facecluster.models.registry import Card

PEOPLE = 5  # with a name and two faces or more, that any fit needs
FACES = 40  # of such people
WRONG = 10  # faces known to be in a wrong group, that the fit of places needs
WRONG_PEOPLE = 3  # whose groups they are in
_STRANGERS = 4000  # that a face is compared with, as match does
_PROBES = 500  # faces that are compared with them


@dataclass(frozen=True, slots=True)
class Part:
    """What came of one of the two lines."""

    people: int  # that it rests on
    faces: int
    yes: int  # answers: pairs of one person, faces that are right
    no: int  # pairs of two people, faces that are wrong
    old: Line
    fitted: Line | None = None  # None: too few answers
    held: HeldOut | None = None
    why: str = ""  # it is not used; empty if it is

    @property
    def used(self) -> Line | None:
        """The line to be used from now on, if it is not the old one."""
        return None if self.why else self.fitted

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        held = None if self.held is None else {"before": self.held.ece[0], "after": self.held.ece[1]}
        loss = None if self.held is None else {"before": self.held.loss[0], "after": self.held.loss[1]}
        return {
            "people": self.people, "faces": self.faces, "yes": self.yes, "no": self.no, "old": asdict(self.old),
            "fitted": asdict(self.fitted) if self.fitted else None, "calibration_error": held, "log_loss": loss,
            "used": self.used is not None, "why_not": self.why or None,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What a calibration found."""

    reading: Reading  # to be used from now on; empty: the card's
    pairs: Part
    place: Part
    nameless: int  # faces of decisions that come to no name

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"pairs": self.pairs.to_dict(), "place": self.place.to_dict(), "faces_without_name": self.nameless}


def check_enough(said: Known, where: str) -> None:
    """Raise InputError unless the names are enough to begin with; `where` is the store's URL."""
    sizes = np.bincount(said.person[said.person >= 0])
    people, faces = int((sizes >= 2).sum()), int(sizes[sizes >= 2].sum())
    if people < PEOPLE or faces < FACES:
        raise InputError(
            f"expected {PEOPLE} people with names and at least two faces each, {FACES} faces in all, to calibrate on, found {people} "
            f"people and {faces} faces: name more of them with 'facecluster review {where}', then calibrate again"
        )


def calibrate(said: Known, vectors: NDArray[np.floating], groups: Groups, card: Card) -> Calibrated:
    """Fit both lines.

    Args:
        said: what is known of n faces; see `check_enough`.
        vectors: (n, dim), rows of length 1.
        groups: of the same faces, made without the user's decisions and with the usual probabilities.
        card: of the model, as it came.
    """
    pairs = _pairs(said, vectors, card)
    place = _place(said, groups)
    mean, sd = strangers_of(vectors, groups.labels, card) if pairs.used else (0.0, 0.0)
    return Calibrated(Reading(pairs=pairs.used, impostor_mean=mean, impostor_sd=sd, place=place.used), pairs, place, said.nameless)


def _pairs(said: Known, vectors: NDArray[np.floating], card: Card) -> Part:
    rows = np.flatnonzero(said.person >= 0)
    evidence = of_pairs(np.asarray(vectors[rows], np.float32), np.unique(said.person[rows], return_inverse=True)[1])
    return _judged(evidence, Line(card.slope, card.intercept), len(rows))


def _place(said: Known, groups: Groups) -> Part:
    usual = Line(IdentifyConfig().confidence_slope, IdentifyConfig().confidence_intercept)
    rows, right, leader = places(said, groups.labels)
    people, wrong = len(np.unique(leader)), right < 0.5
    wrong_people = len(np.unique(leader[wrong]))
    if people < PEOPLE or wrong.sum() < WRONG or wrong_people < WRONG_PEOPLE:
        why = (
            f"of {len(rows)} faces of {people} people you said of {wrong.sum()}, of {wrong_people} people, that they are somebody else's; "
            f"{WRONG} of {WRONG_PEOPLE} people out of {PEOPLE} are needed"
        )
        return Part(people, len(rows), int((~wrong).sum()), int(wrong.sum()), usual, why=why)
    return _judged(of_faces(groups.place[rows], right, np.unique(leader, return_inverse=True)[1]), usual, len(rows))


def _judged(evidence: Evidence, old: Line, faces: int) -> Part:
    """Fit, and compare with the old line on people left out."""
    line = fit(evidence.x, evidence.right, evidence.weights(np.ones(len(evidence.x), bool)), old)
    held, yes = held_out(evidence, old), int((evidence.right > 0.5).sum())
    why = "" if held.better else f"fitted, it is not better by {WORTH} and more on people left out"
    return Part(evidence.people, faces, yes, len(evidence.x) - yes, old, line, held, why)


def strangers_of(vectors: NDArray[np.floating], labels: NDArray[np.integer], card: Card) -> tuple[float, float]:
    """Mean and sd of the cosines of strangers of this collection, measured as `match` does.

    `match` moves a new face's cosines to where the card's strangers lie. The fitted line is of cosines as they are here, so here is
    where they must be moved to: the collection's own faces stay, on average, where they are.
    """
    rows = _one_of_each(labels)
    if len(rows) < 3:
        return card.impostor_mean, card.impostor_sd
    x = np.asarray(vectors[rows], np.float32)
    found = [middle_and_sd(np.delete(x @ x[i], i)) for i in range(0, len(rows), -(-len(rows) // _PROBES))]
    mean, sd = np.mean(found, axis=0)
    return float(mean), max(float(sd), 0.01)


def _one_of_each(labels: NDArray[np.integer]) -> NDArray[np.intp]:
    """Rows of one face of each group and of all of nobody, _STRANGERS at most."""
    firsts = np.unique(labels, return_index=True)[1]
    rows = np.union1d(firsts[labels[firsts] >= 0], np.flatnonzero(labels < 0))
    return np.asarray(rows[:: -(-len(rows) // _STRANGERS)] if len(rows) else rows, np.intp)
