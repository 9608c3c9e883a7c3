"""Suggestions against vectors with known people: who comes first, who never comes, and that groups need not be added up anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from people_store import people

from facecluster.grouping.identify_config import IdentifyConfig
from facecluster.people.suggestions import FaceIndex

SIZES = (12, *[6] * 30, *[1] * 40)


def index(noise: float = 0.8) -> tuple[FaceIndex, np.ndarray, np.ndarray]:
    """Faces of 71 people; person 0 is in groups 0 (six faces) and 1 (five), and one face of hers is nobody's. Also the groups and truth."""
    x, truth = people(SIZES, noise)
    group = np.where(truth == 0, 0, truth + 1)
    group[6:11] = 1
    group[(truth > 30) | (np.arange(len(truth)) == 11)] = -1
    everybody = np.ones(len(truth), bool)
    return FaceIndex(x.astype(np.float32), everybody, group, np.arange(len(truth)), IdentifyConfig()), group, truth


def test_the_right_ones_come_first_and_are_likely() -> None:
    found, group, truth = index()
    groups = found.grouped(group, np.arange(len(group)))
    hidden = np.zeros(len(groups.sizes), bool)
    some = found.suggest(groups, [found.target(groups, 0)], hidden, 10)
    assert (some.group[0], some.row[1], some.group[1]) == (1, 11, -1)
    assert (some.probability[:2] > 0.95).all() and (some.probability[2:] < 0.05).all()
    assert (truth[some.row] == 0).tolist() == [True, True, *[False] * 8]
    # of several people the likeliest counts
    both = found.suggest(groups, [found.target(groups, 5), found.target(groups, 0)], hidden, 2)
    assert both.target.tolist() == [1, 1] and both.row.tolist() == some.row[:2].tolist()
    assert len(found.suggest(groups, [], hidden, 2).row) == 0
    # someone whose faces are elsewhere
    outside = found.suggest(groups, [found.outside_target(found.vectors[:3])], hidden, 3)
    assert {*outside.group[:2].tolist()} == {0, 1} and outside.row[2] == 11


def test_who_is_never_suggested() -> None:
    """Groups and faces that are hidden or closed, and who is on one photo with the person."""
    found, group, _ = index()
    groups = found.grouped(group, np.arange(len(group)))
    hidden, target = np.zeros(len(groups.sizes), bool), found.target(groups, 0)
    closed = replace(target, closed_groups=frozenset({1}), closed_faces=frozenset({11}))
    assert found.suggest(groups, [closed], hidden, 5).probability.max() < 0.05
    hidden[1] = True
    assert found.suggest(groups, [target], hidden, 5).row[0] == 11
    doubt = 1 - found.suggest(groups, [target], hidden, 1).probability[0]
    found.photos[11] = found.photos[0]
    again = 1 - found.suggest(groups, [found.target(groups, 0)], hidden, 1).probability[0]
    assert 900 < again / (1 - again) / (doubt / (1 - doubt)) < 1100  # the odds of two faces of one photo


def test_groups_that_did_not_change_are_not_added_up_anew() -> None:
    found, group, _ = index()
    before = found.grouped(group, np.arange(len(group)))
    rng = np.random.default_rng(3)
    for _ in range(20):
        now = before.identity.copy()
        now[rng.integers(0, len(now), 3)] = rng.integers(-1, now.max() + 1, 3)
        now[now >= 0] = np.unique(now[now >= 0], return_inverse=True)[1]
        fresh, kept = found.grouped(now, np.arange(len(now))), found.grouped(now, np.arange(len(now)), before)
        assert np.allclose(fresh.sums, kept.sums, atol=1e-5) and (fresh.start == kept.start).all()
        before = kept


def test_the_first_group_of_faces_that_were_nobody() -> None:
    """Those whom the user had set aside among them."""
    found, group, _ = index()
    nobody, some = np.where(np.arange(len(group)) < 3, -2, -1), np.where(np.arange(len(group)) < 3, 0, -1)
    order = np.arange(len(group))
    now = found.grouped(some, order, found.grouped(nobody, order))
    assert now.was.tolist() == [-1] and np.allclose(now.sums, found.grouped(some, order).sums)


def test_what_did_not_change_is_suggested_as_if_it_were_measured_anew() -> None:
    """Groups that come together, faces that leave, decisions that close: against an index that knows nothing of before."""
    found, group, _ = index(noise=1.2)
    rng, before, surest = np.random.default_rng(4), None, np.arange(len(group))
    for step in range(12):
        now = group.copy() if before is None else before.identity.copy()
        if step % 3 == 1:  # two groups come together, and one face leaves another
            now[now == 9] = 4
            now[np.flatnonzero(now == 12)[-1:]] = -1
            now[now >= 0] = np.unique(now[now >= 0], return_inverse=True)[1]
        if step % 3 == 2:
            now[np.flatnonzero(now == -1)[0]] = -2
        before, fresh = found.grouped(now, surest, before), index(noise=1.2)[0]
        plain = fresh.grouped(now, surest)
        people = rng.permutation(8)[: 5 if step % 2 else 8]
        hidden = np.zeros(len(before.sizes), bool)
        for closed in (frozenset[int](), frozenset({3, 6})):
            some, wanted = (
                one.suggest(groups, [replace(one.target(groups, int(p)), closed_groups=closed) for p in people], hidden, 40)
                for one, groups in ((found, before), (fresh, plain))
            )
            assert some.row.tolist() == wanted.row.tolist() and some.target.tolist() == wanted.target.tolist()
            assert np.allclose(some.probability, wanted.probability, atol=1e-5)


def test_only_groups_that_changed_are_measured_after_an_act(monkeypatch: pytest.MonkeyPatch) -> None:
    found, group, _ = index()
    first = found.grouped(group, np.arange(len(group)))
    hidden = np.zeros(len(first.sizes), bool)
    found.suggest(first, [found.target(first, i) for i in range(5)], hidden, 5)
    measured: list[int] = []
    fill = FaceIndex._fill

    def counted(self, odds, some, columns, *more):  # type: ignore[no-untyped-def]
        measured.append(len(some) * len(columns))
        fill(self, odds, some, columns, *more)

    monkeypatch.setattr(FaceIndex, "_fill", counted)
    closed = [replace(found.target(first, i), closed_groups=frozenset({20})) for i in range(5)]
    found.suggest(first, closed, hidden, 5)
    assert sum(measured) == 0, "a decision that closes changes no group"
    now = group.copy()
    now[np.flatnonzero(now == 20)] = -1  # the last numbers go down by one
    now[now > 20] -= 1
    second = found.grouped(now, np.arange(len(now)), first)
    found.suggest(second, [found.target(second, i) for i in range(5)], hidden[:-1], 5)
    assert sum(measured) == 5 * (group == 20).sum()
