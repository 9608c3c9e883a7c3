"""Labels of faces: wrong ones are found, right ones left alone, whatever the order and the names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from curate_store import people
from hypothesis import given, settings
from hypothesis import strategies as st

from facecluster.curate import CleanConfig, clean, judge
from facecluster.curate.clean import ALONE, BYSTANDER, RIGHT, STRANGER, UNLABELLED, WRONG
from facecluster.curate.likeness import likeness

CARD = CleanConfig(impostor_mean=0.0, impostor_sd=128**-0.5)
LOOSE = replace(CARD, spread=1_000.0)  # synthetic people stand so well clear of strangers that the bound would rise


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
    found = likeness(x, truth.astype(np.int64), trusted, mean=0.0, sd=128**-0.5)

    def middle(rows: list[int]) -> np.ndarray:
        total = x[rows].astype(np.float64).sum(axis=0)
        return total / np.linalg.norm(total)

    nearest = {}
    for row in (0, 2, 9, 20):
        own = [i for i in range(len(x)) if truth[i] == truth[row] and trusted[i] and i != row]
        others = {p: x[row] @ middle([i for i in range(len(x)) if truth[i] == p and trusted[i]]) for p in range(4) if p != truth[row]}
        assert found.best[row] == max(others, key=lambda p: others[p])
        difference = x[row] @ middle(own) - max(others.values())
        assert (found.middle[row] - found.other[row]) * found.sd == pytest.approx(difference, abs=1e-5)
        nearest[row] = np.mean(sorted(x[own] @ x[row])[-3:]) - found.level[row]
    # two of one label: what they differ by is that by which their three nearest faces do; the scale is the same for all labels
    near = 2 * found.own - found.middle
    scale = (nearest[0] - nearest[2]) / (near[0] - near[2])
    assert scale > 0
    row, other = 20, 19
    own = [i for i in range(len(x)) if truth[i] == truth[other] and i != other]
    step = nearest[row] - (np.mean(sorted(x[own] @ x[other])[-3:]) - found.level[other])
    assert (near[row] - near[other]) * scale == pytest.approx(step, abs=1e-5)


@pytest.mark.parametrize("size", [4, 40, 400])
def test_the_nearest_of_many_strangers_say_no_more_than_those_of_few(size: int) -> None:
    """Strangers are at 0, by middle and by nearest faces alike, whatever the number of faces of a label."""
    x, truth = people([size] * 12 + [1] * 400, seed=4)
    label = np.where(truth < 12, truth, np.arange(len(x)) % 12)
    found = likeness(x, label, truth < 12, mean=0.0, sd=128**-0.5)
    near = (2 * found.own - found.middle)[truth >= 12]
    assert abs(np.median(near)) < 0.6 and 0.7 < near.std() < 1.4
    assert abs(np.median(found.middle[truth >= 12])) < 0.2


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


def test_an_odd_picture_that_others_vouch_for_is_right_and_one_that_none_does_is_not() -> None:
    """Far from the middle of a person alike: two pictures of another age stand by each other, one picture of somebody else alone."""
    x, truth = people([30] * 12, seed=6)
    rng = np.random.default_rng(6)
    away = rng.normal(size=(2, 128))
    middle = x[truth == 3].mean(axis=0) / np.linalg.norm(x[truth == 3].mean(axis=0))
    away -= np.outer(away @ middle, middle)
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    old = 0.12 * middle + away[0] + 0.05 * rng.normal(size=(4, 128))
    alone = 0.12 * middle + away[1]
    more = np.concatenate([old, alone[None]])
    more = (more / np.linalg.norm(more, axis=1, keepdims=True)).astype(np.float32)
    found = clean(np.r_[x, more], np.r_[truth, np.full(5, 3)], LOOSE)
    assert found.flagged[-5:].tolist() == [False] * 4 + [True]


def test_the_fewer_are_wrong_the_surer_a_wrong_one_must_be() -> None:
    """The same faces a little off their person's middle: more of them stay where all else is right than where a third is wrong."""
    left = {0: 0, 200: 0}
    for seed in range(4):
        x, truth = people([60] * 10, seed=seed)
        middle = np.stack([x[truth == p].mean(axis=0) for p in range(10)])
        rng = np.random.default_rng(seed)
        off = rng.normal(size=(20, 128))
        off = off / np.linalg.norm(off, axis=1, keepdims=True) + 0.1 * middle[np.arange(20) % 10]
        every = np.r_[x, off / np.linalg.norm(off, axis=1, keepdims=True)].astype(np.float32)
        for flips in left:
            labels, rows = spoil(truth, flips, seed)
            flagged = clean(every, np.r_[labels, np.arange(20) % 10], LOOSE).flagged
            assert set(np.flatnonzero(flagged[:600])) == set(rows)
            left[flips] += int(flagged[600:].sum())
    assert left[0] < 0.75 * left[200], left


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


def test_a_few_pictures_of_one_occasion_are_no_further_person() -> None:
    """Four faces that are like each other, and a little like their person: they stay. As far off as strangers, they leave."""
    x, truth = people([40] * 8, seed=2)
    middle = x[truth == 0].mean(axis=0) / np.linalg.norm(x[truth == 0].mean(axis=0))
    rng = np.random.default_rng(2)
    away = rng.normal(size=128)
    away -= (away @ middle) * middle
    away /= np.linalg.norm(away)
    for share, leave in ((0.13, False), (-0.05, True)):
        four = share * middle + np.sqrt(1 - share**2) * away + 0.03 * rng.normal(size=(4, 128))
        four = (four / np.linalg.norm(four, axis=1, keepdims=True)).astype(np.float32)
        found = judge(np.r_[x, four], np.r_[truth, np.zeros(4, np.int64)], CARD)
        assert bool(found.splits) == leave == bool(found.flagged[-4:].all()), share
        assert not found.flagged[:-4].any()


def test_people_of_one_kind_are_not_split_or_merged() -> None:
    x, truth = people([12] * 10, noise=1.0, seed=5)
    found = judge(x, truth, CARD)
    assert found.merges == [] and found.splits == []
