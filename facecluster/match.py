"""Compare new faces with the stored ones: who is this, is it anyone known, are two photos of one person.

odds.py states how sure an answer is. Odd input: a photo without faces gives an empty list; a photo that can't be used raises
PhotoError; faces of a photo that is in the store are not compared with themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster import geometry
from facecluster.detect import DetectConfig, detect_faces, quality
from facecluster.embed import EmbedConfig, embed_faces
from facecluster.errors import InputError, StampError
from facecluster.images import content_id, open_photo, read_file
from facecluster.index import Index
from facecluster.models.registry import Card
from facecluster.odds import PRIOR, against_strangers, people_evidence, posterior
from facecluster.tables import Store
from facecluster.who import NOBODY, Person, Who

_COHORT = 4000  # strangers that a new face is measured against, at most
_MOST = 1000  # faces of a person that its mean is made from: more change nothing


@dataclass(frozen=True, slots=True)
class Looked:
    """The faces of a new photo: struct of arrays (n,), best score first."""

    uri: str
    photo_id: str  # SHA-256 of the bytes
    boxes: NDArray[np.float32]  # (n, 4) x, y, w, h in px of the upright photo
    scores: NDArray[np.float32]
    quality: NDArray[np.float32]  # 0 to 1
    vectors: NDArray[np.float32]  # (n, dim), rows of length 1


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


def check_model(store: Store, config: EmbedConfig) -> None:
    """Raise StampError unless the store's vectors were made by this very model."""
    table, wanted = config.table(), config.stamp()
    shards = store.shards(table)
    found = store.stamp(table, shards[0]) if shards else None
    if found is not None and any(found.get(k) != wanted[k] for k in ("model", "weights")):
        raise StampError(
            f"expected vectors of the model {str(wanted['weights'])[:12]}, found those of {str(found.get('weights'))[:12]} in {table} of "
            f"{store.url}: name the store's model with --model, or embed its photos again into a new store"
        )


def look(uri: str, detect: DetectConfig, embed: EmbedConfig, *, device: str = "auto") -> Looked:
    """Find, align and embed the faces of a photo. Raises PhotoError if it can't be used."""
    data = read_file(uri)
    photo = open_photo(data, max_side=detect.max_side)
    found = detect_faces(photo.pixels, detect, device=device)
    crops = geometry.align(photo.pixels, found.landmarks)
    sharp, yaw = geometry.sharpness(crops), geometry.yaw(found.landmarks)
    good = quality(found.scores, found.boxes[:, 2:].min(axis=1, initial=np.inf), sharp, yaw)
    vectors = embed_faces(crops, embed, device=device)
    return Looked(uri, content_id(data), found.boxes / np.float32(photo.scale), found.scores, good, vectors)


def match(looked: Looked, index: Index, who: Who, card: Card, *, prior: float = PRIOR, top: int = 5) -> list[Match]:
    """Compare the faces of a photo with the stored ones: one Match a face, in the photo's order."""
    if not 0 < prior < 1:
        raise InputError(f"expected a prior probability between 0 and 1, found {prior}: leave it out for {PRIOR}")
    if not len(looked.vectors):
        return []
    whose, _ = who.of(index.face_ids)
    own = np.asarray(pc.starts_with(index.face_ids, looked.photo_id[:24] + "-"), bool)
    person = np.where(own, np.int32(NOBODY), whose)
    members = np.split(np.argsort(person, kind="stable"), np.cumsum(np.bincount(person + 1, minlength=len(who.people) + 1)))[1:-1]
    strangers = _strangers(members, np.flatnonzero((person < 0) & ~own))

    def length(j: int) -> float:
        return _mean_length(index, members[j])

    found = []
    for cosines in index.cosines(looked.vectors):
        shares = posterior(people_evidence(against_strangers(cosines, strangers, card), person, members, card, length), prior)
        people = []
        for j in np.argsort(-shares[:-1], kind="stable")[:top].tolist():
            if len(members[j]):
                mine = cosines[members[j]]
                people.append(Candidate(who.people[j], float(shares[j]), min(1.0, float(mine.mean()) / length(j)), float(mine.max())))
        near = _nearest(np.where(own, np.float32(-2), cosines), index, who, person, card, top)
        found.append(Match(people, float(shares[-1]), near))
    return found


def _nearest(others: NDArray[np.float32], index: Index, who: Who, person: NDArray[np.int32], card: Card, top: int) -> list[Near]:
    near = np.argpartition(-others, min(top, len(others) - 1))[:top] if len(others) else np.zeros(0, np.intp)
    return [
        Near(
            index.face_ids[row].as_py(), index.uris[row].as_py(), float(others[row]), float(card.probability(others[row : row + 1])[0]),
            who.people[person[row]] if person[row] >= 0 else None,
        )
        for row in near[np.argsort(-others[near], kind="stable")].tolist()
        if others[row] > -2
    ]  # fmt: skip


def _strangers(members: list[NDArray[np.intp]], nobody: NDArray[np.intp]) -> NDArray[np.intp]:
    """Rows of faces that stand for the strangers of a collection: one of each person, and nobody's."""
    rows = np.sort(np.r_[[m[len(m) // 2] for m in members if len(m)], nobody].astype(np.intp))
    return rows[:: -(-len(rows) // _COHORT)] if len(rows) else rows


def _mean_length(index: Index, rows: NDArray[np.intp]) -> float:
    """Length of the mean of a person's vectors, above 0 to 1: how much the faces agree."""
    some = rows[:: -(-len(rows) // _MOST)]
    return max(float(np.linalg.norm(np.asarray(index.vectors[some], np.float32).mean(axis=0))), 1e-3)


def verify(a: Looked, b: Looked, card: Card, *, prior: float = PRIOR) -> Verdict:
    """Whether two photos have a person in common: the best pair of faces, and the probability over all pairs."""
    faces = (len(a.vectors), len(b.vectors))
    if not min(faces):
        return Verdict(faces, None, None, 0.0)
    cosines = np.clip(a.vectors.astype(np.float64) @ b.vectors.T.astype(np.float64), -1, 1)
    one, two = np.unravel_index(int(cosines.argmax()), cosines.shape)
    shares = posterior((card.slope * cosines + card.intercept).ravel(), prior)
    return Verdict(faces, (int(one), int(two)), float(cosines[one, two]), float(1 - shares[-1]))
