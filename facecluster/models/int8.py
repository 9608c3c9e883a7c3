"""The bundled embedder in 8-bit integers, for processors that multiply them four at a time (VNNI): about twice as fast as bfloat16.

Weights have one scale for each output channel, w ~ scale * q with q in -127 to 127; what goes into a layer has one scale and one zero
point, x ~ scale * (q - zero), 0 to 255, from ranges that were measured on training faces and stand on the model's card (Jacob et al.,
2018, equation 1). Sums are kept in 32 bits. Between layers, what is added up (the residual stream) stays in floating point, and so do
attention, layer norms and the head: together a tenth of the work.

The operators are those that torch.compile's own quantised graphs call. `usable` says whether this machine and this torch have them.
Odd inputs: what lies outside the ranges is clipped to them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facecluster.models.embedder import AttentionEmbedder

Ranges = dict[str, list[float]]  # name of a place in the network: what it says, from least to most
_SIGNED = ("norm", "norm1", "norm2", "mlp")  # the others come out of a ReLU


def usable() -> bool:
    """Whether this processor multiplies bytes fast, and this torch can ask it to."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    mkldnn: Any = torch.backends.mkldnn  # carries no types
    fast = capabilities.get("avx512_vnni") or capabilities.get("avx_vnni")
    return bool(fast and mkldnn.is_available() and hasattr(torch.ops.onednn, "qconv2d_pointwise"))


@torch.inference_mode()
def measure_ranges(network: AttentionEmbedder, images: Tensor, *, clip: float = 1e-5) -> Ranges:
    """What the places of a network say of images (n, 3, 112, 112), RGB 0 to 255, but for a share of `clip` at either end."""
    found: Ranges = {}

    def listen(name: str, module: nn.Module) -> Any:
        def hook(_module: nn.Module, _inputs: Any, out: Tensor) -> None:
            values = out.float().flatten()
            k = max(1, round(clip * len(values)))
            low = 0.0 if name.rpartition(".")[2] not in _SIGNED else float(values.kthvalue(k).values)
            found[name] = [low, float(values.kthvalue(len(values) - k + 1).values)]

        return module.register_forward_hook(hook)

    hooks = [listen(name, module) for name, module in _places(network).items()]
    network.eval()(images)
    for hook in hooks:
        hook.remove()
    return found


def _places(network: AttentionEmbedder) -> dict[str, nn.Module]:
    """Modules whose output becomes bytes."""
    places: dict[str, nn.Module] = {f"stem.{i}": m for i, m in enumerate(network.stem)} | {"norm": network.norm}
    pairs: Any = [(i, m) for i, m in enumerate(network.stem) if hasattr(m, "body")]
    places |= {f"stem.{i}.inner": m.body[0] for i, m in pairs}
    blocks: Any = network.blocks
    for i, block in enumerate(blocks):
        places |= {f"blocks.{i}.norm1": block.norm1, f"blocks.{i}.norm2": block.norm2, f"blocks.{i}.mlp": block.mlp[1]}
    return places


@dataclass(frozen=True, slots=True)
class _Scale:
    """x ~ step * (q - zero), q from 0 to 255."""

    step: float
    zero: int

    @classmethod
    def over(cls, low: float, high: float) -> _Scale:
        low, high = min(low, 0.0), max(high, 1e-6)
        step = (high - low) / 255
        return cls(step, round(-low / step))

    def bytes_of(self, x: Tensor) -> Tensor:
        """Of what has a zero point of 0."""
        return _bytes(x * (1 / self.step))


def _bytes(x: Tensor) -> Tensor:
    return x.round_().clamp_(0, 255).to(torch.uint8)


class _Norm:
    """A layer norm that gives bytes: step and zero point are part of its weights."""

    def __init__(self, norm: nn.LayerNorm, out: _Scale) -> None:
        self.shape, self.eps = norm.normalized_shape, norm.eps
        self.weight = norm.weight.detach() / out.step
        self.bias = norm.bias.detach() / out.step + out.zero

    def __call__(self, x: Tensor) -> Tensor:
        return _bytes(F.layer_norm(x, self.shape, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps))


class _Layer:
    """A convolution or a linear layer on bytes; what follows it (a ReLU, a GELU, a clamp to 0..6) is done in the same pass."""

    def __init__(self, layer: nn.Conv2d | nn.Linear, into: _Scale, out: _Scale | None, then: str, dtype: torch.dtype) -> None:
        weight = layer.weight.detach().float()
        scales = weight.flatten(1).abs().amax(dim=1).clamp_min(1e-12) / 127
        q = (weight / scales.view(-1, *[1] * (weight.ndim - 1))).round().to(torch.int8)
        assert layer.bias is not None
        self.bias, self.scales, self.zeros = layer.bias.detach().float(), scales, torch.zeros(len(scales), dtype=torch.int32)
        self.into, self.dtype = into, torch.uint8 if out else dtype
        self.out = out or _Scale(1.0, 0)
        self.then = {"": ("none", [], ""), "relu": ("relu", [], ""), "gelu": ("gelu", [], "none"), "6": ("hardtanh", [0.0, 6.0], "")}[then]
        self.place: tuple[list[int], list[int]] | None = None
        if isinstance(layer, nn.Conv2d):
            self.place = list(layer.stride), [int(p) for p in layer.padding]
            self.weight = torch.ops.onednn.qconv_prepack(q, scales, into.step, into.zero, *self.place, [1, 1], 1, None)
        else:
            self.weight = torch.ops.onednn.qlinear_prepack(q, None)

    def __call__(self, x: Tensor) -> Tensor:
        read = (x, self.into.step, self.into.zero, self.weight, self.scales, self.zeros, self.bias)
        write = (self.out.step, self.out.zero, self.dtype, *self.then)
        if self.place:
            return torch.ops.onednn.qconv2d_pointwise(*read, *self.place, [1, 1], 1, *write)  # type: ignore[no-any-return]
        return torch.ops.onednn.qlinear_pointwise(*read, *write)  # type: ignore[no-any-return]


class Int8Embedder:
    """An AttentionEmbedder whose batch norms are folded, on bytes: faces (n, 3, 112, 112) uint8 -> vectors (n, dim)."""

    def __init__(self, network: AttentionEmbedder, ranges: Ranges, dtype: torch.dtype) -> None:
        """`dtype` is that of what stays in floating point. Raises KeyError if a range is missing."""
        scale = {name: _Scale.over(*ranges[name]) for name in _places(network)}
        self.network, self.scale, self.dtype = network.to(dtype), scale, dtype
        stem: Any = network.stem
        first, second = stem[0][0], stem[2][0]
        pixels = _Scale(1 / 127.5, 128)
        self.first = _Layer(first, pixels, None, "relu", dtype)
        self.first.bias = self.first.bias + first.weight.detach().float().sum(dim=(1, 2, 3)) * 0.5 / 127.5  # a zero point of 127.5
        self.second = _Layer(second, scale["stem.1"], None, "relu", dtype)
        self.pairs = {i: self._pair(i) for i in (1, 3, 4) if f"stem.{i}.inner" in scale}
        self.tokens = _Layer(network.tokens, scale["stem.4"], None, "", dtype)
        self.blocks = [self._block(i, block) for i, block in enumerate(network.blocks)]
        self.norm, self.parts = _Norm(network.norm, scale["norm"]), _Layer(network.parts, scale["norm"], None, "6", dtype)

    def _pair(self, i: int) -> tuple[_Layer, _Layer]:
        stem: Any = self.network.stem
        (one, *_), (other, *_) = stem[i].body
        inner = self.scale[f"stem.{i}.inner"]
        return _Layer(one, self.scale[f"stem.{i - 1}"], inner, "relu", self.dtype), _Layer(other, inner, None, "relu", self.dtype)

    def _block(self, i: int, block: Any) -> Callable[[Tensor], Tensor]:
        one, two, inner = (self.scale[f"blocks.{i}.{name}"] for name in ("norm1", "norm2", "mlp"))
        norm1, norm2, mix = _Norm(block.norm1, one), _Norm(block.norm2, two), block.attention.mix
        qkv = _Layer(block.attention.qkv, one, None, "", self.dtype)
        up, down = _Layer(block.mlp[0], two, inner, "gelu", self.dtype), _Layer(block.mlp[2], inner, None, "", self.dtype)

        def run(x: Tensor) -> Tensor:
            x = x.add_(mix(qkv(norm1(x))))
            return x.add_(down(up(norm2(x))))

        return run

    def __call__(self, images: Tensor) -> Tensor:
        x = self._add_pair(1, self.first(images.contiguous(memory_format=torch.channels_last)))
        x = self.second(self.scale["stem.1"].bytes_of(x))
        x = self._add_pair(4, self._add_pair(3, x))
        x = self.tokens(self.scale["stem.4"].bytes_of(x)).flatten(2).transpose(1, 2) + self.network.position
        for block in self.blocks:
            x = block(x)
        return self.network.pool(self.parts(self.norm(x)))

    def _add_pair(self, i: int, x: Tensor) -> Tensor:
        if i not in self.pairs:
            return x
        one, other = self.pairs[i]
        return x.add_(other(one(one.into.bytes_of(x))))
