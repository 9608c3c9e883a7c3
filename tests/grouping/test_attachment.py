"""Small groups go to the large ones they belong to: against all pairs by the formula, in any order, and never against a rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facecluster.evaluation import bcubed
from facecluster.grouping.attachment import _COHERENT, _PLENTY, LARGE, SMALL, _bound, attach_small, attach_weak
from facecluster.grouping.average_linkage import AverageLinkage
from facecluster.grouping.candidate_edges import EdgeShard
from facecluster.grouping.cohort import CohortStats, cohort_stats, content_keys, prior_stats
from facecluster.grouping.identify import IdentifyConfig, group
from facecluster.grouping.link import nearest

CONFIG = IdentifyConfig(impostor_mean=0.0, impostor_sd=0.09)
Faces = tuple[NDArray[np.float32], NDArray[np.int64], CohortStats]


def collection(seed: int, *, ties: bool = False) -> Faces:
    """Faces of 12 people of which some are in groups of all sizes that are not theirs alone."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 12, 150)
    x = rng.normal(size=(12, 32))[truth] + 1.1 * rng.normal(size=(150, 32))
    if ties:
        x = np.rint(x[rng.integers(0, 150, 150)])  # copies, and cosines that are the same
    x = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)).astype(np.float32)
    labels = np.where(rng.random(150) < 0.6, truth, 100 + rng.integers(0, 60, 150))
    return x, labels, cohort_stats(x, labels, mean=0.0, sd=0.18)


def edges(source: NDArray[np.integer], target: NDArray[np.integer]) -> list[EdgeShard]:
    """Edges without margins, in three shards."""
    ends = [np.array_split(end.astype(np.int32), 3) for end in (source, target)]
    return [EdgeShard(one, other, np.zeros(len(one), dtype=np.float32)) for one, other in zip(*ends, strict=True)]


def every_pair(n: int) -> list[EdgeShard]:
    return edges(*np.triu_indices(n, 1))


def partition(labels: NDArray[np.integer]) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == g).tolist()) for g in np.unique(labels)}


def is_coherent(x: NDArray[np.float32], rows: NDArray[np.integer], linkage: AverageLinkage) -> bool:
    """Whether faces lie _COHERENT sd above what joins one of them to all, by all pairs."""
    cohort, of = linkage.cohort, x[rows].astype(float)
    within = np.mean([of[i] @ of[j] for i in range(len(rows)) for j in range(len(rows)) if i != j])
    asked = cohort.base[rows].mean() + linkage.merge * cohort.sd
    asked += linkage.impostor_weight * cohort.reach[rows].mean() * np.linalg.norm(of.mean(axis=0))
    return bool(within - asked >= _COHERENT * cohort.sd)


@pytest.mark.parametrize("seed", [0, 2, 3, 4, 5, 8])
def test_each_goes_where_the_formula_says(seed: int) -> None:
    x, labels, cohort = collection(seed)
    linkage, more = AverageLinkage(cohort, -0.2, 0.85), -0.9  # so low that the bound does not fall
    groups = {g: np.flatnonzero(labels == g) for g in np.unique(labels)}
    large = {g: rows for g, rows in groups.items() if len(rows) >= _PLENTY or len(rows) >= LARGE and is_coherent(x, rows, linkage)}
    assert any(len(rows) < _PLENTY for rows in large.values())
    assert any(g not in large and len(rows) >= LARGE for g, rows in groups.items())
    expected, moved = labels.copy(), 0
    among = cohort.with_impostors(len(large))
    for rows in groups.values():
        if len(rows) > SMALL:
            continue
        excess = {}
        for g, others in large.items():
            mean = np.mean([[float(x[i].astype(float) @ x[j]) for j in others] for i in rows])
            base = (cohort.base[rows].mean() + cohort.base[others].mean()) / 2
            reach = (among.reach[rows].mean() + among.reach[others].mean()) / 2
            length = np.linalg.norm(x[rows].mean(axis=0)) * np.linalg.norm(x[others].mean(axis=0))
            excess[g] = mean - base - (linkage.merge + more) * cohort.sd - linkage.impostor_weight * reach * length
        best = max(excess, key=lambda g: excess[g])
        if excess[best] >= 0:
            expected[rows] = best
            moved += 1
    assert moved >= 5
    assert partition(attach_small(linkage, x, labels, every_pair(150), more)) == partition(expected)


def test_less_is_asked_against_fewer() -> None:
    """The best of n of normal strangers, drawn: `among` moves the level by as much as the expected best moves."""
    rng = np.random.default_rng(0)
    best = [float(np.median(rng.normal(size=(2_000, count)).max(axis=1))) for count in (10_000, 100)]
    cohort = prior_stats(10_000, mean=0.1, sd=0.2)
    change = float(cohort.level[0] - cohort.with_impostors(100).level[0])
    assert change == pytest.approx(0.2 * (best[0] - best[1]), rel=0.12)
    assert np.allclose(cohort.with_impostors(10_000).level, cohort.level)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_any_order_gives_the_same_groups(seed: int, ruled: bool) -> None:
    x, labels, cohort = collection(seed % 50, ties=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(150)
    place = np.argsort(order)
    cannot = rng.integers(0, 150, size=(40, 2)) if ruled else None
    source, target = np.triu_indices(150, 1)
    linkage = AverageLinkage(cohort, -0.5, 0.85, cannot, contents=content_keys(x))
    turned = AverageLinkage(CohortStats(cohort.base[order], cohort.reach[order], cohort.sd), -0.5, 0.85,
                    None if cannot is None else place[cannot], contents=content_keys(x[order]))  # fmt: skip
    found = attach_small(linkage, x, labels, edges(source, target), 0.3)
    again = attach_small(turned, x[order], labels[order], edges(place[source], place[target]), 0.3)
    assert partition(found) == partition(again[place])
    if cannot is not None:
        apart = labels[cannot[:, 0]] != labels[cannot[:, 1]]
        assert (found[cannot[apart, 0]] != found[cannot[apart, 1]]).all()
    # what was together stays together
    assert all(len(set(found[labels == g])) == 1 for g in np.unique(labels))


def test_a_rule_keeps_a_face_from_its_person() -> None:
    x, labels, cohort = collection(0)
    linkage, links = AverageLinkage(cohort, 0.2, 0.85), every_pair(150)
    free = attach_small(linkage, x, labels, links, 0.3)
    sizes = np.bincount(labels)[labels]
    gone = next(i for i in np.flatnonzero(sizes == 1) if (free == free[i]).sum() >= LARGE)
    there = np.flatnonzero((free == free[gone]) & (sizes >= LARGE))[0]
    ruled = AverageLinkage(cohort, 0.2, 0.85, np.array([[gone, there]]))
    found = attach_small(ruled, x, labels, links, 0.3)
    assert found[gone] != found[there]
    together = (sizes >= LARGE) & (labels == labels[there])
    assert len(set(found[together])) == 1


def test_weak_faces_join_but_make_no_two_groups_one() -> None:
    x, labels, cohort = collection(1)
    weak = np.random.default_rng(1).random(150) < 0.5
    found = attach_weak(AverageLinkage(cohort, 0.2, 0.85), x, labels, weak, every_pair(150))
    sizes = np.bincount(labels)[labels]
    moved = np.array([len(set(labels[found == f])) > 1 for f in found]) & (sizes == 1)
    assert moved.any() and weak[moved].all()
    kept = ~moved
    assert partition(found[kept]) == partition(labels[kept])


def test_odd_faces_of_known_people_are_found_and_strangers_are_not() -> None:
    """Twelve people with 40 faces and 6 odd ones each among 1,500 strangers: asked for against the twelve, most of the odd join."""
    rng = np.random.default_rng(5)
    truth = np.r_[np.repeat(np.arange(12), 46), 12 + np.arange(1_500)]
    noise = np.where(np.r_[np.tile(np.arange(46) >= 40, 12), np.zeros(1_500, dtype=bool)], 2.2, 0.8)
    x = rng.normal(size=(1_512, 128))[truth] + noise[:, None] * rng.normal(size=(len(truth), 128))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    links, odd = nearest(x, 48), noise > 1
    without = group(x, *links, IdentifyConfig(impostor_mean=0.0, impostor_sd=0.09, attach_margin=99.0)).labels
    found = group(x, *links, CONFIG).labels
    person = np.array([np.bincount(found[(truth == t) & ~odd]).argmax() for t in range(12)])
    right = found[odd] == person[truth[odd]]
    assert right.mean() > (without[odd] >= 0).mean() + 0.08
    assert np.isin(found[truth >= 12], person).mean() < 0.01
    assert bcubed(truth, found).f > bcubed(truth, without).f


def test_no_large_group_changes_nothing() -> None:
    x, labels, cohort = collection(2)
    few = labels % 50 + 200 + np.arange(150)
    assert attach_small(AverageLinkage(cohort, -5.0, 0.0), x, few, every_pair(150), 0.0).tolist() == few.tolist()


@pytest.mark.parametrize("people", [1_000, 40])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_bound_falls_as_far_as_few_would_be_strangers(share: float, people: int) -> None:
    """Small groups of which a share are strangers, drawn: of those that the bound lets in, at most about a quarter are."""
    rng = np.random.default_rng(round(share * 10))
    strangers = np.repeat(rng.normal(-1.2, 0.5, people), 2) + 0.2 * rng.normal(size=2 * people)
    wrong = all_new = 0
    for _ in range(40):
        stranger = rng.random(400) < share
        likeness = np.where(stranger, rng.normal(-1.2, 0.54, 400), rng.normal(-0.2, 0.6, 400))
        bound = _bound(likeness, 400, strangers, people, 0.3)
        assert -0.81 <= bound <= 0.3
        new = (likeness >= bound) & (likeness < 0.3)
        wrong, all_new = wrong + (new & stranger).sum(), all_new + new.sum()
    assert wrong <= 0.3 * all_new + 40  # one a time besides
    if share == 1:
        assert all_new <= 40
    if share <= 0.1:
        assert all_new > 40 * 200


def test_in_a_collection_without_strangers_odd_faces_are_asked_less() -> None:
    """Thirty people and nobody else: what is left over belongs to one of them. With 3,000 strangers beside them it does not follow."""
    rng = np.random.default_rng(6)
    truth = np.r_[np.repeat(np.arange(30), 30), 30 + np.arange(3_000)]
    noise = np.where(np.r_[np.tile(np.arange(30) >= 24, 30), np.zeros(3_000, dtype=bool)], 2.9, 0.8)
    x = rng.normal(size=(3_030, 128))[truth] + noise[:, None] * rng.normal(size=(len(truth), 128))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    joined = {}
    for n in (900, 3_900):
        labels = group(x[:n], *nearest(x[:n], 48), CONFIG).labels
        joined[n] = (labels[:900][noise[:900] > 1] >= 0).mean()
        assert bcubed(truth[:n], labels).precision > 0.98
    assert joined[900] > joined[3_900] + 0.1


def test_two_groups_that_were_there_do_not_meet_in_a_third() -> None:
    x, labels, cohort = collection(3)
    free = attach_small(AverageLinkage(cohort, 0.2, 0.85), x, labels, every_pair(150), 0.3)
    sizes = np.bincount(labels)[labels]
    moved = np.array([len(set(labels[free == f])) > 1 for f in free]) & (sizes <= SMALL)
    there = moved.copy()  # all that went, and no large group, were there before
    found = attach_small(AverageLinkage(cohort, 0.2, 0.85, fixed_faces=there), x, labels, every_pair(150), 0.3)
    assert moved.sum() >= 8
    together = [{*labels[(found == f) & there].tolist()} for f in np.unique(found)]
    assert max(len(t) for t in together) == 1 and sum(len(set(labels[found == f])) > 1 for f in np.unique(found)) >= 3


def test_a_rule_within_a_group_is_none() -> None:
    x, labels, cohort = collection(0)
    free = attach_small(AverageLinkage(cohort, 0.2, 0.85), x, labels, every_pair(150), 0.3)
    pair = next(np.flatnonzero(labels == g) for g in np.unique(labels) if (labels == g).sum() == 2)
    ruled = attach_small(AverageLinkage(cohort, 0.2, 0.85, pair[None]), x, labels, every_pair(150), 0.3)
    assert partition(ruled) == partition(free)


def test_weak_faces_say_nothing_of_strangers() -> None:
    rng = np.random.default_rng(6)
    truth = np.repeat(np.arange(30), 30)
    odd = np.tile(np.arange(30) >= 24, 30)
    x = rng.normal(size=(30, 128))[truth] + np.where(odd, 2.9, 0.8)[:, None] * rng.normal(size=(900, 128))
    poor = rng.normal(size=(900, 128))
    x = np.concatenate([x, poor])
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    weak = np.arange(1_800) >= 900
    alone = group(x[:900], *nearest(x[:900], 48), CONFIG).labels
    beside = group(x, *nearest(x, 48), CONFIG, weak=weak).labels[:900]
    assert (beside[odd] >= 0).mean() > (alone[odd] >= 0).mean() - 0.15


def test_sharing_a_photo_counts_below_the_usual_bound_too() -> None:
    """Where the bound has fallen, a face goes to a group that shows it in its own photo only if it lies that much higher."""
    x, labels, cohort = collection(0)
    links = every_pair(150)
    free = attach_small(AverageLinkage(cohort, 1.4, 0.85), x, labels, links, -0.9)
    large = np.bincount(labels)[labels] >= LARGE
    photos = np.arange(150)
    gone = [i for i in np.flatnonzero(np.bincount(labels)[labels] == 1) if (free == free[i]).sum() >= LARGE]
    for i in gone:
        photos[i] = photos[np.flatnonzero((free == free[i]) & large)[0]]
    dear = attach_small(AverageLinkage(cohort, 1.4, 0.85, photos=photos, same_photo_penalty=50.0), x, labels, links, -0.9)
    assert gone and all((dear == dear[i]).sum() == 1 for i in gone)
