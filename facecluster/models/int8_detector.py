"""The bundled detector's two networks in 8-bit integers (`facecluster.models.int8_layers`): about twice as fast as bfloat16.

All activations end with a ReLU, so every map is bytes with a zero point of 0. Maps that are added to each other share one step; each is
clamped to a share of the 255 levels, so that a sum of bytes can't overflow. What sums the clamps cut off was outside the measured ranges.
Sums of integers are exact: a picture gives the same bytes alone and among others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facecluster.models.backbone import Backbone, Conv
from facecluster.models.int8_layers import QuantisedLayer, Ranges, Scale
from facecluster.models.views import SIDE


def maxima(network: nn.Module) -> tuple[Ranges, Callable[[], None]]:
    """Highest outputs of a network's convolutions, filled in while it runs; and what ends that. Its batch norms are folded."""
    found: Ranges = {}

    def add_hook(name: str, module: nn.Module) -> Any:
        def hook(_module: nn.Module, _inputs: Any, out: Tensor) -> None:
            found[name] = [0.0, max(float(out.max()), found.get(name, [0.0, 1e-6])[1])]

        return module.register_forward_hook(hook)

    hooks = [add_hook(name, module) for name, module in network.named_modules() if isinstance(module, Conv)]

    def end() -> None:
        for hook in hooks:
            hook.remove()

    return found, end


def _shared(highest: Sequence[float]) -> tuple[Scale, list[float]]:
    """The scale of maps that are added to each other, whose highest values these are, and where each of them is clamped."""
    step = sum(highest) / 255
    levels = [max(1, int(value / step)) for value in highest]
    levels[0] += 255 - sum(levels)
    return Scale(step), [level * step for level in levels]


class Int8Backbone:
    """A quantised `Backbone`: pictures (n, 3, h, w) uint8 -> maps of bytes at strides 8, 16 and 32, whose scales are `scales`."""

    def __init__(self, network: Backbone, ranges: Ranges) -> None:
        """Raises KeyError if a range is missing."""
        stem: Any = network.stem
        scale = Scale.over(*ranges["stem.0"])
        second = Scale.over(*ranges["stem.1"])
        self.stem = QuantisedLayer.of_pixels(stem[0].conv, scale, "relu"), QuantisedLayer(stem[1].conv, scale, second, "relu")
        self.scales: list[Scale] = []
        self.stages = []
        before = second
        for i, stage in enumerate(network.stages):
            parts: Any = list(stage)  # type: ignore[call-overload]
            names = [f"stages.{i}.0", *(f"stages.{i}.{k}.look" for k in range(1, len(parts)))]
            own, clamps = _shared([ranges[name][1] for name in names])
            first = QuantisedLayer(parts[0].conv, before, own, clamps[0])
            pairs = []
            for k, clamp in enumerate(clamps[1:], 1):
                squeezed = Scale.over(*ranges[f"stages.{i}.{k}.squeeze"])
                look = QuantisedLayer(parts[k].look.conv, squeezed, own, clamp)
                pairs.append((QuantisedLayer(parts[k].squeeze.conv, own, squeezed, "relu"), look))
            self.stages.append((first, pairs))
            self.scales.append(own)
            before = own

    def features(self, pictures: Tensor) -> list[Tensor]:
        x = pictures.contiguous(memory_format=torch.channels_last)
        for layer in self.stem:
            x = layer(x)
        maps = []
        for first, pairs in self.stages:
            x = first(x)
            for squeeze, look in pairs:
                x = x + look(squeeze(x))
            maps.append(x)
        return maps


class Int8Detector:
    """A quantised `FaceDetector`, whose batch norms must be folded: pictures (n, 3, h, w) uint8 -> raw predictions (n, cells, 15)."""

    def __init__(self, network: Any, ranges: Ranges) -> None:
        """Raises KeyError if a range is missing."""
        self.body = Int8Backbone(network, ranges)
        merged, clamps = _shared([ranges[f"lateral.{i}"][1] for i in range(len(network.lateral))])
        smoothed = Scale.over(0.0, max(ranges[f"smooth.{i}"][1] for i in range(len(network.smooth))))
        laterals = zip(network.lateral, self.body.scales, clamps, strict=True)
        self.lateral = [QuantisedLayer(layer.conv, scale, merged, clamp) for layer, scale, clamp in laterals]
        self.smooth = [QuantisedLayer(layer.conv, merged, smoothed, "relu") for layer in network.smooth]
        self.tower = QuantisedLayer(network.tower.conv, smoothed, None, "relu")
        self.weight, self.bias = network.out.weight.detach().float().flatten(1), network.out.bias.detach().float()

    def __call__(self, pictures: Tensor) -> Tensor:
        outputs: list[Tensor] = []
        above: Tensor | None = None
        maps = self.body.features(pictures)
        for features, lateral, smooth in zip(reversed(maps), reversed(self.lateral), reversed(self.smooth), strict=True):
            merged = lateral(features)
            if above is not None:
                merged = merged + F.interpolate(above, scale_factor=2.0, mode="nearest")
            above = merged
            seen = self.tower(smooth(merged)).flatten(2).transpose(1, 2)
            outputs.append(torch.cat([F.linear(one, self.weight, self.bias) for one in torch.split(seen, 1)]))
        return torch.cat(outputs[::-1], dim=1)


class Int8Verifier:
    """A quantised `FaceVerifier`, whose batch norms must be folded: pictures (n, 3, 64, 64) uint8 -> logits (n, 6)."""

    def __init__(self, network: Any, ranges: Ranges) -> None:
        """Raises KeyError if a range is missing."""
        self.body = Int8Backbone(network, ranges)
        widths = [stage[-1].look.conv.out_channels for stage in network.stages[-2:]]
        places = [(SIDE // stride) ** 2 for stride in (16, 32)]
        parts = torch.split(network.hidden.weight, [n * width for n, width in zip(places, widths, strict=True)], dim=1)
        self.hidden = []
        for part, scale, bias in zip(parts, self.body.scales[-2:], (network.hidden.bias, None), strict=True):
            layer = nn.Linear(part.shape[1], part.shape[0], device="meta")
            layer.weight, layer.bias = nn.Parameter(part), nn.Parameter(torch.zeros(len(part)) if bias is None else bias)
            self.hidden.append(QuantisedLayer(layer, scale, None, ""))
        self.weight, self.bias = network.out.weight.detach().float(), network.out.bias.detach().float()

    def __call__(self, pictures: Tensor) -> Tensor:
        maps = zip(self.hidden, self.body.features(pictures)[-2:], strict=True)
        hidden = F.relu(sum((layer(features.flatten(1)) for layer, features in maps), torch.zeros(())))
        return (hidden[:, None] * self.weight).sum(dim=2) + self.bias  # not a matrix product, whose rounding goes by its size
