"""The neighbour graph against brute force, the groups against dense HDBSCAN and against planted people."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facecluster.evaluation import bcubed
from facecluster.grouping.cohort import cohort_stats
from facecluster.grouping.identify import IdentifyConfig, group
from facecluster.grouping.link import nearest


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
    groups = (
        group(x[:n], *nearest(x[:n], 4), IdentifyConfig())
        if n
        else group(x[:0], np.zeros((0, 4), dtype=np.int32), np.zeros((0, 4), dtype=np.float32), IdentifyConfig())
    )
    assert (groups.labels == -1).all() and len(groups.labels) == n


def test_copies_of_a_face_are_one_person() -> None:
    x, _ = planted([1, 1])
    labels = group(np.repeat(x, 4, axis=0), *nearest(np.repeat(x, 4, axis=0), 6), IdentifyConfig()).labels
    assert len(set(labels[:4])) == 1 and len(set(labels[4:])) == 1 and labels[0] != labels[4] and labels.min() >= 0


def people_with_ties(seed: int) -> NDArray[np.float32]:
    """A few people in 2 to 64 dimensions, with copies of faces, and vectors on a grid so that many cosines are the same."""
    rng = np.random.default_rng(seed)
    dim, sizes = int(rng.choice([2, 3, 8, 64])), rng.integers(1, 9, rng.integers(2, 12))
    truth = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.normal(size=(len(sizes), dim))[truth] + rng.choice([0.2, 0.6, 1.0]) * rng.normal(size=(len(truth), dim))
    if rng.random() < 0.5:
        x = np.concatenate([x, x[rng.integers(0, len(x), len(x) // 3)]])
    if rng.random() < 0.4:
        x = np.round(2 * x) / 2
        x[(x == 0).all(axis=1), 0] = 1
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def firsts(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """(n,) the first face of each face's group; a face that is nobody's stands for itself."""
    out = np.arange(len(labels))
    for one in set(labels[labels >= 0].tolist()):
        out[labels == one] = np.flatnonzero(labels == one)[0]
    return out


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_any_order_gives_the_same_people_to_the_bit(seed: int, ruled: bool) -> None:
    """Partition, probabilities and outlier scores: with ties, copies, and what photos, poor faces and the user say."""
    x, rng = people_with_ties(seed), np.random.default_rng(seed + 1)
    n = len(x)
    neighbours, similarity = nearest(x, int(rng.choice([3, 8, 20])))
    config = IdentifyConfig(impostor_mean=0.0, impostor_sd=x.shape[1] ** -0.5)
    order = rng.permutation(n)
    place = np.argsort(order)
    photos, weak = rng.integers(0, n, n), rng.random(n) < 0.2
    must, cannot = rng.integers(0, n, (2, 2)), rng.integers(0, n, (3, 2))
    cannot = cannot[(x[cannot[:, 0]] != x[cannot[:, 1]]).any(axis=1)]  # of two copies kept apart the first gets a third
    rules = {"photos": photos, "weak": weak, "must": must, "cannot": cannot} if ruled else {}
    turned = {"photos": photos[order], "weak": weak[order], "must": place[must], "cannot": place[cannot]} if ruled else {}
    moved = np.where(neighbours[order] >= 0, place[neighbours[order]], -1)
    one, other = group(x, neighbours, similarity, config, **rules), group(x[order], moved, similarity[order], config, **turned)
    assert np.array_equal(firsts(one.labels), firsts(other.labels[place]))
    assert np.array_equal(one.probabilities, other.probabilities[place])
    assert np.array_equal(one.outlier_scores, other.outlier_scores[place])


def test_threads_change_nothing() -> None:
    """The same, to the bit, with one thread and with several: of BLAS and OpenMP, and of ours."""
    code = (
        "import hashlib, os, numpy as np; from facecluster.grouping.identify import IdentifyConfig, group;"
        "from test_grouping import planted; x, _ = planted([9] * 300 + [1] * 1500, noise=0.7);"
        "links = np.load(os.environ['LINKS']); g = group(x, links['n'], links['s'], IdentifyConfig(impostor_mean=0.0, impostor_sd=0.125));"
        "print(hashlib.sha256(b''.join(a.tobytes() for a in (g.labels, g.probabilities, g.outlier_scores))).hexdigest(), g.labels.max())"
    )
    x, _ = planted([9] * 300 + [1] * 1500, noise=0.7)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/links.npz"
        neighbours, similarity = nearest(x, 16)
        np.savez(path, n=neighbours, s=similarity)
        said = set()
        for threads in ("1", "2", "5"):
            names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
            found = {"LINKS": path, "PYTHONPATH": f"{Path(__file__).parents[2]}:{Path(__file__).parent}"}
            env = os.environ | dict.fromkeys(names, threads) | found
            said.add(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout)
    assert len(said) == 1 and int(said.pop().split()[1]) >= 290


@pytest.mark.parametrize("rows", [1, 7, 1_024])
def test_strangers_do_not_depend_on_the_order_or_on_blocks(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, truth = planted([3] * 200 + [1] * 400, noise=0.7, dim=100)
    plain = cohort_stats(x, truth, mean=0.0, sd=0.1)
    order = np.random.default_rng(0).permutation(len(x))
    monkeypatch.setattr("facecluster.grouping.cohort._ROWS", rows)
    turned = cohort_stats(x[order], truth[order], mean=0.0, sd=0.1)
    assert np.array_equal(plain.base[order], turned.base) and np.array_equal(plain.reach[order], turned.reach) and plain.sd == turned.sd
