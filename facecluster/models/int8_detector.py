"""The bundled detector's two networks in 8-bit integers (`facecluster.models.int8_layers`): about twice as fast as bfloat16.

All activations end with a ReLU, so every map is bytes with a zero point of 0. Maps that are added to each other share one step, which is
that of their sum; a sum of bytes ends at 255. Sums of integers are exact: a picture gives the same bytes alone and among others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facecluster.models.backbone import Backbone
from facecluster.models.int8_layers import QuantisedLayer, Ranges, Scale
from facecluster.models.views import SIDE

WIDE = 16  # columns of which a product's number is a multiple: with 15 it takes more than twice as long


def maxima(network: nn.Module) -> tuple[Ranges, Callable[[], None]]:
    """Highest values of a network's maps, filled in while it runs; and what ends that. Its batch norms are folded.

    Names are those of the layers and stages that give the maps; `merged` is the pyramid's sums.
    """
    found: Ranges = {}

    def see(name: str, values: Tensor) -> None:
        found[name] = [0.0, max(float(values.max()), found.get(name, [0.0, 1e-6])[1])]

    hooks = []
    for name, module in network.named_modules():
        if re.fullmatch(r"(stem|stages|smooth)\.\d+|.*\.squeeze", name):
            hooks.append(module.register_forward_hook(lambda _, __, out, name=name: see(name, out)))
        if re.fullmatch(r"smooth\.\d+", name):
            hooks.append(module.register_forward_pre_hook(lambda _, inputs: see("merged", inputs[0])))

    def end() -> None:
        for hook in hooks:
            hook.remove()

    return found, end


def add(a: Tensor, b: Tensor) -> Tensor:
    """The sum of bytes, at most 255."""
    return a + torch.minimum(b, torch.bitwise_not(a))  # not a: 255 - a


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
            own = Scale.over(*ranges[f"stages.{i}"])
            first = QuantisedLayer(parts[0].conv, before, own, "relu")
            pairs = []
            for k, pair in enumerate(parts[1:], 1):
                squeezed = Scale.over(*ranges[f"stages.{i}.{k}.squeeze"])
                squeeze = QuantisedLayer(pair.squeeze.conv, own, squeezed, "relu")
                pairs.append((squeeze, QuantisedLayer(pair.look.conv, squeezed, own, "relu")))
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
                x = add(x, look(squeeze(x)))
            maps.append(x)
        return maps


class Int8Detector:
    """A quantised `FaceDetector`, whose batch norms must be folded: pictures (n, 3, h, w) uint8 -> raw predictions (n, cells, 15)."""

    def __init__(self, network: Any, ranges: Ranges) -> None:
        """Raises KeyError if a range is missing."""
        self.body = Int8Backbone(network, ranges)
        merged = Scale.over(*ranges["merged"])
        smoothed = Scale.over(0.0, max(ranges[f"smooth.{i}"][1] for i in range(len(network.smooth))))
        laterals = zip(network.lateral, self.body.scales, strict=True)
        self.lateral = [QuantisedLayer(layer.conv, scale, merged, "relu") for layer, scale in laterals]
        self.smooth = [QuantisedLayer(layer.conv, merged, smoothed, "relu") for layer in network.smooth]
        self.tower = QuantisedLayer(network.tower.conv, smoothed, None, "relu")
        more = -len(network.out.bias) % WIDE
        self.weight = F.pad(network.out.weight.detach().float().flatten(1), (0, 0, 0, more))
        self.bias = F.pad(network.out.bias.detach().float(), (0, more))
        self.outputs = len(network.out.bias)

    def __call__(self, pictures: Tensor) -> Tensor:
        outputs: list[Tensor] = []
        above: Tensor | None = None
        maps = self.body.features(pictures)
        for features, lateral, smooth in zip(reversed(maps), reversed(self.lateral), reversed(self.smooth), strict=True):
            merged = lateral(features)
            if above is not None:
                merged = add(merged, F.interpolate(above, scale_factor=2.0, mode="nearest"))
            above = merged
            seen = self.tower(smooth(merged)).flatten(2).transpose(1, 2)
            outputs.append(torch.cat([F.linear(one, self.weight, self.bias) for one in torch.split(seen, 1)]))
        return torch.cat(outputs[::-1], dim=1)[..., : self.outputs]


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
        above, top = self.body.features(pictures)[-2:]
        hidden = F.relu(self.hidden[0](above.flatten(1)) + self.hidden[1](top.flatten(1)))
        logits: Tensor = (hidden[:, None] * self.weight).sum(dim=2) + self.bias  # not a matrix product, whose rounding goes by its size
        return logits
