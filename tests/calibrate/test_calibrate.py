"""Fitting probabilities to known answers: the fit, what counts how much, who is judged by what. The command has a file of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people_store import people

from facecluster.calibrate import cross, known
from facecluster.calibrate import fit as fitting
from facecluster.calibrate.evidence import MOST, Evidence, of_faces, of_pairs
from facecluster.calibrate.fit import Line, fit
from facecluster.calibrate.known import Known, places
from facecluster.calibrate.store import WRONG, calibrate, check_enough, strangers_of
from facecluster.decisions import Decision, replay
from facecluster.errors import InputError
from facecluster.evaluation import calibration
from facecluster.grouping.identify import Groups
from facecluster.matching.posterior import normalise_by_cohort
from facecluster.models.registry import card_of

OLD = Line(21.0, -4.0)


def answers(n: int, seed: int = 0, true: Line = OLD) -> tuple[np.ndarray, np.ndarray]:
    """n figures around where `true` is even, and answers drawn with its probabilities."""
    rng = np.random.default_rng(seed)
    x = -true.intercept / true.slope + rng.normal(size=n) * 3 / true.slope
    return x, (rng.random(n) < true.probability(x)).astype(float)


# -- the fit ------------------------------------------------------------------------------------------------------------------


def test_without_a_prior_it_is_the_maximum_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against Newton's method on the plain logistic likelihood, written out here."""
    monkeypatch.setattr(fitting, "SLOPE", 1e9)
    monkeypatch.setattr(fitting, "SHIFT", 1e9)
    x, y = answers(400, true=Line(12.0, -2.0))
    w = np.random.default_rng(1).uniform(0, 3, 400)
    beta, design = np.zeros(2), np.c_[x, np.ones(400)]
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ beta))
        beta += np.linalg.solve(design.T @ (design * (w * p * (1 - p))[:, None]), design.T @ (w * (y - p)))
    found = fit(x, y, w, OLD)
    assert [found.slope, found.intercept] == pytest.approx(beta, rel=1e-4)


@pytest.mark.parametrize("weight", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("true", [OLD, Line(8.0, -1.0), Line(30.0, -12.0)])
def test_with_the_prior_no_other_line_is_better(weight: float, true: Line) -> None:
    """Against all lines of a fine grid, by the formula of the module's text."""
    x, y = answers(200, true=true)
    even = -OLD.intercept / OLD.slope

    def worth(slope: np.ndarray, shift: np.ndarray) -> np.ndarray:
        odds = slope[..., None] * (x - even) + shift[..., None]
        likely = -weight * np.log1p(np.exp(np.where(y > 0, -odds, odds))).sum(axis=-1)
        return np.asarray(likely - np.log(1 + (np.log(slope / OLD.slope) / 0.25) ** 2) - np.log(1 + (shift / 0.5) ** 2))

    found = fit(x, y, np.full(200, weight), OLD)
    best = worth(np.array(found.slope), np.array(found.intercept + found.slope * even))
    grid = worth(*np.meshgrid(OLD.slope * np.exp(np.linspace(-2, 2, 161)), np.linspace(-6, 6, 161)))
    assert best >= grid.max() - 1e-9 and best - grid.max() < 0.1


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 50), st.floats(-3, 3))
def test_order_and_units_change_nothing(seed: int, scale: float, move: float) -> None:
    x, y = answers(60, seed, Line(15.0, -4.0))
    w = np.random.default_rng(seed).uniform(0, 2, 60)
    found = fit(x, y, w, OLD)
    order = np.random.default_rng(seed + 1).permutation(60)
    mixed = fit(x[order], y[order], w[order], OLD)
    other = fit(scale * x + move, y, w, Line(OLD.slope / scale, OLD.intercept - OLD.slope * move / scale))
    for again, at in ((mixed, x), (other, scale * x + move)):
        assert again.probability(at) == pytest.approx(found.probability(x), abs=2e-4)


def test_more_answers_come_nearer_to_the_truth_and_few_stay_at_the_card() -> None:
    true, at = Line(10.0, -0.5), np.linspace(-0.3, 0.6, 50)
    off = []
    for n in (3, 30, 300, 3000):
        fits = [fit(*answers(n, seed, true), np.ones(n), OLD) for seed in range(12)]
        off.append(np.mean([np.abs(f.probability(at) - true.probability(at)).mean() for f in fits]))
    assert off[0] > off[1] > off[2] > off[3] and off[3] < 0.01
    few = [fit(*answers(3, seed, true), np.ones(3), OLD) for seed in range(20)]
    assert max(np.abs(f.probability(at) - OLD.probability(at)).mean() for f in few) < off[0]


def test_odd_answers() -> None:
    none = np.zeros(0)
    assert fit(none, none, none, OLD) == OLD and fit(np.ones(3), np.ones(3), np.zeros(3), OLD) == OLD
    x = np.r_[np.full(50, 0.0), np.full(50, 0.8)]
    apart = fit(x, (x > 0.4).astype(float), np.ones(100), OLD)  # told apart without an error, as the card does
    assert apart.slope == pytest.approx(OLD.slope, rel=0.15) and np.abs(apart.odds(x) - OLD.odds(x)).max() < 2
    for broken in (Line(0.0, 0.0), Line(-3.0, 1.0), Line(float("nan"), 0.0)):
        found = fit(*answers(2000), np.ones(2000), broken)
        assert np.abs(found.probability(np.linspace(0, 0.4, 9)) - OLD.probability(np.linspace(0, 0.4, 9))).max() < 0.08
    assert np.isfinite(fit(np.full(5, 0.3), np.ones(5), np.full(5, 1e4), OLD).slope)


# -- how much an answer counts ------------------------------------------------------------------------------------------------


def test_a_person_counts_as_if_some_of_its_faces_were_there() -> None:
    """Against drawing the faces, 4,000 times."""
    person = np.repeat([0, 1, 2], [25, 4, 1])
    vectors = people([25, 4, 1])[0]
    found = of_pairs(vectors, person)
    rng = np.random.default_rng(0)
    seen = np.zeros((30, 30))
    for _ in range(4000):
        there = np.concatenate([rng.permutation(np.flatnonzero(person == p))[:MOST] for p in range(3)])
        seen[np.ix_(there, there)] += 1 / 4000
    for one, other, right in ((0, 0, 1), (0, 1, 0), (0, 2, 0), (1, 1, 1), (1, 2, 0)):
        weight = found.weight[(found.one == one) & (found.other == other)]
        expected = seen[np.ix_(person == one, person == other)]
        if one == other:
            expected = expected[np.triu_indices(len(expected), 1)]
        assert len(weight) == expected.size and (found.right[(found.one == one) & (found.other == other)] == right).all()
        assert weight.std() < 1e-12 and weight.mean() == pytest.approx(expected.mean(), rel=0.05)
    weights = found.weights(np.ones(len(found.x), bool))
    assert weights[found.right > 0.5].sum() == pytest.approx(weights[found.right < 0.5].sum()) == pytest.approx((6 + 3) / 2)
    first, second = np.triu_indices(30, 1)
    assert np.sort(found.x) == pytest.approx(np.sort(np.einsum("ij,ij->i", vectors[first], vectors[second])), abs=1e-5)


# -- people left out ------------------------------------------------------------------------------------------------------------


def sample(n: int = 12, seed: int = 0) -> Evidence:
    vectors, truth = people([3 + i % 5 for i in range(n)], noise=1.0, seed=seed, dim=32)
    return of_pairs(vectors, truth)


def test_nobody_is_judged_by_a_line_that_saw_it(monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = sample()
    seen: list[set[int]] = []
    true_fit = fit

    def spy(x: np.ndarray, right: np.ndarray, weight: np.ndarray, old: Line) -> Line:
        rows = weight > 0
        seen.append({*evidence.one[rows].tolist(), *evidence.other[rows].tolist()})
        # a line that says who it was fitted to: its intercept is the number of the fit
        return replace(true_fit(x, right, weight, old), slope=1.0, intercept=float(len(seen)))

    monkeypatch.setattr(cross, "fit", spy)
    stated: list[np.ndarray] = []
    monkeypatch.setattr(cross, "calibration", lambda p, *a, **k: stated.append(p) or calibration(p, *a, **k))
    cross.held_out(evidence, OLD)
    number = np.log(stated[1] / (1 - stated[1])) - evidence.x  # which fit judged each row
    for i, n in enumerate(number.round().astype(int).tolist()):
        assert not {int(evidence.one[i]), int(evidence.other[i])} & seen[n - 1]
    assert all(seen) and {int(n) for n in number.round()} == set(range(1, len(seen) + 1))


def test_the_gain_and_its_error_are_those_of_people() -> None:
    """Against sums over people, written out."""
    evidence, other = sample(), Line(5.0, 1.0)
    found = cross.held_out(evidence, other)
    weight = evidence.weights(np.ones(len(evidence.x), bool))
    was = -np.log(np.where(evidence.right > 0.5, other.probability(evidence.x), 1 - other.probability(evidence.x)))
    assert found.loss[0] == pytest.approx((weight * was).sum() / weight.sum())
    assert found.gain == pytest.approx(found.loss[0] - found.loss[1]) and found.gain > 0
    parts = np.random.default_rng(0).normal(size=len(evidence.x))
    by_person = [
        sum(v / 2 * ((evidence.one[i] == p) + 0.0 + (evidence.other[i] == p)) for i, v in enumerate(parts)) for p in range(evidence.people)
    ]
    mean, error = cross._gain(evidence, parts)
    assert mean == pytest.approx(parts.sum())
    assert error == pytest.approx(np.std(by_person, ddof=1) * np.sqrt(evidence.people))


def test_a_good_line_is_kept_and_a_bad_one_left() -> None:
    kept = 0
    for seed in range(3):
        evidence = sample(12, seed)
        best = fit(evidence.x, evidence.right, 1e3 * evidence.weights(np.ones(len(evidence.x), bool)), OLD)
        kept += not cross.held_out(evidence, best).better
        bad = cross.held_out(evidence, Line(best.slope, best.intercept - 6))
        assert bad.better and bad.ece[1] < bad.ece[0]
    assert kept == 3
    with pytest.raises(ValueError, match="two people or more"):
        cross.held_out(of_pairs(people([3])[0], np.zeros(3, int)), OLD)


# -- what is known --------------------------------------------------------------------------------------------------------------


def said(*decisions: Decision, ids: str = "abcdefghijkl") -> Known:
    return known(replay([replace(d, id=str(i), at=f"2026-01-{i + 1:02d}") for i, d in enumerate(decisions)]), list(ids))


def test_what_decisions_say_of_faces() -> None:
    found = said(
        Decision(act="name", faces=("a", "b", "c", "x"), name="Ann"),
        Decision(act="split", faces=("c",), others=("a", "b")),
        Decision(act="name", faces=("d", "e"), name="Bob"),
        Decision(act="same", faces=("e", "f")),
        Decision(act="not-same", faces=("d", "g")),
        Decision(act="not-same", faces=("h", "i")),
    )
    assert found.names == ["Ann", "Bob"]
    assert found.person.tolist() == [0, 0, -1, 1, 1, 1, -1, -1, -1, -1, -1, -1]  # x is not there
    assert found.apart == {0: {2}, 1: {6}} and found.nameless == 4  # c, g, h, i


def test_which_places_are_known() -> None:
    found = Known(["Ann", "Bob"], np.array([0, 0, 0, 1, 1, 1, -1, 0, 1, -1]), {0: {6}}, 1)
    labels = np.array([0, 0, 0, 0, 1, 1, 0, 2, 2, -1])
    rows, right, leader = places(found, labels)
    # 3 is Bob's among Ann's, 6 is said to be somebody else's; 7 and 8 are as many of each; 9 is nobody's
    assert dict(zip(rows.tolist(), right.tolist(), strict=True)) == {0: 1, 1: 1, 2: 1, 3: 0, 6: 0, 4: 1, 5: 1}
    assert dict(zip(rows.tolist(), leader.tolist(), strict=True)) == {0: 0, 1: 0, 2: 0, 3: 0, 6: 0, 4: 1, 5: 1}
    wide = np.r_[labels, 1, 1]  # two more of whom nothing is said: half of the group is covered, so it tells nothing
    rows, _, _ = places(replace(found, person=np.r_[found.person, -1, -1]), wide)
    assert sorted(rows.tolist()) == [0, 1, 2, 3, 6]


def test_too_little_is_said_so() -> None:
    few = Known(["A"] * 4, np.repeat(np.arange(4), 15), {}, 0)
    with pytest.raises(InputError, match="expected 5 people .* 40 faces .* found 4 people and 60 faces: name more of them .* /s"):
        check_enough(few, "/s")
    with pytest.raises(InputError, match="found 6 people and 36 faces"):
        check_enough(Known(["A"] * 9, np.r_[np.repeat(np.arange(6), 6), 6, 7, 8], {}, 0), "/s")  # people of one face don't count
    check_enough(Known(["A"] * 5, np.repeat(np.arange(5), 8), {}, 0), "/s")


# -- the job on arrays ----------------------------------------------------------------------------------------------------------


def collection(wrong: bool, seed: int = 0) -> tuple[Known, np.ndarray, Groups, Line]:
    """12 named people in groups of 20, of whose faces some are other people's if `wrong`; and the line that says so."""
    true, n = Line(3.0, -1.0), 240
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(12), 20)
    vectors = people([20] * 12, noise=0.9, seed=seed)[0]
    above = rng.normal(1.2, 1.0, n)
    bad = rng.random(n) > true.probability(above) if wrong else np.zeros(n, bool)
    who = np.where(bad, -1, person)
    apart = {p: set(np.flatnonzero(bad & (person == p)).tolist()) for p in range(12)}
    groups = Groups(person.astype(np.int32), above.astype(np.float32), np.ones(n, np.float32), np.zeros(n, np.float32))
    return Known([f"N{p}" for p in range(12)], who, apart, int(bad.sum())), vectors, groups, true


def test_both_lines_are_fitted_where_they_are_off() -> None:
    found_said, vectors, groups, true = collection(wrong=True)
    card = replace(card_of("bundled"), slope=1.0, intercept=0.0)
    found = calibrate(found_said, vectors, groups, card)
    assert found.pairs.used is not None and found.reading.pairs == found.pairs.used and found.pairs.held is not None
    assert found.pairs.held.ece[0] > 0.3 and found.pairs.held.ece[1] < 0.05
    assert found.place.no >= WRONG and found.place.used is not None and found.place.held is not None
    z = np.linspace(-1, 3, 40)
    off = [np.abs(line.probability(z) - true.probability(z)).mean() for line in (found.place.old, found.place.used)]
    assert off[1] < off[0] / 2
    assert found.reading.grouping() == {"confidence_slope": found.place.used.slope, "confidence_intercept": found.place.used.intercept}
    read = found.reading.card(card)
    assert (read.slope, read.intercept) == (found.pairs.used.slope, found.pairs.used.intercept) and read.sha256 == card.sha256
    assert found.to_dict()["pairs"]["used"] is True


def test_people_of_whom_nothing_is_said_to_be_wrong_say_nothing_of_places() -> None:
    found = calibrate(*collection(wrong=False)[:3], card_of("bundled"))
    assert found.place.fitted is None and found.place.no == 0 and "somebody else's" in found.place.why and found.reading.place is None


def test_row_order_changes_nothing() -> None:
    found_said, vectors, groups, _ = collection(wrong=True)
    order = np.random.default_rng(3).permutation(len(vectors))
    where = np.argsort(order)
    mixed = Known(found_said.names, found_said.person[order], {p: {int(where[r]) for r in s} for p, s in found_said.apart.items()}, 0)
    there = Groups(*(getattr(groups, k)[order] for k in ("labels", "place", "probabilities", "outlier_scores")))
    a, b = calibrate(found_said, vectors, groups, card_of("bundled")), calibrate(mixed, vectors[order], there, card_of("bundled"))
    for one, other in ((a.pairs, b.pairs), (a.place, b.place)):
        assert one.fitted is not None and other.fitted is not None and one.held is not None and other.held is not None
        assert other.fitted.slope == pytest.approx(one.fitted.slope, rel=1e-3)
        assert other.fitted.intercept == pytest.approx(one.fitted.intercept, abs=1e-2)
        assert other.held.ece == pytest.approx(one.held.ece, abs=1e-3)


def test_the_collections_own_faces_stay_where_the_line_was_fitted() -> None:
    """`match` moves a face's cosines to where the card's strangers lie: those of this collection must, on average, not move."""
    rng = np.random.default_rng(0)
    vectors, truth = people([1] * 300, seed=1)
    vectors = vectors + 0.7 * rng.normal(size=128) / 128**0.5  # people who are more alike than the card's
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    card = card_of("bundled")
    mean, sd = strangers_of(vectors, np.arange(300), card)
    read = replace(card, impostor_mean=mean, impostor_sd=sd)
    moved: dict[str, list[float]] = {"card": [], "read": []}
    for i in range(300):
        cosines = np.delete(vectors @ vectors[i], i)
        for name, by in (("card", card), ("read", read)):
            moved[name].append(float((normalise_by_cohort(cosines, np.arange(299), by) - cosines).mean()))
    assert abs(np.mean(moved["read"])) < 0.002 < 0.05 < abs(np.mean(moved["card"]))


def test_faces_count_as_evidence_of_their_leader() -> None:
    found = of_faces(np.arange(4.0), np.array([1, 0, 1, 1.0]), np.array([0, 0, 0, 1]))
    assert found.people == 2 and found.answers.tolist() == [3, 1]
    assert found.weights(np.ones(4, bool)).sum() == pytest.approx(4) and found.weights(found.one == 1).tolist() == [0, 0, 0, 1]
