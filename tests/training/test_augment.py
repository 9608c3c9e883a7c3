"""Changed faces stay faces; what is hidden is hidden in some."""

from __future__ import annotations

import numpy as np
import torch

from facecluster.training.augment import augment, occlude


def pictures(n: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 255, (n, 3, 112, 112))).float()


def test_augmented_faces_stay_faces_of_the_same_batch() -> None:
    x = pictures(8)
    seen = augment(x.clone(), torch.Generator().manual_seed(1))
    assert seen.shape == x.shape and seen.min() >= 0 and seen.max() <= 255
    assert torch.equal(seen, augment(x.clone(), torch.Generator().manual_seed(1)))
    assert not torch.equal(seen, augment(x.clone(), torch.Generator().manual_seed(2)))


def test_a_named_face_has_nothing_of_another_one() -> None:
    """One white face among black ones."""
    x = torch.zeros(8, 3, 112, 112)
    x[0] = 255
    seen = augment(x, torch.Generator().manual_seed(3), new_people=False)
    flat = seen[1:].flatten(1)
    assert float((flat.amax(dim=1) - flat.amin(dim=1)).max()) < 80  # light and noise only: no trace of the white one
    mixed = [augment(x, torch.Generator().manual_seed(s))[1:].flatten(1) for s in range(4)]
    assert any(float((m.amax(dim=1) - m.amin(dim=1)).max()) > 100 for m in mixed)


def test_hidden_parts_are_hidden_in_some_faces_and_the_rest_stays() -> None:
    x = pictures(60)
    seen = occlude(x, torch.Generator().manual_seed(1), share=0.5)
    changed = (seen != x).any(dim=1).flatten(1).float().mean(dim=1)  # share of the pixels of each face
    assert torch.equal(x, pictures(60)) and seen.min() >= 0 and seen.max() <= 255
    assert 15 < (changed > 0).sum() < 45 and changed.max() < 0.7
