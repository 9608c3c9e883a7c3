"""Uncertainty against planted faults: the person that was split and the two that were put together must come first."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from conftest import need
from numpy.typing import NDArray

from facecluster.grouping.candidate_edges import LinkShard
from facecluster.grouping.face_vectors import FaceVectors
from facecluster.grouping.identify import IdentifyConfig, group
from facecluster.grouping.link import nearest
from facecluster.grouping.uncertainty import KINDS, Uncertainty, assess, assess_links
from facecluster.grouping.work import FolderShelf, LocalCrew

TRAIN = Path(__file__).parents[3] / "shared" / "data" / "faces_train.parquet"
CONFIG = IdentifyConfig(impostor_mean=0.0, impostor_sd=0.09)


def people(sizes: list[int], seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.normal(size=(len(sizes), 128))[truth] + 0.7 * rng.normal(size=(len(truth), 128))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), truth


def doubts_of(x: NDArray[np.float32], labels: NDArray[np.int64], photos: NDArray[np.int64] | None = None) -> Uncertainty:
    return assess(x, *nearest(x, 20), labels, np.where(labels < 0, 0.0, 0.95), CONFIG, photos)


def test_a_right_grouping_leaves_little_to_ask() -> None:
    x, truth = people([12] * 40 + [1] * 60)
    labels = group(x, *nearest(x, 20), CONFIG).labels.astype(np.int64)
    uncertainty = doubts_of(x, labels)
    assert (uncertainty.purity > 0.85).all() and (uncertainty.completeness > 0.95).mean() > 0.9
    assert len(uncertainty.kind) <= 0.06 * len(x)  # single faces; among real ones every third of these would be the person's
    assert (uncertainty.stake == 1).all() and uncertainty.probability.max() < 0.8


def test_planted_faults_come_first() -> None:
    x, truth = people([12] * 40)
    labels = truth.copy()
    labels[:5] = 40  # person 0 stands twice
    labels[labels == 2] = 1  # two persons as one
    labels = np.unique(labels, return_inverse=True)[1]
    uncertainty = doubts_of(x, labels)
    asked = [(KINDS[k], truth[a], truth[b]) for k, a, b in zip(uncertainty.kind, uncertainty.face_a, uncertainty.face_b, strict=True)][:2]
    assert sorted((kind, min(a, b), max(a, b)) for kind, a, b in asked) == [("same", 0, 0), ("split", 1, 2)]
    worst = set(uncertainty.confidence.argsort()[:3])
    assert worst == {labels[0], labels[5], labels[np.flatnonzero(truth == 1)[0]]}
    assert uncertainty.resolved[-1] == 1.0 and (np.diff(uncertainty.resolved) >= 0).all()


def test_two_faces_of_one_photo_are_asked_about_unless_they_are_copies() -> None:
    x, truth = people([12] * 20)
    photos = np.arange(len(x))
    photos[1] = photos[0]
    x[13], photos[13] = x[12], photos[12]  # a mirror
    uncertainty = doubts_of(x, truth, photos)
    asked = zip(uncertainty.kind, uncertainty.face_a, uncertainty.face_b, strict=True)
    found = {frozenset((int(a), int(b))) for k, a, b in asked if KINDS[k] == "photo"}
    assert found == {frozenset((0, 1))}


def test_nobody_is_no_doubt() -> None:
    x, _ = people([1, 1, 1])
    uncertainty = doubts_of(x, np.array([-1, -1, -1]))
    assert len(uncertainty.kind) == 0 and len(uncertainty.confidence) == 0


def test_what_is_missing_is_stated() -> None:
    """Faces of right groups are taken out as nobody's, a different share of each person's: the stated completeness is what is left."""
    x, truth = people([20] * 60, seed=1)
    rng = np.random.default_rng(2)
    share = rng.uniform(0.5, 1, 60)
    labels = np.where(rng.random(len(x)) < share[truth], truth, -1)
    left = np.bincount(truth[labels >= 0], minlength=60) / 20
    found = doubts_of(x, labels).completeness
    assert np.abs(found - left).mean() < 0.05 and np.corrcoef(found, left)[0, 1] > 0.9


def test_large_groups_that_are_alike_and_each_like_itself_are_two() -> None:
    """Their mean cosine lies about what joins groups, but far under that within each; small groups of as much likeness may be one."""
    rng = np.random.default_rng(3)
    stated = {}
    for size in (2, 16):
        centres = rng.normal(size=(24, 128))
        centres[1::2] = 0.3 * centres[::2] + (1 - 0.3**2) ** 0.5 * centres[1::2]
        truth = np.repeat(np.arange(24), size)
        x = centres[truth] + 0.55 * rng.normal(size=(len(truth), 128))
        found = doubts_of((x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), truth)
        stated[size] = found.completeness
    assert stated[16].mean() > 0.95 and np.quantile(stated[16], 0.1) > 0.9
    assert stated[2].mean() < 0.6


def test_stated_figures_hold_on_real_faces() -> None:
    need(TRAIN.exists(), "../shared/data/faces_train.parquet")
    table = pq.read_table(TRAIN, columns=["subject", "teacher"])
    name = np.array([s or "" for s in table["subject"].to_pylist()])
    rng = np.random.default_rng(5)
    rows = [
        rng.permutation(np.flatnonzero(name == who))[: rng.integers(3, 40)] for who in rng.choice(np.unique(name[name != ""]), 40, False)
    ]
    rows = np.concatenate([*rows, rng.permutation(np.flatnonzero(name == ""))[:200]])
    x = np.stack(table["teacher"].to_numpy()[rows]).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    config = IdentifyConfig(impostor_mean=0.035, impostor_sd=0.115)
    links = nearest(x, 32)
    made = group(x, *links, config)
    found = assess(x, *links, made.labels, made.probabilities, config)
    off, weights = [], []
    for g in range(int(made.labels.max()) + 1):
        who, counts = np.unique(name[rows][made.labels == g], return_counts=True)
        best = who[counts.argmax()]
        if best:  # strangers have no names: who of them is one person is not known
            true = counts.max() / counts.sum(), counts.max() / (name[rows] == best).sum()
            off.append((found.purity[g] - true[0], found.completeness[g] - true[1]))
            weights.append(counts.sum())
    assert len(off) > 30
    assert (np.abs(np.average(off, axis=0, weights=weights)) < 0.04).all()
    assert (np.average(np.abs(off), axis=0, weights=weights) < 0.06).all()


def test_links_in_shards_and_vectors_in_files_give_the_same_questions(tmp_path: Path) -> None:
    x, truth = people([9, 7, 6, 4, 4, 3] + [2] * 12 + [1] * 30)
    rng = np.random.default_rng(5)
    labels = np.where(rng.random(len(x)) < 0.1, -1, truth)
    labels = np.where(labels < 18, labels, -1)
    photos, sure = rng.integers(0, 40, len(x)), np.where(labels < 0, 0.0, rng.random(len(x)))
    near, similarity = nearest(x, 20)
    whole = assess(x, near, similarity, labels, sure, CONFIG, photos)
    crew = LocalCrew(FolderShelf(str(tmp_path)))
    parts = [slice(i, i + 25) for i in range(0, len(x), 25)]
    filed = FaceVectors(tuple(crew.shelf.keep(f"x/{s.start}", x[s]) for s in parts), (*(s.start for s in parts), len(x)), x.shape[1])
    links = [LinkShard(s.start, near[s], similarity[s]) for s in parts]
    found = assess_links(crew, filed, links, labels, sure, CONFIG, photos)
    assert len(whole.kind) > 20 and {0, 2} <= set(whole.kind.tolist())
    for field in fields(Uncertainty):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(whole, field.name), err_msg=field.name)
