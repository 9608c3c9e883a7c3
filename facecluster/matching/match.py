"""Compare new faces with stored ones: who is on a photo, is it anyone known, and do two photos show the same person.

posterior.py states how probabilities follow from cosines. Odd input: a photo without faces gives an empty list. The faces of a photo that
is in the store are not compared with themselves. Faces that are too unclear to tell are like each other whoever they show: nothing is
compared with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.errors import InputError
from facecluster.matching.gallery import Gallery
from facecluster.matching.posterior import PRIOR, normalise_by_cohort, person_log_odds, posterior
from facecluster.matching.probe import Probe
from facecluster.matching.recognition import NOBODY, Person
from facecluster.models.card import Card

Mask = NDArray[np.bool_]
_NEIGHBOURS = 2_000  # nearest stored faces of a new one; their people are the candidates
_MAX_FACES, _MIN_PEOPLE = 50_000, 64  # faces of candidates that are compared at most, but of this many people at least


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person that a face may show."""

    person: Person
    probability: float
    cosine_to_mean: float  # of the person's vectors
    cosine_to_nearest: float  # of the person's faces


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A stored face near a new one."""

    face_id: str
    uri: str  # of its photo
    cosine: float
    probability: float  # that the two faces are one person, with even prior odds
    person: Person | None


@dataclass(frozen=True, slots=True)
class Match:
    """The result for one face: candidates by falling probability, and the probability that it is none of the store's people."""

    candidates: list[Candidate]
    unknown: float
    nearest: list[Neighbour]
    unclear: bool = False  # too unclear to tell: nothing was compared with it, and `unknown` is 1


@dataclass(frozen=True, slots=True)
class PhotoComparison:
    """Whether two photos have a person in common."""

    faces: tuple[int, int]  # found in each
    pair: tuple[int, int] | None  # numbers of the two most similar faces; None if a photo has no clear face
    cosine: float | None  # of that pair
    probability: float  # that the photos have a person in common
    unclear: tuple[int, int] = (0, 0)  # of the faces, too unclear to tell: they were left out


def match(
    probe: Probe, gallery: Gallery, card: Card, *, unclear: Mask | None = None, prior: float = PRIOR, top: int = 5
) -> list[Match]:  # fmt: skip
    """Compare the faces of a photo with the stored ones: one Match a face, in the photo's order.

    Only people with a face among the _NEIGHBOURS nearest stored ones, of about _MAX_FACES faces in all, are compared one by one. The
    evidence of all others together is estimated from a sample of them. Among 200,000 people the probabilities differed by at most .06
    from those computed with all cosines (without the sample by .15). `unclear` (n,) are the faces that are too unclear to tell.
    """
    if not 0 < prior < 1:
        raise InputError(f"expected a prior probability between 0 and 1, found {prior}: leave it out for {PRIOR}")
    if not len(probe.vectors):
        return []
    out = [Match([], 1.0, [], unclear=True) for _ in probe.vectors]
    clear = np.arange(len(out)) if unclear is None else np.flatnonzero(~unclear)
    if not len(clear):
        return out
    own = gallery.index.rows_of_photo(probe.photo_id)
    cosines, rows = gallery.index.nearest(probe.vectors[clear], max(_NEIGHBOURS, top) + own.stop - own.start)
    for i, c, r in zip(clear.tolist(), cosines, rows, strict=True):
        out[i] = _match(probe.vectors[i], c, r, own, gallery, card, prior, top)
    return out


def _match(
    query: NDArray[np.float32], cosines: NDArray[np.float32], rows: NDArray[np.int64], own: slice, gallery: Gallery, card: Card,
    prior: float, top: int,
) -> Match:  # fmt: skip
    """A Match from the nearest faces of one `query` (dim,)."""
    others = (rows < own.start) | (rows >= own.stop)
    cosines, rows = cosines[others], rows[others]
    everybody = gallery.recognition.people
    people = _candidate_people(rows, own, gallery)
    compared = set(people)
    sampled = [j for j in gallery.sample_people if j not in compared]
    members = [gallery.faces_of(j, own) for j in people + sampled]
    x = gallery.index.vectors(np.concatenate([np.zeros(0, np.intp), *members]))
    ends = np.cumsum([0, *map(len, members)])
    at = [np.arange(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]
    to_cohort = gallery.cohort_vectors[(gallery.cohort_rows < own.start) | (gallery.cohort_rows >= own.stop)] @ query
    to_faces = np.clip(x @ query, -1, 1)
    cohort = np.arange(len(to_faces), len(to_faces) + len(to_cohort))
    normalised = normalise_by_cohort(np.r_[to_faces, to_cohort], cohort, card)[: len(to_faces)]

    def mean_length(i: int) -> float:
        return max(float(np.linalg.norm(x[at[i]].mean(axis=0))), 1e-3)

    log_odds = person_log_odds(normalised, np.repeat(np.arange(len(at)), np.diff(ends)), at, card, mean_length)
    n, left = len(people), len(everybody) - len(people)
    rest = np.logaddexp.reduce(log_odds[n:]) + np.log(left / len(sampled)) if sampled else -np.inf
    probabilities = posterior(np.append(log_odds[:n], rest), prior, max(len(everybody), 1))
    candidates = []
    for i in np.argsort(-probabilities[:n], kind="stable")[:top].tolist():
        c = to_faces[at[i]]
        to_mean = min(1.0, float(c.mean()) / mean_length(i))
        candidates.append(Candidate(everybody[people[i]], float(probabilities[i]), to_mean, float(c.max())))
    return Match(candidates, float(probabilities[-1]), _neighbours(cosines[:top], rows[:top], gallery, card))


def _candidate_people(rows: NDArray[np.int64], own: slice, gallery: Gallery) -> list[int]:
    """People of the faces in `rows`, the nearest first, until they have _MAX_FACES faces."""
    numbers, first = np.unique(gallery.person[rows], return_index=True)
    people: list[int] = []
    faces = 0
    for j in numbers[np.argsort(first, kind="stable")].tolist():
        if j != NOBODY:
            faces += len(gallery.faces_of(j, own))
            if faces > _MAX_FACES and len(people) >= _MIN_PEOPLE:
                break
            people.append(j)
    return people


def _neighbours(cosines: NDArray[np.float32], rows: NDArray[np.int64], gallery: Gallery, card: Card) -> list[Neighbour]:
    return [
        Neighbour(
            gallery.index.face_ids[row].as_py(), gallery.index.uris[row].as_py(), cosine, float(card.probability(np.array([cosine]))[0]),
            gallery.recognition.people[gallery.person[row]] if gallery.person[row] >= 0 else None,
        )
        for cosine, row in zip(cosines.tolist(), rows.tolist(), strict=True)
    ]  # fmt: skip


def verify(
    a: Probe, b: Probe, card: Card, *, unclear: tuple[Mask, Mask] | None = None, prior: float = PRIOR
) -> PhotoComparison:  # fmt: skip
    """Whether two photos have a person in common: the most similar pair of faces, and the probability over all pairs.

    `unclear` are the faces of `a` (n,) and of `b` (m,) that are too unclear to tell.
    """
    faces = (len(a.vectors), len(b.vectors))
    out = (np.zeros(faces[0], bool), np.zeros(faces[1], bool)) if unclear is None else unclear
    counts = (int(out[0].sum()), int(out[1].sum()))
    rows, columns = np.flatnonzero(~out[0]), np.flatnonzero(~out[1])
    if not min(len(rows), len(columns)):
        return PhotoComparison(faces, None, None, 0.0, counts)
    cosines = np.clip(a.vectors[rows].astype(np.float64) @ b.vectors[columns].T.astype(np.float64), -1, 1)
    one, two = np.unravel_index(int(cosines.argmax()), cosines.shape)
    probabilities = posterior((card.slope * cosines + card.intercept).ravel(), prior)
    pair = int(rows[one]), int(columns[two])
    return PhotoComparison(faces, pair, float(cosines[one, two]), float(1 - probabilities[-1]), counts)
