"""The bundled embedder: a convolutional stem turns a face into 49 tokens, attention relates them, a head pools them into one vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facecluster.models.attention import Block

CROP = 112  # px, side of an aligned face
GRID = 7  # tokens a side: one for every 16x16 px of the crop


def _conv(inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class _Residual(nn.Module):
    """A residual pair of 3x3 convolutions with `inner` channels between them."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(channels, inner, 3, 1, 1), _conv(inner, channels, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)  # type: ignore[no-any-return]


class AttentionEmbedder(nn.Module):
    """Aligned faces (n, 3, 112, 112), RGB 0 to 255 -> vectors (n, dim), not normalised.

    The first convolution is 6x6 with stride 4: a convolution at 56x56 would cost more time in memory traffic than it gains. The head
    predicts a map with `parts` channels on the 7x7 grid and sums it with one learned weight for each channel and position (a global
    depthwise convolution, as in MobileFaceNet, Chen et al. 2018), so a channel can prefer the position where its part of a face is.
    `inner` are the channels inside the stem's three residual pairs (at 28x28, 14x14 and 14x14); 0 leaves a pair out.
    """

    def __init__(
        self, *, dim: int = 128, width: int = 256, depth: int = 4, heads: int = 4, mlp_ratio: int = 3, parts: int = 512,
        inner: Sequence[int] = (64, 128, 128),
    ) -> None:  # fmt: skip
        super().__init__()
        self.settings = dict(dim=dim, width=width, depth=depth, heads=heads, mlp_ratio=mlp_ratio, parts=parts, inner=list(inner))
        at28, at14, again = (_Residual(c, i) if i else nn.Identity() for c, i in zip((64, 128, 128), inner, strict=True))
        self.stem = nn.Sequential(_conv(3, 64, 6, 4, 1), at28, _conv(64, 128, 3, 2, 1), at14, again)
        self.tokens = nn.Conv2d(128, width, 3, 2, 1)
        self.position = nn.Parameter(torch.randn(1, GRID * GRID, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads, mlp_ratio) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.parts = nn.Linear(width, parts)
        self.place = nn.Parameter(torch.randn(GRID * GRID, parts) * (GRID * GRID) ** -0.5)
        self.head = nn.Linear(parts, dim)

    @classmethod
    def from_weights(cls, weights: dict[str, Tensor]) -> AttentionEmbedder:
        """A network with these weights (a state dict); its sizes follow from their shapes. Attention heads have 64 dimensions."""
        width = weights["position"].shape[2]
        inner = [weights[f"stem.{i}.body.0.0.weight"].shape[0] if f"stem.{i}.body.0.0.weight" in weights else 0 for i in (1, 3, 4)]
        network = cls(
            dim=weights["head.weight"].shape[0], width=width, heads=width // 64, parts=weights["place"].shape[1], inner=inner,
            depth=1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks.")),
            mlp_ratio=weights["blocks.0.mlp.0.weight"].shape[0] // width,
        )  # fmt: skip
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
        return network

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The feature map of the stem (n, 128, 14, 14) and of face parts (n, 49, parts), 0 to 6; distillation compares both."""
        stem = self.stem((images - 127.5) / 127.5)
        return stem, self._face_parts(self.blocks(self._tokens(stem)))

    def _tokens(self, stem: Tensor) -> Tensor:
        return self.tokens(stem).flatten(2).transpose(1, 2) + self.position  # type: ignore[no-any-return]

    def _face_parts(self, x: Tensor) -> Tensor:
        return torch.clamp(self.parts(self.norm(x)), 0, 6)

    def forward(self, images: Tensor) -> Tensor:
        return self.pool(self.features(images)[1])

    def pool(self, parts: Tensor) -> Tensor:
        """Weighted sum of (n, 49, parts) over the grid positions, projected to (n, dim)."""
        return self.head(self.summed(parts))  # type: ignore[no-any-return]

    def summed(self, parts: Tensor) -> Tensor:
        """Weighted sum (n, parts) of (n, 49, parts) over the grid positions: what the head gets."""
        return (parts * self.place).sum(dim=1)

    def embed_tokens(self, images: Tensor) -> Tensor:
        """The tokens (n, 49, width) that enter the first block."""
        return self._tokens(self.stem((images - 127.5) / 127.5))

    def token_parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of tokens (n, 49, width) that leave the last block: what each adds to the vector (n, 49, dim), and the vector (n, dim)."""
        parts = self._face_parts(x)
        return (parts * self.place) @ self.head.weight.T, self.pool(parts)
