"""Train the bundled face detector on mosaics of photos labelled by YuNet.

    python workflows/train_detector.py --photos photos_detect.parquet --out runs/detector --minutes 60

Cells are matched to faces by how well they predict them (task alignment, Feng et al. 2021: score^0.5 * IoU^5, the best nine cells near
the middle of a face), the score learns the IoU it should expect, boxes learn by the distance-IoU (Zheng et al. 2020), landmarks by
smooth L1 in units of the distance between the eyes. AdamW; the rate follows the share of the time budget that is spent. An average of
the weights is measured and exported. Stop it whenever you like: it goes on from the last checkpoint, also with a longer budget.
`log.jsonl` beside the checkpoint is the lab book.

Held-out photos (see `detector_photos.load_photos`) are measured every few minutes and never trained on.
Needs the `train` dependency group (opencv) besides the product. On Linux set MALLOC_MMAP_THRESHOLD_=4294967296 and
MALLOC_TRIM_THRESHOLD_=17179869184: without them much of the time goes to page faults.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import queue
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from detector_mosaics import SIDE, chances, mosaic
from detector_photos import Photo, load_photos, measure
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from facecluster.models.detector import Detector, FaceDetector, cell_centres, decode, fold_batch_norms

REACH = {8.0: (0, 72), 16.0: (20, 176), 32.0: (56, 1e9)}  # px, longer side of the faces that a stride may answer for
TOP = 9  # cells a face


def box_iou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and distance-IoU of boxes [x, y, w, h], row by row with broadcasting: (...,)."""
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    inter = (high - low).clamp(min=0).prod(-1)
    overlap = inter / (a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - inter + 1e-9)
    outer = torch.maximum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    apart = (a[..., :2] + a[..., 2:] / 2 - b[..., :2] - b[..., 2:] / 2).square().sum(-1)
    return overlap, overlap - apart / (outer.square().sum(-1) + 1e-9)


@torch.no_grad()
def assign(scores: Tensor, boxes: Tensor, faces: Tensor, image: Tensor, points: Tensor, strides: Tensor) -> tuple[Tensor, ...]:
    """Match cells to faces.

    Args:
        scores: (n, cells), boxes: (n, cells, 4): what the network predicts now.
        faces: (g, 16) of all pictures (see `mosaic`), image: (g,) their pictures.

    Returns:
        image (p,), cell (p,) and face (p,) of the positives, quality (p,) 0 to 1, and ignored (n, cells).
    """
    centre, size = faces[:, :2] + faces[:, 2:4] / 2, faces[:, 2:4]
    away = (points[None] - centre[:, None]).abs()  # (g, cells, 2)
    inside = (away < size[:, None] / 2).all(-1)
    ignored = torch.zeros_like(scores, dtype=torch.bool)
    unsure = faces[:, 14] == 0
    ignored.index_put_((image[unsure],), inside[unsure], accumulate=True)
    faces, image, centre, size, away = faces[~unsure], image[~unsure], centre[~unsure], size[~unsure], away[~unsure]
    longest = size.amax(1)[:, None]
    low = torch.tensor([REACH[s][0] for s in strides.tolist()])
    high = torch.tensor([REACH[s][1] for s in strides.tolist()])
    near = (away < torch.maximum(size[:, None] * 0.35, strides[None, :, None] * 0.8)).all(-1) & (longest > low) & (longest < high)
    overlap = box_iou(boxes[image], faces[:, None, :4])[0] * near
    fit = scores[image].sqrt() * overlap**5 + near * 1e-12
    best, cell = fit.topk(TOP, dim=1)
    face = torch.arange(len(faces))[:, None].expand_as(cell)
    valid = best > 0
    face, cell, best = face[valid], cell[valid], best[valid]
    where = image[face] * scores.shape[1] + cell  # a cell wanted by two faces goes to the one that it fits better
    winner = torch.zeros(scores.numel()).scatter_reduce(0, where, best, "amax")
    won = best == winner[where]
    face, cell, best = face[won], cell[won], best[won]
    top = torch.zeros(len(faces)).scatter_reduce(0, face, best, "amax")
    overlap = overlap[face, cell]
    widest = torch.zeros(len(faces)).scatter_reduce(0, face, overlap, "amax")
    quality = best / (top[face] + 1e-30) * widest[face]
    kept = torch.nonzero(~unsure)[:, 0]
    return image[face], cell, kept[face], quality, ignored


def loss_of(raw: Tensor, faces: Tensor, image: Tensor, points: Tensor, strides: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Score, box and landmark losses of raw predictions (n, cells, 15) against faces (g, 16) of pictures `image` (g,)."""
    logits = raw[..., 0]
    boxes, marks = decode(raw[..., 1:], points, strides)
    rows, cell, face, quality, ignored = assign(logits.sigmoid(), boxes.detach(), faces, image, points, strides)
    target = torch.zeros_like(logits).index_put_((rows, cell), quality)
    ignored[rows, cell] = False
    total = quality.sum().clamp(min=1.0)
    bce = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    chance = logits.detach().sigmoid()
    focus = torch.where(target > 0, 1.0, 0.25 + 0.75 * chance)  # easy background counts a quarter
    score = (bce * focus * ~ignored).sum() / total
    truth = faces[face]
    box = ((1 - box_iou(boxes[rows, cell], truth[:, :4])[1]) * quality).sum() / total
    wanted = truth[:, 4:14].reshape(-1, 5, 2)
    eyes = torch.maximum((wanted[:, 0] - wanted[:, 1]).norm(dim=1), (truth[:, 2] * truth[:, 3]).sqrt() * 0.2)[:, None, None]
    error = (marks[rows, cell] - wanted) / eyes
    mark = (F.smooth_l1_loss(error, torch.zeros_like(error), beta=0.1, reduction="none").sum((1, 2)) * quality).sum() / total
    return score + 2 * box + 2 * mark, {"score": score.item(), "box": box.item(), "mark": mark.item(), "positives": float(len(face))}


class Batches(threading.Thread):
    """Mosaics made beside the training, in order, from one seed: (n, SIDE, SIDE, 3), faces (g, 16), pictures (g,)."""

    def __init__(self, photos: list[Photo], batch: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.photos, self.batch, self.rng = photos, batch, np.random.default_rng(seed)
        self.ready: queue.Queue[tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]] = queue.Queue(6)
        self.start()

    def run(self) -> None:
        weights = chances(self.photos)
        empty = [p for p in self.photos if len(p.boxes) == 0]
        while True:
            made = [mosaic(self.photos, empty, weights, self.rng) for _ in range(self.batch)]
            index = np.repeat(np.arange(self.batch), [len(faces) for _, faces in made])
            self.ready.put((np.stack([image for image, _ in made]), np.concatenate([faces for _, faces in made]), index))


def export(model: FaceDetector, path: Path) -> Detector:
    """Write the folded weights as float16 and give them back as a detector that runs on what was written."""
    folded = fold_batch_norms(copy.deepcopy(model))
    state = {name: value.half().contiguous() for name, value in folded.state_dict().items()}
    save_file(state, path)
    folded.load_state_dict({name: value.float() for name, value in state.items()})
    return Detector(folded)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    photos = load_photos(options.photos)
    train(options, [p for p in photos if not p.held_out], [p for p in photos if p.held_out])


def train(options: argparse.Namespace, photos: list[Photo], held_out: list[Photo]) -> None:
    """Train until the time budget is spent; checkpoint, measure and export every three minutes."""
    model = FaceDetector().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    mean = copy.deepcopy(model)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}], lr=options.rate)
    spent, step = 0.0, 0
    checkpoint = options.out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        mean.load_state_dict(saved["mean"])
        optimiser.load_state_dict(saved["optimiser"])
        spent, step = saved["spent"], saved["step"]
    batches = Batches(photos, options.batch, options.seed + step)
    points, strides = cell_centres(SIDE, SIDE)
    forward = torch.compile(model) if options.compile else model
    began, measured, sums = time.monotonic() - spent, spent, {"step": float(step)}
    while True:
        spent = time.monotonic() - began
        share = min(spent / (options.minutes * 60), 1.0)
        rate = options.rate * min(1.0, (step + 1) / 300) * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)
        for group in optimiser.param_groups:
            group["lr"] = rate
        images, faces, index = batches.ready.get()
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()  # channels last already
        with torch.autocast("cpu", torch.bfloat16):
            raw = forward(pixels)
        loss, parts = loss_of(raw.float(), torch.from_numpy(faces), torch.from_numpy(index), points, strides)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        average(mean, model, min(0.998, (step + 1) / (step + 10)))
        step += 1
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value
        if spent - measured > 180 or share >= 1:
            count, measured = step - sums.pop("step", 0), spent
            detector = export(mean, options.out / "detector.safetensors")
            figures = {f"at_{t}": measure(detector, held_out, t) for t in (0.3, 0.4, 0.5)}
            line = {"minutes": round(spent / 60, 1), "step": step, "rate": rate}
            line |= {name: round(value / count, 4) for name, value in sums.items()} | figures
            with (options.out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            sums = {"step": float(step)}
            state = {
                "model": model.state_dict(),
                "mean": mean.state_dict(),
                "optimiser": optimiser.state_dict(),
                "spent": spent,
                "step": step,
            }
            torch.save(state, checkpoint.with_suffix(".new"))
            checkpoint.with_suffix(".new").replace(checkpoint)
            if share >= 1:
                return


@torch.no_grad()
def average(mean: FaceDetector, model: FaceDetector, keep: float) -> None:
    """Move the running average of weights and statistics towards the model."""
    for old, new in zip(mean.state_dict().values(), model.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - keep)


if __name__ == "__main__":
    main()
