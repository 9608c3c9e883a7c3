"""Figures by group: definitions in loops, intervals that hold what they promise, warnings that come when they should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecluster.evaluation import by_group, contingency, pairwise, score
from facecluster.evaluation.subgroups import _Sample

CASES = st.integers(1, 14).flatmap(
    lambda n: st.tuples(
        *(st.lists(st.integers(-1, 3), min_size=n, max_size=n) for _ in range(2)),
        st.lists(st.sampled_from(["a", "b", ""]), min_size=n, max_size=n),
    )
)


def one(labels: list[int], i: int, j: int) -> bool:
    return i == j or (labels[i] == labels[j] and labels[i] != -1)


@given(CASES)
def test_figures_are_their_definitions(case: tuple[list[int], list[int], list[str]]) -> None:
    truth, labels, kind = case
    every = range(len(truth))
    found = {g.value: g for g in by_group(contingency(truth, labels), {"kind": kind})}
    assert set(found) == set(kind) - {""}
    for value, group in found.items():
        own = [i for i in every if kind[i] == value]
        together = [(i, j) for i in own for j in every if i != j and one(labels, i, j)]
        belong = [(i, j) for i in own for j in every if i != j and one(truth, i, j)]
        right = len({*together} & {*belong})
        assert group.pairwise.precision == pytest.approx(right / len(together) if together else 1)
        assert group.pairwise.recall == pytest.approx(right / len(belong) if belong else 1)
        shares = [
            [sum(one(labels, i, j) and one(truth, i, j) for j in every) / sum(one(x, i, j) for j in every) for i in own]
            for x in (labels, truth)
        ]
        assert (group.bcubed.precision, group.bcubed.recall) == pytest.approx((np.mean(shares[0]), np.mean(shares[1])))
        assert group.faces == len(own) and 0 <= group.low <= group.bcubed.f + 1e-9 and group.bcubed.f - 1e-9 <= group.high <= 1
        assert group.people == len({truth[i] if truth[i] != -1 else -2 - i for i in own})


@given(CASES, st.randoms(use_true_random=False))
def test_order_and_names_do_not_matter(case: tuple[list[int], list[int], list[str]], random) -> None:  # type: ignore[no-untyped-def]
    truth, labels, kind = (np.array(x) for x in case)
    names = np.array([*random.sample(range(100), 4), -1])
    order = np.array(random.sample(range(len(truth)), len(truth)))
    a, b = (
        by_group(contingency(t, x), {"kind": k})
        for t, x, k in ((truth, labels, kind), (names[truth[order]], names[labels[order]], kind[order]))
    )
    assert [(g.value, g.faces, g.people) for g in a] == [(g.value, g.faces, g.people) for g in b]
    assert [v for g in a for v in (g.bcubed.f, g.pairwise.f, g.low, g.high)] == pytest.approx(
        [v for g in b for v in (g.bcubed.f, g.pairwise.f, g.low, g.high)]
    )


def test_a_single_group_is_all() -> None:
    rng = np.random.default_rng(0)
    truth, labels = rng.integers(0, 30, (2, 300))
    (group,) = by_group(contingency(truth, labels), {"kind": ["x"] * 300})
    whole = pairwise(truth, labels)
    assert (group.pairwise.precision, group.pairwise.recall) == pytest.approx((whole.precision, whole.recall))
    assert group.rest is None and group.warning is None


def people(rng: np.random.Generator, count: int, wrong: float, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """People of 1 to 8 faces each; the faces of a person in `wrong` of all are split off one by one, all together."""
    truth = np.repeat(np.arange(start, start + count), rng.integers(1, 9, count))
    split = rng.random(count) < wrong
    return truth, np.where(split[truth - start], -1, truth)


def test_the_interval_holds_the_true_figure_as_often_as_promised() -> None:
    rng = np.random.default_rng(1)
    truth, labels = people(rng, 200_000, 0.15)
    true = score(truth, labels).grouping.bcubed.f  # type: ignore[union-attr]
    held = 0
    for _ in range(300):
        t, x = people(rng, 60, 0.15)
        (group,) = by_group(contingency(t, x), {"kind": ["x"] * len(t)})
        held += group.low <= true <= group.high
    assert 0.91 < held / 300 < 0.99


def test_the_interval_is_about_the_bootstraps() -> None:
    rng = np.random.default_rng(2)
    truth, labels = people(rng, 400, 0.2)
    (group,) = by_group(contingency(truth, labels), {"kind": ["x"] * len(truth)})
    rows = [np.flatnonzero(truth == p) for p in range(400)]
    f = []
    for _ in range(400):
        drawn = [rows[p] for p in rng.integers(0, 400, 400)]
        # each person drawn stands for himself: their faces keep their labels, and a person drawn twice is two people
        again = np.concatenate([np.full(len(r), i) for i, r in enumerate(drawn)])
        kept = np.concatenate([np.where(labels[r] < 0, -1, i) for i, r in enumerate(drawn)])
        f.append(score(again, kept).grouping.bcubed.f)  # type: ignore[union-attr]
    low, high = np.quantile(f, [0.025, 0.975])
    assert (group.low, group.high) == pytest.approx((low, high), abs=0.012)
    assert high - low > 0.03


def test_nobody_wrong_is_no_proof_of_perfection() -> None:
    truth = np.repeat(np.arange(20), 50)
    (group,) = by_group(contingency(truth, truth), {"kind": ["x"] * 1_000})
    assert group.high == 1 and group.low == pytest.approx(20 / (20 + 1.96**2), abs=1e-3)
    assert _Sample.of(truth, np.ones(1_000), np.ones(1_000), np.zeros(1_000, bool)).interval(0.95) == (0, 1)


def case(wrong: float, rest: float, count: int, seed: int) -> list[str | None]:
    rng = np.random.default_rng(seed)
    a, b = people(rng, count, wrong), people(rng, 10 * count, rest, start=count)
    truth, labels = (np.append(x, y) for x, y in zip(a, b, strict=True))
    found = by_group(contingency(truth, labels), {"sex": ["f"] * len(a[0]) + ["m"] * len(b[0])})
    return [g.warning for g in found]


def test_a_group_that_fares_worse_is_warned_about() -> None:
    warning, other = case(0.3, 0.03, 100, 0)
    assert other is None and warning is not None and warning.startswith("sex = f: BCubed F 0.") and "\n" not in warning


def test_chance_is_no_reason_to_warn() -> None:
    for count in (2, 5, 15):
        assert sum(any(case(0.1, 0.1, count, seed)) for seed in range(150)) <= 8  # promised: at most 5 %
    assert case(1.0, 0.0, 1, 0) == [None, None]  # one person proves nothing


def test_a_small_difference_is_no_reason_to_warn() -> None:
    assert not any(case(0.05, 0.047, 20_000, 0))


def test_values_are_as_many_as_faces() -> None:
    with pytest.raises(ValueError, match="as many values of 'sex'"):
        by_group(contingency([1, 2], [1, 2]), {"sex": ["f"]})
    # numbers and a bare column will do
    grouping = score([1, 1, 2], [1, 1, 2], [30, 30, 40]).grouping
    assert grouping is not None and [(g.column, g.value, g.faces) for g in grouping.by_group] == [("group", "30", 2), ("group", "40", 1)]
