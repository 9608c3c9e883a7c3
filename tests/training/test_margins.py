"""The losses against the formulas of their papers in float64, and what a partial softmax looks at and moves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from facecluster.training.margins import MARGINS, Centres, Margin, margin_loss

Floats = NDArray[np.float64]


def target(loss: str, cosine: float, m: float, q: float) -> float:
    """f_y / s as the papers write it: with angles."""
    t = math.acos(cosine)
    if loss == "cosface":
        return cosine - m
    if loss == "arcface":
        return math.cos(t + m) if t + m <= math.pi else cosine - m * math.sin(m)
    return math.cos(min(max(t - m * q, 1e-3), math.pi - 1e-3)) - (m * q + m)


def reference(loss: str, vectors: Floats, centres: Floats, own: list[int], s: float, m: float, q: list[float]) -> float:
    """The mean of -log softmax, a face and a person at a time."""
    total = 0.0
    for z, y, clear in zip(vectors, own, q, strict=True):
        cosines = [float(w @ z / np.linalg.norm(w) / np.linalg.norm(z)) for w in centres]
        logits = [s * (target(loss, c, m, clear) if j == y else c) for j, c in enumerate(cosines)]
        most = max(logits)
        total += most + math.log(sum(math.exp(v - most) for v in logits)) - logits[y]
    return total / len(own)


@pytest.mark.parametrize("loss", MARGINS)
def test_a_loss_is_that_of_its_paper(loss: str) -> None:
    rng = np.random.default_rng(0)
    vectors, centres, own = rng.normal(size=(6, 8)), rng.normal(size=(5, 8)), [0, 3, 3, 4, 1, 2]
    vectors[1] = -centres[3] + 0.05 * vectors[1]  # an angle near pi, where ArcFace changes
    vectors[2] = centres[3]
    margin = Margin(loss)
    lengths = np.linalg.norm(vectors, axis=1)
    mean, sd = 0.99 * 20 + 0.01 * lengths.mean(), 0.99 * 100 + 0.01 * lengths.std(ddof=1)
    q = np.clip((lengths - mean) / ((sd + 1e-3) / 0.333), -1, 1).tolist()
    found = margin_loss(torch.from_numpy(vectors), torch.from_numpy(centres), torch.tensor(own), margin, scale=16.0)
    assert float(found) == pytest.approx(reference(loss, vectors, centres, own, 16.0, MARGINS[loss], q), rel=1e-4)


def test_the_margins_of_clear_faces_are_larger_where_they_are_far_from_their_person() -> None:
    """AdaFace: q = 1 is ArcFace with its margin the other way and CosFace of 2 m; q = -1 is ArcFace."""
    cosine = torch.tensor([0.3])
    margin = Margin("adaface").eval()
    margin.mean.fill_(10.0)
    margin.sd.fill_(0.1)
    blurred, clear = (float(margin(cosine, torch.tensor([length]))) for length in (1.0, 50.0))
    t = math.acos(0.3)
    assert blurred == pytest.approx(math.cos(t + 0.4), abs=1e-5) and clear == pytest.approx(math.cos(t - 0.4) - 0.8, abs=1e-5)


def test_weights_weigh_faces() -> None:
    rng = np.random.default_rng(1)
    x, w = torch.from_numpy(rng.normal(size=(3, 4))), torch.from_numpy(rng.normal(size=(3, 4)))
    own = torch.tensor([0, 1, 2])
    single = [float(margin_loss(x[i : i + 1], w, own[i : i + 1], Margin("cosface"))) for i in range(3)]
    both = margin_loss(x, w, own, Margin("cosface"), weight=torch.tensor([0.5, 0.0, 2.0]))
    assert float(both) == pytest.approx((0.5 * single[0] + 2 * single[2]) / 3, rel=1e-5)


def test_a_partial_softmax_looks_at_the_batch_and_at_some_others_and_moves_only_these() -> None:
    centres = Centres(1000, 8, share=0.05)
    labels = torch.tensor([7, 7, 990])
    rows = centres.sample(labels, torch.Generator().manual_seed(0))
    other = centres.sample(labels, torch.Generator().manual_seed(1))
    assert len(rows) == 50 and {7, 990} <= set(rows.tolist()) and rows.tolist() == sorted(set(rows.tolist()))
    assert rows.tolist() != other.tolist() and len(Centres(1000, 8, share=1e-9).sample(labels, torch.Generator())) == 2
    before = centres.weight.detach().clone()
    for _ in range(2):
        centres.step(rows, torch.ones(50, 8), 0.1)
    moved = (centres.weight.detach() != before).any(dim=1)
    assert torch.equal(torch.nonzero(moved)[:, 0], rows)
    centres.step(other, torch.ones(50, 8), 0.1)
    still = sorted(set(rows.tolist()) - set(other.tolist()))
    kept = centres.optimiser.state[centres.weight]["exp_avg"][still]
    assert still and (kept == kept[0, 0]).all() and (kept != 0).all()  # what the optimiser remembers of the others stays
