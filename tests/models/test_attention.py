"""Attention against the formula, and properties of the bundled embedder's vectors."""

from __future__ import annotations

import numpy as np
import torch

from facecluster.models.attention import attention
from facecluster.models.registry import load_embedder


def test_attention_is_the_formula() -> None:
    q, k, v = torch.randn(3, 2, 4, 49, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scores = np.einsum("bhid,bhjd->bhij", q, k) / np.sqrt(64)
    weights = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    expected = np.einsum("bhij,bhjd->bhid", weights, v)
    assert np.allclose(attention(q, k, v), expected)
    assert np.allclose(attention(q.requires_grad_(), k, v).detach(), expected)


def test_vectors_have_length_one_and_do_not_depend_on_the_batch() -> None:
    crops = np.random.default_rng(0).integers(0, 255, (70, 112, 112, 3), dtype=np.uint8)
    model = load_embedder("bundled")
    together = model.embed(crops)
    alone = np.concatenate([model.embed(crops[i : i + 1]) for i in (0, 40, 69)])
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert (together[[0, 40, 69]] * alone).sum(axis=1).min() > 0.999
    assert np.allclose(model.embed(crops[:2]), model.embed(crops[:2, :, ::-1]), atol=0.02)  # the mirrored face is added
