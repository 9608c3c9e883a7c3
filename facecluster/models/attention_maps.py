"""What a network's attention and pooling say of where it looks: one number for each token of a face.

`trace` runs a network in float32 and keeps what the maps are made of: the weights of attention of each block, and what each token of the
last stage adds to the vector. These parts sum to the vector, less what all faces get (biases). A class token makes the whole vector, so its
part is all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from facecluster.models.attention import Block
from facecluster.models.embedder import AttentionEmbedder
from facecluster.models.vit import VisionTransformer

Network = AttentionEmbedder | VisionTransformer


@dataclass(frozen=True, slots=True)
class Trace:
    """A forward pass, with gradients, of n faces."""

    vectors: Tensor  # (n, dim), not normalised
    tokens: Tensor  # (n, tokens, width) that enter the first block
    weights: Sequence[Tensor]  # of each block (n, heads, tokens, tokens); rows sum to 1
    parts: Tensor  # (n, tokens, dim): what each token of the last stage adds to the vector
    side: int  # tokens a side of the grid
    ahead: int  # tokens before those of the grid: the class token

    def maps(self, found: Tensor) -> Tensor:
        """Weights of tokens (n, tokens) as maps (n, side, side), each with sum 1; all the same where all are 0."""
        grid = found[:, self.ahead :].clamp(min=0) + 1e-12
        return (grid / grid.sum(dim=1, keepdim=True)).view(-1, self.side, self.side)


def trace(network: Network, images: Tensor) -> Trace:
    """The pass of faces (n, 3, 112, 112), RGB 0 to 255, through a network: the same vectors as its `forward`."""
    hybrid = isinstance(network, AttentionEmbedder)
    tokens = network.embed_tokens(images)
    x, weights = tokens, []
    for block in network.blocks:
        assert isinstance(block, Block)
        x, found = block.with_weights(x)
        weights.append(found)
    parts, vectors = network.token_parts(x)
    ahead = 0 if hybrid or network.cls_token is None else 1
    return Trace(vectors, tokens, weights, parts, round((x.shape[1] - ahead) ** 0.5), ahead)


def pooling(found: Trace, target: Tensor) -> Tensor:
    """How long the part of each token of the last stage is: (n, tokens)."""
    return torch.linalg.vector_norm(found.parts, dim=2)  # type: ignore[no-any-return]


def rollout(found: Trace, target: Tensor) -> Tensor:
    """Attention rollout (Abnar and Zuidema, 2020): the product of (mean over heads + identity) / 2 over the blocks, weighted by pooling.

    Half of each product stands for the residual connection.
    """
    steps = [(w.mean(dim=1) + torch.eye(w.shape[-1], device=w.device)) / 2 for w in found.weights]
    return _followed(pooling(found, target), steps)


def along(found: Trace, target: Tensor) -> Tensor:
    """The sum of the products of vectors, not normalised, with their targets (n, dim)."""
    return (found.vectors * target).sum()


def gradient_rollout(found: Trace, target: Tensor) -> Tensor:
    """Rollout in which weights count by their gradient (Chefer, Gur and Wolf, 2021, equations 5 and 6), weighted by pooling.

    The gradient is that of the vector's product with the target. A block's step is identity + mean over heads of max(gradient x weight, 0).
    """
    slopes = torch.autograd.grad(along(found, target), list(found.weights), retain_graph=True)
    pairs = zip(slopes, found.weights, strict=True)
    steps = [(s * w).clamp(min=0).mean(dim=1) + torch.eye(w.shape[-1], device=w.device) for s, w in pairs]
    return _followed(pooling(found, target), steps)


def sensitivity(found: Trace, target: Tensor) -> Tensor:
    """Length of the gradient by each token that enters the first block, times the token's length: (n, tokens).

    It bounds, to first order, what the product with the target loses if the token is turned about.
    """
    (slope,) = torch.autograd.grad(along(found, target), [found.tokens], retain_graph=True)
    return torch.linalg.vector_norm(slope, dim=2) * torch.linalg.vector_norm(found.tokens, dim=2)  # type: ignore[no-any-return]


def rollout_and_sensitivity(found: Trace, target: Tensor) -> Tensor:
    """Their product: tokens that are looked at, and that count where they are looked at."""
    return rollout(found, target) * sensitivity(found, target)


def _followed(shares: Tensor, steps: Sequence[Tensor]) -> Tensor:
    """Shares (n, tokens) of the tokens after the last block, followed back to those before the first."""
    for step in reversed(steps):
        shares = (shares[:, None] @ step)[:, 0]
    return shares


METHODS = {
    "pooling": pooling, "rollout": rollout, "gradient rollout": gradient_rollout, "sensitivity": sensitivity,
    "rollout x sensitivity": rollout_and_sensitivity,
}  # fmt: skip
SHIPPED = "sensitivity"  # ranks best on half of the faces of workflows/benchmarks/explain.py, and on the other half
