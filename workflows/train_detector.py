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
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from detector_batches import Batches
from detector_mosaics import SIDE
from detector_photos import Photo, load_photos, measure
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from facecluster.models.backbone import fold_batch_norms
from facecluster.models.detector import Detector, FaceDetector, cell_centres, decode
from facecluster.models.registry import has_bf16

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
    unsure = faces[:, 14] == 0
    ignored = torch.zeros_like(scores).index_add_(0, image[unsure], inside[unsure].to(scores.dtype)) > 0
    faces, image, centre, size, away = faces[~unsure], image[~unsure], centre[~unsure], size[~unsure], away[~unsure]
    longest = size.amax(1)[:, None]
    low, high = (sum((strides == s) * reach[end] for s, reach in REACH.items()) for end in (0, 1))
    near = (away < torch.maximum(size[:, None] * 0.35, strides[None, :, None] * 0.8)).all(-1) & (longest > low) & (longest < high)
    overlap = box_iou(boxes[image], faces[:, None, :4])[0] * near
    fit = scores[image].sqrt() * overlap**5 + near * 1e-12
    best, cell = fit.topk(TOP, dim=1)
    face = torch.arange(len(faces), device=faces.device)[:, None].expand_as(cell)
    valid = best > 0
    face, cell, best = face[valid], cell[valid], best[valid]
    where = image[face] * scores.shape[1] + cell  # a cell wanted by two faces goes to the one that it fits better
    winner = scores.new_zeros(scores.numel()).scatter_reduce(0, where, best, "amax")
    won = best == winner[where]
    face, cell, best = face[won], cell[won], best[won]
    top = scores.new_zeros(len(faces)).scatter_reduce(0, face, best, "amax")
    overlap = overlap[face, cell]
    widest = scores.new_zeros(len(faces)).scatter_reduce(0, face, overlap, "amax")
    quality = best / (top[face] + 1e-30) * widest[face]
    kept = torch.nonzero(~unsure)[:, 0]
    return image[face], cell, kept[face], quality, ignored


def loss_of(raw: Tensor, faces: Tensor, image: Tensor, points: Tensor, strides: Tensor) -> tuple[Tensor, dict[str, Tensor | float]]:
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
    return score + 2 * box + 2 * mark, {"score": score.detach(), "box": box.detach(), "mark": mark.detach(), "positives": len(face)}


@torch.no_grad()
def unfold(folded: FaceDetector, pixels: Tensor) -> FaceDetector:
    """A network with batch norms that computes what `folded` does, so that published weights can be trained on.

    Each norm gets the mean and variance of its convolution on `pixels` (n, 3, h, w), and the gain and offset that undo them.
    """
    network = FaceDetector()
    outputs = dict(network.named_modules())

    def copy(name: str, norm: nn.BatchNorm2d, conv: nn.Conv2d, out: Tensor) -> None:
        mean, spread = out.mean((0, 2, 3)), out.var((0, 2, 3))
        for tensor, value in ((norm.weight, (spread + norm.eps).sqrt()), (norm.bias, mean), (norm.running_var, spread)):
            tensor.copy_(value)  # type: ignore[union-attr]
        norm.running_mean.copy_(mean - conv.bias)  # type: ignore[union-attr, operator]
        outputs[f"{name}.conv"].weight.copy_(conv.weight)

    hooks = [
        module.conv.register_forward_hook(lambda conv, _, out, name=name: copy(name, outputs[f"{name}.norm"], conv, out))
        for name, module in folded.named_modules()
        if hasattr(module, "norm")
    ]
    folded(pixels)
    for hook in hooks:
        hook.remove()
    network.out.load_state_dict(folded.out.state_dict())
    return network


def export(model: FaceDetector, path: Path, device: str = "cpu") -> Detector:
    """Write the folded weights as float16 and give them back as a detector that runs on what was written."""
    folded = fold_batch_norms(copy.deepcopy(model).cpu())
    state = {name: value.half().contiguous() for name, value in folded.state_dict().items()}
    save_file(state, path)
    folded.load_state_dict({name: value.float() for name, value in state.items()})
    return Detector(folded, device=device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--more", type=Path, help="further photos, most of them without a face")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--init", type=Path, help="published weights to go on from")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that make mosaics; a GPU takes a dozen")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=8, help="minutes between two measurements and rounds of mining")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    photos = load_photos(options.photos, options.more)
    train(options, [p for p in photos if not p.held_out], [p for p in photos if p.held_out])


class Run:
    """Network, its average, optimiser and clock of a training: what a checkpoint holds."""

    def __init__(self, options: argparse.Namespace, photos: list[Photo]) -> None:
        self.options, self.step, before = options, 0, 0.0
        self.checkpoint = options.out / "checkpoint.pt"
        saved = torch.load(self.checkpoint, map_location="cpu", weights_only=True) if self.checkpoint.exists() else None
        self.batches = Batches(photos, options.batch, options.seed + (saved["step"] if saved else 0), options.workers)
        model = FaceDetector()
        if options.init and not saved:
            folded = fold_batch_norms(FaceDetector())
            folded.load_state_dict({k: v.float() for k, v in load_file(options.init).items()})
            model = unfold(folded, torch.from_numpy(self.batches.next()[0]).permute(0, 3, 1, 2).float())
        self.model = model.to(options.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model.tower.norm.eval()  # it serves three strides, whose statistics differ: it keeps those it has
        self.mean = copy.deepcopy(self.model)
        decayed = [p for p in model.parameters() if p.ndim > 1]
        plain = [p for p in model.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=options.rate)
        if saved:
            self.model.load_state_dict(saved["model"])
            self.mean.load_state_dict(saved["mean"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.step, before = saved["step"], saved["spent"]
        self.forward = torch.compile(self.model) if options.compile else self.model
        self.began = time.monotonic() - before

    @property
    def spent(self) -> float:
        """Seconds, of all runs together."""
        return time.monotonic() - self.began

    def learn(self, points: Tensor, strides: Tensor) -> dict[str, Tensor | float]:
        """One step; returns the parts of the loss, where they were computed, and the rate."""
        share = min(self.spent / (self.options.minutes * 60), 1.0)
        rate = self.options.rate * min(1.0, (self.step + 1) / 300) * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        images, faces, index = (torch.from_numpy(part).to(self.options.device) for part in self.batches.next())
        pixels = images.permute(0, 3, 1, 2).float()  # channels last already
        with torch.autocast(self.options.device, torch.bfloat16, enabled=has_bf16(self.options.device)):
            raw = self.forward(pixels)
        loss, parts = loss_of(raw.float(), faces, index, points, strides)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimiser.step()
        average(self.mean, self.model, min(0.998, (self.step + 1) / (self.step + 10)))
        self.step += 1
        return parts | {"rate": rate}

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(), "mean": self.mean.state_dict(), "optimiser": self.optimiser.state_dict(),
            "spent": self.spent, "step": self.step,
        }  # fmt: skip
        beside = self.checkpoint.with_suffix(".new")
        torch.save(state, beside)
        beside.replace(self.checkpoint)


def train(options: argparse.Namespace, photos: list[Photo], watched: list[Photo]) -> None:
    """Train until the time budget is spent; checkpoint, measure, export and mine hard negatives every few minutes."""
    run = Run(options, photos)
    points, strides = (part.to(options.device) for part in cell_centres(SIDE, SIDE))
    measured, since, sums = run.spent, run.step, dict[str, Tensor | float]()
    done = False
    while not done:
        for name, value in run.learn(points, strides).items():
            sums[name] = sums.get(name, 0.0) + value
        done = run.spent >= options.minutes * 60
        if run.spent - measured > 60 * options.every or done:
            detector = export(run.mean, options.out / "detector.safetensors", options.device)
            line: dict[str, object] = {"minutes": round(run.spent / 60, 1), "step": run.step}
            line |= {name: round(float(value) / (run.step - since), 6) for name, value in sums.items()}
            line |= {f"at_{t}": measure(detector, watched, t) for t in (0.4, 0.5)}
            run.save()
            line["hard_negatives"] = run.batches.mine(detector)
            with (options.out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            measured, since, sums = run.spent, run.step, {}


@torch.no_grad()
def average(mean: FaceDetector, model: FaceDetector, keep: float) -> None:
    """Move the running average of weights and statistics towards the model."""
    for old, new in zip(mean.state_dict().values(), model.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - keep)


if __name__ == "__main__":
    main()
