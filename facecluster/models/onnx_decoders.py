"""What detectors in ONNX files say, as boxes and landmarks: one function for each family of networks.

Each takes the outputs of one picture and its padded height and width in px, and gives candidates that overlap each other still. Boxes are
x, y, w, h, landmarks in order right eye, left eye, nose, right and left corner of the mouth (the person's right), both in px of the
picture; scores are 0 to 1. Cells are ordered row by row.

yunet   Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector", as OpenCV's FaceDetectorYN decodes it. Outputs cls, obj, bbox, kps
        at strides 8, 16, 32. score = sqrt(cls * obj); centre = (cell + bbox[:2]) * stride, size = exp(bbox[2:]) * stride, landmark =
        (cell + kps) * stride, where cell is column and row.
scrfd   Guo et al. 2021, "Sample and Computation Redistribution for Efficient Face Detection", as insightface decodes it (also its packs
        buffalo_l, buffalo_s and antelopev2). Scores, distances from the cell's corner (column, row) * stride to the box's left, top, right
        and bottom, and to the landmarks, in strides. Two anchors a cell at strides 8, 16, 32, or one at 8 to 128.
retinaface
        Deng et al. 2020, "RetinaFace: Single-Shot Multi-Level Face Localisation in the Wild", as the PyTorch version by biubug6
        exports it (MobileNet-0.25 and ResNet-50). Three outputs over all strides one after the other: offsets of boxes, probabilities
        of nothing and of a face, offsets of landmarks, for square priors of 16, 32 px at stride 8, 64, 128 at 16, 256, 512 at 32, centred
        in the cell. centre = prior + .1 * offset * side, size = side * exp(.2 * offset), landmark = prior + .1 * offset * side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.models.views import Candidates

Floats = NDArray[np.float32]
Decode = Callable[[Sequence[Floats], int, int, float], Candidates]  # outputs, height, width, lowest score
_YUNET_STRIDES = (8, 16, 32)
_YUNET = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in _YUNET_STRIDES]
_SCRFD_STRIDES = {9: ((8, 16, 32), 2), 15: ((8, 16, 32, 64, 128), 1)}  # by number of outputs: strides, anchors a cell
_PRIORS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))  # of RetinaFace: stride, sides in px
_RETINAFACE = (4, 2, 10)  # numbers of its outputs
# lowest score of a face if the card states none; scrfd: as insightface has it; retinaface: what its demo shows
USUAL_THRESHOLD = {"yunet": 0.8, "scrfd": 0.5, "retinaface": 0.6}


def _cells(height: int, width: int, stride: int, anchors: int = 1) -> NDArray[np.float32]:
    """Column and row (n, 2) of each prediction."""
    row, column = np.mgrid[: height // stride, : width // stride]
    return np.repeat(np.stack([column.ravel(), row.ravel()], axis=1), anchors, axis=0).astype(np.float32)


def decode_yunet(outputs: Sequence[Floats], height: int, width: int, threshold: float) -> Candidates:
    """As the module says; `outputs` are cls, obj, bbox, kps, each at strides 8, 16, 32."""
    boxes, marks, scores = [], [], []
    for i, stride in enumerate(_YUNET_STRIDES):
        cls, obj, box, kps = (outputs[i + 3 * k].reshape(-1, n) for k, n in enumerate((1, 1, 4, 10)))
        score = np.sqrt(np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1))
        rows = np.flatnonzero(score >= threshold)
        cell = _cells(height, width, stride)[rows]
        size = np.exp(np.clip(box[rows, 2:], -10, 10)) * stride
        boxes.append(np.concatenate([(cell + box[rows, :2]) * stride - size / 2, size], axis=1))
        marks.append((cell[:, None] + kps[rows].reshape(-1, 5, 2)) * stride)
        scores.append(score[rows])
    return Candidates(np.concatenate(boxes), np.concatenate(marks), np.concatenate(scores))


def decode_scrfd(outputs: Sequence[Floats], height: int, width: int, threshold: float) -> Candidates:
    """As the module says; `outputs` are the scores at all strides, then the boxes, then the landmarks."""
    strides, anchors = _SCRFD_STRIDES[len(outputs)]
    boxes, marks, scores = [], [], []
    for i, stride in enumerate(strides):
        score, box, kps = (outputs[i + len(strides) * k].reshape(-1, n) for k, n in enumerate((1, 4, 10)))
        rows = np.flatnonzero(score[:, 0] >= threshold)
        corner = _cells(height, width, stride, anchors)[rows] * stride
        low, high = corner - box[rows, :2] * stride, corner + box[rows, 2:] * stride
        boxes.append(np.concatenate([low, high - low], axis=1))
        marks.append(corner[:, None] + kps[rows].reshape(-1, 5, 2) * stride)
        scores.append(score[rows, 0])
    return Candidates(np.concatenate(boxes), np.concatenate(marks), np.concatenate(scores))


def decode_retinaface(outputs: Sequence[Floats], height: int, width: int, threshold: float) -> Candidates:
    """As the module says; `outputs` are the offsets of boxes, the probabilities, and the offsets of landmarks."""
    box, score, kps = (output.reshape(-1, n) for output, n in zip(outputs, _RETINAFACE, strict=True))
    centres, sides = [], []
    for stride, of_stride in _PRIORS:
        cells = _cells(height, width, stride, len(of_stride))
        centres.append((cells + 0.5) * stride)
        sides.append(np.tile(np.asarray(of_stride, np.float32), len(cells) // len(of_stride)))
    rows = np.flatnonzero(score[:, 1] >= threshold)
    centre, side = np.concatenate(centres)[rows], np.concatenate(sides)[rows][:, None]
    middle = centre + 0.1 * box[rows, :2] * side
    size = side * np.exp(np.clip(0.2 * box[rows, 2:], -10, 10))
    marks = centre[:, None] + 0.1 * kps[rows].reshape(-1, 5, 2) * side[:, None]
    return Candidates(np.concatenate([middle - size / 2, size], axis=1), marks, score[rows, 1])


DECODERS: dict[str, Decode] = {"yunet": decode_yunet, "scrfd": decode_scrfd, "retinaface": decode_retinaface}


def divisor(outputs: int) -> int:
    """Of what the sides of a picture must be multiples, px, for a graph with so many outputs."""
    return max(_SCRFD_STRIDES.get(outputs, (_YUNET_STRIDES, 1))[0])


def family_of(shapes: dict[str, list[Any]]) -> str | None:
    """The family of a graph with these outputs, shapes by name; None if it is none of these."""
    if set(_YUNET) <= set(shapes):
        return "yunet"
    lengths = [shape[-1] if shape else None for shape in shapes.values()]
    if sorted(map(str, lengths)) == sorted(map(str, _RETINAFACE)):
        return "retinaface"
    third = len(lengths) // 3
    return "scrfd" if len(lengths) in _SCRFD_STRIDES and lengths == [1] * third + [4] * third + [10] * third else None


def output_order(family: str, shapes: dict[str, list[Any]]) -> list[int]:
    """Which of the graph's outputs, shapes by name in its order, the family's decoder takes."""
    names = list(shapes)
    if family == "retinaface":
        return [next(i for i, name in enumerate(names) if shapes[name][-1] == length) for length in _RETINAFACE]
    return [names.index(name) for name in _YUNET] if family == "yunet" else list(range(len(names)))
