"""Calibration: the logistic fit, the weights of samples, cross-validation, labels. The command is tested in tests/cli."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people_store import people

from facecluster.calibrate import cross_validation, labelled_faces, logistic
from facecluster.calibrate.fit_lines import MIN_WRONG, calibrate, check_enough_labels, impostor_stats
from facecluster.calibrate.labels import LabelledFaces, judge_members
from facecluster.calibrate.logistic import Line, fit_line
from facecluster.calibrate.samples import MAX_FACES, Samples, member_samples, pair_samples
from facecluster.decisions import Decision, replay
from facecluster.errors import InputError
from facecluster.evaluation import calibration
from facecluster.grouping.groups import Groups
from facecluster.matching.posterior import normalise_by_cohort
from facecluster.models.registry import card_of

OLD = Line(21.0, -4.0)


def answers(n: int, seed: int = 0, true: Line = OLD) -> tuple[np.ndarray, np.ndarray]:
    """n figures around the point where `true` is one half, and targets drawn with its probabilities."""
    rng = np.random.default_rng(seed)
    x = -true.intercept / true.slope + rng.normal(size=n) * 3 / true.slope
    return x, (rng.random(n) < true.probability(x)).astype(float)


# -- the fit ------------------------------------------------------------------------------------------------------------------


def test_without_a_prior_it_is_the_maximum_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against Newton's method on the plain logistic likelihood, written out here."""
    monkeypatch.setattr(logistic, "SLOPE", 1e9)
    monkeypatch.setattr(logistic, "SHIFT", 1e9)
    x, y = answers(400, true=Line(12.0, -2.0))
    w = np.random.default_rng(1).uniform(0, 3, 400)
    beta, design = np.zeros(2), np.c_[x, np.ones(400)]
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ beta))
        beta += np.linalg.solve(design.T @ (design * (w * p * (1 - p))[:, None]), design.T @ (w * (y - p)))
    found = fit_line(x, y, w, OLD)
    assert [found.slope, found.intercept] == pytest.approx(beta, rel=1e-4)


@pytest.mark.parametrize("weight", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("true", [OLD, Line(8.0, -1.0), Line(30.0, -12.0)])
def test_with_the_prior_no_other_line_is_better(weight: float, true: Line) -> None:
    """Against all lines of a fine grid, by the formula in the module's docstring."""
    x, y = answers(200, true=true)
    even = -OLD.intercept / OLD.slope

    def worth(slope: np.ndarray, shift: np.ndarray) -> np.ndarray:
        odds = slope[..., None] * (x - even) + shift[..., None]
        likely = -weight * np.log1p(np.exp(np.where(y > 0, -odds, odds))).sum(axis=-1)
        return np.asarray(likely - np.log(1 + (np.log(slope / OLD.slope) / 0.25) ** 2) - np.log(1 + (shift / 0.5) ** 2))

    found = fit_line(x, y, np.full(200, weight), OLD)
    best = worth(np.array(found.slope), np.array(found.intercept + found.slope * even))
    grid = worth(*np.meshgrid(OLD.slope * np.exp(np.linspace(-2, 2, 161)), np.linspace(-6, 6, 161)))
    assert best >= grid.max() - 1e-9 and best - grid.max() < 0.1


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 50), st.floats(-3, 3))
def test_order_and_units_do_not_matter(seed: int, scale: float, move: float) -> None:
    x, y = answers(60, seed, Line(15.0, -4.0))
    w = np.random.default_rng(seed).uniform(0, 2, 60)
    found = fit_line(x, y, w, OLD)
    order = np.random.default_rng(seed + 1).permutation(60)
    mixed = fit_line(x[order], y[order], w[order], OLD)
    other = fit_line(scale * x + move, y, w, Line(OLD.slope / scale, OLD.intercept - OLD.slope * move / scale))
    for again, at in ((mixed, x), (other, scale * x + move)):
        assert again.probability(at) == pytest.approx(found.probability(x), abs=2e-4)


def test_many_samples_approach_the_truth_and_few_stay_at_the_card() -> None:
    true, at = Line(10.0, -0.5), np.linspace(-0.3, 0.6, 50)
    off = []
    for n in (3, 30, 300, 3000):
        fits = [fit_line(*answers(n, seed, true), np.ones(n), OLD) for seed in range(12)]
        off.append(np.mean([np.abs(f.probability(at) - true.probability(at)).mean() for f in fits]))
    assert off[0] > off[1] > off[2] > off[3] and off[3] < 0.01
    few = [fit_line(*answers(3, seed, true), np.ones(3), OLD) for seed in range(20)]
    assert max(np.abs(f.probability(at) - OLD.probability(at)).mean() for f in few) < off[0]


def test_odd_samples() -> None:
    none = np.zeros(0)
    assert fit_line(none, none, none, OLD) == OLD and fit_line(np.ones(3), np.ones(3), np.zeros(3), OLD) == OLD
    x = np.r_[np.full(50, 0.0), np.full(50, 0.8)]
    apart = fit_line(x, (x > 0.4).astype(float), np.ones(100), OLD)  # separable, as with the card's line
    assert apart.slope == pytest.approx(OLD.slope, rel=0.15) and np.abs(apart.log_odds(x) - OLD.log_odds(x)).max() < 2
    for broken in (Line(0.0, 0.0), Line(-3.0, 1.0), Line(float("nan"), 0.0)):
        found = fit_line(*answers(2000), np.ones(2000), broken)
        assert np.abs(found.probability(np.linspace(0, 0.4, 9)) - OLD.probability(np.linspace(0, 0.4, 9))).max() < 0.08
    assert np.isfinite(fit_line(np.full(5, 0.3), np.ones(5), np.full(5, 1e4), OLD).slope)


# -- weights of samples -------------------------------------------------------------------------------------------------------


def test_a_person_is_weighted_as_if_it_had_few_faces() -> None:
    """Against drawing the faces 4,000 times."""
    person = np.repeat([0, 1, 2], [25, 4, 1])
    vectors = people([25, 4, 1])[0]
    found = pair_samples(vectors, person)
    rng = np.random.default_rng(0)
    seen = np.zeros((30, 30))
    for _ in range(4000):
        there = np.concatenate([rng.permutation(np.flatnonzero(person == p))[:MAX_FACES] for p in range(3)])
        seen[np.ix_(there, there)] += 1 / 4000
    for one, other, right in ((0, 0, 1), (0, 1, 0), (0, 2, 0), (1, 1, 1), (1, 2, 0)):
        weight = found.weight[(found.person_a == one) & (found.person_b == other)]
        expected = seen[np.ix_(person == one, person == other)]
        if one == other:
            expected = expected[np.triu_indices(len(expected), 1)]
        assert len(weight) == expected.size and (found.target[(found.person_a == one) & (found.person_b == other)] == right).all()
        assert weight.std() < 1e-12 and weight.mean() == pytest.approx(expected.mean(), rel=0.05)
    weights = found.weights(np.ones(len(found.x), bool))
    assert weights[found.target > 0.5].sum() == pytest.approx(weights[found.target < 0.5].sum()) == pytest.approx((6 + 3) / 2)
    first, second = np.triu_indices(30, 1)
    assert np.sort(found.x) == pytest.approx(np.sort(np.einsum("ij,ij->i", vectors[first], vectors[second])), abs=1e-5)


# -- cross-validation -----------------------------------------------------------------------------------------------------------


def sample(n: int = 12, seed: int = 0) -> Samples:
    vectors, truth = people([3 + i % 5 for i in range(n)], noise=1.0, seed=seed, dim=32)
    return pair_samples(vectors, truth)


def test_nobody_is_scored_by_a_line_that_was_fitted_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = sample()
    seen: list[set[int]] = []
    true_fit = fit_line

    def spy(x: np.ndarray, right: np.ndarray, weight: np.ndarray, old: Line) -> Line:
        rows = weight > 0
        seen.append({*samples.person_a[rows].tolist(), *samples.person_b[rows].tolist()})
        # the intercept of the line is the number of the fit, so that the line tells which samples it was fitted to
        return replace(true_fit(x, right, weight, old), slope=1.0, intercept=float(len(seen)))

    monkeypatch.setattr(cross_validation, "fit_line", spy)
    stated: list[np.ndarray] = []
    monkeypatch.setattr(cross_validation, "calibration", lambda p, *a, **k: stated.append(p) or calibration(p, *a, **k))
    cross_validation.cross_validate(samples, OLD)
    number = np.log(stated[1] / (1 - stated[1])) - samples.x  # the fit that scored each row
    for i, n in enumerate(number.round().astype(int).tolist()):
        assert not {int(samples.person_a[i]), int(samples.person_b[i])} & seen[n - 1]
    assert all(seen) and {int(n) for n in number.round()} == set(range(1, len(seen) + 1))


def test_the_unit_of_the_gain_and_its_error_is_a_person() -> None:
    """Against sums over people, written out."""
    samples, other = sample(), Line(5.0, 1.0)
    found = cross_validation.cross_validate(samples, other)
    weight = samples.weights(np.ones(len(samples.x), bool))
    was = -np.log(np.where(samples.target > 0.5, other.probability(samples.x), 1 - other.probability(samples.x)))
    assert found.log_loss[0] == pytest.approx((weight * was).sum() / weight.sum())
    assert found.gain == pytest.approx(found.log_loss[0] - found.log_loss[1]) and found.gain > 0
    parts = np.random.default_rng(0).normal(size=len(samples.x))
    by_person = [
        sum(v / 2 * ((samples.person_a[i] == p) + 0.0 + (samples.person_b[i] == p)) for i, v in enumerate(parts))
        for p in range(samples.people)
    ]
    mean, error = cross_validation._gain_and_error(samples, parts)
    assert mean == pytest.approx(parts.sum())
    assert error == pytest.approx(np.std(by_person, ddof=1) * np.sqrt(samples.people))


def test_a_good_line_is_kept_and_a_bad_one_is_replaced() -> None:
    kept = 0
    for seed in range(3):
        samples = sample(12, seed)
        best = fit_line(samples.x, samples.target, 1e3 * samples.weights(np.ones(len(samples.x), bool)), OLD)
        kept += not cross_validation.cross_validate(samples, best).better
        bad = cross_validation.cross_validate(samples, Line(best.slope, best.intercept - 6))
        assert bad.better and bad.ece[1] < bad.ece[0]
    assert kept == 3
    with pytest.raises(ValueError, match="two people or more"):
        cross_validation.cross_validate(pair_samples(people([3])[0], np.zeros(3, int)), OLD)


# -- labels ---------------------------------------------------------------------------------------------------------------------


def labels_of(*decisions: Decision, ids: str = "abcdefghijkl") -> LabelledFaces:
    return labelled_faces(replay([replace(d, id=str(i), at=f"2026-01-{i + 1:02d}") for i, d in enumerate(decisions)]), list(ids))


def test_labels_of_decisions() -> None:
    found = labels_of(
        Decision(act="name", faces=("a", "b", "c", "x"), name="Ann"),
        Decision(act="split", faces=("c",), others=("a", "b")),
        Decision(act="name", faces=("d", "e"), name="Bob"),
        Decision(act="same", faces=("e", "f")),
        Decision(act="not-same", faces=("d", "g")),
        Decision(act="not-same", faces=("h", "i")),
    )
    assert found.names == ["Ann", "Bob"]
    assert found.person.tolist() == [0, 0, -1, 1, 1, 1, -1, -1, -1, -1, -1, -1]  # face x does not exist
    assert found.rejected == {0: {2}, 1: {6}} and found.unnamed == 4  # c, g, h, i


def test_which_members_are_right_and_wrong() -> None:
    found = LabelledFaces(["Ann", "Bob"], np.array([0, 0, 0, 1, 1, 1, -1, 0, 1, -1]), {0: {6}}, 1)
    labels = np.array([0, 0, 0, 0, 1, 1, 0, 2, 2, -1])
    rows, right, leader = judge_members(found, labels)
    # 3 is Bob among Ann's faces, 6 is rejected; the group of 7 and 8 has one face of each name; 9 belongs to nobody
    assert dict(zip(rows.tolist(), right.tolist(), strict=True)) == {0: 1, 1: 1, 2: 1, 3: 0, 6: 0, 4: 1, 5: 1}
    assert dict(zip(rows.tolist(), leader.tolist(), strict=True)) == {0: 0, 1: 0, 2: 0, 3: 0, 6: 0, 4: 1, 5: 1}
    wide = np.r_[labels, 1, 1]  # two more faces without labels: only half of the group has one, so it is left out
    rows, _, _ = judge_members(replace(found, person=np.r_[found.person, -1, -1]), wide)
    assert sorted(rows.tolist()) == [0, 1, 2, 3, 6]


def test_too_few_labels_are_an_error() -> None:
    few = LabelledFaces(["A"] * 4, np.repeat(np.arange(4), 15), {}, 0)
    with pytest.raises(InputError, match="expected 5 people .* 40 faces .* found 4 people and 60 faces: name more of them .* /s"):
        check_enough_labels(few, "/s")
    with pytest.raises(InputError, match="found 6 people and 36 faces"):
        # people of one face don't count
        check_enough_labels(LabelledFaces(["A"] * 9, np.r_[np.repeat(np.arange(6), 6), 6, 7, 8], {}, 0), "/s")
    check_enough_labels(LabelledFaces(["A"] * 5, np.repeat(np.arange(5), 8), {}, 0), "/s")


# -- both lines -----------------------------------------------------------------------------------------------------------------


def collection(wrong: bool, seed: int = 0) -> tuple[LabelledFaces, np.ndarray, Groups, Line]:
    """12 named people in groups of 20; with `wrong`, some of the faces show other people, with the probability of the line returned."""
    true, n = Line(3.0, -1.0), 240
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(12), 20)
    vectors = people([20] * 12, noise=0.9, seed=seed)[0]
    above = rng.normal(1.2, 1.0, n)
    bad = rng.random(n) > true.probability(above) if wrong else np.zeros(n, bool)
    who = np.where(bad, -1, person)
    apart = {p: set(np.flatnonzero(bad & (person == p)).tolist()) for p in range(12)}
    groups = Groups(person.astype(np.int32), above.astype(np.float32), np.ones(n, np.float32), np.zeros(n, np.float32))
    return LabelledFaces([f"N{p}" for p in range(12)], who, apart, int(bad.sum())), vectors, groups, true


def test_both_lines_are_fitted_where_they_are_off() -> None:
    labelled, vectors, groups, true = collection(wrong=True)
    card = replace(card_of("bundled"), slope=1.0, intercept=0.0)
    found = calibrate(labelled, vectors, groups, card)
    assert found.pairs.used is not None and found.calibration.pairs == found.pairs.used and found.pairs.held_out is not None
    assert found.pairs.held_out.ece[0] > 0.3 and found.pairs.held_out.ece[1] < 0.05
    assert found.membership.no >= MIN_WRONG and found.membership.used is not None and found.membership.held_out is not None
    z = np.linspace(-1, 3, 40)
    off = [np.abs(line.probability(z) - true.probability(z)).mean() for line in (found.membership.old, found.membership.used)]
    assert off[1] < off[0] / 2
    used = found.membership.used
    assert found.calibration.identify_settings() == {"confidence_slope": used.slope, "confidence_intercept": used.intercept}
    read = found.calibration.apply_to(card)
    assert (read.slope, read.intercept) == (found.pairs.used.slope, found.pairs.used.intercept) and read.sha256 == card.sha256
    assert found.to_dict()["pairs"]["used"] is True


def test_without_rejected_faces_membership_is_not_fitted() -> None:
    found = calibrate(*collection(wrong=False)[:3], card_of("bundled"))
    assert found.membership.fitted is None and found.membership.no == 0 and found.calibration.membership is None
    assert "you marked 0 (of 0 people) as somebody else" in found.membership.why


def test_row_order_does_not_matter() -> None:
    labelled, vectors, groups, _ = collection(wrong=True)
    order = np.random.default_rng(3).permutation(len(vectors))
    where = np.argsort(order)
    mixed = LabelledFaces(labelled.names, labelled.person[order], {p: {int(where[r]) for r in s} for p, s in labelled.rejected.items()}, 0)
    there = Groups(*(getattr(groups, k)[order] for k in ("labels", "margins", "probabilities", "outlier_scores")))
    a, b = calibrate(labelled, vectors, groups, card_of("bundled")), calibrate(mixed, vectors[order], there, card_of("bundled"))
    for one, other in ((a.pairs, b.pairs), (a.membership, b.membership)):
        assert one.fitted is not None and other.fitted is not None and one.held_out is not None and other.held_out is not None
        assert other.fitted.slope == pytest.approx(one.fitted.slope, rel=1e-3)
        assert other.fitted.intercept == pytest.approx(one.fitted.intercept, abs=1e-2)
        assert other.held_out.ece == pytest.approx(one.held_out.ece, abs=1e-3)


def test_normalisation_leaves_the_cosines_of_the_collection() -> None:
    """`match` normalises cosines to the card's impostors. With the fitted impostors, cosines of this collection stay on average."""
    rng = np.random.default_rng(0)
    vectors, truth = people([1] * 300, seed=1)
    vectors = vectors + 0.7 * rng.normal(size=128) / 128**0.5  # people who are more alike than the card's
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    card = card_of("bundled")
    mean, sd = impostor_stats(vectors, np.arange(300), card)
    read = replace(card, impostor_mean=mean, impostor_sd=sd)
    moved: dict[str, list[float]] = {"card": [], "read": []}
    for i in range(300):
        cosines = np.delete(vectors @ vectors[i], i)
        for name, by in (("card", card), ("read", read)):
            moved[name].append(float((normalise_by_cohort(cosines, np.arange(299), by) - cosines).mean()))
    assert abs(np.mean(moved["read"])) < 0.002 < 0.05 < abs(np.mean(moved["card"]))


def test_members_are_samples_about_the_person_of_their_group() -> None:
    found = member_samples(np.arange(4.0), np.array([1, 0, 1, 1.0]), np.array([0, 0, 0, 1]))
    assert found.people == 2 and found.independent.tolist() == [3, 1]
    assert found.weights(np.ones(4, bool)).sum() == pytest.approx(4) and found.weights(found.person_a == 1).tolist() == [0, 0, 0, 1]
