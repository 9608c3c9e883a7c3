"""Calibration, against plain loops, statements that are true by construction, and scikit-learn's Brier score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from facecluster.evaluation import balanced, calibration, contingency
from facecluster.evaluation.reliability import belongs

STATEMENTS = st.lists(st.tuples(st.integers(0, 20), st.booleans(), st.integers(1, 3)), min_size=1, max_size=40)


def slow_ece(bins: dict[int, list[tuple[float, bool, float]]]) -> float:
    every = sum(w for rows in bins.values() for *_, w in rows)
    return sum(abs(sum(w * (p - r) for p, r, w in rows)) / every for rows in bins.values())


def slow_width(rows: list[tuple[float, bool, float]], count: int) -> float:
    bins: dict[int, list[tuple[float, bool, float]]] = {}
    for row in rows:
        bins.setdefault(min(int(row[0] * count), count - 1), []).append(row)
    return slow_ece(bins)


def slow_mass(rows: list[tuple[float, bool, float]], count: int) -> float:
    every = sum(w for *_, w in rows)
    bins: dict[int, list[tuple[float, bool, float]]] = {}
    for value in sorted({p for p, *_ in rows}):
        run = [row for row in rows if row[0] == value]
        middle = sum(w for p, _, w in rows if p < value) + sum(w for *_, w in run) / 2
        bins.setdefault(int(middle / every * count), []).extend(run)
    return slow_ece(bins)


@given(STATEMENTS, st.integers(1, 6))
def test_it_is_its_definition(drawn: list[tuple[int, bool, int]], count: int) -> None:
    rows = [(p / 20, r, float(w)) for p, r, w in drawn]
    p, r, w = zip(*rows, strict=True)
    found = calibration(p, r, weights=w, bins=count)
    assert found is not None
    assert found.ece_width == pytest.approx(slow_width(rows, count))
    assert found.ece == pytest.approx(slow_mass(rows, count))
    assert found.brier == pytest.approx(brier_score_loss(r, p, sample_weight=w, pos_label=True))
    assert sum(b.count for b in found.bins) == len(rows) and sum(b.share for b in found.bins) == pytest.approx(1)
    assert all(b.low <= b.stated + 1e-12 and b.stated <= b.high + 1e-12 for b in found.bins) and 0 <= found.ece <= 1


@given(STATEMENTS, st.randoms(use_true_random=False))
def test_order_does_not_matter(drawn: list[tuple[int, bool, int]], random) -> None:  # type: ignore[no-untyped-def]
    a, b = (calibration([p / 20 for p, *_ in x], [r for _, r, _ in x]) for x in (drawn, random.sample(drawn, len(drawn))))
    assert a is not None and b is not None
    assert (a.ece, a.ece_width, a.brier) == pytest.approx((b.ece, b.ece_width, b.brier))


def test_true_statements_have_no_error_and_bold_ones_have_theirs() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(200_000)
    right = rng.random(len(p)) < p
    true, bold = calibration(p, right), calibration(np.sqrt(p), right)
    assert true is not None and bold is not None
    assert max(true.ece, true.ece_width) < 0.006
    assert bold.ece == pytest.approx(2 / 3 - 1 / 2, abs=0.005)  # the mean of sqrt(p) - p
    assert [b.count for b in true.bins] == pytest.approx([len(p) / 15] * 15, rel=0.01)


def test_rare_pairs_count_as_much_as_frequent_ones() -> None:
    same = [True] * 10 + [False] * 1_000
    weights = balanced(same)
    assert weights[:10].sum() == pytest.approx(weights[10:].sum()) and weights.mean() == pytest.approx(1)
    # half of all weight is of one person, and so is said of every pair
    found = calibration(np.full(1_010, 0.5), same, weights=weights)
    assert found is not None and found.ece == pytest.approx(0, abs=1e-12)


def test_nothing_stated_and_nonsense() -> None:
    assert calibration([], []) is None
    for stated, right in (([1.1], [True]), ([float("nan")], [True]), ([0.5], [2.0])):
        with pytest.raises(ValueError, match="0 to 1"):
            calibration(stated, right)
    with pytest.raises(ValueError, match="as many"):
        calibration([0.5], [True, False])


def test_a_face_belongs_if_its_person_leads_the_group() -> None:
    truth = [1, 1, 2, 3, 4, 5, 5, 6]
    labels = [0, 0, 0, 1, 1, 2, -1, -1]
    judged, right = belongs(contingency(truth, labels), np.array(labels) == -1)
    # group 2 has one face with an answer, and nobody's faces claim nothing; 3 and 4 share group 1
    assert judged.tolist() == [0, 1, 2, 3, 4]
    assert right.tolist() == [1, 1, 0, 0.5, 0.5]
