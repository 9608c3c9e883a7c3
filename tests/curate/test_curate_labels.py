"""Wrong labels are found and right ones kept, whatever the order of faces and the numbers of labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from curate_store import people
from hypothesis import given, settings
from hypothesis import strategies as st

from facecluster.curate import CleanConfig, check_labels, clean_labels
from facecluster.curate.clean import ALONE, BYSTANDER, RIGHT, STRANGER, UNLABELLED, WRONG
from facecluster.curate.similarity import label_similarity

CARD = CleanConfig(impostor_mean=0.0, impostor_sd=128**-0.5)
LOOSE = replace(CARD, max_deviation=1_000.0)  # synthetic people are so far above impostors that the bound would rise


def spoil(truth: np.ndarray, flips: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels with `flips` errors, and the rows of the errors."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(truth), flips, replace=False)
    labels = truth.copy()
    labels[rows] = (truth[rows] + rng.integers(1, truth.max() + 1, flips)) % (truth.max() + 1)
    return labels, rows


def test_flipped_labels_and_unknown_people_are_found_and_told_apart() -> None:
    x, truth = people([40] * 10)
    strange, _ = people([1] * 20, seed=9)
    labels, flipped = spoil(truth, 40)
    labels = np.r_[labels, np.arange(20) % 10]
    found = clean_labels(np.r_[x, strange], labels, CARD)
    wrong = np.r_[flipped, np.arange(400, 420)]
    assert set(np.flatnonzero(found.flagged)) == set(wrong)
    assert set(np.flatnonzero(found.verdict == WRONG)) == set(flipped)
    assert (found.best_other[flipped] == truth[flipped]).all()
    assert (found.verdict[400:] == STRANGER).all()


def test_right_labels_are_kept() -> None:
    x, truth = people([3, 5, 8, 30, 100, 4, 6])
    found = clean_labels(x, truth, CARD)
    assert (found.verdict == RIGHT).all() and found.rounds <= 2


def test_label_similarity_follows_the_formula() -> None:
    x, truth = people([5, 6, 7, 8])
    trusted = np.ones(len(x), bool)
    trusted[[2, 9]] = False
    found = label_similarity(x, truth.astype(np.int64), trusted, mean=0.0, sd=128**-0.5)

    def centroid(rows: list[int]) -> np.ndarray:
        total = x[rows].astype(np.float64).sum(axis=0)
        return total / np.linalg.norm(total)

    nearest = {}
    for row in (0, 2, 9, 20):
        own = [i for i in range(len(x)) if truth[i] == truth[row] and trusted[i] and i != row]
        others = {p: x[row] @ centroid([i for i in range(len(x)) if truth[i] == p and trusted[i]]) for p in range(4) if p != truth[row]}
        assert found.best_other[row] == max(others, key=lambda p: others[p])
        difference = x[row] @ centroid(own) - max(others.values())
        assert (found.centroid[row] - found.other[row]) * found.impostor_sd == pytest.approx(difference, abs=1e-5)
        nearest[row] = np.mean(sorted(x[own] @ x[row])[-3:]) - found.impostor_mean[row]
    # the margins of two faces of one label differ as their three nearest faces do; the scale is the same for all labels
    near = 2 * found.own - found.centroid
    scale = (nearest[0] - nearest[2]) / (near[0] - near[2])
    assert scale > 0
    row, other = 20, 19
    own = [i for i in range(len(x)) if truth[i] == truth[other] and i != other]
    step = nearest[row] - (np.mean(sorted(x[own] @ x[other])[-3:]) - found.impostor_mean[other])
    assert (near[row] - near[other]) * scale == pytest.approx(step, abs=1e-5)


@pytest.mark.parametrize("size", [4, 40, 400])
def test_margins_of_impostors_do_not_depend_on_the_size_of_a_label(size: int) -> None:
    """Impostors have margins around 0, by centroid and by nearest faces, whatever the number of faces of a label."""
    x, truth = people([size] * 12 + [1] * 400, seed=4)
    label = np.where(truth < 12, truth, np.arange(len(x)) % 12)
    found = label_similarity(x, label, truth < 12, mean=0.0, sd=128**-0.5)
    near = (2 * found.own - found.centroid)[truth >= 12]
    assert abs(np.median(near)) < 0.6 and 0.7 < near.std() < 1.4
    assert abs(np.median(found.centroid[truth >= 12])) < 0.2


def test_impostors_are_measured_in_the_data_set() -> None:
    """Vectors that all share a direction have high cosines: a fixed bound would call every label right."""
    x, truth = people([40] * 12, seed=3)
    labels, flipped = spoil(truth, 48, 3)
    alike = x + 1.2 * np.eye(128, dtype=np.float32)[0]
    alike /= np.linalg.norm(alike, axis=1, keepdims=True)
    assert (alike @ alike.T).min() > 0.3, "every impostor here passes a fixed bound that suits other sets"
    assert set(np.flatnonzero(clean_labels(alike, labels, CARD).flagged)) == set(flipped)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_order_and_numbers_of_labels_do_not_matter(seed: int) -> None:
    x, truth = people([6] * 8, seed=seed)
    labels, _ = spoil(truth, 5, seed)
    rng = np.random.default_rng(seed)
    order, names = rng.permutation(len(x)), rng.permutation(8)
    one, two = clean_labels(x, labels, CARD), clean_labels(x[order], names[labels[order]], CARD)
    assert (one.verdict[order] == two.verdict).all()


def test_an_odd_picture_is_right_if_others_are_near_it_and_wrong_if_none_is() -> None:
    """All are as far from the centroid: four pictures of another age are near each other, one picture of another person is alone."""
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
    found = clean_labels(np.r_[x, more], np.r_[truth, np.full(5, 3)], LOOSE)
    assert found.flagged[-5:].tolist() == [False] * 4 + [True]


def test_the_fewer_labels_are_wrong_the_lower_the_bound() -> None:
    """Of the same faces away from their centroid more are kept if all other labels are right than if a third is wrong."""
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
            flagged = clean_labels(every, np.r_[labels, np.arange(20) % 10], LOOSE).flagged
            assert set(np.flatnonzero(flagged[:600])) == set(rows)
            left[flips] += int(flagged[600:].sum())
    assert left[0] < 0.75 * left[200], left


def test_odd_inputs() -> None:
    x, truth = people([1, 2, 5])
    labels = truth.copy()
    labels[-1] = -1
    found = clean_labels(x, labels, CARD)
    assert found.verdict[0] == ALONE and np.isnan(found.own_margin[0])
    assert found.verdict[-1] == UNLABELLED and found.best_other[-1] == 2
    assert clean_labels(x[:0], labels[:0], CARD).verdict.shape == (0,)
    assert (clean_labels(x, np.full(8, -1), CARD).verdict == UNLABELLED).all()
    two, _ = people([1, 1], seed=2)
    assert (clean_labels(two, np.zeros(2, np.int64), CARD).verdict == ALONE).all(), "either of two faces that disagree could be wrong"


def test_one_face_of_a_photo_is_the_person() -> None:
    x, truth = people([8, 8, 8, 8])
    photos = np.arange(32)
    twin = np.r_[x, x[:1]]  # a mirror: the person twice in a photo
    found = clean_labels(twin, np.r_[truth, 0], CARD, photos=np.r_[photos, 5])
    assert sorted(found.verdict[[5, 32]]) == [BYSTANDER, RIGHT]
    assert (np.delete(found.verdict, [5, 32]) == RIGHT).all()


def test_a_merge_is_proposed_for_two_labels_of_one_person_and_their_faces_are_kept() -> None:
    x, truth = people([20] * 8, seed=1)
    labels = truth.copy()
    labels[:8] = 8
    found = check_labels(x, labels, CARD)
    assert [(m.first, m.second) for m in found.merges] == [(0, 8)]
    assert not found.flagged.any()


def test_a_split_is_proposed_for_a_label_of_two_people_and_the_smaller_one_is_flagged() -> None:
    x, truth = people([20] * 8, seed=2)
    labels = truth.copy()
    labels[truth == 7] = 0
    labels[(truth == 7).nonzero()[0][8:]] = -1
    found = check_labels(x, labels, CARD)
    second = np.flatnonzero((truth == 7) & (labels == 0))
    assert [s.label for s in found.splits] == [0]
    assert set(found.splits[0].others[0]) <= set(second) and len(found.splits[0].others[0]) >= 6
    assert set(np.flatnonzero(found.second_person)) <= set(second)
    assert found.flagged[found.splits[0].others[0]].all() and found.flagged[second].sum() >= 7
    assert not found.flagged[truth == 0].any()


def test_a_few_pictures_of_one_occasion_are_not_a_further_person() -> None:
    """Four faces that are similar to each other are kept if they are a little similar to their person, else flagged."""
    x, truth = people([40] * 8, seed=2)
    middle = x[truth == 0].mean(axis=0) / np.linalg.norm(x[truth == 0].mean(axis=0))
    rng = np.random.default_rng(2)
    away = rng.normal(size=128)
    away -= (away @ middle) * middle
    away /= np.linalg.norm(away)
    for share, leave in ((0.13, False), (-0.05, True)):
        four = share * middle + np.sqrt(1 - share**2) * away + 0.03 * rng.normal(size=(4, 128))
        four = (four / np.linalg.norm(four, axis=1, keepdims=True)).astype(np.float32)
        found = check_labels(np.r_[x, four], np.r_[truth, np.zeros(4, np.int64)], CARD)
        assert bool(found.splits) == leave == bool(found.flagged[-4:].all()), share
        assert not found.flagged[:-4].any()


def test_noisy_people_are_not_split_or_merged() -> None:
    x, truth = people([12] * 10, noise=1.0, seed=5)
    found = check_labels(x, truth, CARD)
    assert found.merges == [] and found.splits == []
