"""HDBSCAN on a graph against the library's tree, and its cost where one group is large."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facecluster.grouping.hierarchy import excess_of_mass_clusters
from facecluster.grouping.spanning_forest import STEPS_PER_UNIT, spanning_forest

with warnings.catch_warnings():  # hdbscan 0.8.44 has invalid escape sequences in its docstrings
    warnings.simplefilter("ignore")
    from hdbscan import hdbscan_
    from hdbscan._hdbscan_linkage import label
    from hdbscan._hdbscan_tree import outlier_scores

CUT = int(1.2 * STEPS_PER_UNIT)


def edges(points: NDArray[np.float64], longest: float = np.inf) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Ends and lengths in steps of all edges between points (n, 2), up to a length."""
    a, b = np.triu_indices(len(points), 1)
    d = np.linalg.norm(points[a] - points[b], axis=1)
    keep = d <= longest
    return a[keep].astype(np.int32), b[keep].astype(np.int32), np.maximum(np.rint(d[keep] * STEPS_PER_UNIT), 4).astype(np.int32)


def found(points: NDArray[np.float64], least: int, min_samples: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    a, b, d = edges(points, 1.2)
    return excess_of_mass_clusters(len(points), *spanning_forest(len(points), a, b, d, CUT, min_samples), CUT, least)


def library(points: NDArray[np.float64], least: int, min_samples: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The same by hdbscan: all pieces hang at the cut on a group of points far from all."""
    n = len(points)
    a, b, d = edges(points)
    far = np.full((n, n), np.inf)
    far[a, b] = far[b, a] = d / STEPS_PER_UNIT
    np.fill_diagonal(far, np.inf)
    core = np.sort(far, axis=1)[:, min_samples - 1]
    reach = np.maximum(np.maximum(core[:, None], core[None]), far)
    inside, rows = np.zeros(n, dtype=bool), []
    best, whom = np.full(n, np.inf), np.zeros(n, dtype=int)
    at = 0
    for _ in range(n - 1):  # Prim
        inside[at] = True
        nearer = reach[at] < best
        best[nearer], whom[nearer] = reach[at][nearer], at
        at = int(np.where(inside, np.inf, best).argmin())
        rows.append((whom[at], at, best[at]))
    cut, ghosts = CUT / STEPS_PER_UNIT, range(n, n + 3 * least)
    tree, heads = [(i, j, 1e-6) for i, j in zip(ghosts[:-1], ghosts[1:], strict=True)], {0}
    for i, j, length in sorted(rows, key=lambda r: r[2]):
        if length <= cut:
            tree.append((i, j, length))
        else:
            heads.add(j)
    tree += [(i, n, cut) for i in heads]  # Prim grows from 0: what it reached over a long edge heads a piece
    groups, _, _, condensed, _ = hdbscan_._tree_to_labels(None, label(np.array(sorted(tree, key=lambda r: r[2]))), least)
    return groups[:n], outlier_scores(condensed)[:n]


def partition(labels: NDArray[np.integer]) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == g).tolist()) for g in set(labels.tolist()) if g >= 0}


@pytest.mark.parametrize("least", [2, 5])
@pytest.mark.parametrize("seed", range(12))
def test_groups_are_those_of_the_library(least: int, seed: int) -> None:
    """With one neighbour to make a place dense, no two edges are as long: the tree is the same."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(12, 2))[rng.integers(0, 12, 150)] * 6 + rng.normal(size=(150, 2)) * rng.choice([0.2, 0.5], (150, 1))
    mine, glosh = found(points, least, 1)
    theirs, scores = library(points, least, 1)
    assert partition(mine) == partition(theirs) and len(partition(mine)) > 3
    assert np.allclose(glosh, scores, atol=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_dense_places_are_those_of_the_library(seed: int) -> None:
    """Many edges are as long as a core distance. Faces that lie between two groups may go to either; the groups are the same."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(8, 2))[rng.integers(0, 8, 160)] * 6 + rng.normal(size=(160, 2)) * 0.3
    mine, theirs = partition(found(points, 4, 4)[0]), partition(library(points, 4, 4)[0])
    assert len(mine) == len(theirs) > 3
    assert all(max(len(a & b) / len(a | b) for b in theirs) > 0.9 for a in mine)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(2, 4))
def test_the_order_does_not_matter(seed: int, min_samples: int, least: int) -> None:
    """Points of a grid: nearly all edges are as long as others."""
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 5, size=(rng.integers(3, 30), 2)) * 0.5
    n = len(points)
    a, b, d = edges(points, 1.2)
    labels, glosh = excess_of_mass_clusters(n, *spanning_forest(n, a, b, d, CUT, min_samples), CUT, least)
    order, turn = rng.permutation(n), rng.permutation(len(a))
    place = np.argsort(order).astype(np.int32)
    c, e = place[a[turn]], place[b[turn]]
    again, scores = excess_of_mass_clusters(n, *spanning_forest(n, c, e, d[turn], CUT, min_samples), CUT, least)
    assert partition(labels) == partition(again[place])
    assert np.array_equal(glosh, scores[place])


def test_no_edge_leaves_all_alone() -> None:
    none = np.zeros(0, dtype=np.int32)
    labels, glosh = excess_of_mass_clusters(3, *spanning_forest(3, none, none, none, CUT, 2), CUT, 2)
    assert labels.tolist() == [-1, -1, -1] and (glosh > 0.99).all()


def test_many_faces_that_join_one_group_cost_no_more_each() -> None:
    """20,000 faces, of which half hang one by one on the other half: 69 s with the library's union-find, the same tree."""

    def seconds(m: int) -> float:
        i = np.arange(1, m // 2, dtype=np.int32)
        source, target = np.r_[np.zeros_like(i), i], np.r_[i, i + m // 2 - 1].astype(np.int32)
        length = np.arange(1_000, 1_000 + len(source), dtype=np.int32)
        started = time.process_time()
        labels, _ = excess_of_mass_clusters(m, source, target, length, CUT, 2)
        assert (labels[: m - 1] >= 0).all() and labels[m - 1] == -1
        return time.process_time() - started

    assert seconds(20_000) < 3
    small, large = (min(seconds(m) for _ in range(3)) for m in (20_000, 160_000))
    assert large < 24 * small  # 8 times the faces; quadratic: 64 times
