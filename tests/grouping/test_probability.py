"""A face's margin against a plain look at its group; what can hardly be told makes a group less sure and changes nobody's group."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from facecluster.grouping import probability
from facecluster.grouping.cohort import CohortStats
from facecluster.grouping.group import in_shards, kept_faces
from facecluster.grouping.identify import IdentifyConfig, group, group_kept
from facecluster.grouping.link import nearest
from facecluster.grouping.work import LocalCrew

CONFIG = IdentifyConfig(impostor_mean=0.0, impostor_sd=0.09)


def people(sizes: list[int], noise: float = 0.7) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.normal(size=(len(sizes), 128))[truth] + noise * rng.normal(size=(len(truth), 128))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), truth


def test_margins_by_a_plain_look() -> None:
    x, truth = people([1, 2, 5, 9])
    rng = np.random.default_rng(1)
    cohort = CohortStats(rng.uniform(0, 0.1, 17), rng.uniform(0.1, 0.2, 17), 0.08)
    clear = rng.uniform(0.4, 1, 17)
    labels = np.where(truth == 0, -1, truth - 1)
    found = probability.face_margins(x, labels, cohort, 1.2, 0.85, clear)
    assert np.isnan(found[0])
    for i in range(1, 17):
        mine = np.flatnonzero(truth == truth[i])
        others = x[mine[mine != i]].astype(np.float64).mean(axis=0)
        bound = cohort.base[i] + 1.2 * 0.08 + 0.85 * cohort.reach[i] * np.linalg.norm(others)
        unclear = [min(0.0, math.log(p / (1 - p)) - probability._CLEAR) for p in np.maximum(clear[mine], 0.5)]
        size = probability._GROUP_SIZE_WEIGHT * math.log(len(mine) / 2)
        expected = (x[i] @ others - bound) / 0.08 + size + probability._CLEAR_WEIGHT * sum(unclear) / len(mine)
        assert found[i] == pytest.approx(expected, abs=1e-5)


def test_what_can_hardly_be_told_is_less_sure_and_in_the_same_group() -> None:
    x, truth = people([12, 12, 6, 6] + [1] * 40)
    links = nearest(x, 20)
    clear = np.where(truth % 2 == 0, 0.999, 0.6)
    plain = group(x, *links, CONFIG)
    known = group(x, *links, CONFIG, recognisability=clear)
    assert (plain.labels == known.labels).all() and plain.labels.max() == 3
    good, poor = (known.labels >= 0) & (clear > 0.9), (known.labels >= 0) & (clear < 0.9)
    assert (known.probabilities[good] == plain.probabilities[good]).all()
    assert (known.probabilities[poor] < plain.probabilities[poor]).all() and poor.any() and good.any()
    keep = np.arange(len(x)) % 13 != 0
    kept = group_kept(keep, x, *links, CONFIG, recognisability=clear)
    [among] = kept_faces(LocalCrew(), keep, x, in_shards(*links))[1]
    alone = group(x[keep], *among.arrays(), CONFIG, recognisability=clear[keep])
    np.testing.assert_array_equal(kept.margins[keep], alone.margins)
    assert np.isnan(kept.margins[~keep]).all()
    order = np.random.default_rng(2).permutation(len(x))
    turned = group(x[order], *nearest(x[order], 20), CONFIG, recognisability=clear[order])
    np.testing.assert_array_equal(turned.margins, known.margins[order])


def test_impure_groups_by_a_plain_look() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        n = int(rng.integers(1, 40))
        labels = rng.integers(-1, 6, n)
        margins = np.where(labels < 0, np.nan, rng.normal(rng.normal(size=7)[labels], 0.5))
        said, least = rng.random(n) < 0.05, float(rng.random())
        found = probability.impure_groups(margins, labels, said, least)
        for group_ in range(-1, 6):
            mine = np.flatnonzero(labels == group_)
            right = sum(1 / (1 + math.exp(-(2.1 * m + 0.4))) for m in margins[mine])
            assert found[mine].all() == found[mine].any() or not len(mine)
            assert found[mine].any() == (group_ >= 0 and len(mine) > 0 and right < least * len(mine) and not said[mine].any())
    assert not probability.impure_groups(np.full(3, np.nan), np.full(3, -1), np.zeros(3, bool), 1.0).any()


def test_groups_that_are_nobody_are_dissolved_unless_the_user_made_them() -> None:
    """Faces that resemble each other a little, as blurred ones do, beside people: their groups are kept, in order, without them."""
    x, truth = people([12, 9, 6, 4] + [1] * 60)
    rng = np.random.default_rng(4)
    alike = rng.normal(size=(30, 128)) + 0.62 * rng.normal(size=128)
    x = np.concatenate([x, alike / np.linalg.norm(alike, axis=1, keepdims=True)]).astype(np.float32)
    links = nearest(x, 30)
    clear = np.where(np.arange(len(x)) < len(truth), 0.999, 0.55)
    every = group(x, *links, replace(CONFIG, min_purity=0.0), recognisability=clear)
    kept = group(x, *links, CONFIG, recognisability=clear)
    share = [every.probabilities[every.labels == g].mean() for g in range(every.labels.max() + 1)]
    bad = [g for g, mean in enumerate(share) if mean < CONFIG.min_purity]
    assert bad and all((every.labels[: len(truth)] != g).all() for g in bad) and len(bad) < len(share)
    gone = np.isin(every.labels, bad)
    assert (kept.labels[gone] == -1).all() and np.isnan(kept.margins[gone]).all() and not kept.probabilities[gone].any()
    same = np.flatnonzero(~gone)
    np.testing.assert_array_equal(every.labels[same][:, None] == every.labels[same], kept.labels[same][:, None] == kept.labels[same])
    np.testing.assert_array_equal(every.probabilities[same], kept.probabilities[same])
    sizes = np.bincount(kept.labels[kept.labels >= 0])
    assert (np.diff(sizes) <= 0).all() and sizes.min() >= 2
    pair = np.flatnonzero(every.labels == bad[0])[:2]
    asked = group(x, *links, CONFIG, recognisability=clear, must=pair[None])
    assert asked.labels[pair[0]] == asked.labels[pair[1]] >= 0
    alone = group(x, *links, CONFIG, recognisability=clear, must=pair[None, [0, 0]])  # one face with a name keeps its group as it is
    assert alone.labels[pair[0]] >= 0
    np.testing.assert_array_equal(alone.labels == alone.labels[pair[0]], every.labels == bad[0])
    library = [group(x, *links, replace(CONFIG, algorithm="hdbscan", min_purity=least)).labels.tolist() for least in (0.0, 0.5)]
    assert library[0] == library[1]
