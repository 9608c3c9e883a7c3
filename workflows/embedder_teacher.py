"""The embedder's teacher: MobileFaceNet as ONNX, with a free batch size and two of its inner maps. Needs onnx and onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import numpy_helper

MAP_7 = "/conv2/conv2.2/Clip_output_0"  # (n, 512, 7, 7), 0 to 6: what the teacher's head sums
MAP_14 = "/features/features.11/Add_output_0"  # (n, 128, 14, 14)
MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255
STD = np.array([0.229, 0.224, 0.225], np.float32) * 255


class Teacher:
    """The ONNX teacher; it was exported for one face at a time."""

    def __init__(self, path: Path, threads: int, *, maps: bool = False, spin: bool = True) -> None:
        """`maps`: give the inner maps too; `spin`: threads wait busily, which is quicker unless others want the cores."""
        model = onnx.load(str(path))
        graph = model.graph
        for value in (graph.input[0], graph.output[0]):
            value.type.tensor_type.shape.dim[0].dim_param = "n"
        for node in graph.node:  # the reshape before the head fixes the batch at one
            if node.op_type == "Constant" and node.output[0] == "/Constant_output_0":
                node.attribute[0].t.CopyFrom(numpy_helper.from_array(np.array([-1, 128])))
        del graph.value_info[:]
        for name in (MAP_7, MAP_14) if maps else ():
            graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        if not spin:
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self.input = graph.input[0].name

    def run(self, crops: NDArray[np.generic], batch: int = 16) -> list[NDArray[np.float32]]:
        """(n, 112, 112, 3) RGB 0..255 -> vectors (n, 128), not normalised; with maps, (n, 512, 7, 7) and (n, 128, 14, 14) besides."""
        parts = []
        for i in range(0, len(crops), batch):
            x = ((crops[i : i + batch] - MEAN) / STD).transpose(0, 3, 1, 2)
            parts.append(self.session.run(None, {self.input: np.ascontiguousarray(x)}))
        return [np.concatenate(p) for p in zip(*parts, strict=True)]

    def embed(self, crops: NDArray[np.generic]) -> NDArray[np.float32]:
        """Crop and mirror summed, length 1."""
        total = self.run(crops)[0] + self.run(np.ascontiguousarray(crops[:, :, ::-1]))[0]
        return np.asarray(total / np.linalg.norm(total, axis=1, keepdims=True))
