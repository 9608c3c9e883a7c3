"""The networks that can be learnt, and their weights in files."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from facecluster.errors import InputError
from facecluster.models.embedder import CROP, AttentionEmbedder
from facecluster.models.folder import card_path
from facecluster.models.registry import card_of, network_of
from facecluster.models.vit import KIND, VisionTransformer, to_timm
from facecluster.training.averaging import kept_blocks

Network = AttentionEmbedder | VisionTransformer
TINY = {"width": 192, "depth": 12, "mlp_ratio": 4, "patch": 8, "dim": 512}  # ViT-Ti/8


def build(name: str, init: str | None = None, depth: int | None = None) -> Network:
    """A network by its name, with random weights, or that of a model with its weights; `depth`: its blocks, if not the usual number.

    Raises:
        ModelError: a model of another kind.
        InputError: a depth that it can't have.
    """
    if init is not None:
        network = network_of(card_path(init), card_of(init))
        return network if depth is None else grow(network, depth)
    if name == "hybrid":
        return AttentionEmbedder() if depth is None else AttentionEmbedder(depth=depth)
    if depth is not None:
        raise InputError("expected the hybrid network for a depth, found vit: leave it out")
    tokens = (CROP // TINY["patch"]) ** 2
    network = VisionTransformer(**TINY, positions=tokens + 1, has_class=True)
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
    assert network.cls_token is not None
    for p in (network.pos_embed, network.cls_token):
        nn.init.trunc_normal_(p, std=0.02)
    return network


def grow(network: Network, depth: int) -> AttentionEmbedder:
    """The same function in a deeper network: blocks that add nothing yet, spread evenly among those there are. Raises InputError."""
    if not isinstance(network, AttentionEmbedder):
        raise InputError("expected the hybrid network to make deeper, found a vision transformer: leave the depth out")
    settings = dict(network.settings)
    before = int(settings["depth"])  # type: ignore[call-overload]
    if depth < before:
        raise InputError(f"expected a depth of {before} or more, as the weights to start from have, found {depth}: correct it")
    grown = AttentionEmbedder(**settings | {"depth": depth})  # type: ignore[arg-type]
    kept = kept_blocks(before, depth)
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("blocks.")}
    for at, block in enumerate(grown.blocks):
        if at in kept:
            block.load_state_dict(network.blocks[kept[at]].state_dict())
            continue
        for last in (block.attention.out, block.mlp[2]):  # type: ignore[union-attr, index]
            nn.init.zeros_(last.weight)  # type: ignore[union-attr, arg-type]
            nn.init.zeros_(last.bias)  # type: ignore[union-attr, arg-type]
    grown.load_state_dict(state | {f"blocks.{k}": v for k, v in grown.blocks.state_dict().items()})
    return grown


def dim_of(network: Network) -> int:
    """Numbers of a vector."""
    return network.head.out_features


def settings_of(network: Network) -> dict[str, object]:
    """The section [network] of a card."""
    if isinstance(network, VisionTransformer):
        return {"kind": KIND}
    return {k: v for k, v in network.settings.items() if k != "dim"}


def named_weights(network: Network) -> dict[str, Tensor]:
    """The weights by the names that files have, in float16."""
    state = {k: (v.half() if v.is_floating_point() else v).detach().cpu().contiguous() for k, v in network.state_dict().items()}
    return to_timm(state) if isinstance(network, VisionTransformer) else state


def from_weights(weights: dict[str, Tensor]) -> Network:
    """The network of weights by the names that files have, in float32."""
    floats = {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}
    return AttentionEmbedder.from_weights(floats) if "position" in floats else VisionTransformer.from_weights(floats)


def save(weights: dict[str, Tensor], path: Path) -> None:
    """Write weights as safetensors. Raises OSError."""
    path.write_bytes(to_bytes(weights))


def images_of(crops: Tensor) -> Tensor:
    """Crops (n, 112, 112, 3) uint8 as the networks want them: (n, 3, 112, 112) float32."""
    return crops.permute(0, 3, 1, 2).to(torch.float32)
