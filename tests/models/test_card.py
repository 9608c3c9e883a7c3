"""What a card's figures say of cosines."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from facecluster.models.registry import card_of


@pytest.mark.parametrize("faces", [2, 1_000, 10_000_000])
def test_one_of_so_many_impostors_is_expected_above_the_best(faces: int) -> None:
    card = card_of("bundled")
    level = card.best_impostor(faces)
    assert faces * norm.sf(level, card.impostor_mean, card.impostor_sd) == pytest.approx(1)
    if faces == 1_000:
        drawn = np.random.default_rng(0).normal(card.impostor_mean, card.impostor_sd, (2_000, faces))
        assert (drawn > level).sum(axis=1).mean() == pytest.approx(1, abs=0.1)


def test_one_face_has_a_level_too() -> None:
    card = card_of("bundled")
    assert card.best_impostor(1) == card.best_impostor(0) == card.impostor_mean
