from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecluster.evaluation import Scores, bcubed, pairwise, verification

GROUPINGS = st.integers(0, 12).flatmap(lambda n: st.tuples(*(st.lists(st.integers(-1, 4), min_size=n, max_size=n) for _ in range(2))))


def one_group(labels: list[int], i: int, j: int) -> bool:
    return i == j or (labels[i] == labels[j] and labels[i] != -1)


def f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def slow_pairwise(truth: list[int], labels: list[int]) -> Scores:
    pairs = list(itertools.combinations(range(len(truth)), 2))
    together = [one_group(labels, i, j) for i, j in pairs]
    belong = [one_group(truth, i, j) for i, j in pairs]
    right = sum(a and b for a, b in zip(together, belong, strict=True))
    precision = right / sum(together) if any(together) else 1.0
    recall = right / sum(belong) if any(belong) else 1.0
    return Scores(precision, recall, f1(precision, recall))


def slow_bcubed(truth: list[int], labels: list[int]) -> Scores:
    precision, recall = [], []
    for i in range(len(truth)):
        group = {j for j in range(len(truth)) if one_group(labels, i, j)}
        person = {j for j in range(len(truth)) if one_group(truth, i, j)}
        precision.append(len(group & person) / len(group))
        recall.append(len(group & person) / len(person))
    p, r = (float(np.mean(x)) if x else 1.0 for x in (precision, recall))
    return Scores(p, r, f1(p, r))


def close(a: Scores, b: Scores) -> bool:
    return (a.precision, a.recall, a.f) == pytest.approx((b.precision, b.recall, b.f))


@given(GROUPINGS)
def test_pairwise_is_its_definition(case: tuple[list[int], list[int]]) -> None:
    assert close(pairwise(*case), slow_pairwise(*case))


@given(GROUPINGS)
def test_bcubed_is_its_definition(case: tuple[list[int], list[int]]) -> None:
    assert close(bcubed(*case), slow_bcubed(*case))


@given(GROUPINGS, st.randoms(use_true_random=False))
def test_order_and_names_of_groups_do_not_matter(case: tuple[list[int], list[int]], random) -> None:  # type: ignore[no-untyped-def]
    truth, labels = (np.array(x, np.int64) for x in case)
    names = np.array([*random.sample(range(100), 5), -1])  # the last is looked up by -1: nobody stays nobody
    order = np.array(random.sample(range(len(truth)), len(truth)), np.int64)
    for measure in (pairwise, bcubed):
        assert close(measure(truth, labels), measure(truth[order], names[labels[order]]))


@given(GROUPINGS)
def test_swapping_truth_and_labels_swaps_precision_and_recall(case: tuple[list[int], list[int]]) -> None:
    for measure in (pairwise, bcubed):
        there, back = measure(*case), measure(*case[::-1])
        assert (there.precision, there.recall) == pytest.approx((back.recall, back.precision))


@given(st.lists(st.integers(-1, 4), max_size=12))
def test_the_truth_is_perfect(truth: list[int]) -> None:
    assert pairwise(truth, truth) == bcubed(truth, truth) == Scores(1, 1, 1)


def test_worked_by_hand() -> None:
    # a person of three, cut in two groups, one of which takes in somebody else
    truth, labels = [0, 0, 0, 1], [5, 5, 7, 7]
    assert close(pairwise(truth, labels), Scores(1 / 2, 1 / 3, 0.4))
    precision, recall = (1 + 1 + 1 / 2 + 1 / 2) / 4, (2 / 3 + 2 / 3 + 1 / 3 + 1) / 4
    assert close(bcubed(truth, labels), Scores(precision, recall, f1(precision, recall)))


def test_nobody_is_not_a_group() -> None:
    assert bcubed([0, 1, 2], [-1, -1, -1]) == Scores(1, 1, 1)
    assert close(bcubed([0, 0], [-1, -1]), Scores(1, 0.5, 2 / 3))
    assert pairwise([0, 0], [-1, -1]) == Scores(1, 0, 0)


def test_a_million_faces_need_no_table_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(-1, 50_000, 1_000_000)
    labels = np.where(rng.random(len(truth)) < 0.1, -1, truth)
    assert pairwise(truth, labels).precision == 1
    assert 0.8 < bcubed(truth, labels).recall < 0.95


def test_labels_are_whole_numbers_and_as_many() -> None:
    with pytest.raises(ValueError, match="as many"):
        bcubed([0, 1], [0])
    with pytest.raises(ValueError, match="whole numbers"):
        pairwise([0.0, 0.5], [0, 1])


def slow_verification(similarity: list[float], same: list[bool], rate: float) -> float:
    for threshold in [*sorted(set(similarity)), float("inf")]:
        accepted = [s >= threshold for s in similarity]
        if sum(a and not b for a, b in zip(accepted, same, strict=True)) / (len(same) - sum(same)) <= rate:
            return sum(a and b for a, b in zip(accepted, same, strict=True)) / sum(same)
    raise AssertionError


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=30).filter(lambda x: len({s for _, s in x}) == 2),
    st.sampled_from([0.0, 0.05, 0.1, 0.25, 0.5, 1.0]),
)
def test_verification_is_its_definition(pairs: list[tuple[int, bool]], rate: float) -> None:
    similarity, same = [s / 5 for s, _ in pairs], [b for _, b in pairs]
    assert verification(similarity, same, [rate])[0] == pytest.approx(slow_verification(similarity, same, rate))


def test_verification_by_hand() -> None:
    similarity = [0.9, 0.6, 0.4, 0.2, 0.8, 0.5, 0.4, 0.1]
    same = [True] * 4 + [False] * 4
    # none of four may pass: only .9; one: .9 and .6; two (the third, at .4, ties with a same pair): .9 and .6; all
    assert verification(similarity, same, [0, 0.25, 0.5, 1]).tolist() == [0.25, 0.5, 0.5, 1]


def test_verification_refuses_what_it_cannot_judge() -> None:
    with pytest.raises(ValueError, match="both kinds"):
        verification([0.1], [True])
    with pytest.raises(ValueError, match="NaN"):
        verification([0.1, float("nan")], [True, False])
    with pytest.raises(ValueError, match="as many"):
        verification([0.1], [True, False])
