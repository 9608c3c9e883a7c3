"""The bundled embedder in 8-bit integers, for processors that multiply four of them at a time (VNNI): about twice as fast as bfloat16.

Weights have one scale for each output channel, w ~ scale * q with q in -127 to 127. The input of a layer has one scale and one zero point,
x ~ scale * (q - zero) with q in 0 to 255. They come from activation ranges that were measured on training faces and are stored in the
model's card (Jacob et al., 2018, equation 1). Sums have 32 bits. The residual stream between layers stays in floating point, and so do
attention, layer norms and the head: together a tenth of the work.

The operators are those that torch.compile's own quantised graphs call. `is_supported` tells whether this machine and this torch have them.
Odd inputs: activations outside the ranges are clipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facecluster.models.embedder import AttentionEmbedder

Ranges = dict[str, list[float]]  # name of a module: lowest and highest value of its output
_SIGNED = ("norm", "norm1", "norm2", "mlp")  # modules whose output may be negative; the others end with a ReLU


def is_supported() -> bool:
    """Whether this processor has fast 8-bit multiplication and this torch has operators for it."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    mkldnn: Any = torch.backends.mkldnn  # has no type hints
    fast = capabilities.get("avx512_vnni") or capabilities.get("avx_vnni")
    return bool(fast and mkldnn.is_available() and hasattr(torch.ops.onednn, "qconv2d_pointwise"))


@torch.inference_mode()
def measure_ranges(network: AttentionEmbedder, images: Tensor, *, clip: float = 1e-5) -> Ranges:
    """Activation ranges of a network for images (n, 3, 112, 112), RGB 0 to 255, without a share of `clip` at either end."""
    found: Ranges = {}

    def add_hook(name: str, module: nn.Module) -> Any:
        def hook(_module: nn.Module, _inputs: Any, out: Tensor) -> None:
            values = out.float().flatten()
            k = max(1, round(clip * len(values)))
            low = 0.0 if name.rpartition(".")[2] not in _SIGNED else float(values.kthvalue(k).values)
            found[name] = [low, float(values.kthvalue(len(values) - k + 1).values)]

        return module.register_forward_hook(hook)

    hooks = [add_hook(name, module) for name, module in _quantised_modules(network).items()]
    network.eval()(images)
    for hook in hooks:
        hook.remove()
    return found


def _quantised_modules(network: AttentionEmbedder) -> dict[str, nn.Module]:
    """Modules whose output is quantised, by name."""
    modules: dict[str, nn.Module] = {f"stem.{i}": m for i, m in enumerate(network.stem)} | {"norm": network.norm}
    pairs: Any = [(i, m) for i, m in enumerate(network.stem) if hasattr(m, "body")]
    modules |= {f"stem.{i}.inner": m.body[0] for i, m in pairs}
    blocks: Any = network.blocks
    for i, block in enumerate(blocks):
        modules |= {f"blocks.{i}.norm1": block.norm1, f"blocks.{i}.norm2": block.norm2, f"blocks.{i}.mlp": block.mlp[1]}
    return modules


@dataclass(frozen=True, slots=True)
class _Scale:
    """Quantisation x ~ step * (q - zero), q from 0 to 255."""

    step: float
    zero: int

    @classmethod
    def over(cls, low: float, high: float) -> _Scale:
        low, high = min(low, 0.0), max(high, 1e-6)
        step = (high - low) / 255
        return cls(step, round(-low / step))

    def quantise(self, x: Tensor) -> Tensor:
        """x as bytes, for a zero point of 0."""
        return _to_bytes(x * (1 / self.step))


def _to_bytes(x: Tensor) -> Tensor:
    return x.round_().clamp_(0, 255).to(torch.uint8)


class _QuantisedNorm:
    """A layer norm with bytes as output: its weights include step and zero point."""

    def __init__(self, norm: nn.LayerNorm, out: _Scale) -> None:
        self.shape, self.eps = norm.normalized_shape, norm.eps
        self.weight = norm.weight.detach() / out.step
        self.bias = norm.bias.detach() / out.step + out.zero

    def __call__(self, x: Tensor) -> Tensor:
        return _to_bytes(F.layer_norm(x, self.shape, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps))


# the activation of a layer: name, arguments and algorithm of the fused operator
_ACTIVATIONS: dict[str, tuple[str, list[float], str]] = {
    "": ("none", [], ""), "relu": ("relu", [], ""), "gelu": ("gelu", [], "none"), "6": ("hardtanh", [0.0, 6.0], ""),
}  # fmt: skip


class _QuantisedLayer:
    """A convolution or linear layer on bytes, fused with the activation after it (a ReLU, a GELU, a clamp to 0..6)."""

    def __init__(self, layer: nn.Conv2d | nn.Linear, input: _Scale, out: _Scale | None, activation: str, dtype: torch.dtype) -> None:
        weight = layer.weight.detach().float()
        scales = weight.flatten(1).abs().amax(dim=1).clamp_min(1e-12) / 127
        q = (weight / scales.view(-1, *[1] * (weight.ndim - 1))).round().to(torch.int8)
        assert layer.bias is not None
        self.bias, self.scales, self.zeros = layer.bias.detach().float(), scales, torch.zeros(len(scales), dtype=torch.int32)
        self.input, self.dtype = input, torch.uint8 if out else dtype
        self.out = out or _Scale(1.0, 0)
        self.activation = _ACTIVATIONS[activation]
        self.stride_padding: tuple[list[int], list[int]] | None = None  # of a convolution
        if isinstance(layer, nn.Conv2d):
            self.stride_padding = list(layer.stride), [int(p) for p in layer.padding]
            self.weight = torch.ops.onednn.qconv_prepack(q, scales, input.step, input.zero, *self.stride_padding, [1, 1], 1, None)
        else:
            self.weight = torch.ops.onednn.qlinear_prepack(q, None)

    def __call__(self, x: Tensor) -> Tensor:
        inputs = (x, self.input.step, self.input.zero, self.weight, self.scales, self.zeros, self.bias)
        outputs = (self.out.step, self.out.zero, self.dtype, *self.activation)
        if self.stride_padding:
            return torch.ops.onednn.qconv2d_pointwise(*inputs, *self.stride_padding, [1, 1], 1, *outputs)  # type: ignore[no-any-return]
        return torch.ops.onednn.qlinear_pointwise(*inputs, *outputs)  # type: ignore[no-any-return]


class Int8Embedder:
    """A quantised AttentionEmbedder, whose batch norms must be folded: faces (n, 3, 112, 112) uint8 -> vectors (n, dim)."""

    def __init__(self, network: AttentionEmbedder, ranges: Ranges, dtype: torch.dtype) -> None:
        """`dtype` is used for everything that stays in floating point. Raises KeyError if a range is missing."""
        scale = {name: _Scale.over(*ranges[name]) for name in _quantised_modules(network)}
        self.network, self.scale, self.dtype = network.to(dtype), scale, dtype
        stem: Any = network.stem
        first, second = stem[0][0], stem[2][0]
        pixels = _Scale(1 / 127.5, 128)
        self.first = _QuantisedLayer(first, pixels, None, "relu", dtype)
        self.first.bias = self.first.bias + first.weight.detach().float().sum(dim=(1, 2, 3)) * 0.5 / 127.5  # makes the zero point 127.5
        self.second = _QuantisedLayer(second, scale["stem.1"], None, "relu", dtype)
        self.pairs = {i: self._pair(i) for i in (1, 3, 4) if f"stem.{i}.inner" in scale}
        self.tokens = _QuantisedLayer(network.tokens, scale["stem.4"], None, "", dtype)
        self.blocks = [self._block(i, block) for i, block in enumerate(network.blocks)]
        self.norm, self.parts = _QuantisedNorm(network.norm, scale["norm"]), _QuantisedLayer(network.parts, scale["norm"], None, "6", dtype)

    def _pair(self, i: int) -> tuple[_QuantisedLayer, _QuantisedLayer]:
        stem: Any = self.network.stem
        (one, *_), (other, *_) = stem[i].body
        inner = self.scale[f"stem.{i}.inner"]
        first = _QuantisedLayer(one, self.scale[f"stem.{i - 1}"], inner, "relu", self.dtype)
        return first, _QuantisedLayer(other, inner, None, "relu", self.dtype)

    def _block(self, i: int, block: Any) -> Callable[[Tensor], Tensor]:
        one, two, inner = (self.scale[f"blocks.{i}.{name}"] for name in ("norm1", "norm2", "mlp"))
        norm1, norm2, mix = _QuantisedNorm(block.norm1, one), _QuantisedNorm(block.norm2, two), block.attention.mix
        qkv = _QuantisedLayer(block.attention.qkv, one, None, "", self.dtype)
        up, down = _QuantisedLayer(block.mlp[0], two, inner, "gelu", self.dtype), _QuantisedLayer(block.mlp[2], inner, None, "", self.dtype)

        def run(x: Tensor) -> Tensor:
            x = x.add_(mix(qkv(norm1(x))))
            return x.add_(down(up(norm2(x))))

        return run

    def __call__(self, images: Tensor) -> Tensor:
        x = self._add_pair(1, self.first(images.contiguous(memory_format=torch.channels_last)))
        x = self.second(self.scale["stem.1"].quantise(x))
        x = self._add_pair(4, self._add_pair(3, x))
        x = self.tokens(self.scale["stem.4"].quantise(x)).flatten(2).transpose(1, 2) + self.network.position
        for block in self.blocks:
            x = block(x)
        return self.network.pool(self.parts(self.norm(x)))

    def _add_pair(self, i: int, x: Tensor) -> Tensor:
        if i not in self.pairs:
            return x
        one, other = self.pairs[i]
        return x.add_(other(one(one.input.quantise(x))))
