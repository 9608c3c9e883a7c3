"""After the user parted faces, the faces of which nothing was said are with somebody: a split takes out what it names and no more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import need
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facecluster.grouping.average_linkage import AverageLinkage
from facecluster.grouping.cohort import prior_stats
from facecluster.grouping.constraints import constrained
from facecluster.grouping.identify import IdentifyConfig, group
from facecluster.grouping.link import nearest

TRAIN = Path(__file__).parents[3] / "shared" / "data" / "faces_train.parquet"
CONFIG = IdentifyConfig(impostor_mean=0.0, impostor_sd=0.09)
JOINER = AverageLinkage(prior_stats(2_000, mean=0.0, sd=0.09), CONFIG.merge, CONFIG.impostor_weight)
NONE: NDArray[np.int64] = np.zeros((0, 2), dtype=np.int64)
Vectors = NDArray[np.float32]
Ints = NDArray[np.int64]


def people(sizes: list[int], seed: int, noise: float = 0.7) -> Vectors:
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.normal(size=(len(sizes), 128))[truth] + noise * rng.normal(size=(len(truth), 128))
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), dtype=np.float32)


def split_off(gone: Ints, rest: Ints, named: int = 64) -> tuple[Ints, Ints]:
    """What a split says: the faces are one person, and none of those who stay."""
    return np.c_[gone[:-1], gone[1:]], np.array([(gone[0], face) for face in rest[:named]], dtype=np.int64)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(0, 12), st.integers(1, 64))
def test_a_split_takes_out_what_it_names_and_no_more(seed: int, k: int, strange: int, named: int) -> None:
    """Of a group of one person (0 strange faces), or a mixed one; `named` of those who stay stand in the decision."""
    x = people([30, max(strange, 1)], seed)[: 30 + strange]
    labels = np.zeros(len(x), dtype=np.int64)
    gone = np.random.default_rng(seed).permutation(len(x))[:k]
    rest = np.setdiff1d(np.arange(len(x)), gone)
    must, cannot = split_off(gone, rest, max(named, 1))
    found = constrained(labels, must, cannot, x, JOINER)
    assert len(set(found[gone])) == 1 and found[gone[0]] not in found[cannot[:, 1]]
    listed = found[cannot[:, 1]]
    assert len(set(listed)) == 1
    if strange == 0 and len(cannot) > k:  # of one person, all others stay, listed or not
        assert len(set(found[rest])) == 1
    assert set(found) == {found[gone[0]], listed[0]}  # no face is on its own


def test_two_persons_in_one_group_are_divided_by_a_single_pair() -> None:
    for seed in range(20):
        x, labels = people([25, 12], seed), np.zeros(37, dtype=np.int64)
        found = constrained(labels, None, np.array([[3, 30]]), x, JOINER)
        assert len(set(found[:25])) == 1 and len(set(found[25:])) == 1 and found[0] != found[25]


def test_a_single_pair_in_one_person_parts_one_face_from_all() -> None:
    for seed in range(20):
        x, labels = people([30], seed), np.zeros(30, dtype=np.int64)
        counts = np.bincount(constrained(labels, None, np.array([[3, 20]]), x, JOINER))
        assert sorted(counts) == [1, 29]


def test_three_names_in_one_group_are_three_sides_and_a_stranger_to_both_goes_alone() -> None:
    x, labels = people([20, 15, 10, 1], 5), np.zeros(46, dtype=np.int64)
    names = [[0, 1, 2], [20, 21, 22], [35, 36]]
    must = np.array([pair for name in names for pair in zip(name[:-1], name[1:], strict=True)])
    cannot = np.array([(a[0], b[0]) for i, a in enumerate(names) for b in names[:i]])
    found = constrained(labels, must, cannot, x, JOINER)
    assert [len(set(found[a:b])) for a, b in ((0, 20), (20, 35), (35, 45))] == [1, 1, 1] and len({found[0], found[20], found[35]}) == 3
    # face 45 is not the first person, and nothing says that it is with the split-off faces but that they are not either
    must, cannot = split_off(np.array([20, 21]), np.arange(1, 20))
    found = constrained(labels[[*range(22), 45]], must, np.r_[cannot, [[5, 22]]], x[[*range(22), 45]], JOINER)
    assert found[20] == found[21] != found[22] and len(set(found[:20])) == 1 and found[0] not in found[20:]


def test_the_order_of_rows_does_not_matter() -> None:
    x, labels = people([25, 12, 6], 7, noise=1.1), np.zeros(43, dtype=np.int64)
    must, cannot = split_off(np.array([3, 30]), np.array([5, 6, 31, 40]))
    order = np.random.default_rng(0).permutation(43)
    place = np.argsort(order)
    one = constrained(labels, must, cannot, x, JOINER)
    two = constrained(labels, place[must], place[cannot], x[order], JOINER)
    assert ((one[:, None] == one)[order][:, order] == (two[:, None] == two)).all()
    assert (one == constrained(labels, must, cannot, x, JOINER)).all()


def lost(x: Vectors, labels: NDArray[np.int32], surest: NDArray[np.float32], config: IdentifyConfig, seed: int) -> tuple[int, int]:
    """Faces that stay after splits of 1 and 3 faces of some groups, and how many of them are not with the most of them."""
    links, rng = nearest(x, 32), np.random.default_rng(seed)
    stay = away = 0
    for g in range(0, min(int(labels.max()) + 1, 10), 2):
        members = np.flatnonzero(labels == g)
        gone = rng.choice(members, 1 + 2 * (g % 4 == 0), replace=False)
        rest = np.setdiff1d(members, gone)
        rest = rest[np.argsort(-surest[rest], kind="stable")]
        must, cannot = split_off(gone, rest)
        found = group(x, *links, config, must=must, cannot=cannot).labels
        assert not set(found[gone][found[gone] >= 0]) & set(found[cannot[:, 1]]) and len(set(found[gone])) == 1
        stay += len(rest)
        away += len(rest) - int(np.bincount(found[rest] + 1)[1:].max())
    return stay, away


def test_the_rest_of_a_person_stays_together_in_the_grouping() -> None:
    x = people([20] * 6 + [8] * 4 + [1] * 40, 3)
    x[20:40] = 0.5 * x[:20] + 0.5 * x[20:40]  # persons 0 and 1 come out as one: a mixed group
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    plain = group(x, *nearest(x, 32), CONFIG)
    assert len(set(plain.labels[:40])) == 1
    assert lost(x, plain.labels, plain.probabilities, CONFIG, 0)[1] == 0


def test_the_rest_of_a_real_person_stays_together() -> None:
    need(TRAIN.exists(), "../shared/data/faces_train.parquet")
    table = pq.read_table(TRAIN, columns=["subject", "teacher"])
    name = np.array([s or "" for s in table["subject"].to_pylist()])
    rng = np.random.default_rng(1)
    some = rng.choice(np.unique(name[name != ""]), 14, replace=False)
    rows = np.concatenate([rng.permutation(np.flatnonzero(name == who))[:30] for who in some])
    x = np.stack(table["teacher"].to_numpy()[rows]).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    config = IdentifyConfig(impostor_mean=0.035, impostor_sd=0.115)
    plain = group(x, *nearest(x, 32), config)
    stay, away = lost(x, plain.labels, plain.probabilities, config, 2)
    assert stay > 100 and away <= 0.01 * stay


@pytest.mark.parametrize("n", [0, 1])
def test_hardly_any_faces(n: int) -> None:
    assert constrained(np.full(n, -1), None, NONE, np.zeros((n, 8), np.float32), JOINER).tolist() == list(range(n))
