"""A small family of embedders in which one thing differs: the form of attention, the tokens, or how a face becomes tokens.

As the bundled embedder, much smaller: a convolutional stem, two blocks of 64 channels with one head of attention, 128 face parts.
The family has a 14x14 grid of tokens (8x8 px each), so that cheaper attention has something to save; the bundled embedder has 7x7.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from attention_forms import Form, alone, fused, linear, plain, prune, windowed
from torch import Tensor, nn

from facecluster.models.attention import SelfAttention
from facecluster.models.embedder import AttentionEmbedder
from facecluster.models.registry import fold_batch_norm

WIDTH, HEADS, DEPTH, PARTS, DIM = 64, 1, 2, 128, 128
PRUNE_AFTER = 1  # blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What differs from the plain member of the family."""

    says: str
    forms: tuple[Form, ...] = (plain,)  # of the blocks, in turn
    side: int = 14  # tokens a side
    depth: int = DEPTH
    keep: int | None = None  # tokens after block PRUNE_AFTER
    patches: bool = False  # 8x8 px projected to a token, instead of the stem
    seed: int = 0
    weights_of: str = ""  # a variant of which this is another way to compute the same: it is not trained


VARIANTS: Mapping[str, Variant] = {
    "plain": Variant(says="softmax(Q K^T / sqrt d) V written out, 196 tokens"),
    "fused": Variant(says="torch's scaled_dot_product_attention, the weights of 'plain'", forms=(fused,), weights_of="plain"),
    "linear": Variant(says="kernel elu + 1", forms=(linear,)),
    "windowed": Variant(says="windows of 7x7 tokens", forms=(windowed(7),)),
    "pruned": Variant(says="after the first block the 98 tokens that get most attention", keep=98),
    "pruned, not trained so": Variant(says="the same with the weights of 'plain'", keep=98, weights_of="plain"),
    "49 tokens": Variant(says="the stem halves once more: 7x7 tokens, as the bundled embedder", side=7),
    "patches": Variant(says="8x8 px projected to a token, no convolutional stem", patches=True),
    "no attention": Variant(says="each token keeps its own value", forms=(alone,)),
    "windowed, shifted": Variant(says="windows of 7x7 tokens; those of the second block shifted by 3", forms=(windowed(7), windowed(7, 3))),
    "49 tokens, seed 1": Variant(says="other first weights and batches: how far chance goes", side=7, seed=1),
    "49 tokens, seed 2": Variant(says="other first weights and batches: how far chance goes", side=7, seed=2),
}


class FormAttention(SelfAttention):
    """Multi-head self-attention of another form."""

    def __init__(self, dim: int, heads: int, form: Form) -> None:
        super().__init__(dim, heads)
        self.form = form

    def mix(self, qkv: Tensor) -> Tensor:
        return self._out(self.form(*self._split(qkv)))


class Member(AttentionEmbedder):
    """A network of the family: (n, 3, 112, 112), RGB 0 to 255 -> (n, 128). Members of one seed and depth begin with the same blocks."""

    def __init__(self, variant: Variant) -> None:
        torch.manual_seed(variant.seed)
        super().__init__(dim=DIM, width=WIDTH, depth=variant.depth, heads=HEADS, mlp_ratio=3, parts=PARTS, inner=(0, 0, 0))
        self.keep = variant.keep
        if variant.patches:
            self.stem, self.tokens = nn.Sequential(), nn.Conv2d(3, WIDTH, 8, 8)
        elif variant.side == 14:
            self.tokens = nn.Conv2d(128, WIDTH, 3, 1, 1)
        count = variant.side**2
        self.position = nn.Parameter(torch.randn(1, count, WIDTH) * 0.02)
        self.place = nn.Parameter(torch.randn(count, PARTS) * count**-0.5)
        for i, block in enumerate(self.blocks):
            other = FormAttention(WIDTH, HEADS, variant.forms[i % len(variant.forms)])
            other.load_state_dict(block.attention.state_dict())  # type: ignore[union-attr]
            block.attention = other  # type: ignore[assignment]

    def forward(self, images: Tensor) -> Tensor:
        x, place = self.embed_tokens(images), self.place
        for i, block in enumerate(self.blocks, start=1):
            if self.keep is None or i != PRUNE_AFTER:
                x = block(x)
                continue
            x, weights = block.with_weights(x)  # type: ignore[operator]
            x, at = prune(x, weights, self.keep)
            place = place[at]
        return self.head((self._face_parts(x) * place).sum(dim=1))  # type: ignore[no-any-return]


def deployed(network: Member) -> Member:
    """As the product would run it on a processor: batch norms folded, bfloat16."""
    ready = fold_batch_norm(copy.deepcopy(network).eval())
    return ready.to(torch.bfloat16, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
