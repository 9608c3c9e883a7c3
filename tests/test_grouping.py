"""The neighbour graph against brute force, the groups against dense HDBSCAN and against planted people."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from facecluster.evaluate import bcubed
from facecluster.identify import IdentifyConfig, group
from facecluster.link import nearest


def planted(sizes: list[int], noise: float = 0.5, dim: int = 64, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.normal(size=(len(sizes), dim))[truth] / dim**0.5 + noise * rng.normal(size=(len(truth), dim)) / dim**0.5
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), truth


@pytest.mark.parametrize("exact", [10**9, 100])
def test_neighbours_are_those_of_brute_force(exact: int) -> None:
    x, _ = planted([7] * 400)
    neighbours, similarity = nearest(x, 10, exact=exact)
    all_pairs = x @ x.T
    np.fill_diagonal(all_pairs, -9)
    best = np.argsort(-all_pairs, axis=1)[:, :10]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(neighbours, best, strict=True)])
    assert recall > (0.9999 if exact > 1000 else 0.9)
    if exact > 1000:
        assert np.allclose(similarity, np.take_along_axis(all_pairs, best, 1), atol=1e-5)


def test_few_faces_have_few_neighbours() -> None:
    x, _ = planted([2])
    neighbours, similarity = nearest(x, 3)
    assert neighbours.tolist() == [[1, -1, -1], [0, -1, -1]]
    assert (similarity[:, 1:] == -2).all()


@pytest.mark.parametrize("sizes", [[30], [40, 20, 10, 5, 3, 2], [60] * 5 + [1] * 40])
def test_planted_people_are_found(sizes: list[int]) -> None:
    x, truth = planted(sizes)
    groups = group(x, *nearest(x, 16), IdentifyConfig())
    assert bcubed(truth, groups.labels).f > 0.98
    counts = np.bincount(groups.labels[groups.labels >= 0])
    assert (np.diff(counts) <= 0).all()
    assert ((groups.probabilities > 0) == (groups.labels >= 0)).all()


def test_the_order_of_faces_does_not_matter() -> None:
    x, _ = planted([12, 9, 7, 5, 3, 2, 1, 1], noise=0.8)
    config = IdentifyConfig()
    order = np.random.default_rng(1).permutation(len(x))
    first, second = group(x, *nearest(x, 8), config).labels, group(x[order], *nearest(x[order], 8), config).labels
    assert bcubed(first[order] + 100 * (first[order] < 0) * np.arange(1, len(x) + 1), second).f == 1.0


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_faces(n: int) -> None:
    x, _ = planted([1] * max(n, 1))
    groups = group(x[:n], *nearest(x[:n], 4), IdentifyConfig()) if n else group(
        x[:0], np.zeros((0, 4), dtype=np.int32), np.zeros((0, 4), dtype=np.float32), IdentifyConfig()
    )
    assert (groups.labels == -1).all() and len(groups.labels) == n


def test_copies_of_a_face_are_one_person() -> None:
    x, _ = planted([1, 1])
    labels = group(np.repeat(x, 4, axis=0), *nearest(np.repeat(x, 4, axis=0), 6), IdentifyConfig()).labels
    assert len(set(labels[:4])) == 1 and len(set(labels[4:])) == 1 and labels[0] != labels[4] and labels.min() >= 0
