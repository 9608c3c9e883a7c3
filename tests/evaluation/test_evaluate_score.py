"""All figures in one go: the parts agree with the single measures, and the whole is JSON."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecluster.evaluation import ari, bcubed, judge_pairs, nmi, pairwise, score, verification

GROUPINGS = st.integers(0, 12).flatmap(lambda n: st.tuples(*(st.lists(st.integers(-1, 4), min_size=n, max_size=n) for _ in range(2))))


@given(GROUPINGS)
def test_it_gathers_the_single_measures(case: tuple[list[int], list[int]]) -> None:
    truth, labels = case
    found = score(truth, labels, {"kind": ["x"] * len(truth)}, probability=np.full(len(truth), 0.5)).grouping
    assert found is not None
    assert (found.pairwise, found.bcubed, found.nmi, found.ari) == (pairwise(*case), bcubed(*case), nmi(*case), ari(*case))
    assert found.faces == len(truth) and found.nobody == labels.count(-1) and found.groups == len(set(labels) - {-1})
    assert found.people == len(set(truth) - {-1}) + truth.count(-1)


def faces(seed: int, people: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(people), each)
    vectors = rng.normal(size=(people, 32))[truth] + 0.7 * rng.normal(size=(len(truth), 32))
    return truth, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_vectors_are_verified_pair_by_pair() -> None:
    truth, vectors = faces(0, 40, 5)
    found = score(truth, truth, vectors=vectors.astype(np.float32)).verification
    i, j = np.triu_indices(200, 1)
    similarity, same = (vectors @ vectors.T)[i, j], truth[i] == truth[j]
    assert found is not None and (found.same, found.different) == (same.sum(), (~same).sum())
    tar = [a.tar for a in found.accepts]
    assert tar[:3] == pytest.approx(verification(similarity, same, [1e-2, 1e-3, 1e-4]).tolist()) and tar[3] is None
    assert score([1, 1], [1, 1], vectors=np.ones((2, 1))).verification is None  # no pair of two people


def test_stated_probabilities_of_pairs_are_judged_as_if_both_kinds_were_as_frequent() -> None:
    truth, vectors = faces(1, 40, 5)
    i, j = np.triu_indices(200, 1)
    same = truth[i] == truth[j]
    cosine = np.einsum("ij,ij->i", vectors[i], vectors[j])
    # what a perfectly calibrated model would say: the share of same pairs at this cosine, each kind weighing one half
    edges = np.quantile(cosine, np.linspace(0, 1, 60)[1:-1])
    place = np.searchsorted(edges, cosine)
    a, b = (np.bincount(place[kind], minlength=59) / kind.sum() for kind in (same, ~same))
    found = judge_pairs(cosine, same, stated=lambda x: (a / (a + b))[np.searchsorted(edges, x)])
    assert found.calibration is not None and found.calibration.ece < 1e-3
    unaware = judge_pairs(cosine, same, stated=lambda x: np.full(len(x), same.mean()))
    assert unaware.calibration is not None and unaware.calibration.ece == pytest.approx(0.5 - same.mean())


def test_it_is_json_without_holes() -> None:
    truth, vectors = faces(2, 30, 4)
    rng = np.random.default_rng(0)
    found = score(truth, truth // 2, truth % 2, probability=rng.random(120), vectors=vectors, stated=lambda x: np.clip(x, 0, 1))
    text = json.dumps(found.to_dict(), allow_nan=False)
    back = json.loads(text)
    assert set(back) == {"grouping", "verification", "warnings"}
    assert back["grouping"]["pairwise"]["f"] == pairwise(truth, truth // 2).f
    assert [g["value"] for g in back["grouping"]["by_group"]] == ["0", "1"]
    assert back["verification"]["roc"]["far"][-1] == 1 and len(back["verification"]["roc"]["threshold"]) <= 200
    assert json.loads(json.dumps(score([], []).to_dict(), allow_nan=False))["grouping"]["faces"] == 0


def test_a_million_faces_need_no_table_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(-1, 200_000, 1_000_000)
    labels = np.where(rng.random(len(truth)) < 0.1, -1, truth)
    found = score(
        truth, labels, {"sex": rng.integers(0, 2, len(truth)), "band": rng.integers(0, 5, len(truth))}, probability=rng.random(len(truth))
    )
    assert found.grouping is not None and found.grouping.pairwise.precision == 1
    assert len(found.grouping.by_group) == 7 and not found.warnings


def test_measuring_arrays_loads_nothing_heavy() -> None:
    look = "[m for m in ('torch', 'faiss', 'hdbscan', 'pyarrow', 'click') if m in sys.modules]"
    code = f"import sys, facecluster.evaluation; print({look})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
