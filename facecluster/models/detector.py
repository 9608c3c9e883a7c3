"""The bundled face detector: a small anchor-free convolutional network for boxes, five landmarks and scores.

One prediction a cell at strides 8, 16 and 32, as in FCOS (Tian et al. 2019) and YuNet (Wu et al. 2023):

    logit, cx, cy, log w, log h, five landmarks (x, y)         all lengths in strides, positions relative to the cell's centre

Landmarks are, in order: right eye, left eye, nose, right and left corner of the mouth (the person's right, which is left in the picture).
Several cells predict the same face. `search` says at which sizes a photo is looked at, and makes one face of its candidates.
Odd inputs: a picture of any size down to 1x1 is padded to whole cells; no face gives arrays with 0 rows.
"""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from facecluster.errors import ModelError
from facecluster.models.backbone import Backbone, Conv, fold_batch_norms
from facecluster.models.batches import HalvedBatches, to_device
from facecluster.models.int8_detector import Int8Detector
from facecluster.models.int8_layers import Ranges, multiplication
from facecluster.models.registry import has_bf16, load_weights
from facecluster.models.search import Found, search
from facecluster.models.verifier import FaceVerifier, Verifier
from facecluster.models.views import Candidates

STRIDES = (8, 16, 32)  # px of the picture for each cell
OUTPUTS = 15  # logit, box (4), landmarks (10)
SQUARES = (96, 128)  # px, sides to which small pictures are padded
COARSE = 64  # px of which the sides of other pictures are multiples: each new size costs the time of several looks
BATCH_SMALL = 4  # small pictures that a CPU looks at together: of the square sizes, and of up to SMALL_EXACT px a side in int8
SMALL_EXACT = 256
BATCH_PIXELS_GPU = 16_000_000  # of equal pictures that a GPU looks at together
WEIGHTS = Path(__file__).parent / "weights" / "detector.safetensors"

Detections: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]  # as Candidates


class FaceDetector(Backbone):
    """RGB (n, 3, h, w), 0 to 255, h and w multiples of 32 -> raw predictions (n, cells, 15), as the module describes.

    Cells are ordered by stride (8, 16, 32), then row by row. A feature pyramid (Lin et al. 2017) carries context to stride 8.
    """

    def __init__(self, *, widths: tuple[int, ...] = (16, 32, 64, 80, 96), depth: int = 2, pyramid: int = 48) -> None:
        super().__init__(widths, depth)
        self.lateral = nn.ModuleList(Conv(width, pyramid, 1) for width in widths[2:])
        self.smooth = nn.ModuleList(Conv(pyramid, pyramid) for _ in STRIDES)
        self.tower = Conv(pyramid, pyramid)
        self.out = nn.Conv2d(pyramid, OUTPUTS, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        # initial prediction of a cell: no face (1 %); size e strides a side
        self.out.bias = nn.Parameter(torch.tensor([-math.log(99.0), 0, 0, 1, 1] + [0.0] * 10))

    def forward(self, images: Tensor) -> Tensor:
        maps = self.features(images)
        outputs: list[Tensor] = []
        above: Tensor | None = None
        for features, lateral, smooth in zip(reversed(maps), reversed(self.lateral), reversed(self.smooth), strict=True):
            merged = lateral(features)
            if above is not None:
                merged = merged + F.interpolate(above, scale_factor=2.0, mode="nearest")
            above = merged
            seen = self.tower(smooth(merged)).to(self.out.weight.dtype).flatten(2).transpose(1, 2)
            # a 1x1 convolution, for which torch has no fast way; a CPU takes one picture at a time: sums of a batch are rounded by its size
            parts = (seen,) if seen.is_cuda else torch.split(seen, 1)
            outputs.append(torch.cat([F.linear(some, self.out.weight.flatten(1), self.out.bias) for some in parts]))
        return torch.cat(outputs[::-1], dim=1)


@lru_cache(maxsize=64)
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


def fastest(device: str, ranges: Ranges | None) -> str:
    """The fastest arithmetic that a device has for a network: int8 needs the ranges of its layers."""
    if device == "cpu" and ranges and multiplication():
        return "int8"
    return "bfloat16" if has_bf16(device) else "float32"


def _ranges(card: dict[str, Any], stage: str) -> Ranges | None:
    highest = dict(dict(card.get("highest", {})).get(stage, {}))
    return {str(name): [0.0, float(value)] for name, value in highest.items()} or None


def _padded_size(height: int, width: int) -> tuple[int, int]:
    """Whole cells; one of few sizes. Small pieces get a square one, so that they are looked at together."""
    for side in SQUARES:
        if max(height, width) <= side:
            return side, side
    return height + -height % COARSE, width + -width % COARSE


class Detector:
    """A face detector ready for use: a `FaceDetector`, whose batch norms are folded in place, and its threshold.

    Attributes:
        model: the network in floating point.
        arithmetic: of `run`, which looks at pictures (n, 3, h, w) uint8.
        threshold: default of the lowest score that `detect` reports, 0 to 1.
        verifier: the second stage; None: the network's own scores count.
        fingerprint: SHA-256 in hex that stands for all weights, for stamps; "" for a model that was not loaded from a file.
    """

    def __init__(
        self, model: FaceDetector, *, threshold: float = 0.5, fingerprint: str = "", device: str = "cpu", verifier: Verifier | None = None,
        arithmetic: str = "", ranges: Ranges | None = None,
    ) -> None:  # fmt: skip
        """`arithmetic`: float32, bfloat16, int8 with the `ranges` of the card, or "" for the fastest that there is."""
        self.arithmetic = arithmetic or fastest(device, ranges)
        dtype = torch.bfloat16 if self.arithmetic == "bfloat16" else torch.float32
        self.model = fold_batch_norms(model).to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model.out.float()  # positions need more digits than bfloat16 has
        self.run: Callable[[Tensor], Tensor] = HalvedBatches(lambda pictures: self.model(pictures.to(dtype)))
        if self.arithmetic == "int8":
            self.run = Int8Detector(self.model, ranges or {})
        self.verifier = verifier
        self.threshold = threshold
        self.fingerprint = fingerprint
        self.device = device

    @classmethod
    def load(cls, path: Path | None = None, device: str = "cpu", arithmetic: str = "") -> Detector:
        """Load a weights file (None: the bundled one) with the model card of the same name beside it (`.toml`).

        `arithmetic` is that of both stages: float32, bfloat16, int8 if the card has ranges, or "" for the fastest that there is.

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
            own, judged = (_ranges(card, stage) for stage in ("detector", "verifier"))
            verifier = None
            if "verifier" in card:
                file, hashed = path.with_name(card["verifier"]["file"]), str(card["verifier"]["sha256"])
                network = fold_batch_norms(FaceVerifier(widths=card["network"]["widths"], depth=card["network"]["depth"]))
                network.load_state_dict(load_weights(file, hashed))
                verifier = Verifier(
                    network, card["verifier"]["weights"], device=device,
                    arithmetic=arithmetic or fastest(device, judged), ranges=judged,
                )  # fmt: skip
                sha256 = hashlib.sha256(f"{sha256} {hashed} {verifier.weights}".encode()).hexdigest()
            return cls(
                model, threshold=threshold, fingerprint=sha256, device=device, verifier=verifier, arithmetic=arithmetic, ranges=own
            )
        except OSError as e:
            raise ModelError(f"expected a detector's model card at {card_path}, found: {e.strerror}. Install facecluster again") from e
        except (ValueError, KeyError, TypeError, RuntimeError) as e:
            found = str(e).splitlines()[0]
            raise ModelError(f"expected a detector's card with weights that fit at {card_path}, found: {found}. See the bundled one") from e

    def detect(self, image: NDArray[np.uint8], *, threshold: float | None = None) -> Candidates:
        """Find the faces of one picture (h, w, 3), RGB.

        Returns:
            boxes (n, 4) [x, y, w, h] inside the picture and landmarks (n, 5, 2), px; scores (n,), 0 to 1, highest first.
        """
        return self.search([image], threshold=threshold)[0].faces

    def search(self, images: Sequence[NDArray[np.uint8]], *, threshold: float | None = None) -> list[Found]:
        """Find the faces of pictures (h, w, 3), RGB, of any sizes, and which way up they are; equal sizes are looked at together."""
        return search(self.look, images, self.threshold if threshold is None else threshold, self.verifier)

    @torch.inference_mode()
    def look(self, pictures: Sequence[NDArray[np.uint8]], threshold: float) -> list[Candidates]:
        """Candidates of pictures (h, w, 3), RGB, as they are, before suppression; px of each picture."""
        padded = [_padded_size(*picture.shape[:2]) for picture in pictures]
        found: list[Candidates] = [None] * len(pictures)  # type: ignore[list-item]
        for size in dict.fromkeys(padded):
            equal = [i for i, s in enumerate(padded) if s == size]
            points, strides = cell_centres(*size)
            for rows, number in self._batches(equal, size):
                batch = np.full((number, *size, 3), 127, np.uint8)
                for to, i in zip(batch, rows, strict=False):
                    to[: pictures[i].shape[0], : pictures[i].shape[1]] = pictures[i]
                pixels = to_device(batch, self.device).permute(0, 3, 1, 2)  # channels-last memory without a copy
                for i, raw in zip(rows, self.run(pixels).float().cpu(), strict=False):
                    scores = raw[:, 0].sigmoid()
                    at = torch.nonzero(scores >= threshold)[:, 0]
                    boxes, landmarks = decode(raw[at, 1:], points[at], strides[at])
                    found[i] = Candidates(boxes.numpy(), landmarks.numpy(), scores[at].numpy())
        return found

    def _batches(self, rows: list[int], size: tuple[int, int]) -> Iterator[tuple[list[int], int]]:
        """Rows of pictures of one size that are looked at together, and of how many pictures the batch is; what is not filled stays grey.

        A CPU compiles a network anew for each number, so there are at most two for a size.
        """
        is_exact = self.arithmetic == "int8"  # a picture gives the same alone and among others; in floating point only at the same number
        step = BATCH_SMALL if max(size) <= (SMALL_EXACT if is_exact else SQUARES[-1]) else 1
        if self.device != "cpu":
            step = max(1, BATCH_PIXELS_GPU // (size[0] * size[1]))
        while rows:
            some = rows[:1] if is_exact and len(rows) < step else rows[:step]
            yield some, step if self.device == "cpu" and not is_exact else len(some)
            rows = rows[len(some) :]
