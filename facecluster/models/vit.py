"""Vision transformers with timm's names of tensors, as embedders (Dosovitskiy et al. 2021, "An Image Is Worth 16x16 Words").

    tokens = patches of the picture, projected, and a class token if there is one; + positions
    x = x + attention(norm1(x));  x = x + mlp(norm2(x))                                        for each block
    vector = head(norm(x)[class token]),  or  head(fc_norm(mean of the tokens))                without a class token

LayerNorm has eps 1e-6, GELU is exact, a head of attention has 64 dimensions. All sizes follow from the shapes of the tensors. Known files:
ViT-Ti/8 (gaunernst/vit_tiny_patch8_112, 152 tensors) and ViT-S/8 (gaunernst/vit_small_patch8_gap_112, 151 tensors).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from facecluster.models.attention import Block

KIND = "vit"  # in a card's section [network]
_HEAD = 64  # dimensions of a head of attention
_EPS = 1e-6
_OURS = (("attn.proj.", "attention.out."), ("attn.", "attention."), ("mlp.fc1.", "mlp.0."), ("mlp.fc2.", "mlp.2."))  # timm's names, ours


class VisionTransformer(nn.Module):
    """Aligned faces (n, 3, 112, 112), RGB 0 to 255 -> vectors (n, dim), not normalised."""

    def __init__(self, *, width: int, depth: int, mlp_ratio: int, patch: int, positions: int, has_class: bool, dim: int) -> None:
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width)) if has_class else None
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, width))
        self.blocks = nn.Sequential(*(Block(width, width // _HEAD, mlp_ratio) for _ in range(depth)))
        self.norm = nn.LayerNorm(width) if has_class else nn.Identity()
        self.fc_norm = nn.Identity() if has_class else nn.LayerNorm(width)
        self.head = nn.Linear(width, dim)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = _EPS

    @classmethod
    def from_weights(cls, weights: dict[str, Tensor]) -> VisionTransformer:
        """A network with these weights, by timm's names. Raises KeyError or RuntimeError if they are of something else."""
        width, _, patch, _ = weights["patch_embed.proj.weight"].shape
        network = cls(
            width=width, depth=len({name.split(".")[1] for name in weights if name.startswith("blocks.")}), patch=patch,
            mlp_ratio=weights["blocks.0.mlp.fc1.weight"].shape[0] // width, positions=weights["pos_embed"].shape[1],
            has_class="cls_token" in weights, dim=weights["head.weight"].shape[0],
        )  # fmt: skip
        network.load_state_dict({_ours(name): value for name, value in weights.items()})
        return network

    def forward(self, images: Tensor) -> Tensor:
        return self._pool(self.blocks(self.embed_tokens(images)))

    def embed_tokens(self, images: Tensor) -> Tensor:
        """The tokens (n, tokens, width) that enter the first block; the first is the class token, if there is one."""
        x: Tensor = self.patch_embed["proj"]((images - 127.5) / 127.5).flatten(2).transpose(1, 2)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        return x + self.pos_embed

    def _pool(self, x: Tensor) -> Tensor:
        pooled = self.norm(x)[:, 0] if self.cls_token is not None else self.fc_norm(x.mean(dim=1))
        return self.head(pooled)  # type: ignore[no-any-return]

    def token_parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of tokens (n, tokens, width) that leave the last block: what each adds to the vector (n, tokens, dim), and the vector (n, dim).

        A class token is all of it. Without one, a token's part is its share of the mean, normalised by the deviation of the whole mean.
        """
        if self.cls_token is not None:
            first = torch.zeros_like(x[..., :1])
            first[:, 0] = 1
            return first * (self.norm(x)[:, :1] @ self.head.weight.T), self._pool(x)
        deviation = (x.mean(dim=1, keepdim=True).var(dim=-1, correction=0, keepdim=True) + _EPS).sqrt()
        centred, gain = (x - x.mean(dim=-1, keepdim=True)) / deviation / x.shape[1], self.fc_norm.get_parameter("weight")
        return centred * gain @ self.head.weight.T, self._pool(x)


def is_vit(names: Iterable[str]) -> bool:
    """Whether tensors with these names are of such a network."""
    return {"patch_embed.proj.weight", "pos_embed", "blocks.0.attn.qkv.weight", "head.weight"} <= set(names)


def to_timm(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of such a network by timm's names: what `from_weights` takes."""
    return {_theirs(name): value for name, value in weights.items()}


def _theirs(name: str) -> str:
    for theirs, ours in _OURS:
        if f".{ours}" in name:
            return name.replace(f".{ours}", f".{theirs}")
    return name


def _ours(name: str) -> str:
    for theirs, ours in _OURS:
        if f".{theirs}" in name:
            return name.replace(f".{theirs}", f".{ours}")
    return name
