"""How often people are drawn, and how much their faces count."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facecluster.training.sampling import Sampler, face_weights

SIZES = [100, 10, 1]


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_people_are_drawn_by_a_power_of_their_faces(balance: float) -> None:
    label = np.repeat(np.arange(3), SIZES)
    rows = np.arange(len(label))
    drawn = label[Sampler(rows, label, balance).draw(30_000, torch.Generator().manual_seed(0)).numpy()]
    expected = np.array(SIZES) ** (1 - balance)
    assert np.bincount(drawn) / 30_000 == pytest.approx(expected / expected.sum(), abs=0.012)


def test_faces_of_nobody_keep_their_share_and_only_the_given_rows_are_drawn() -> None:
    label = np.array([0] * 90 + [1] * 10 + [-1] * 100 + [1] * 50)
    rows = np.arange(200)
    drawn = Sampler(rows, label, 1.0).draw(20_000, torch.Generator().manual_seed(0)).numpy()
    assert drawn.max() < 200 and (label[drawn] == -1).mean() == pytest.approx(0.5, abs=0.02)
    assert (label[drawn] == 0).mean() == pytest.approx(0.25, abs=0.02)


def test_weights_are_the_inverse_of_the_effective_numbers() -> None:
    """Cui et al.: 1, 1 + b, 1 + b + b^2, ... new faces of a person add less and less."""
    beta = 0.9
    effective = np.array([sum(beta**i for i in range(n)) for n in SIZES])
    found = face_weights(np.array(SIZES), beta)
    assert found / found[0] == pytest.approx(effective[0] / effective, rel=1e-5)
    assert (found * SIZES).sum() / sum(SIZES) == pytest.approx(1.0)
    assert face_weights(np.array(SIZES), 0.0) == pytest.approx(np.ones(3))
    assert face_weights(np.array(SIZES), 1.0) * SIZES == pytest.approx(np.full(3, sum(SIZES) / 3))
