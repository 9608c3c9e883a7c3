"""The bundled face detector: a small anchor-free convolutional network for boxes, five landmarks and scores.

One prediction a cell at strides 8, 16 and 32, as in FCOS (Tian et al. 2019) and YuNet (Wu et al. 2023):

    logit, cx, cy, log w, log h, five landmarks (x, y)         all lengths in strides, positions relative to the cell's centre

Landmarks are, in order: right eye, left eye, nose, right and left corner of the mouth (the person's right, which is left in the picture).
A picture is searched at two scales: at most `WORK_SIDE` px for small faces, and at most `OVERVIEW_SIDE` px for faces that fill it.
Several cells predict the same face. Predictions that overlap enough are averaged, which makes box and landmarks more stable.
Odd inputs: a picture of any size down to 1x1 is padded to whole cells; no face gives arrays with 0 rows.
"""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from facecluster.errors import ModelError
from facecluster.geometry import iou, nms
from facecluster.models.registry import load_weights

STRIDES = (8, 16, 32)  # px of the picture for each cell
OUTPUTS = 15  # logit, box (4), landmarks (10)
WORK_SIDE = 1280  # px, the longest side that is searched for small faces
OVERVIEW_SIDE = 384  # px, the longest side that is searched for large faces
NMS_IOU = 0.4  # IoU from which two detections are one face
VOTE_IOU = 0.6  # IoU from which a candidate is averaged into a detection
MAX_CANDIDATES = 3000  # cells of one picture with the highest scores that are compared with each other
WEIGHTS = Path(__file__).parent / "weights" / "detector.safetensors"

Detections: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


class _Conv(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)), inplace=True)


class _Bottleneck(nn.Module):
    """x + 3x3(1x1 to half the channels)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = _Conv(channels, channels // 2, 1)
        self.look = _Conv(channels // 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.look(self.squeeze(x))  # type: ignore[no-any-return]


class FaceDetector(nn.Module):
    """RGB (n, 3, h, w), 0 to 255, h and w multiples of 32 -> raw predictions (n, cells, 15), as the module describes.

    Cells are ordered by stride (8, 16, 32), then row by row. The network has plain 3x3 convolutions with few channels: depthwise
    convolutions need fewer multiplications but are slower on CPUs with matrix units. A feature pyramid (Lin et al. 2017) carries context
    to stride 8.
    """

    def __init__(self, *, widths: tuple[int, ...] = (16, 32, 64, 80, 96), depth: int = 2, pyramid: int = 48) -> None:
        super().__init__()
        self.stem = nn.Sequential(_Conv(3, widths[0], 3, 2), _Conv(widths[0], widths[1], 3, 2))
        self.stages = nn.ModuleList(
            nn.Sequential(_Conv(a, b, 3, 2), *(_Bottleneck(b) for _ in range(depth))) for a, b in zip(widths[1:], widths[2:], strict=False)
        )
        self.lateral = nn.ModuleList(_Conv(width, pyramid, 1) for width in widths[2:])
        self.smooth = nn.ModuleList(_Conv(pyramid, pyramid) for _ in STRIDES)
        self.tower = _Conv(pyramid, pyramid)
        self.out = nn.Conv2d(pyramid, OUTPUTS, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        # initial prediction of a cell: no face (1 %); size e strides a side
        self.out.bias = nn.Parameter(torch.tensor([-math.log(99.0), 0, 0, 1, 1] + [0.0] * 10))

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(torch.add(images.new_tensor(-1.0), images, alpha=1 / 127.5))  # -1 to 1 in one pass over memory
        maps: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        outputs: list[Tensor] = []
        above: Tensor | None = None
        for features, lateral, smooth in zip(reversed(maps), reversed(self.lateral), reversed(self.smooth), strict=True):
            merged = lateral(features)
            if above is not None:
                merged = merged + F.interpolate(above, scale_factor=2.0, mode="nearest")
            above = merged
            outputs.append(self.out(self.tower(smooth(merged))).flatten(2).transpose(1, 2))
        return torch.cat(outputs[::-1], dim=1)


def fold_batch_norms(model: FaceDetector) -> FaceDetector:
    """Fold every batch norm into its convolution, in place, for inference: the same function with fewer passes over memory."""
    model.eval()
    for module in model.modules():
        if isinstance(module, _Conv) and isinstance(module.norm, nn.BatchNorm2d):
            module.conv, module.norm = fuse_conv_bn_eval(module.conv, module.norm), nn.Identity()
    return model


def cell_centres(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Centres (cells, 2) as x, y in px and strides (cells,) in px of the predictions for a picture; sides are multiples of 32."""
    points, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride), indexing="ij")
        points.append((torch.stack((x, y), dim=-1).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((len(points[-1]),), float(stride)))
    return torch.cat(points), torch.cat(strides)


def encode(boxes: Tensor, landmarks: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Boxes (..., 4) [x, y, w, h] and landmarks (..., 5, 2) in px -> targets of the cells (..., 14): the inverse of `decode`."""
    scale = strides[..., None]
    centres = (boxes[..., :2] + boxes[..., 2:] / 2 - points) / scale
    sizes = torch.log(boxes[..., 2:] / scale)
    marks = (landmarks - points[..., None, :]) / scale[..., None]
    return torch.cat((centres, sizes, marks.flatten(-2)), dim=-1)


def decode(codes: Tensor, points: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Predictions (..., 14) of cells -> boxes (..., 4) [x, y, w, h] and landmarks (..., 5, 2), px. Sides are e^-3 to e^5 strides."""
    scale = strides[..., None]
    sizes = torch.exp(codes[..., 2:4].clamp(-3, 5)) * scale
    corners = codes[..., :2] * scale + points - sizes / 2
    marks = codes[..., 4:].reshape(*codes.shape[:-1], 5, 2) * scale[..., None] + points[..., None, :]
    return torch.cat((corners, sizes), dim=-1), marks


def _vote(boxes: NDArray[np.float32], landmarks: NDArray[np.float32], scores: NDArray[np.float32], keep: NDArray[np.intp]) -> Detections:
    """Average each kept detection with the candidates that overlap it, weighted by the square of their scores (box voting)."""
    near = (iou(boxes[keep], boxes) >= VOTE_IOU) * np.square(scores, dtype=np.float64)
    share = near / near.sum(axis=1, keepdims=True)
    marks = (share @ landmarks.reshape(-1, 10)).reshape(-1, 5, 2)
    return (share @ boxes).astype(np.float32), marks.astype(np.float32), scores[keep]


class Detector:
    """A face detector ready for use: a `FaceDetector`, whose batch norms are folded in place, and its threshold.

    Attributes:
        threshold: default of the lowest score that `detect` reports, 0 to 1.
        fingerprint: SHA-256 of the weights file in hex, for stamps; "" for a model that was not loaded from a file.
    """

    def __init__(self, model: FaceDetector, *, threshold: float = 0.5, fingerprint: str = "", device: str = "cpu") -> None:
        self.model = fold_batch_norms(model).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.threshold = threshold
        self.fingerprint = fingerprint
        self.device = device

    @classmethod
    def load(cls, path: Path | None = None, device: str = "cpu") -> Detector:
        """Load a weights file (None: the bundled one) with the model card of the same name beside it (`.toml`).

        Raises:
            ModelError: the weights or the card are missing, damaged, or do not belong together.
        """
        path = WEIGHTS if path is None else path
        card_path = path.with_suffix(".toml")
        try:
            card = tomllib.loads(card_path.read_text(encoding="utf-8"))
            sha256, threshold = str(card["model"]["sha256"]), float(card["reading"]["threshold"])
            model = fold_batch_norms(FaceDetector(**card["network"]))
            model.load_state_dict(load_weights(path, sha256))
        except OSError as e:
            raise ModelError(f"expected a detector's model card at {card_path}, found: {e.strerror}. Install facecluster again") from e
        except (ValueError, KeyError, TypeError, RuntimeError) as e:
            found = str(e).splitlines()[0]
            raise ModelError(f"expected a detector's card with weights that fit at {card_path}, found: {found}. See the bundled one") from e
        return cls(model, threshold=threshold, fingerprint=sha256, device=device)

    def detect(self, image: NDArray[np.uint8], *, threshold: float | None = None) -> Detections:
        """Find the faces of one picture (h, w, 3), RGB.

        Returns:
            boxes (n, 4) [x, y, w, h] inside the picture and landmarks (n, 5, 2), px; scores (n,), 0 to 1, highest first.
        """
        threshold = self.threshold if threshold is None else threshold
        height, width = image.shape[:2]
        sides = [min(max(height, width), WORK_SIDE)]
        if sides[0] > OVERVIEW_SIDE:
            sides.append(OVERVIEW_SIDE)
        found = [self._detect_at_scale(image, side / max(height, width), threshold / 2) for side in sides]
        boxes, landmarks, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(-scores, kind="stable")[:MAX_CANDIDATES]
        boxes, landmarks, scores = boxes[order], landmarks[order], scores[order]
        sure = int((scores >= threshold).sum())
        boxes, landmarks, scores = _vote(boxes, landmarks, scores, nms(boxes[:sure], scores[:sure], NMS_IOU))
        corners = np.clip(np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1), 0, [width, height] * 2)
        boxes = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), axis=1).astype(np.float32)
        keep = nms(boxes, scores, NMS_IOU)  # again: averaging and clipping can make boxes overlap
        keep = keep[(boxes[keep, 2:] > 0).all(axis=1)]
        return boxes[keep], landmarks[keep], scores[keep]

    def _detect_at_scale(self, image: NDArray[np.uint8], scale: float, threshold: float) -> Detections:
        """Candidates from the picture resized by `scale`, in px of the original picture, before suppression."""
        height, width = image.shape[:2]
        if scale < 1:
            size = max(round(width * scale), 1), max(round(height * scale), 1)
            image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
        rows, columns = image.shape[:2]
        padded = np.full((rows + -rows % STRIDES[-1], columns + -columns % STRIDES[-1], 3), 127, np.uint8)
        padded[:rows, :columns] = image
        pixels = torch.from_numpy(padded).to(self.device).permute(2, 0, 1)[None].float()  # channels-last memory without a copy
        with torch.inference_mode():
            raw = self.model(pixels)[0].float().cpu()
        scores = raw[:, 0].sigmoid()
        chosen = torch.nonzero(scores >= threshold)[:, 0]
        points, strides = cell_centres(pixels.shape[2], pixels.shape[3])
        boxes, landmarks = decode(raw[chosen, 1:], points[chosen], strides[chosen])
        back = torch.tensor([width / columns, height / rows])
        return (boxes * back.repeat(2)).numpy(), (landmarks * back).numpy(), scores[chosen].numpy()
