"""Doubts against planted faults: the person that was split and the two that were put together must come first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facecluster.doubts import KINDS, Doubts, assess
from facecluster.identify import IdentifyConfig, group
from facecluster.link import nearest

CONFIG = IdentifyConfig(stranger_mean=0.0, stranger_sd=0.09)


def people(sizes: list[int], seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.normal(size=(len(sizes), 128))[truth] + 0.7 * rng.normal(size=(len(truth), 128))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), truth


def doubts_of(x: NDArray[np.float32], labels: NDArray[np.int64], photos: NDArray[np.int64] | None = None) -> Doubts:
    return assess(x, *nearest(x, 20), labels, np.where(labels < 0, 0.0, 0.95), CONFIG, photos)


def test_a_right_grouping_leaves_little_to_ask() -> None:
    x, truth = people([12] * 40 + [1] * 60)
    labels = group(x, *nearest(x, 20), CONFIG).labels.astype(np.int64)
    doubts = doubts_of(x, labels)
    assert (doubts.purity > 0.85).all() and (doubts.completeness > 0.95).mean() > 0.9
    assert len(doubts.kind) <= 10


def test_planted_faults_come_first() -> None:
    x, truth = people([12] * 40)
    labels = truth.copy()
    labels[:5] = 40  # person 0 stands twice
    labels[labels == 2] = 1  # two persons as one
    labels = np.unique(labels, return_inverse=True)[1]
    doubts = doubts_of(x, labels)
    asked = [(KINDS[k], truth[a], truth[b]) for k, a, b in zip(doubts.kind, doubts.face_a, doubts.face_b, strict=True)][:2]
    assert sorted((kind, min(a, b), max(a, b)) for kind, a, b in asked) == [("same", 0, 0), ("split", 1, 2)]
    worst = set(doubts.confidence.argsort()[:3])
    assert worst == {labels[0], labels[5], labels[np.flatnonzero(truth == 1)[0]]}
    assert doubts.settled[-1] == 1.0 and (np.diff(doubts.settled) >= 0).all()


def test_two_faces_of_one_photo_are_asked_about_unless_they_are_copies() -> None:
    x, truth = people([12] * 20)
    photos = np.arange(len(x))
    photos[1] = photos[0]
    x[13], photos[13] = x[12], photos[12]  # a mirror
    doubts = doubts_of(x, truth, photos)
    found = {frozenset((int(a), int(b))) for k, a, b in zip(doubts.kind, doubts.face_a, doubts.face_b, strict=True) if KINDS[k] == "photo"}
    assert found == {frozenset((0, 1))}


def test_nobody_is_no_doubt() -> None:
    x, _ = people([1, 1, 1])
    doubts = doubts_of(x, np.array([-1, -1, -1]))
    assert len(doubts.kind) == 0 and len(doubts.confidence) == 0
