"""Layers on bytes, for processors that add four products of 8-bit integers at a time (VNNI) or two (AVX2).

Weights have one scale for each output channel, w ~ scale * q with q in -127 to 127. The input of a layer has one scale and one zero point,
x ~ step * (q - zero) with q in 0 to 255 (Jacob et al., 2018, equation 1). Sums have 32 bits.

With AVX2, two products of neighbouring inputs are added in 16 bits first, and a sum over 32,767 is cut. There the scale of a channel is
larger, so that no two neighbouring weights of one sign are more than 127 together: then no sum is cut, and all of them are exact.

The operators are those that torch.compile's own quantised graphs call. `multiplication` tells whether machine and torch have them.
Odd inputs: activations outside the ranges are clipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Ranges = dict[str, list[float]]  # name of a module: lowest and highest value of its output


def multiplication() -> str:
    """How this processor multiplies 8-bit integers fast: AVX-512 VNNI, AVX2 VNNI or AVX2; "": it doesn't, or this torch has no operators.

    AVX-512 without VNNI counts as none: sums in 16 bits were looked at with AVX2 only.
    """
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    mkldnn: Any = torch.backends.mkldnn  # has no type hints
    if not (mkldnn.is_available() and hasattr(torch.ops.onednn, "qconv2d_pointwise")):
        return ""
    if capabilities.get("avx512_vnni"):
        return "AVX-512 VNNI"
    if capabilities.get("avx_vnni"):
        return "AVX2 VNNI"
    return "AVX2" if capabilities.get("avx2") and not capabilities.get("avx512_f") else ""


def highest_levels(weight: Tensor, *, pairs: bool) -> Tensor:
    """The value (outputs,) that becomes 127 for each output channel of weights (outputs, inputs, ...).

    `pairs`: it is the largest sum of two weights of one sign from neighbouring inputs (0 and 1, 2 and 3, ...).
    """
    highest = weight.abs()
    if pairs:
        columns = weight.reshape(*weight.shape[:2], -1)
        two = F.pad(columns, (0, 0, 0, weight.shape[1] % 2)).reshape(len(weight), -1, 2, columns.shape[2])
        highest = torch.maximum(two.clamp_min(0).sum(dim=2), (-two).clamp_min(0).sum(dim=2))
    return highest.flatten(1).amax(dim=1).clamp_min(1e-12)


@dataclass(frozen=True, slots=True)
class Scale:
    """Quantisation x ~ step * (q - zero), q from 0 to 255."""

    step: float
    zero: int = 0

    @classmethod
    def over(cls, low: float, high: float) -> Scale:
        low, high = min(low, 0.0), max(high, 1e-6)
        step = (high - low) / 255
        return cls(step, round(-low / step))

    def quantise(self, x: Tensor) -> Tensor:
        """x as bytes, for a zero point of 0."""
        return to_bytes(x * (1 / self.step))


PIXELS = Scale(1 / 127.5, 128)  # of the first layer's input; the zero point should be 127.5: see `QuantisedLayer.of_pixels`


def to_bytes(x: Tensor) -> Tensor:
    return x.round_().clamp_(0, 255).to(torch.int16).to(torch.uint8)  # torch has fast ways for these two steps, and none for both at once


class QuantisedNorm:
    """A layer norm with bytes as output: its weights include step and zero point."""

    def __init__(self, norm: nn.LayerNorm, out: Scale) -> None:
        self.shape, self.eps = norm.normalized_shape, norm.eps
        self.weight = norm.weight.detach() / out.step
        self.bias = norm.bias.detach() / out.step + out.zero

    def __call__(self, x: Tensor) -> Tensor:
        return to_bytes(F.layer_norm(x, self.shape, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps))


# the activation of a layer: name, arguments and algorithm of the fused operator
_ACTIVATIONS: dict[str, tuple[str, list[float], str]] = {"": ("none", [], ""), "relu": ("relu", [], ""), "gelu": ("gelu", [], "none")}


class QuantisedLayer:
    """A convolution or linear layer on bytes, fused with the activation after it.

    `activation` is "", "relu", "gelu", or a number: the upper end of a clamp from 0. `out` None: the output is of type `dtype`, else bytes.
    """

    def __init__(
        self, layer: nn.Conv2d | nn.Linear, input: Scale, out: Scale | None, activation: str | float, dtype: torch.dtype = torch.float32
    ) -> None:
        weight = layer.weight.detach().float()
        self.scales = highest_levels(weight, pairs=multiplication() != "AVX-512 VNNI") / 127  # AVX2's VNNI: not looked at
        self.q = (weight / self.scales.view(-1, *[1] * (weight.ndim - 1))).round().to(torch.int8)
        assert layer.bias is not None
        self.bias, self.zeros = layer.bias.detach().float(), torch.zeros(len(self.scales), dtype=torch.int32)
        self.input, self.dtype = input, torch.uint8 if out else dtype
        self.out = out or Scale(1.0)
        self.activation = _ACTIVATIONS[activation] if isinstance(activation, str) else ("hardtanh", [0.0, activation], "")
        self.stride_padding: tuple[list[int], list[int]] | None = None  # of a convolution
        self.packed: dict[torch.Size | None, Tensor] = {}
        if isinstance(layer, nn.Conv2d):
            self.stride_padding = list(layer.stride), [int(p) for p in layer.padding]

    @classmethod
    def of_pixels(cls, layer: nn.Conv2d, out: Scale | None, activation: str | float, dtype: torch.dtype = torch.float32) -> QuantisedLayer:
        """The first layer of a network whose input is pixels / 127.5 - 1."""
        made = cls(layer, PIXELS, out, activation, dtype)
        made.bias = made.bias + layer.weight.detach().float().sum(dim=(1, 2, 3)) * 0.5 / 127.5  # makes the zero point 127.5
        return made

    def __call__(self, x: Tensor) -> Tensor:
        # the best order of a convolution's weights depends on the picture's size; in another one they would be reordered at every call
        size = x.shape[2:] if self.stride_padding else None
        weight = self.packed.get(size)
        if weight is None:
            weight = self.packed[size] = self._pack(x)
        inputs = (x, self.input.step, self.input.zero, weight, self.scales, self.zeros, self.bias)
        outputs = (self.out.step, self.out.zero, self.dtype, *self.activation)
        if self.stride_padding:
            return torch.ops.onednn.qconv2d_pointwise(*inputs, *self.stride_padding, [1, 1], 1, *outputs)  # type: ignore[no-any-return]
        return torch.ops.onednn.qlinear_pointwise(*inputs, *outputs)  # type: ignore[no-any-return]

    def _pack(self, x: Tensor) -> Tensor:
        if len(self.packed) >= 64:
            self.packed.clear()
        if not self.stride_padding:
            return torch.ops.onednn.qlinear_prepack(self.q, None)  # type: ignore[no-any-return]
        of_input = self.scales, self.input.step, self.input.zero
        return torch.ops.onednn.qconv_prepack(self.q, *of_input, *self.stride_padding, [1, 1], 1, list(x.shape))  # type: ignore[no-any-return]
