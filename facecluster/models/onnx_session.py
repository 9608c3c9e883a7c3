"""ONNX files by way of onnxruntime (extra `onnx`). The only module that imports it.

Pictures go in as float32 (n, 3, h, w), or (n, h, w, 3) if the graph says so. A graph whose batch is fixed to one, as exports often are,
takes one picture at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.errors import ModelError
from facecluster.models.card import Input

HINT = "pip install 'facecluster[onnx]'"
Floats = NDArray[np.float32]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hex. Raises ModelError if it can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as e:
        raise ModelError(f"expected a model file at {path}, found: {e.strerror}. Name one, or get it with 'facecluster models pull'") from e


class OnnxSession:
    """A graph with one input for pictures, ready to run.

    Attributes:
        size: height and width of the pictures that the graph takes; None where it takes any.
        one_by_one: whether it takes one picture at a time.
        shapes: of the outputs, by name, as the graph states them: numbers, names of free dimensions, or None.
    """

    def __init__(self, path: Path, wanted: Input, device: str = "cpu", sha256: str | None = None, inner: Sequence[str] = ()) -> None:
        """`inner`: names of values inside the graph that become outputs too, after its own.

        Raises:
            ModelError: no onnxruntime, no such file, another SHA-256 than `sha256`, no ONNX file, one of another kind, or no such values.
        """
        if sha256 is not None and sha256_of(path) != sha256:
            raise ModelError(f"expected weights with SHA-256 {sha256[:12]}..., found others in {path}: add or pull the model again")
        self.input = wanted
        self._session = _open(path, device, inner)
        inputs = self._session.get_inputs()
        shape = inputs[0].shape if inputs else []
        if len(inputs) != 1 or len(shape) != 4 or inputs[0].type != "tensor(float)" or 3 not in (shape[1], shape[3]):
            found = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs) or "none"
            raise ModelError(f"expected an ONNX file with one float input (n, 3, h, w) of pictures, found {path} with {found}: use another")
        self.channels_last = shape[1] != 3
        height, width = (shape[1], shape[2]) if self.channels_last else (shape[2], shape[3])
        fixed = isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0
        self.size: tuple[int, int] | None = (height, width) if fixed else None
        self.one_by_one = shape[0] == 1
        self.shapes: dict[str, list[Any]] = {o.name: list(o.shape) for o in self._session.get_outputs()}
        self._mean, self._std = np.array(wanted.mean, np.float32), np.array(wanted.std, np.float32)
        self._name, self._path = inputs[0].name, path

    def run(self, pictures: NDArray[np.uint8]) -> list[Floats]:
        """Pictures (n, h, w, 3) RGB -> the outputs, in the graph's order. Raises ModelError if the graph fails."""
        channels = pictures[..., ::-1] if self.input.colour == "BGR" else pictures
        x = (channels - self._mean) / self._std
        if not self.channels_last:
            x = x.transpose(0, 3, 1, 2)
        try:
            return [np.asarray(y, np.float32) for y in self._session.run(None, {self._name: np.ascontiguousarray(x)})]
        except Exception as e:  # onnxruntime's exceptions have no common class
            raise ModelError(f"expected {self._path} to take pictures {pictures.shape}, found: {_line(e)}. Use another model") from e


def _open(path: Path, device: str, inner: Sequence[str]) -> Any:
    try:
        import onnxruntime
    except ImportError as e:
        raise ModelError(f"expected the package onnxruntime, which runs ONNX files, found none: {HINT}") from e
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other work needs the cores
    options.log_severity_level = 3
    providers: Sequence[Any] = ["CPUExecutionProvider"]
    if device.startswith("cuda") and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        providers = [("CUDAExecutionProvider", {"device_id": int(device.partition(":")[2] or 0)}), *providers]
    if not path.is_file():
        raise ModelError(f"expected an ONNX file at {path}, found none: add the model with 'facecluster models add'")
    try:
        graph = path.read_bytes() + outputs(inner) if inner else str(path)
        return onnxruntime.InferenceSession(graph, options, providers=providers)
    except Exception as e:  # onnxruntime's exceptions have no common class
        if name := next((name for name in inner if f"({name})" in str(e) or f"'{name}'" in str(e)), None):
            raise ModelError(f"expected a value {name!r} in the graph of {path}, found none: name one that its nodes give") from e
        raise ModelError(f"expected an ONNX file that onnxruntime opens, found {path}: {_line(e)}. Use another file") from e


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__


def outputs(names: Sequence[str]) -> bytes:
    """What makes values inside a graph outputs of it, if it follows the bytes of an ONNX file.

    A message that occurs twice in Protocol Buffers is merged, and its lists are joined: what follows is a ModelProto (onnx.proto3) of which
    only field 7 is there, the graph, and of that only field 12, the outputs, each a float tensor of any shape with a name.
    """
    floats = _message(2, _message(1, b"\x08\x01"))  # type, tensor_type, elem_type = FLOAT
    return b"".join(_message(7, _message(12, _message(1, name.encode()) + floats)) for name in names)


def _message(field: int, content: bytes) -> bytes:
    """A field of Protocol Buffers whose content has a length."""
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(n: int) -> bytes:
    return bytes([n & 127 | 128]) + _varint(n >> 7) if n > 127 else bytes([n])
