"""A teacher in an ONNX file as a module of torch, so that it runs where the student does. Needs the package onnx."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from facecluster.errors import ModelError

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of RGB from 0 to 255, as MobileFaceNet (foamliu/MobileFaceNet) wants
OPERATORS = ("Add", "Clip", "Constant", "Conv", "Relu", "Reshape")
INSTEAD = "give another teacher, or learn by 'facecluster train --recipe bundled', which runs any ONNX file"


class TorchTeacher(nn.Module):
    """Faces (n, 3, 112, 112), RGB 0 to 255 -> vectors (n, dim), not normalised, and the values `inner` of the graph (n, ...)."""

    def __init__(self, path: Path, inner: Sequence[str] = (), mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> None:
        """`mean` and `std` of the colours. Raises ModelError: the file can't be read, has other operators, or no such values."""
        super().__init__()
        try:
            graph = onnx.load(str(path)).graph
        except Exception as e:  # a damaged file raises nearly anything
            raise ModelError(f"expected a teacher in an ONNX file at {path}, found: {' '.join(str(e).split())}. Correct the path") from e
        self.path, self.input, self.names = path, graph.input[0].name, [graph.output[0].name, *inner]
        self.constants: dict[str, np.ndarray[Any, Any]] = {t.name: numpy_helper.to_array(t).copy() for t in graph.initializer}
        self.layers = nn.ModuleList()
        self.steps: list[tuple[str, list[str], str, Any]] = []  # operator, inputs, output; number of the layer, bounds, numbers of a row
        self.computed = {self.input}
        for node in graph.node:
            self._add(node)
        if missing := [name for name in inner if name not in self.computed]:
            raise ModelError(f"expected the value {missing[0]} in the graph of {path}, found none: {INSTEAD}")
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def _add(self, node: Any) -> None:
        settings = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant" and "value" in settings:
            self.constants[node.output[0]] = numpy_helper.to_array(settings["value"])
            return
        with_what: Any = None
        if node.op_type == "Conv":
            self.layers.append(self._convolution(node, settings))
            with_what = len(self.layers) - 1
        elif node.op_type == "Clip":
            bounds = [float(self._constant(node, name)) if name else None for name in node.input[1:]]
            with_what = [*bounds, None, None][:2] if bounds else [settings.get("min"), settings.get("max")]
        elif node.op_type == "Reshape":
            shape = self._constant(node, node.input[1]).tolist()
            if len(shape) != 2:
                raise ModelError(f"expected a Reshape to (n, numbers) in {self.path}, found {shape}: {INSTEAD}")
            with_what = shape[1]
        elif node.op_type not in ("Add", "Relu"):
            wanted = f"expected the operators {', '.join(OPERATORS)} in {self.path}"
            raise ModelError(f"{wanted}, found {node.op_type}: {INSTEAD}")
        inputs = list(node.input[: 2 if node.op_type == "Add" else 1])
        if constant := [name for name in inputs if name not in self.computed]:
            raise ModelError(f"expected computed values for {node.op_type} in {self.path}, found {constant[0]}: {INSTEAD}")
        self.steps.append((node.op_type, inputs, node.output[0], with_what))
        self.computed.add(node.output[0])

    def _constant(self, node: Any, name: str) -> np.ndarray[Any, Any]:
        if name not in self.constants:
            raise ModelError(f"expected constants for {node.op_type} in {self.path}, found the computed value {name}: {INSTEAD}")
        return self.constants[name]

    def _convolution(self, node: Any, settings: dict[str, Any]) -> nn.Conv2d:
        weight = torch.from_numpy(self._constant(node, node.input[1]).copy())
        pads, groups = settings.get("pads", [0] * 4), settings.get("group", 1)
        if weight.ndim != 4 or settings.get("auto_pad", b"NOTSET") != b"NOTSET" or pads[:2] != pads[2:]:
            raise ModelError(f"expected even pads of planes for Conv in {self.path}, found others at {node.output[0]}: {INSTEAD}")
        layer = nn.Conv2d(
            weight.shape[1] * groups, weight.shape[0], tuple(weight.shape[2:]), tuple(settings.get("strides", (1, 1))), tuple(pads[:2]),
            tuple(settings.get("dilations", (1, 1))), groups, bias=len(node.input) > 2,
        )  # fmt: skip
        layer.weight.data = weight
        if layer.bias is not None:
            layer.bias.data = torch.from_numpy(self._constant(node, node.input[2]).copy())
        return layer

    def forward(self, images: Tensor) -> list[Tensor]:
        found = {self.input: (images - self.mean) / self.std}
        for operator, inputs, output, with_what in self.steps:
            x = found[inputs[0]]
            if operator == "Conv":
                x = self.layers[with_what](x)
            elif operator == "Clip":
                x = x.clamp(*with_what)
            elif operator == "Relu":
                x = x.relu()
            elif operator == "Add":
                x = x + found[inputs[1]]
            else:
                x = x.reshape(len(images), with_what)
            found[output] = x
        return [found[name] for name in self.names]
