"""Labels of faces: wrong ones are found, right ones left alone, whatever the order and the names."""

from __future__ import annotations

import numpy as np
import pytest
from curate_store import people
from hypothesis import given, settings
from hypothesis import strategies as st

from facecluster.curate import CleanConfig, clean, judge
from facecluster.curate.clean import ALONE, BYSTANDER, RIGHT, STRANGER, UNLABELLED, WRONG, likeness

CARD = CleanConfig(stranger_mean=0.0, stranger_sd=128**-0.5)


def spoil(truth: np.ndarray, flips: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels of which some are another person's, and the rows of those."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(truth), flips, replace=False)
    labels = truth.copy()
    labels[rows] = (truth[rows] + rng.integers(1, truth.max() + 1, flips)) % (truth.max() + 1)
    return labels, rows


def test_flipped_labels_and_strangers_are_found_and_told_apart() -> None:
    x, truth = people([40] * 10)
    strange, _ = people([1] * 20, seed=9)
    labels, flipped = spoil(truth, 40)
    labels = np.r_[labels, np.arange(20) % 10]
    found = clean(np.r_[x, strange], labels, CARD)
    wrong = np.r_[flipped, np.arange(400, 420)]
    assert set(np.flatnonzero(found.flagged)) == set(wrong)
    assert set(np.flatnonzero(found.verdict == WRONG)) == set(flipped)
    assert (found.best[flipped] == truth[flipped]).all()
    assert (found.verdict[400:] == STRANGER).all()


def test_labels_that_are_right_stay() -> None:
    x, truth = people([3, 5, 8, 30, 100, 4, 6])
    found = clean(x, truth, CARD)
    assert (found.verdict == RIGHT).all() and found.rounds <= 2


def test_the_likeness_is_what_the_formula_says() -> None:
    x, truth = people([5, 6, 7, 8])
    trusted = np.ones(len(x), bool)
    trusted[[2, 9]] = False
    found = likeness(x, truth.astype(np.int64), trusted, CARD)

    def middle(rows: list[int]) -> np.ndarray:
        total = x[rows].astype(np.float64).sum(axis=0)
        return total / np.linalg.norm(total)

    for row in (0, 2, 9, 20):
        own = [i for i in range(len(x)) if truth[i] == truth[row] and trusted[i] and i != row]
        others = {p: x[row] @ middle([i for i in range(len(x)) if truth[i] == p and trusted[i]]) for p in range(4) if p != truth[row]}
        assert found.best[row] == max(others, key=lambda p: others[p])
        difference = x[row] @ middle(own) - max(others.values())
        assert (found.own[row] - found.other[row]) * found.sd == pytest.approx(difference, abs=1e-5)


def test_strangers_are_measured_not_assumed() -> None:
    """Vectors that all share a direction have high cosines: a fixed bound would call every label right."""
    x, truth = people([40] * 12, seed=3)
    labels, flipped = spoil(truth, 48, 3)
    alike = x + 1.2 * np.eye(128, dtype=np.float32)[0]
    alike /= np.linalg.norm(alike, axis=1, keepdims=True)
    assert (alike @ alike.T).min() > 0.3, "a fixed bound that suits other sets is passed by every stranger here"
    assert set(np.flatnonzero(clean(alike, labels, CARD).flagged)) == set(flipped)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_order_and_numbers_of_labels_mean_nothing(seed: int) -> None:
    x, truth = people([6] * 8, seed=seed)
    labels, _ = spoil(truth, 5, seed)
    rng = np.random.default_rng(seed)
    order, names = rng.permutation(len(x)), rng.permutation(8)
    one, two = clean(x, labels, CARD), clean(x[order], names[labels[order]], CARD)
    assert (one.verdict[order] == two.verdict).all()


def test_odd_inputs() -> None:
    x, truth = people([1, 2, 5])
    labels = truth.copy()
    labels[-1] = -1
    found = clean(x, labels, CARD)
    assert found.verdict[0] == ALONE and np.isnan(found.own[0])
    assert found.verdict[-1] == UNLABELLED and found.best[-1] == 2
    assert clean(x[:0], labels[:0], CARD).verdict.shape == (0,)
    assert (clean(x, np.full(8, -1), CARD).verdict == UNLABELLED).all()
    two, _ = people([1, 1], seed=2)
    assert (clean(two, np.zeros(2, np.int64), CARD).verdict == ALONE).all(), "either of two faces that disagree could be the wrong one"


def test_of_a_photos_faces_one_is_the_person() -> None:
    x, truth = people([8, 8, 8, 8])
    photos = np.arange(32)
    twin = np.r_[x, x[:1]]  # a mirror: the person twice in a photo
    found = clean(twin, np.r_[truth, 0], CARD, photos=np.r_[photos, 5])
    assert sorted(found.verdict[[5, 32]]) == [BYSTANDER, RIGHT]
    assert (np.delete(found.verdict, [5, 32]) == RIGHT).all()


def test_two_labels_of_one_person_are_proposed_and_their_faces_left_alone() -> None:
    x, truth = people([20] * 8, seed=1)
    labels = truth.copy()
    labels[:8] = 8
    found = judge(x, labels, CARD)
    assert [(m.first, m.second) for m in found.merges] == [(0, 8)]
    assert not found.flagged.any()


def test_a_label_of_two_people_is_proposed_and_the_smaller_one_leaves() -> None:
    x, truth = people([20] * 8, seed=2)
    labels = truth.copy()
    labels[truth == 7] = 0
    labels[(truth == 7).nonzero()[0][8:]] = -1
    found = judge(x, labels, CARD)
    second = np.flatnonzero((truth == 7) & (labels == 0))
    assert [s.label for s in found.splits] == [0]
    assert set(found.splits[0].others[0]) <= set(second) and len(found.splits[0].others[0]) >= 6
    assert set(np.flatnonzero(found.second)) <= set(second)
    assert found.flagged[found.splits[0].others[0]].all() and found.flagged[second].sum() >= 7
    assert not found.flagged[truth == 0].any()


def test_people_of_one_kind_are_not_split_or_merged() -> None:
    x, truth = people([12] * 10, noise=1.0, seed=5)
    found = judge(x, truth, CARD)
    assert found.merges == [] and found.splits == []
