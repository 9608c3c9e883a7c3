"""Small ONNX files for tests, with weights drawn from a generator, and what they compute in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from conftest import needs
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def _save(path: Path, nodes: list[Any], inputs: dict[str, Any], outputs: dict[str, Any], constants: dict[str, NDArray[Any]]) -> None:
    onnx = needs("onnx")
    make, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes, "test", [make(k, kind, v) for k, v in inputs.items()], [make(k, kind, v) for k, v in outputs.items()],
        [onnx.numpy_helper.from_array(v, k) for k, v in constants.items()],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def embedder(path: Path, *, dim: int = 24, side: int = 112, batch: int | str = "n", last: bool = False, seed: int = 0) -> Floats:
    """Means of squares of side / 7 px, then a matrix: writes the file, and returns the matrix (147, dim). `last`: channels come last."""
    node = needs("onnx").helper.make_node
    matrix = np.random.default_rng(seed).normal(size=(147, dim)).astype(np.float32)
    nodes = [node("Transpose", ["x"], ["y"], perm=[0, 3, 1, 2])] if last else []
    nodes += [
        node("AveragePool", ["y" if last else "x"], ["pooled"], kernel_shape=[side // 7] * 2, strides=[side // 7] * 2),
        node("Flatten", ["pooled"], ["flat"]), node("MatMul", ["flat", "matrix"], ["v"]),
    ]  # fmt: skip
    shape = [batch, side, side, 3] if last else [batch, 3, side, side]
    _save(path, nodes, {"x": shape}, {"v": [batch, dim]}, {"matrix": matrix})
    return matrix.astype(np.float64)


def teacher(path: Path, *, parts: int, channels: int, dim: int, seed: int = 0) -> dict[str, Floats]:
    """A graph for one face at a time with two values inside: /seven (1, parts, 7, 7), 0 to 6, and /fourteen (1, channels, 14, 14).

    Each is of means of squares, times a matrix; the vector is /seven times a third. Writes the file, and returns the matrices.
    """
    node, rng = needs("onnx").helper.make_node, np.random.default_rng(seed)
    shapes = {"seven": (parts, 3, 1, 1), "fourteen": (channels, 3, 1, 1), "v": (parts * 49, dim)}
    made = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    nodes = [
        node("AveragePool", ["x"], ["p7"], kernel_shape=[16, 16], strides=[16, 16]), node("Conv", ["p7", "seven"], ["c7"]),
        node("Clip", ["c7", "zero", "six"], ["/seven"]),
        node("AveragePool", ["x"], ["p14"], kernel_shape=[8, 8], strides=[8, 8]), node("Conv", ["p14", "fourteen"], ["/fourteen"]),
        node("Flatten", ["/seven"], ["flat"]), node("MatMul", ["flat", "v"], ["said"]),
    ]  # fmt: skip
    bounds = {"zero": np.array(0, np.float32), "six": np.array(6, np.float32)}
    _save(path, nodes, {"x": [1, 3, 112, 112]}, {"said": [1, dim]}, made | bounds)
    return {name: value.astype(np.float64) for name, value in made.items()}


def convolutions(path: Path, *, parts: int, channels: int, dim: int, names: tuple[str, str], extra: str = "", seed: int = 0) -> None:
    """A graph for one face at a time, of what MobileFaceNet is of: Conv, Clip, Relu, Add, a Reshape, bounds by Constant.

    `names` of the values inside, (1, parts, 7, 7), 0 to 6, and (1, channels, 14, 14). `extra`: an operator more, at the end.
    """
    node, rng = needs("onnx").helper.make_node, np.random.default_rng(seed)
    seven, fourteen = names
    shapes = {"first": (channels, 3, 8, 8), "each": (channels, 1, 3, 3), "down": (parts, channels, 2, 2), "last": (dim, parts, 7, 7)}
    made = {k: (rng.normal(size=s) / np.prod(s[1:]) ** 0.5).astype(np.float32) for k, s in shapes.items()}
    made |= {f"{k}/b": rng.normal(size=shapes[k][0]).astype(np.float32) for k in ("first", "down")}
    array = needs("onnx").numpy_helper.from_array
    bounds = {"zero": np.array(0, np.float32), "six": np.array(6, np.float32), "row": np.array([1, -1], np.int64)}
    nodes = [
        *(node("Constant", [], [name], value=array(value)) for name, value in bounds.items()),
        node("Conv", ["x", "first", "first/b"], ["c1"], kernel_shape=[8, 8], strides=[8, 8]), node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "each"], ["c2"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=channels), node("Add", ["c2", "r1"], [fourteen]),
        node("Conv", [fourteen, "down", "down/b"], ["c3"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Clip", ["c3", "zero", "six"], [seven]), node("Conv", [seven, "last"], ["c4"], kernel_shape=[7, 7]),
        node("Reshape", ["c4", "row"], ["said" if not extra else "almost"]),
    ]  # fmt: skip
    nodes += [node(extra, ["almost"], ["said"])] if extra else []
    _save(path, nodes, {"x": [1, 3, 112, 112]}, {"said": [1, dim]}, made)


def expected_vectors(matrix: Floats, crops: NDArray[np.uint8], mean: Any, std: Any, *, bgr: bool = False, mirror: bool = True) -> Floats:
    """What `embedder` makes of faces (n, side, side, 3), the mirrored ones' vectors added, in rows of length 1."""
    total = np.zeros((len(crops), matrix.shape[1]))
    for faces in (crops, crops[:, :, ::-1]) if mirror else (crops,):
        x = (faces[..., ::-1] if bgr else faces).astype(np.float64)
        x = (x - np.array(mean)) / np.array(std)
        step = x.shape[1] // 7
        pooled = x.reshape(len(x), 7, step, 7, step, 3).mean(axis=(2, 4))
        total += pooled.transpose(0, 3, 1, 2).reshape(len(x), -1) @ matrix
    return total / np.linalg.norm(total, axis=1, keepdims=True)


def detector(
    path: Path, outputs: dict[str, tuple[int, int]], *, anchors: int = 1, batched: bool = True, size: tuple[int, int] | None = None,
    gain: float = 1.0, seed: int = 0, joined: dict[str, list[str]] | None = None,
) -> dict[str, tuple[Floats, Floats]]:  # fmt: skip
    """Each output (stride, numbers k): means of squares of stride px, times a matrix, as (1, cells * anchors, k) or without the 1.

    Writes the file; returns matrix (3, anchors * k) and offset of each output. Outputs of one number are between 0 and 1. `joined`: outputs
    that are others one after the other, in place of these; of two numbers they are probabilities.
    """
    node, rng = needs("onnx").helper.make_node, np.random.default_rng(seed)
    nodes, constants, made = [], {}, {}
    for name, (stride, k) in outputs.items():
        weight, bias = rng.normal(size=(anchors * k, 3, 1, 1)) * gain, rng.normal(size=anchors * k)
        constants |= {f"{name}/w": weight.astype(np.float32), f"{name}/b": bias.astype(np.float32)}
        constants[f"{name}/s"] = np.array([1, -1, k] if batched else [-1, k], np.int64)
        nodes += [
            node("AveragePool", ["x"], [f"{name}/p"], kernel_shape=[stride] * 2, strides=[stride] * 2),
            node("Conv", [f"{name}/p", f"{name}/w", f"{name}/b"], [f"{name}/c"]),
            node("Transpose", [f"{name}/c"], [f"{name}/t"], perm=[0, 2, 3, 1]),
            node("Reshape", [f"{name}/t", f"{name}/s"], [f"{name}/r" if k == 1 else name]),
        ]  # fmt: skip
        if k == 1:
            nodes.append(node("Sigmoid", [f"{name}/r"], [name]))
        made[name] = constants[f"{name}/w"][:, :, 0, 0].T.astype(np.float64), constants[f"{name}/b"].astype(np.float64)
    shapes = {name: ([1, None, k] if batched else [None, k]) for name, (_, k) in outputs.items()}
    for name, parts in (joined or {}).items():
        k = outputs[parts[0]][1]
        nodes.append(node("Concat", parts, [f"{name}/j" if k == 2 else name], axis=1))
        if k == 2:
            nodes.append(node("Softmax", [f"{name}/j"], [name], axis=2))
    if joined:
        shapes = {name: [1, None, outputs[parts[0]][1]] for name, parts in joined.items()}
    _save(path, nodes, {"x": [1, 3, *(size or ("h", "w"))]}, shapes, constants)
    return made


def raw_outputs(made: dict[str, tuple[Floats, Floats]], outputs: dict[str, tuple[int, int]], x: Floats) -> dict[str, Floats]:
    """What `detector` says of a picture (h, w, 3) that is normalised and in the graph's order of colours: (cells * anchors, k) by name."""
    found = {}
    for name, (stride, k) in outputs.items():
        weight, bias = made[name]
        h, w = x.shape[0] // stride, x.shape[1] // stride
        value = x[: h * stride, : w * stride].reshape(h, stride, w, stride, 3).mean(axis=(1, 3)) @ weight + bias
        found[name] = 1 / (1 + np.exp(-value.reshape(-1, k))) if k == 1 else value.reshape(-1, k)
    return found
