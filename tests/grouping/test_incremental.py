"""A few new faces join the people there are: no two of those become one, none falls apart, and what the user says still holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facecluster.api import group_faces
from facecluster.evaluation import bcubed
from facecluster.grouping.identify import IdentifyConfig, group
from facecluster.grouping.incremental import core_faces, keep_previous
from facecluster.grouping.link import nearest

CONFIG = IdentifyConfig(impostor_mean=0.0, impostor_sd=0.09)


def collection(seed: int, noise: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Thirty people with a long tail, among 120 who are there once, in any order."""
    rng = np.random.default_rng(seed)
    sizes = np.r_[[40, 25, 18, 15, 12, 10, 9, 8, 7, 6, 5, 5, 4, 4], np.full(16, 3), np.ones(120, dtype=int)]
    truth = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    x = rng.normal(size=(len(sizes), 128))[truth] + noise * rng.gamma(9, 1 / 9, size=(len(truth), 1)) * rng.normal(size=(len(truth), 128))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), truth


def earlier(x: NDArray[np.float32], share: float, seed: int) -> NDArray[np.int64]:
    """Groups of most of the faces, -1 for those that are still to come."""
    there = np.sort(np.random.default_rng(seed).permutation(len(x))[: int(len(x) * share)])
    before = np.full(len(x), -1)
    before[there] = group(x[there], *nearest(x[there], 24), CONFIG).labels
    return before


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_groups_that_are_there_stay_whole_and_apart(seed: int) -> None:
    x, _ = collection(seed % 20, noise=1.5)
    before = earlier(x, 0.9, seed)
    labels = group(x, *nearest(x, 24), CONFIG, before=before).labels
    old = before >= 0
    assert (labels[old] >= 0).all()
    now = {(a, b) for a, b in zip(before[old].tolist(), labels[old].tolist(), strict=True)}
    assert len(now) == len(set(before[old])) == len({b for _, b in now})


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_the_order_of_faces_does_not_matter(seed: int, ruled: bool) -> None:
    x, _ = collection(seed % 20, noise=1.5)
    before, rng = earlier(x, 0.9, seed), np.random.default_rng(seed)
    order = rng.permutation(len(x))
    place = np.argsort(order)
    rules = {k: rng.integers(0, len(x), size=(6, 2)) for k in ("must", "cannot")} if ruled else {}
    neighbours, similarity = nearest(x, 24)
    first = group(x, neighbours, similarity, CONFIG, before=before, **rules)
    turned = np.where(neighbours[order] >= 0, place[neighbours[order]], -1)
    second = group(x[order], turned, similarity[order], CONFIG, before=before[order], **{k: place[v] for k, v in rules.items()})
    assert bcubed(first.labels[order] + 1000 * (first.labels[order] < 0) * (1 + order),
                  second.labels + 1000 * (second.labels < 0) * (1 + order)).f == 1.0  # fmt: skip
    assert np.array_equal(first.probabilities[order], second.probabilities)


def test_new_faces_join_whom_they_belong_to_and_found_new_people() -> None:
    x, truth = collection(3)
    there = np.ones(len(x), dtype=bool)
    there[np.flatnonzero(truth == 0)[:5]] = there[truth == 8] = False  # five of the largest, and all seven of another
    before = np.full(len(x), -1)
    before[there] = group(x[there], *nearest(x[there], 24), CONFIG).labels
    labels = group(x, *nearest(x, 24), CONFIG, before=before).labels
    assert len(set(labels[truth == 0])) == 1
    assert len(set(labels[truth == 8])) == 1 and (labels == labels[truth == 8][0]).sum() == (truth == 8).sum()
    anew = group(x, *nearest(x, 24), CONFIG).labels
    assert bcubed(truth, labels).f > bcubed(truth, anew).f - 0.01


def test_what_the_user_says_holds() -> None:
    x, truth = collection(4)
    before = group(x, *nearest(x, 24), CONFIG).labels.astype(np.int64)
    biggest, second = (np.flatnonzero((truth == t) & (before >= 0)) for t in (0, 1))
    wrong = before.copy()
    wrong[second[:3]] = before[biggest[0]]  # three faces of another stand with the largest, as an earlier run had it
    unsaid = group(x, *nearest(x, 24), CONFIG, before=wrong).labels
    assert unsaid[second[0]] == unsaid[biggest[0]]
    cannot = np.array([[i, j] for i in second[:3] for j in biggest[:8]])
    labels = group(x, *nearest(x, 24), CONFIG, before=wrong, cannot=cannot).labels
    assert len(set(labels[biggest])) == 1 and len(set(labels[second])) == 1  # and they go where they belong
    assert labels[biggest[0]] != labels[second[0]]
    joined = group(x, *nearest(x, 24), CONFIG, before=before, must=np.array([[biggest[0], second[0]]])).labels
    assert len(set(joined[np.r_[biggest, second]])) == 1


@pytest.mark.parametrize(
    "dense, before, expected",
    [
        ([0, 0, 0, -1], [5, 5, -1, -1], [5, 5, 5, -1]),  # with the one group that is there
        ([0, 0, 0, 1], [2, 1, -1, -1], [2, 1, -1, 4]),  # between two: left open
        ([-1, 1, 1, 1], [0, 0, -1, 0], [0, 0, 0, 0]),
        ([2, 2, -1, -1], [-1, -1, -1, -1], [2, 2, -1, -1]),
    ],
)
def test_what_of_the_dense_groups_is_taken(dense: list[int], before: list[int], expected: list[int]) -> None:
    assert keep_previous(np.array(dense), np.array(before)).tolist() == expected


def test_who_holds_a_group() -> None:
    before = np.array([0, 0, 0, 1, 1, 1, 1, 2, -1])
    labels = np.array([4, 4, 5, 6, 6, 7, 7, 8, 4])
    assert core_faces(before, labels).tolist() == [True, True, False, True, True, True, True, False, False]


def test_from_python() -> None:
    x, truth = collection(5)
    first, _ = group_faces(x[:-12])
    labels, sure = group_faces(x, before=np.r_[first, np.full(12, -1)])
    old = first >= 0
    both = set(zip(first[old].tolist(), labels[:-12][old].tolist(), strict=True))
    assert len(both) == len(set(first[old])) == len(set(labels[:-12][old]))
    assert ((sure > 0) == (labels >= 0)).all() and bcubed(truth, labels).f > 0.95
