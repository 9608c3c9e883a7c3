"""The ROC and LFW's protocol, against scikit-learn, plain loops and figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from facecluster.evaluation import folds, judge_pairs, roc, verification
from facecluster.evaluation.scores import thinned
from facecluster.evaluation.verify import best_threshold

BOTH = st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=40).filter(lambda x: len({s for _, s in x}) == 2)


@given(BOTH)
def test_the_curve_is_that_of_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    similarity, same = [s / 5 for s, _ in pairs], [b for _, b in pairs]
    far, tar, threshold = roc_curve(same, similarity, drop_intermediate=False)
    found = roc(similarity, same)
    np.testing.assert_allclose(found.far, far)
    np.testing.assert_allclose(found.tar, tar)
    np.testing.assert_array_equal(found.threshold, threshold)


@given(BOTH, st.randoms(use_true_random=False))
def test_order_and_scale_of_similarity_do_not_matter(pairs: list[tuple[int, bool]], random) -> None:  # type: ignore[no-untyped-def]
    other = random.sample(pairs, len(pairs))
    a = roc([s for s, _ in pairs], [b for _, b in pairs])
    b = roc([np.arctan(s) for s, _ in other], [b for _, b in other])
    assert (a.far == b.far).all() and (a.tar == b.tar).all()


def slow_threshold(similarity: list[float], same: list[bool]) -> int:
    """Most pairs told right by any threshold."""
    places = [*similarity, float("inf")]
    return max(sum((s >= t) == b for s, b in zip(similarity, same, strict=True)) for t in places)


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=1, max_size=20))
def test_no_threshold_is_better_than_the_best(pairs: list[tuple[int, bool]]) -> None:
    similarity, same = [s / 5 for s, _ in pairs], [b for _, b in pairs]
    threshold = best_threshold(np.array(similarity), same)
    assert sum((s >= threshold) == b for s, b in pairs_of(similarity, same)) == slow_threshold(similarity, same)


def pairs_of(similarity: list[float], same: list[bool]) -> list[tuple[float, bool]]:
    return list(zip(similarity, same, strict=True))


def test_a_threshold_between_floats_that_have_nothing_between_them() -> None:
    low = 0.5
    high = np.nextafter(low, 1)
    assert best_threshold(np.array([low, high]), [False, True]) == high


def test_folds_by_hand() -> None:
    # three folds; the best threshold of two of them judges the third
    similarity = [0.9, 0.2, 0.8, 0.4, 0.5, 0.55]
    same = [True, False, True, False, True, False]
    fold = [0, 0, 1, 1, 2, 2]
    found = folds(similarity, same, fold)
    # fold 0 by {.8 +, .4 -, .5 +, .55 -}: from .5 or from .8 on, 3 right each; the lower: (.4 + .5) / 2. Both pairs right.
    # fold 1 by {.9 +, .2 -, .5 +, .55 -}: from .5 on 3, from .9 on 3: (.2 + .5) / 2 = .35. .8 right, .4 wrong.
    # fold 2 by {.9 +, .2 -, .8 +, .4 -}: from .8 on all 4: .6. .5 wrong, .55 right.
    assert found.threshold == pytest.approx((0.45, 0.35, 0.6))
    assert found.accuracy == (1.0, 0.5, 0.5) and found.right == 4
    assert found.mean == pytest.approx(2 / 3)
    # deviations from the mean are 1/3, -1/6, -1/6: their squares add up to 1/6, the variance is 1/12, and that of the mean 1/36
    assert found.error == pytest.approx(1 / 6)


def test_ten_folds_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    same = np.tile([True, False], 300)
    similarity = np.where(same, rng.normal(0.6, 0.2, 600), rng.normal(0.2, 0.2, 600))
    fold = np.repeat(range(10), 60)
    expected = []
    for k in range(10):
        train = fold != k
        best = max(np.sort(similarity[train]), key=lambda t: ((similarity[train] >= t) == same[train]).sum())
        below = similarity[train][similarity[train] < best].max()
        expected.append(((similarity[~train] >= (best + below) / 2) == same[~train]).mean())
    found = folds(similarity, same, fold)
    assert found.accuracy == pytest.approx(expected)
    order = rng.permutation(600)
    assert folds(similarity[order], same[order], fold[order]) == found


def test_one_fold_or_none_is_refused() -> None:
    with pytest.raises(ValueError, match="two folds"):
        folds([0.1, 0.2], [True, False], [0, 0])
    with pytest.raises(ValueError, match="as many"):
        folds([0.1, 0.2], [True, False], [0])
    with pytest.raises(ValueError, match="NaN"):
        folds([0.1, float("nan")], [True, False], [0, 1])


def test_a_rate_that_is_too_small_to_measure_has_no_figure() -> None:
    rng = np.random.default_rng(2)
    same = np.arange(2_000) < 1_000
    similarity = rng.normal(size=2_000) + 3 * same
    found = judge_pairs(similarity, same)
    assert [a.tar is None for a in found.accepts] == [False, False, True, True]
    assert [a.tar for a in found.accepts[:2]] == verification(similarity, same, [1e-2, 1e-3]).tolist()
    passed = similarity[~same] >= found.accepts[0].threshold
    assert passed.sum() == 10


def test_a_thinned_curve_lies_on_the_curve_and_is_short() -> None:
    rng = np.random.default_rng(3)
    same = rng.random(20_000) < 0.5
    curve = roc(rng.normal(size=20_000) + same, same)
    far, tar, threshold = thinned(curve)
    assert len(far) <= 200 and far[-1] == tar[-1] == 1 and (np.diff(far) >= 0).all() and far[0] == 0
    at = np.searchsorted(-curve.threshold, -threshold)
    assert (curve.far[at] == far).all() and (curve.tar[at] == tar).all()
