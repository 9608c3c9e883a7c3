"""The network that learns, with what it needs only while it does: the comparison of its inner maps with the teacher's."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facecluster.errors import InputError
from facecluster.models.embedder import GRID, AttentionEmbedder
from facecluster.training.networks import Network

STEM = 128  # channels of the hybrid network's stem


class Student(nn.Module):
    """A network, and a 1x1 convolution that makes the teacher's 14x14 map of its stem's."""

    def __init__(self, network: Network, shapes: dict[str, tuple[int, ...]]) -> None:
        """`shapes` of the teacher's maps (channels, height, width), by "map7" and "map14". Raises InputError: they fit no such network."""
        super().__init__()
        self.network, self.maps = network, list(shapes)
        for name, shape in shapes.items():
            if not isinstance(network, AttentionEmbedder):
                raise InputError(f"expected the hybrid network for {name}, found a vision transformer: leave the teacher's maps out")
            side, parts = (GRID, network.parts.out_features) if name == "map7" else (2 * GRID, None)
            if shape[1:] != (side, side) or parts not in (None, shape[0]):
                wanted = f"({parts or 'channels'}, {side}, {side})"
                raise InputError(f"expected values {wanted} of the teacher for {name}, found {shape}: choose another of its values")
        self.adapt = nn.Conv2d(STEM, shapes["map14"][0], 1) if "map14" in shapes else None

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Images (n, 3, 112, 112) -> vectors (n, dim), and maps in the order of `shapes`: (n, 49, parts), (n, channels, 14, 14)."""
        if not self.maps:
            return self.network(images), []
        assert isinstance(self.network, AttentionEmbedder)
        stem, parts = self.network.features(images)
        found = [parts if name == "map7" or self.adapt is None else self.adapt(stem) for name in self.maps]
        return self.network.pool(parts), found

    def extra(self) -> list[nn.Parameter]:
        """What is learnt besides the network."""
        return [] if self.adapt is None else list(self.adapt.parameters())


def map_losses(mine: Sequence[Tensor], theirs: Sequence[Tensor]) -> list[Tensor]:
    """Mean squared errors of maps, relative to the variance of the teacher's (n, channels, height, width)."""
    found = []
    for said, wanted in zip(mine, theirs, strict=True):
        wanted = wanted.flatten(2).transpose(1, 2) if said.ndim == 3 else wanted
        found.append(F.mse_loss(said.float(), wanted) / wanted.var())
    return found


def likeness_loss(mine: Tensor, theirs: Tensor) -> Tensor:
    """1 - cosine to the teacher's vectors (n, dim) if they are as long, + 2 * mean squared error of the cosines between all faces."""
    a, b = F.normalize(mine), F.normalize(theirs)
    matrix = 2 * F.mse_loss(a @ a.T, b @ b.T)
    return matrix + 1 - (a * b).sum(dim=1).mean() if a.shape == b.shape else matrix


def compiled(module: nn.Module, device: str) -> nn.Module:
    """The module by torch.compile. Raises InputError if what that needs is not there."""
    if device == "cpu":
        program = os.environ.get("CXX", "g++")
        is_there, wanted = shutil.which(program) is not None, f"the C++ compiler {program}"
    else:
        is_there, wanted = importlib.util.find_spec("triton") is not None, "the package triton"
    if not is_there:
        raise InputError(f"expected {wanted} for --compile, found none: install it, or give --no-compile")
    found: nn.Module = torch.compile(module)  # type: ignore[assignment]
    return found


@contextmanager
def compiler_failure() -> Iterator[None]:
    """Around steps of a compiled module. Raises InputError if the compiler is there but doesn't work."""
    from torch._dynamo.exc import BackendCompilerFailed
    from torch._inductor.exc import CppCompileError, InductorError

    try:
        yield
    except (BackendCompilerFailed, InductorError, CppCompileError) as e:
        what = next((line.strip() for line in str(e).splitlines() if line.strip()), type(e).__name__).rstrip(".")
        advice = "install g++ and Python's headers, or give --no-compile"
        raise InputError(f"expected a compiler that works for --compile, found: {what}: {advice}") from e
