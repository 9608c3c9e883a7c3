"""Traces of networks against their own forward pass and the formula; maps against examples that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import torch
from test_vit import SMALL, TINY, weights_of

from facecluster.models.attention_maps import METHODS, Network, Trace, gradient_rollout, rollout, trace
from facecluster.models.registry import load_network
from facecluster.models.vit import VisionTransformer


def networks() -> list[Network]:
    """The bundled one, and vision transformers of random weights with and without a class token."""
    bundled = load_network()
    assert bundled is not None
    made = [{k: torch.from_numpy(v) for k, v in weights_of(width, 2, has).items()} for width, _, has in (TINY, SMALL)]
    return [bundled, *(VisionTransformer.from_weights(w).eval() for w in made)]


def test_a_trace_is_the_network_and_its_weights_are_the_formula() -> None:
    images = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 255
    for network, side in zip(networks(), (7, 14, 14), strict=True):
        found, expected = trace(network, images), network(images)
        scale = expected.abs().max()
        assert (found.vectors - expected).abs().max() < 1e-4 * scale
        shared = expected - found.parts.sum(dim=1)  # biases: the same for all faces
        assert (shared[0] - shared[1]).abs().max() < 1e-4 * scale
        x = found.tokens.detach()
        for block, weights in zip(network.blocks, found.weights, strict=True):
            module = block.attention
            qkv = module.qkv(block.norm1(x)).detach().double().numpy()
            q, k = (qkv[..., i * x.shape[2] :][..., : x.shape[2]].reshape(2, -1, module.heads, 64) for i in (0, 1))
            e = np.exp(np.einsum("bihd,bjhd->bhij", q, k) / 8)
            assert np.allclose(weights.detach(), e / e.sum(-1, keepdims=True), atol=1e-5)
            x = block(x).detach()
        assert found.side == side and all(m(found, expected.detach()).shape == (2, x.shape[1]) for m in METHODS.values())


def example() -> Trace:
    """One face of four tokens; the vector is made of the last token, which looks at the first alone."""
    weights = torch.zeros(1, 1, 4, 4)
    weights[..., 0] = 1
    weights.requires_grad_()
    values = torch.tensor([[[3.0], [1.0], [1.0], [1.0]]])
    parts = torch.tensor([0.0, 0, 0, 1])[None, :, None] * (weights[:, 0] @ values)
    return Trace(parts.sum(dim=1), values, [weights], parts, 2, 0)


def test_rollout_halves_go_to_the_token_and_to_what_it_looks_at() -> None:
    found = example()
    shares = found.maps(rollout(found, found.vectors)).detach()
    assert torch.allclose(shares, torch.tensor([[[0.5, 0.0], [0.0, 0.5]]]), atol=1e-6)


def test_gradients_leave_out_attention_that_does_not_count() -> None:
    found = example()
    for target, first in ((1.0, True), (-1.0, False)):  # away from the target: max(gradient x weight, 0) is 0
        shares = gradient_rollout(found, torch.full((1, 1), target)).detach()
        assert bool(shares[0, 0] > 0) == first and shares[0, 1] == shares[0, 2] == 0 and shares[0, 3] > 0
