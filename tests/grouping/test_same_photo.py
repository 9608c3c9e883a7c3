"""Two faces of one photo: prior odds as an amount of similarity, the better face stays, copies and what was said stay."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from facecluster.grouping.average_linkage import AverageLinkage
from facecluster.grouping.candidate_edges import EdgeShard
from facecluster.grouping.cohort import prior_stats
from facecluster.grouping.identify import IdentifyConfig, group
from facecluster.grouping.link import nearest
from facecluster.grouping.same_photo import give_to_better_groups, release_twins
from facecluster.grouping.uncertainty import KINDS, assess
from facecluster.models.registry import card_of

CONFIG = IdentifyConfig(impostor_mean=0.0, impostor_sd=0.09)
Vectors = NDArray[np.float32]


def unit(x: NDArray[np.floating]) -> Vectors:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), np.float32)


def relatives(alike: float, seed: int = 0) -> tuple[Vectors, NDArray[np.int64], NDArray[np.int64]]:
    """A person in 16 photos, a relative of this likeness beside them in 8 of these, and 60 strangers: vectors, truth, photos."""
    rng = np.random.default_rng(seed)
    one, other = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 128)))
    other = alike * one + (1 - alike**2) ** 0.5 * other
    truth = np.r_[np.zeros(16, int), np.ones(8, int), np.arange(2, 62)]
    x = np.concatenate([np.stack([one] * 16 + [other] * 8) + 0.7 * rng.normal(size=(24, 128)) / 128**0.5, rng.normal(size=(60, 128))])
    return unit(x), truth, np.r_[np.arange(16), np.arange(8), np.arange(16, 76)]


def test_the_odds_are_the_likeness_that_outweighs_them() -> None:
    config = IdentifyConfig(same_photo_odds=1e-3, pair_evidence=2.0)
    assert config.same_photo_penalty == pytest.approx(math.log(1000) / 2)
    assert IdentifyConfig(same_photo_odds=1.0).same_photo_penalty == 0
    card = card_of("bundled")
    settings = card.grouping_settings()
    low, high = (math.log(p / (1 - p)) for p in card.probability(np.array([0.2, 0.2 + card.impostor_sd])))
    assert settings["pair_evidence"] == pytest.approx(high - low, abs=1e-3)
    assert IdentifyConfig(**settings).impostor_sd == card.impostor_sd


def test_relatives_who_are_photographed_together_are_two() -> None:
    x, truth, photos = relatives(0.55)
    links = nearest(x, 30)
    apart = group(x, *links, CONFIG, photos=np.arange(len(x))).labels
    assert len(set(apart[:24])) == 1  # without photos they would be one
    found = group(x, *links, CONFIG, photos=photos).labels
    assert len(set(found[:16])) == 1 and found[0] >= 0
    assert len(set(found[16:24])) == 1 and found[16] not in (-1, found[0])


@pytest.mark.parametrize("alike", [0.4, 0.55, 0.95])
def test_what_stays_is_the_best_of_its_photo_or_outweighs_the_odds(alike: float) -> None:
    """Compared with a plain look at each pair, with cosines to the other faces of the group."""
    x, truth, photos = relatives(alike, seed=3)
    cohort = prior_stats(len(x), mean=0.0, sd=0.09)
    linkage = AverageLinkage(cohort, CONFIG.merge, CONFIG.impostor_weight, photos=photos, same_photo_penalty=2.88)
    labels = np.minimum(truth, 1) * (truth > 1)  # both relatives are 0, strangers 1
    said = np.zeros(len(x), dtype=bool)
    found, gone = release_twins(linkage, x, labels, said)
    excess = {}
    for i in range(24):
        others = x[[j for j in range(24) if j != i]].astype(np.float64).mean(axis=0)
        asked = cohort.base[i] + CONFIG.merge * 0.09 + CONFIG.impostor_weight * cohort.reach[i] * np.linalg.norm(others)
        excess[i] = (x[i] @ others - asked) / 0.09
    leaves = {min(i, i + 16, key=lambda r: excess[r]) for i in range(8)}
    assert gone.any() == (alike < 0.6)
    assert set(np.flatnonzero(gone)) == {i for i in leaves if excess[i] < 2.88}
    assert (found[gone] != found[0]).all() or not gone.any()
    assert len(np.unique(found[gone])) == gone.sum()
    said[list(leaves)] = True
    assert not (release_twins(linkage, x, labels, said)[1] & said).any()  # then the others leave, unless they are clear enough


def test_a_face_that_leaves_goes_to_the_better_group() -> None:
    rng = np.random.default_rng(5)
    one, other = np.linalg.qr(rng.normal(size=(128, 2)))[0].T
    x = np.stack([one] * 8 + [other] * 8 + [0.62 * one + 0.78 * other]) + 0.5 * rng.normal(size=(17, 128)) / 128**0.5
    x = unit(np.concatenate([x, rng.normal(size=(40, 128))]))
    photos = np.arange(57)
    photos[16] = 0  # beside a face of the first person, in whose group it was put
    labels = np.r_[np.zeros(8, int), np.ones(8, int), 0, np.arange(2, 42)]
    cohort = prior_stats(57, mean=0.0, sd=0.09)
    linkage = AverageLinkage(cohort, CONFIG.merge, CONFIG.impostor_weight, photos=photos, same_photo_penalty=2.88)
    source, target = (v.astype(np.int32) for v in np.triu_indices(57, 1))
    above = (np.einsum("ij,ij->i", x[source], x[target]) - cohort.level[0]).astype(np.float32)
    found = give_to_better_groups(linkage, x, labels, np.zeros(57, dtype=bool), [EdgeShard(source, target, above)])
    assert found[16] == found[8] and len(set(found[:8])) == 1 and found[0] != found[8]


def test_copies_and_what_was_said_stay() -> None:
    x, truth, photos = relatives(0.55)
    x = np.concatenate([x, unit(x[:1] + 0.02 * x[30:31])])  # a screen beside the person
    photos = np.append(photos, 0)
    links = nearest(x, 30)
    found = group(x, *links, CONFIG, photos=photos).labels
    assert found[-1] == found[0] >= 0
    must = np.array([[0, 16]])
    told = group(x, *links, CONFIG, photos=photos, must=must).labels
    assert told[0] == told[16] >= 0
    before = np.where(truth < 2, 0, -1)
    before = np.append(before, -1)
    assert len(set(group(x, *links, CONFIG, photos=photos, before=before).labels[:24])) == 1


def test_what_is_left_is_asked_and_less_sure() -> None:
    x, truth, photos = relatives(0.97)
    links = nearest(x, 30)
    config = IdentifyConfig(impostor_mean=0.0, impostor_sd=0.09, same_photo_odds=0.2)
    free = group(x, *links, config, photos=np.arange(len(x)))
    made = group(x, *links, config, photos=photos)
    assert len(set(made.labels[:24])) == 1  # so alike that the odds are outweighed
    lower = np.flatnonzero(made.margins < free.margins - 1e-6)
    assert len(lower) == 8 and set(photos[lower]) == set(range(8))  # one of each pair
    assert (free.margins - made.margins)[lower] == pytest.approx(config.same_photo_penalty, abs=1e-5)
    asked = assess(x, *links, made.labels, made.probabilities, config, photos)
    pairs = {(a % 16, b % 16) for k, a, b in zip(asked.kind, asked.face_a, asked.face_b, strict=True) if KINDS[k] == "photo"}
    assert pairs == {(i, i) for i in range(8)}
    assert sorted(asked.probability[asked.kind == 2]) == pytest.approx(sorted(made.probabilities[lower]))


def test_a_face_that_left_is_asked_about() -> None:
    """Its group would be the likeliest, were it not for the photo: the odds of the question know both."""
    x, truth, photos = relatives(0.8)
    labels = np.where(truth > 0, -1, 0)
    links = nearest(x, 30)
    probabilities = np.where(labels < 0, 0.0, 0.95)
    alone, beside = (assess(x, *links, labels, probabilities, CONFIG, p) for p in (np.arange(len(x)), photos))
    of = [{(int(a), int(b)): p for a, b, p in zip(u.face_a, u.face_b, u.probability, strict=True)} for u in (alone, beside)]
    both = [pair for pair in of[0] if pair in of[1] and 16 <= pair[1] < 24 and pair[0] < 16]
    assert both
    for pair in both:
        odds = [o[pair] / (1 - o[pair]) for o in of]
        assert odds[1] / odds[0] == pytest.approx(CONFIG.same_photo_odds, rel=1e-3)
