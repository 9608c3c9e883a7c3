"""`facecluster.evaluate` against figures counted pair by pair, and what it refuses."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pyarrow as pa
import pytest

import facecluster
from facecluster.evaluation import score


def counted(labels: list[int], truth: list[int]) -> tuple[float, float]:
    """Pairwise precision and recall, from all pairs; -1 is with nobody."""
    pairs = list(itertools.combinations(range(len(labels)), 2))
    together = {p for p in pairs if labels[p[0]] == labels[p[1]] != -1}
    right = {p for p in pairs if truth[p[0]] == truth[p[1]] != -1}
    return len(together & right) / len(together), len(together & right) / len(right)


def test_figures_are_those_of_all_pairs() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(-1, 5, 60)
    labels = np.where(rng.random(60) < 0.2, rng.integers(-1, 5, 60), truth)
    found = facecluster.evaluate(labels, truth)
    assert (found.pairwise.precision, found.pairwise.recall) == pytest.approx(counted(labels.tolist(), truth.tolist()))
    assert found.faces == 60 and found.nobody == (labels == -1).sum() and found.groups == len(set(labels.tolist()) - {-1})
    whole = score(truth, labels).grouping
    assert whole is not None and (found.bcubed, found.nmi, found.ari) == (whole.bcubed, whole.nmi, whole.ari)


def test_which_is_labels_and_which_is_truth_matters() -> None:
    found = facecluster.evaluate(labels=[0, 0, 0, 0], truth=["ada", "ada", "bob", "bob"])
    assert found.pairwise.recall == 1 and found.pairwise.precision == pytest.approx(1 / 3)
    assert facecluster.evaluate(["ada", "ada", "bob", "bob"], [0, 0, 0, 0]).pairwise.precision == 1


def test_lists_arrow_and_whole_floats_are_taken() -> None:
    expected = facecluster.evaluate(np.array([0, 0, 1, -1]), np.array(["a", "a", "b", ""]))
    assert facecluster.evaluate([0, 0, 1, -1], ["a", "a", "b", ""]) == expected
    assert facecluster.evaluate(pa.chunked_array([[0, 0], [1, -1]]), pa.array(["a", "a", "b", ""])) == expected
    assert facecluster.evaluate([0.0, 0.0, 1.0, -1.0], np.array(["a", "a", "b", ""], dtype=object)) == expected
    assert facecluster.evaluate([], []).pairwise.f == 1


def test_it_shows_and_gives_its_figures() -> None:
    found = facecluster.evaluate([0, 0, 1, 1, -1], [0, 0, 0, 1, 1])
    text = repr(found)
    assert text.startswith("5 faces of 2 people in 2 groups, 1 without a group") and f"{found.bcubed.f:.4f}" in text
    assert json.loads(json.dumps(found.to_dict()))["pairwise"]["precision"] == 0.5
    with pytest.raises(AttributeError):
        found.ari = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    "labels, truth, message",
    [
        ([0, 1], [0], "found 2 labels and 1 answers"),
        ([0, 1], [0, np.nan], "as truth, found NaN"),
        ([0, 1], ["a", None], "as truth, found NoneType and str"),
        ([0.5, 1], [0, 1], "as labels, found float64"),
        ([[0, 1]], [0, 1], r"as labels, found list \(1, 2\)"),
        ([[0, 1], [0]], [0, 1], "different lengths"),
        ("ab", [0, 1], r"as labels, found str \(\)"),
        ([True, False], [0, 1], "as labels, found bool"),
    ],
)
def test_what_is_wrong_is_one_line(labels: object, truth: object, message: str) -> None:
    with pytest.raises(facecluster.InputError, match=message) as caught:
        facecluster.evaluate(labels, truth)  # type: ignore[arg-type]
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, TypeError)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("expected ")
