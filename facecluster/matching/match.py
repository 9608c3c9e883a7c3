"""Compare new faces with the stored ones: who is this, is it anyone known, are two photos of one person.

odds.py states how sure an answer is. Odd input: a photo without faces gives an empty list; a photo that can't be used raises
PhotoError; faces of a photo that is in the store are not compared with themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster import geometry
from facecluster.errors import InputError
from facecluster.faces.detect import DetectConfig, detect_faces, quality
from facecluster.faces.embed import EmbedConfig, embed_faces
from facecluster.matching.index import Index
from facecluster.matching.posterior import PRIOR, normalise_by_cohort, people_evidence, posterior
from facecluster.matching.recognition import NOBODY, Person, Recognition
from facecluster.models.registry import Card
from facecluster.photos.images import content_id, open_photo, read_file
from facecluster.store import Store

_COHORT = 4_000  # strangers that a new face is measured against, at most
_NEAR = 2_000  # nearest stored faces of a new one, whose people it may be of
_FACES, _PEOPLE = 50_000, 64  # faces of those people that are compared, of this many people at least
_SAMPLE = 1_000  # people who stand for all those that are not compared


@dataclass(frozen=True, slots=True)
class Probe:
    """The faces of a new photo: struct of arrays (n,), best score first."""

    uri: str
    photo_id: str  # SHA-256 of the bytes
    boxes: NDArray[np.float32]  # (n, 4) x, y, w, h in px of the upright photo
    scores: NDArray[np.float32]
    quality: NDArray[np.float32]  # 0 to 1
    vectors: NDArray[np.float32]  # (n, dim), rows of length 1


@dataclass(frozen=True, slots=True)
class Gallery:
    """A store's faces and people, ready to be compared with: made once, by `known`."""

    index: Index
    who: Recognition
    person: NDArray[np.int32]  # (n,) whose each face of the index is; -1 = nobody's
    order: NDArray[np.intp]  # (n,) rows by person
    start: NDArray[np.intp]  # (people + 1,) where each person begins in `order`
    strangers: NDArray[np.intp]  # rows of faces that stand for the strangers of the collection: one of each person, and nobody's
    cohort: NDArray[np.float32]  # their vectors
    sample: list[int]  # people drawn evenly, who stand for all

    def faces(self, j: int, own: slice) -> NDArray[np.intp]:
        """Rows of person j, but those of the photo that is looked at."""
        rows = self.order[self.start[j] : self.start[j + 1]]
        return np.asarray(rows[(rows < own.start) | (rows >= own.stop)])


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person that a face may be of."""

    person: Person
    probability: float
    mean: float  # cosine to the mean of the person's faces
    best: float  # cosine to the nearest of them


@dataclass(frozen=True, slots=True)
class Near:
    """A stored face near a new one."""

    face_id: str
    uri: str  # of its photo
    cosine: float
    probability: float  # that these two faces are one person, both cases being as likely
    person: Person | None


@dataclass(frozen=True, slots=True)
class Match:
    """What is known about a face: people by falling probability, and the probability that it is none of them."""

    people: list[Candidate]
    nobody: float
    nearest: list[Near]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether two photos have a person in common."""

    faces: tuple[int, int]  # found in each
    pair: tuple[int, int] | None  # numbers of the two faces that are most alike; None without a face
    cosine: float | None  # of that pair
    probability: float  # that the photos have a person in common


def detect_config(store: Store) -> DetectConfig:
    """The settings that the store's faces were found with."""
    shards = store.shards("faces")
    stamp = store.stamp("faces", shards[0]) if shards else None
    names = ("threshold", "max_side", "min_side")
    return DetectConfig(**{name: stamp[name] for name in names if name in stamp}) if stamp else DetectConfig()


def look(uri: str, detect: DetectConfig, embed: EmbedConfig, *, device: str = "auto") -> Probe:
    """Find, align and embed the faces of a photo. Raises PhotoError if it can't be used."""
    data = read_file(uri)
    photo = open_photo(data, max_side=detect.max_side)
    found = detect_faces(photo.pixels, detect, device=device)
    crops = geometry.align(photo.pixels, found.landmarks)
    sharp, yaw = geometry.sharpness(crops), geometry.yaw(found.landmarks)
    good = quality(found.scores, found.boxes[:, 2:].min(axis=1, initial=np.inf), sharp, yaw)
    vectors = embed_faces(crops, embed, device=device)
    return Probe(uri, content_id(data), found.boxes / np.float32(photo.scale), found.scores, good, vectors)


def known(index: Index, who: Recognition) -> Gallery:
    """Put the people of a store beside its faces."""
    person, _ = who.of(index.face_ids)
    order = np.argsort(person, kind="stable")
    start = np.searchsorted(person[order], np.arange(len(who.people) + 1))
    some = np.flatnonzero(np.diff(start))
    rows = np.sort(np.r_[order[(start[some] + start[some + 1]) // 2], order[: start[0]]])
    rows = rows[:: max(1, -(-len(rows) // _COHORT))]
    sample = some[:: max(1, -(-len(some) // _SAMPLE))]
    return Gallery(index, who, person, order, start, rows, index.vectors(rows), sample.tolist())


def match(looked: Probe, store: Gallery, card: Card, *, prior: float = PRIOR, top: int = 5) -> list[Match]:
    """Compare the faces of a photo with the stored ones: one Match a face, in the photo's order.

    Only people with a face among the _NEAR nearest stored ones, of about _FACES faces in all, are compared one by one. What all others
    together count for is estimated from a sample of them: among 200,000 people shares came out within .06 of those by all cosines
    (without it .15).
    """
    if not 0 < prior < 1:
        raise InputError(f"expected a prior probability between 0 and 1, found {prior}: leave it out for {PRIOR}")
    if not len(looked.vectors):
        return []
    own = store.index.of_photo(looked.photo_id)
    cosines, rows = store.index.nearest(looked.vectors, max(_NEAR, top) + own.stop - own.start)
    return [_match(q, c, r, own, store, card, prior, top) for q, c, r in zip(looked.vectors, cosines, rows, strict=True)]


def _match(
    query: NDArray[np.float32], cosines: NDArray[np.float32], rows: NDArray[np.int64], own: slice, store: Gallery, card: Card, prior: float,
    top: int,
) -> Match:  # fmt: skip
    """A Match from the nearest faces of one `query` (dim,)."""
    others = (rows < own.start) | (rows >= own.stop)
    cosines, rows = cosines[others], rows[others]
    people = _candidates(rows, own, store)
    compared = set(people)
    others_sampled = [j for j in store.sample if j not in compared]
    members = [store.faces(j, own) for j in people + others_sampled]
    x = store.index.vectors(np.concatenate([np.zeros(0, np.intp), *members]))
    ends = np.cumsum([0, *map(len, members)])
    at = [np.arange(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]
    strange = store.cohort[(store.strangers < own.start) | (store.strangers >= own.stop)] @ query
    mine = np.clip(x @ query, -1, 1)
    moved = normalise_by_cohort(np.r_[mine, strange], np.arange(len(mine), len(mine) + len(strange)), card)[: len(mine)]

    def length(i: int) -> float:
        return max(float(np.linalg.norm(x[at[i]].mean(axis=0))), 1e-3)

    evidence = people_evidence(moved, np.repeat(np.arange(len(at)), np.diff(ends)), at, card, length)
    n, left = len(people), len(store.who.people) - len(people)
    rest = np.logaddexp.reduce(evidence[n:]) + np.log(left / len(others_sampled)) if others_sampled else -np.inf
    shares = posterior(np.append(evidence[:n], rest), prior, max(len(store.who.people), 1))
    found = []
    for i in np.argsort(-shares[:n], kind="stable")[:top].tolist():
        c = mine[at[i]]
        found.append(Candidate(store.who.people[people[i]], float(shares[i]), min(1.0, float(c.mean()) / length(i)), float(c.max())))
    return Match(found, float(shares[-1]), _nearest(cosines[:top], rows[:top], store, card))


def _candidates(rows: NDArray[np.int64], own: slice, store: Gallery) -> list[int]:
    """People of the faces in `rows`, the nearest first, until they have _FACES faces."""
    numbers, first = np.unique(store.person[rows], return_index=True)
    people: list[int] = []
    faces = 0
    for j in numbers[np.argsort(first, kind="stable")].tolist():
        if j != NOBODY:
            faces += len(store.faces(j, own))
            if faces > _FACES and len(people) >= _PEOPLE:
                break
            people.append(j)
    return people


def _nearest(cosines: NDArray[np.float32], rows: NDArray[np.int64], store: Gallery, card: Card) -> list[Near]:
    return [
        Near(
            store.index.face_ids[row].as_py(), store.index.uris[row].as_py(), cosine, float(card.probability(np.array([cosine]))[0]),
            store.who.people[store.person[row]] if store.person[row] >= 0 else None,
        )
        for cosine, row in zip(cosines.tolist(), rows.tolist(), strict=True)
    ]  # fmt: skip


def verify(a: Probe, b: Probe, card: Card, *, prior: float = PRIOR) -> Verdict:
    """Whether two photos have a person in common: the best pair of faces, and the probability over all pairs."""
    faces = (len(a.vectors), len(b.vectors))
    if not min(faces):
        return Verdict(faces, None, None, 0.0)
    cosines = np.clip(a.vectors.astype(np.float64) @ b.vectors.T.astype(np.float64), -1, 1)
    one, two = np.unravel_index(int(cosines.argmax()), cosines.shape)
    shares = posterior((card.slope * cosines + card.intercept).ravel(), prior)
    return Verdict(faces, (int(one), int(two)), float(cosines[one, two]), float(1 - shares[-1]))
