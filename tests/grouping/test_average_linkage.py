"""Must-links and cannot-links mean what they say; poor faces join and do not bridge; two faces of one photo must be more alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facecluster.grouping.average_linkage import AverageLinkage
from facecluster.grouping.candidate_edges import EdgeShard
from facecluster.grouping.cluster_sums import ClusterSums
from facecluster.grouping.cohort import content_keys, prior_stats
from facecluster.grouping.constraints import constrained
from facecluster.grouping.identify import IdentifyConfig, group
from facecluster.grouping.link import nearest

CONFIG = IdentifyConfig(impostor_mean=0.0, impostor_sd=0.09)
JOINER = AverageLinkage(prior_stats(1_000, mean=0.0, sd=0.09), CONFIG.merge, CONFIG.impostor_weight)


def people(sizes: list[int], noise: float = 0.6, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.normal(size=(len(sizes), 128))[truth] + noise * rng.normal(size=(len(truth), 128))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), truth


pairs = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda p: p[0] != p[1]), max_size=8)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(-1, 4), min_size=12, max_size=12), pairs, pairs)
def test_links_are_kept_whatever_the_groups(labels: list[int], must: list[tuple[int, int]], cannot: list[tuple[int, int]]) -> None:
    must_rows, cannot_rows = np.array(must).reshape(-1, 2), np.array(cannot).reshape(-1, 2)
    x, _ = people([2, 3, 4, 3])
    found = constrained(np.array(labels), must_rows, cannot_rows, x, JOINER)
    assert all(found[a] == found[b] for a, b in must)
    # what must-links hold together, by flooding
    atom = list(range(12))
    for _ in range(12):
        for a, b in must:
            atom[a] = atom[b] = min(atom[a], atom[b])
    assert all(found[a] != found[b] or atom[a] == atom[b] for a, b in cannot)
    # groups that no cannot-link speaks of, through must-links either, are as they were
    whole = constrained(np.array(labels), must_rows, None, x, JOINER)
    touched = {whole[a] for a, b in cannot if whole[a] == whole[b] and atom[a] != atom[b]}
    assert all((found[a] == found[b]) == (whole[a] == whole[b]) for a in range(12) for b in range(12) if whole[a] not in touched)
    if not must and not cannot:
        assert all((found[a] == found[b]) == (a == b or labels[a] == labels[b] >= 0) for a in range(12) for b in range(12))


def test_what_the_user_says_holds_in_the_grouping() -> None:
    x, truth = people([10] * 6 + [1] * 20)
    links = nearest(x, 12)
    plain = group(x, *links, CONFIG).labels
    assert len(set(plain[truth == 0])) == 1 and plain[0] != plain[10]
    told = group(x, *links, CONFIG, must=np.array([[0, 10]]), cannot=np.array([[20, 21]])).labels
    assert len(set(told[:20])) == 1  # persons 0 and 1 are one
    assert told[20] != told[21] and {told[20], told[21]} >= set(told[22:30])  # person 2 minus the one that can't be
    assert (told[truth == 3] == told[30]).all()
    assert len(set(plain[truth == 3])) == 1


def test_poor_faces_found_nobody_but_join_people() -> None:
    x, truth = people([8, 8] + [1] * 40, noise=0.45)
    rng = np.random.default_rng(2)
    blurred = rng.normal(size=128) + 0.3 * rng.normal(size=(5, 128))  # alike because they are blurred
    poor = 0.8 * x[0] + 0.3 * rng.normal(size=128) / 128**0.5
    x = np.concatenate([x, blurred / 128**0.5, poor[None]]).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    links, weak = nearest(x, 20), np.arange(len(x)) >= len(truth)
    as_good, as_poor = group(x, *links, CONFIG).labels, group(x, *links, CONFIG, weak=weak).labels
    assert len(set(as_good[56:61])) == 1 and as_good[56] >= 0
    assert (as_poor[56:61] == -1).all()
    assert as_poor[61] == as_poor[0] == as_poor[7] >= 0 and as_poor[8] not in (-1, as_poor[0])


def test_faces_of_one_photo_must_be_more_alike() -> None:
    rng = np.random.default_rng(3)
    x, _ = people([1] * 60, seed=4)
    twin = np.sqrt(0.5) * x[0] + np.sqrt(0.5) * rng.normal(size=128) / 128**0.5  # cosine about .7
    copy = x[1] + 0.1 * rng.normal(size=128) / 128**0.5
    x = np.concatenate([x, twin[None], copy[None]]).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    apart = np.arange(len(x))
    photos = apart.copy()
    photos[[60, 61]] = [0, 1]
    strict = IdentifyConfig(impostor_mean=0.0, impostor_sd=0.09, same_photo_odds=1e-5)
    assert (lambda g: g[0] == g[60] >= 0 and g[1] == g[61] >= 0)(group(x, *nearest(x, 8), strict, photos=apart).labels)
    assert (lambda g: g[0] == g[60] == -1 and g[1] == g[61] >= 0)(group(x, *nearest(x, 8), strict, photos=photos).labels)


def test_the_setting_holds_in_other_dimensions() -> None:
    for dim in (64, 512):
        rng = np.random.default_rng(dim)
        truth = np.repeat(np.arange(60), [20] * 10 + [1] * 50)
        x = rng.normal(size=(60, dim))[truth] + 0.6 * rng.normal(size=(len(truth), dim))
        x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
        found = group(x, *nearest(x, 24), IdentifyConfig(impostor_mean=0.0, impostor_sd=dim**-0.5)).labels
        assert all(len(set(found[truth == p])) == 1 and found[truth == p][0] >= 0 for p in range(10))
        assert (found[truth >= 10] == -1).mean() > 0.95


def bursts(between: float, within: float = 0.92, faces: int = 12) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Two series of nearly equal pictures whose middles have this cosine, and 200 strangers."""
    rng = np.random.default_rng(7)
    one, other, *rest = (v / np.linalg.norm(v) for v in rng.normal(size=(202, 512)))
    other = between * one + (1 - between**2) ** 0.5 * (other - other @ one * one) / np.linalg.norm(other - other @ one * one)
    near = [c + (1 / within - 1) ** 0.5 * rng.normal(size=512) / 512**0.5 for c in (one, other) for _ in range(faces)]
    x = np.array([*near, *rest])
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), np.repeat([0, 1], faces)


def test_alike_series_are_one_person_only_if_the_likeness_is_large_beside_that_within_them() -> None:
    """Two series of one person are less alike than each is in itself, too: they are joined; two of people who look alike are not."""
    config = IdentifyConfig(impostor_mean=0.035, impostor_sd=0.115)
    for between, people in ((0.62, 1), (0.38, 2)):
        x, truth = bursts(between)
        labels = group(x, *nearest(x, 30), config).labels
        assert len(set(labels[: len(truth)])) == people, between
    config = IdentifyConfig(impostor_mean=0.035, impostor_sd=0.115, separation_penalty=0.0)
    alone = group(bursts(0.38)[0], *nearest(bursts(0.38)[0], 30), config).labels
    assert len(set(alone[:24])) == 1  # the other rules would have joined them


def test_likeness_within_is_the_mean_of_all_pairs() -> None:
    x, truth = people([1, 2, 5, 9])
    own = ClusterSums.of(x, truth.astype(np.int32), prior_stats(17, mean=0.0, sd=0.1), content_keys(x))
    for g in range(4):
        rows = x[truth == g].astype(np.float64)
        pairs_of = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
        assert own.within(np.array([g], dtype=np.int32))[0] == pytest.approx(pairs_of.mean() if len(rows) > 1 else 1.0, abs=1e-6)


def test_rules_hold_where_many_wait_for_one_group() -> None:
    """Three hundred faces that belong to one group alone: more than are let in one by one."""
    rng = np.random.default_rng(0)
    centre = rng.normal(size=256)
    x = centre + np.r_[0.3 * rng.normal(size=(30, 256)), 1.6 * rng.normal(size=(300, 256))]
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    labels = np.r_[np.zeros(30, dtype=int), np.arange(1, 301)]
    source, target = np.repeat(np.arange(30), 300).astype(np.int32), np.tile(np.arange(30, 330), 30).astype(np.int32)
    cohort = prior_stats(330, mean=0.0, sd=1 / 16)
    above = (np.einsum("ij,ij->i", x[source], x[target]) - cohort.level[0]).astype(np.float32)
    halves = (np.array_split(column, 2) for column in (source, target, above))
    edges = [EdgeShard(*parts) for parts in zip(*halves, strict=True)]
    free = AverageLinkage(cohort, 1.2, 0.85).merge_clusters(x, labels, edges)
    assert (free == free[0]).sum() > 300
    least = 30 + np.argsort(x[:30].mean(axis=0) @ x[30:].T)[:20]
    cannot = least.reshape(-1, 2)
    ruled = AverageLinkage(cohort, 1.2, 0.85, cannot).merge_clusters(x, labels, edges)
    assert (ruled[cannot[:, 0]] != ruled[cannot[:, 1]]).all() and (ruled == ruled[0]).sum() > 290
    there = np.arange(330) >= 290  # forty that must not become one, with the group or with each other
    kept = AverageLinkage(cohort, 1.2, 0.85, fixed_faces=there).merge_clusters(x, labels, edges)
    assert len({*kept[there].tolist()}) == 40 and (kept == kept[0]).sum() > 250
