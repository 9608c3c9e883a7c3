"""NMI, ARI and pairs of faces, against scikit-learn, definitions and each other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from facecluster.evaluation import ari, bcubed, nmi, pairs, pairwise
from facecluster.evaluation.face_pairs import _unrank

GROUPINGS = st.integers(0, 14).flatmap(lambda n: st.tuples(*(st.lists(st.integers(-1, 4), min_size=n, max_size=n) for _ in range(2))))


def alone(labels: list[int]) -> list[int]:
    """Each -1 a label of its own."""
    return [100 + i if label == -1 else label for i, label in enumerate(labels)]


@given(GROUPINGS)
def test_nmi_and_ari_are_those_of_scikit_learn(case: tuple[list[int], list[int]]) -> None:
    truth, labels = map(alone, case)
    assert ari(*case) == pytest.approx(adjusted_rand_score(truth, labels))
    assert nmi(*case) == pytest.approx(normalized_mutual_info_score(truth, labels), abs=1e-9)


@given(GROUPINGS, st.randoms(use_true_random=False))
def test_order_names_and_sides_do_not_matter(case: tuple[list[int], list[int]], random) -> None:  # type: ignore[no-untyped-def]
    truth, labels = (np.array(x, np.int64) for x in case)
    names = np.array([*random.sample(range(100), 5), -1])  # the last is looked up by -1: nobody stays nobody
    order = np.array(random.sample(range(len(truth)), len(truth)), np.int64)
    for measure in (ari, nmi):
        assert measure(truth, labels) == pytest.approx(measure(names[labels[order]], truth[order]))


@given(GROUPINGS)
def test_bounds(case: tuple[list[int], list[int]]) -> None:
    assert 0 <= nmi(*case) <= 1 and -0.5 <= ari(*case) <= 1
    assert ari(case[0], case[0]) == 1 and nmi(case[0], case[0]) == pytest.approx(1)


def test_text_is_a_label_too() -> None:
    truth, labels = ["ann", "ann", "bob", "", ""], [1, 1, 2, -1, -1]
    for measure in (ari, nmi):
        assert measure(truth, labels) == pytest.approx(1)
    assert bcubed(np.array(truth, dtype=object), labels).f == pairwise(truth, labels).f == 1
    with pytest.raises(ValueError, match="text"):
        ari([None, "ann"], [1, 2])  # type: ignore[arg-type]


def test_a_million_faces_of_few_people_do_not_overflow() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 1_000_000)
    labels = np.where(rng.random(len(truth)) < 0.01, 3, truth)
    assert ari(truth, labels) == pytest.approx(adjusted_rand_score(truth, labels))
    assert nmi(truth, labels) == pytest.approx(normalized_mutual_info_score(truth, labels))


@given(st.lists(st.integers(-1, 3), max_size=14))
def test_all_pairs_where_they_are_few(truth: list[int]) -> None:
    first, second, same = pairs(truth)
    people = alone(truth)
    found = {(i, j): bool(s) for i, j, s in zip(first.tolist(), second.tolist(), same.tolist(), strict=True)}
    assert len(found) == len(first)
    assert found == {(i, j): people[i] == people[j] for i, j in itertools.combinations(range(len(truth)), 2)}


def test_drawn_pairs_are_true_different_and_spread_evenly() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 40, 3_000)
    first, second, same = pairs(truth, most=50_000)
    assert (first < second).all() and (same == (truth[first] == truth[second])).all()
    assert len(np.unique(first * 3_000 + second)) == len(first)
    assert 40_000 < same.sum() <= 50_000 and 40_000 < (~same).sum() <= 50_000
    for kind in (same, ~same):
        # every face is drawn as often as it has partners, but for chance
        size = np.bincount(truth)[truth]
        partners = size - 1 if kind is same else 3_000 - size
        expected = 2 * kind.sum() * partners / partners.sum()
        drawn = np.bincount(np.append(first[kind], second[kind]), minlength=3_000)
        left = 1 - 2 * kind.sum() / partners.sum()  # what is drawn once is not drawn again: the fewer pairs are left, the less is chance
        assert 0.9 < ((drawn - expected) ** 2 / expected).mean() / left < 1.1
    again = pairs(truth, most=50_000)
    assert (again[0] == first).all() and (again[1] == second).all()


def test_large_ranks_are_unranked_exactly() -> None:
    n = 10**6
    high = np.array([1, 2, 3, n - 2, n - 1])
    for low in (np.zeros(5, np.int64), high - 1):
        assert _unrank(high * (high - 1) // 2 + low).tolist() == [low.tolist(), high.tolist()]
