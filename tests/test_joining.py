"""Must-links and cannot-links mean what they say; poor faces join and do not bridge; two faces of one photo must be more alike."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facecluster.constraints import constrained
from facecluster.identify import IdentifyConfig, group
from facecluster.joining import Joiner
from facecluster.link import nearest
from facecluster.strangers import usual

CONFIG = IdentifyConfig(stranger_mean=0.0, stranger_sd=0.09)
JOINER = Joiner(usual(1_000, mean=0.0, sd=0.09), CONFIG.merge, CONFIG.alone)


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
    strict = IdentifyConfig(stranger_mean=0.0, stranger_sd=0.09, same_photo=5.0)
    assert (lambda g: g[0] == g[60] >= 0 and g[1] == g[61] >= 0)(group(x, *nearest(x, 8), strict, photos=apart).labels)
    assert (lambda g: g[0] == g[60] == -1 and g[1] == g[61] >= 0)(group(x, *nearest(x, 8), strict, photos=photos).labels)


def test_the_setting_holds_in_other_dimensions() -> None:
    for dim in (64, 512):
        rng = np.random.default_rng(dim)
        truth = np.repeat(np.arange(60), [20] * 10 + [1] * 50)
        x = rng.normal(size=(60, dim))[truth] + 0.6 * rng.normal(size=(len(truth), dim))
        x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
        found = group(x, *nearest(x, 24), IdentifyConfig(stranger_mean=0.0, stranger_sd=dim**-0.5)).labels
        assert all(len(set(found[truth == p])) == 1 and found[truth == p][0] >= 0 for p in range(10))
        assert (found[truth >= 10] == -1).mean() > 0.95
