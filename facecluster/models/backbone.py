"""The convolutional layers that the detector and its second stage share, though each has weights of its own.

Plain 3x3 convolutions with few channels: depthwise convolutions need fewer multiplications but are slower on CPUs with matrix units.
"""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


class Conv(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)), inplace=True)


class Bottleneck(nn.Module):
    """x + 3x3(1x1 to half the channels)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = Conv(channels, channels // 2, 1)
        self.look = Conv(channels // 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.look(self.squeeze(x))  # type: ignore[no-any-return]


class Backbone(nn.Module):
    """RGB (n, 3, h, w), 0 to 255 -> maps of features at strides 8, 16 and 32."""

    def __init__(self, widths: tuple[int, ...], depth: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(Conv(3, widths[0], 3, 2), Conv(widths[0], widths[1], 3, 2))
        self.stages = nn.ModuleList(
            nn.Sequential(Conv(a, b, 3, 2), *(Bottleneck(b) for _ in range(depth))) for a, b in zip(widths[1:], widths[2:], strict=False)
        )

    def features(self, images: Tensor) -> list[Tensor]:
        """Maps (n, widths[2 + i], h / stride, w / stride) of each stride."""
        x = self.stem(torch.add(images.new_tensor(-1.0), images, alpha=1 / 127.5))  # -1 to 1 in one pass over memory
        maps: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def fold_batch_norms(model: Network) -> Network:
    """Fold every batch norm into its convolution, in place, for inference: the same function with fewer passes over memory."""
    model.eval()
    for module in model.modules():
        if isinstance(module, Conv) and isinstance(module.norm, nn.BatchNorm2d):
            module.conv, module.norm = fuse_conv_bn_eval(module.conv, module.norm), nn.Identity()
    return model
