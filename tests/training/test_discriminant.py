"""The last layer learnt from named faces, against brute force and on people whom it did not learn from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from facecluster.evaluation import verification
from facecluster.training.discriminant import DiscriminantConfig, Head, _to_prototypes, discriminant_head, whitening, within_class

PARTS, DIM = 24, 12
STEPS = DiscriminantConfig(steps=40, batch=256)


def faces(people: int, each: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """People differ in all parts; photos of one differ most in the first six, as light and pose would have it."""
    rng = np.random.default_rng(seed)
    noise = np.where(np.arange(PARTS) < 6, 2.0, 0.3)
    centres = rng.normal(size=(people, PARTS))
    parts = np.repeat(centres, each, axis=0) + rng.normal(size=(people * each, PARTS)) * noise
    return parts.astype(np.float32), np.repeat([f"{seed}-{k}" for k in range(people)], each)


def head() -> Head:
    rng = np.random.default_rng(9)
    return Head((rng.normal(size=(PARTS, DIM)) / 4).astype(np.float32), rng.normal(size=DIM).astype(np.float32) / 10)


def accepted(vectors: NDArray[np.float32], names: NDArray[np.str_]) -> float:
    """True accept rate at one false accept in a hundred."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    i, j = np.triu_indices(len(names), 1)
    return float(verification((unit @ unit.T)[i, j], names[i] == names[j])[0])


def test_people_who_were_not_learnt_are_told_apart_better() -> None:
    parts, names = faces(60, 6, seed=1)
    strangers, _ = faces(80, 1, seed=2)
    found = discriminant_head(np.concatenate([parts, strangers]), np.concatenate([names, np.full(80, "")]), head(), STEPS)
    others, theirs = faces(50, 6, seed=3)
    whitened = head().then(whitening(within_class(_unit(head()(parts)), names), STEPS.shrinkage))
    before, started, after = (accepted(layer(others), theirs) for layer in (head(), whitened, found))
    assert before < started < after
    assert after > before + 0.1


def test_the_same_faces_give_the_same_layer() -> None:
    parts, names = faces(10, 4, seed=4)
    first, second = (discriminant_head(parts, names, head(), STEPS) for _ in range(2))
    assert np.array_equal(first.weight, second.weight)


def test_held_fast_the_layer_is_the_whitened_one() -> None:
    parts, names = faces(10, 4, seed=5)
    found = discriminant_head(parts, names, head(), DiscriminantConfig(steps=3, rate=0.0))
    start = head().then(whitening(within_class(_unit(head()(parts)), names), DiscriminantConfig.shrinkage))
    assert np.allclose(found(parts), start(parts), atol=1e-5)


def test_the_covariance_within_people_by_hand() -> None:
    vectors, names = faces(3, 5, seed=6)
    vectors, names = vectors[:-2], names[:-2]  # 5, 5 and 3 faces
    total = np.zeros((PARTS, PARTS))
    for name in np.unique(names):
        total += np.sqrt((names == name).sum()) * np.cov(vectors[names == name].T)
    assert np.allclose(within_class(vectors, names), total / (2 * 5**0.5 + 3**0.5))


def test_whitening_leaves_nothing_that_differs_by_direction() -> None:
    vectors, names = faces(30, 5, seed=7)
    covariance = within_class(vectors, names)
    found = whitening(covariance, shrinkage=0)
    white = found @ covariance @ found.T
    assert np.allclose(white, white[0, 0] * np.eye(PARTS), atol=1e-8)
    assert np.mean(found**2) == pytest.approx(1 / PARTS)
    assert np.allclose(whitening(covariance, shrinkage=1), np.eye(PARTS))


def test_cosines_to_people_and_strangers_by_hand() -> None:
    parts, names = faces(4, 3, seed=8)
    unit = torch.tensor(_unit(parts))
    person = torch.tensor(np.unique(names, return_inverse=True)[1])
    others = torch.tensor(_unit(faces(5, 1, seed=10)[0]))
    rows = torch.tensor([0, 5, 11])
    found = _to_prototypes(unit, person, rows, others, DiscriminantConfig(margin=0.25))
    for row, face in enumerate(rows.tolist()):
        for k in range(4):
            rest = [i for i in range(12) if person[i] == k and i != face]
            mean = unit[rest].sum(0) / unit[rest].sum(0).norm()
            margin = 0.25 if k == person[face] else 0
            assert found[row, k] == pytest.approx(float(unit[face] @ mean) - margin, abs=1e-5)
        assert torch.allclose(found[row, 4:], unit[face] @ others.T, atol=1e-6)


@pytest.mark.parametrize("names", [["a", "a", ""], ["a", "b", "c"]])
def test_too_few_people_are_an_error(names: list[str]) -> None:
    with pytest.raises(ValueError, match="expected at least two people with two faces or more, found"):
        discriminant_head(np.ones((3, PARTS), np.float32), np.array(names), head())


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
