"""Train the bundled embedder: distil a face-recognition teacher (ONNX) into the small attention model.

    python workflows/train_embedder.py --faces faces_train.parquet --teacher mobilefacenet.onnx --out runs/embedder --minutes 120

The teacher sees exactly what the student sees: every batch is augmented afresh, then both look at it. The student learns

    (1 - cosine to the teacher's vector) + 2 * mean squared error of the batch's cosine matrix
    + the teacher's 7x7 map before its head, and its 14x14 map (relative mean squared errors): 25,000 numbers a face, not 128.

Matrices learn by Muon, the rest by AdamW; the rate follows the share of the time budget that is spent (warm up, hold, fall to zero).
Stop it whenever you like: it goes on from the last checkpoint. `log.jsonl` beside the checkpoint is the lab book.
Some people and faces of the training file are held out to watch progress; the evaluation file is never opened here.

Needs the `train` dependency group (onnx, onnxruntime) besides the product. On Linux set MALLOC_MMAP_THRESHOLD_=4294967296 and
MALLOC_TRIM_THRESHOLD_=17179869184: without them more than half of the time goes to page faults (178 against 418 faces/s, batch 128).
"""

from __future__ import annotations

import argparse
import io
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from facecluster.models.embedder import CROP, AttentionEmbedder

MAP_7 = "/conv2/conv2.2/Clip_output_0"  # (n, 512, 7, 7), 0 to 6: what the teacher's head sums
MAP_14 = "/features/features.11/Add_output_0"  # (n, 128, 14, 14)
TEMPLATE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])


class Teacher:
    """The ONNX teacher with a free batch size and two inner maps as further outputs."""

    def __init__(self, path: Path, threads: int) -> None:
        model = onnx.load(str(path))
        graph = model.graph
        for value in (graph.input[0], graph.output[0]):
            value.type.tensor_type.shape.dim[0].dim_param = "n"
        for node in graph.node:  # the exported reshape fixes the batch at one
            if node.op_type == "Constant" and node.output[0] == "/Constant_output_0":
                node.attribute[0].t.CopyFrom(numpy_helper.from_array(np.array([-1, 128])))
        del graph.value_info[:]
        for name in (MAP_7, MAP_14):
            graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self.input = graph.input[0].name

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, 3, 112, 112) RGB 0..255 -> vectors (n, 128), maps (n, 49, 512) and (n, 128, 14, 14)."""
        mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255
        std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1) * 255
        x = ((images - mean) / std).contiguous().numpy()
        parts = [self.session.run(None, {self.input: x[i : i + 16]}) for i in range(0, len(x), 16)]
        vectors, map7, map14 = (torch.from_numpy(np.concatenate(p)) for p in zip(*parts, strict=True))
        return vectors, map7.flatten(2).transpose(1, 2), map14


def load_faces(faces: Path, photos: Path | None) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """All crops (n, 112, 112, 3), and which are held out: five named people and a twentieth of the nameless faces."""
    table = pq.read_table(faces, columns=["source", "subject", "crop"]).to_pydict()
    with ThreadPoolExecutor(2) as pool:
        crops = list(pool.map(lambda b: np.asarray(Image.open(io.BytesIO(b)).convert("RGB")), table["crop"]))
    people = sorted({s for s, source in zip(table["subject"], table["source"], strict=True) if s and source == "pins"})[::18][:5]
    held = [s in people if s else i % 20 == 0 for i, s in enumerate(table["subject"])]
    if photos is not None:
        extra = _faces_of_photos(photos)
        crops += extra
        held += [False] * len(extra)
    return np.stack(crops), np.array(held)


def _faces_of_photos(photos: Path) -> list[NDArray[np.uint8]]:
    """Aligned faces of 28 px and more from loose group photos: strangers, for variety."""
    found = []
    table = pq.read_table(photos).to_pydict()
    for source, image, boxes, marks in zip(table["source"], table["image"], table["boxes"], table["landmarks"], strict=True):
        if not source.startswith("groups/"):
            continue
        picture = Image.open(io.BytesIO(image)).convert("RGB")
        for box, points in zip(boxes, marks, strict=True):
            if box[2] < 28:
                continue
            # least squares for x' = a x - b y + tx, y' = b x + a y + ty, from the template to the photo (PIL maps output to input)
            target = np.asarray(points, float).reshape(5, 2)
            a = np.zeros((10, 4))
            a[0::2] = np.c_[TEMPLATE[:, 0], -TEMPLATE[:, 1], np.ones(5), np.zeros(5)]
            a[1::2] = np.c_[TEMPLATE[:, 1], TEMPLATE[:, 0], np.zeros(5), np.ones(5)]
            p, q, tx, ty = np.linalg.lstsq(a, target.ravel(), rcond=None)[0]
            crop = picture.transform((CROP, CROP), Image.Transform.AFFINE, (p, -q, tx, q, p, ty), Image.Resampling.BICUBIC)
            found.append(np.asarray(crop))
    return found


def augment(x: Tensor, g: torch.Generator) -> Tensor:
    """(n, 3, 112, 112) 0..255 -> the same, changed: half of it lightly, half of it a lot; new people by blending and bending faces."""
    n = len(x)

    def rand(*size: int) -> Tensor:
        return torch.rand(*size, generator=g)

    hard = rand(n) < 0.5
    # bend and place: a similarity transform and, for half, a smooth random field (another face shape: the teacher says whose)
    angle = (rand(n) - 0.5) * torch.where(hard, 0.35, 0.08)
    scale = 1 + (rand(n) - 0.5) * torch.where(hard, 0.26, 0.06)
    shift = (rand(n, 2) - 0.5) * torch.where(hard, 0.20, 0.05)[:, None]
    mirror = torch.where(rand(n) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    theta = torch.stack([torch.stack([cos * mirror, -sin, shift[:, 0]], 1), torch.stack([sin * mirror, cos, shift[:, 1]], 1)], 1)
    grid = F.affine_grid(theta, [n, 3, CROP, CROP], align_corners=False)
    field = F.interpolate(torch.randn(n, 2, 5, 5, generator=g), size=(CROP, CROP), mode="bicubic", align_corners=True)
    grid = grid + (field * (torch.where(rand(n) < 0.5, 0.035, 0.0) * hard).view(n, 1, 1, 1)).permute(0, 2, 3, 1)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    # blend two faces, evenly or by regions with a soft border
    other = x[torch.randperm(n, generator=g)]
    mask = torch.sigmoid(4 * F.interpolate(torch.randn(n, 1, 3, 3, generator=g), size=(CROP, CROP), mode="bicubic", align_corners=True))
    even = (0.5 + 0.5 * rand(n)).view(n, 1, 1, 1)
    kind = rand(n).view(n, 1, 1, 1)
    keep = torch.where(kind < 0.25, even, torch.where(kind < 0.45, mask, torch.ones(1)))
    x = keep * x + (1 - keep) * other
    # resolution: down to 24..112 px and up again
    if (small := rand(n) < 0.15).any():
        side = int(24 + 60 * rand(1).item())
        low = F.interpolate(x[small], size=(side, side), mode="bilinear", antialias=True)
        x[small] = F.interpolate(low, size=(CROP, CROP), mode="bilinear")
    # light and colour
    much = torch.where(hard, 1.0, 0.3).view(n, 1, 1, 1)
    x = x * (1 + (rand(n, 1, 1, 1) - 0.5) * much) * (1 + (rand(n, 3, 1, 1) - 0.5) * 0.2 * much) + (rand(n, 1, 1, 1) - 0.5) * 60 * much
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = mean + (x - mean) * (1 + (rand(n, 1, 1, 1) - 0.5) * 0.8 * much)
    grey = (rand(n) < 0.06).view(n, 1, 1, 1)
    x = torch.where(grey, x.mean(dim=1, keepdim=True).expand_as(x), x)
    if (noisy := rand(n) < 0.15).any():
        x[noisy] += torch.randn(x[noisy].shape, generator=g) * 12 * rand(1)
    return x.clamp_(0, 255)


class Replay:
    """The last `size` faces that the teacher labelled.

    Labels cost a third of a step; while the student underfits, seeing one twice more is nearly free.
    """

    def __init__(self, size: int) -> None:
        self.size, self.seen, self.parts = size, 0, list[Tensor]()

    def add(self, images: Tensor, told: tuple[Tensor, Tensor, Tensor]) -> None:
        rows = [images.to(torch.uint8), told[0], told[1].half(), told[2].half()]
        if not self.parts:
            self.parts = [torch.empty(self.size, *r.shape[1:], dtype=r.dtype) for r in rows]
        at = (self.seen + torch.arange(len(images))) % self.size
        for part, r in zip(self.parts, rows, strict=True):
            part[at] = r
        self.seen += len(images)

    def draw(self, n: int, g: torch.Generator) -> tuple[Tensor, ...]:
        at = torch.randint(min(self.seen, self.size), (n,), generator=g)
        return tuple(p[at].float() for p in self.parts)


class Distiller(nn.Module):
    """The student and what it needs only while it learns; returns the parts of the loss."""

    def __init__(self, student: AttentionEmbedder) -> None:
        super().__init__()
        self.student = student
        self.adapt = nn.Conv2d(128, 128, 1)

    def forward(self, x: Tensor, vectors: Tensor, map7: Tensor, map14: Tensor) -> dict[str, Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            stem, parts = self.student.features(x)
            mine, said14 = self.student.pool(parts), self.adapt(stem)
        mine, theirs = F.normalize(mine.float()), F.normalize(vectors)
        return {
            "cosine": 1 - (mine * theirs).sum(1).mean(),
            "matrix": F.mse_loss(mine @ mine.T, theirs @ theirs.T),
            "map7": F.mse_loss(parts.float(), map7) / map7.var(),
            "map14": F.mse_loss(said14.float(), map14) / map14.var(),
        }


@torch.inference_mode()
def held_out(model: AttentionEmbedder, crops: NDArray[np.uint8], target: Tensor) -> float:
    """Mean cosine to the teacher, both summed over the crop and its mirror."""
    model.eval()
    rows = []
    for i in range(0, len(crops), 64):
        x = torch.from_numpy(crops[i : i + 64]).permute(0, 3, 1, 2).float()
        with torch.autocast("cpu", torch.bfloat16):
            rows.append(model(x).float() + model(x.flip(3)).float())
    model.train()
    return float(F.cosine_similarity(torch.cat(rows), target).mean())


def rate(spent: float, warm: float = 0.01, fall: float = 0.5) -> float:
    """Share of the full learning rate after `spent` (0 to 1) of the budget: warm up, hold, then fall linearly to zero."""
    return min(1.0, (spent + 1e-4) / warm, max(0.0, (1 - spent) / fall))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--photos", type=Path, help="loose photos with boxes and landmarks, for further faces")
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=120, help="time budget over all runs together")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--muon", type=float, default=3e-3)
    parser.add_argument("--adamw", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--init", type=Path, help="weights to start from (safetensors), which also say the network's size")
    parser.add_argument("--fall", type=float, default=0.5, help="share of the budget in which the rate falls to zero")
    parser.add_argument("--reuse", type=int, default=3, help="steps a batch of the teacher's labels serves on average; 1: always fresh")
    parser.add_argument("--replay", type=int, default=40_000, help="labelled faces to keep in memory (140 kB each)")
    parser.add_argument("--stop-after", type=int, help="steps; to try a setting")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoint = args.out / "checkpoint.pt"

    crops, held = load_faces(args.faces, args.photos)
    teacher = Teacher(args.teacher, args.threads)
    watch = crops[held][:: max(1, held.sum() // 512)][:512]
    images = torch.from_numpy(watch).permute(0, 3, 1, 2).float()
    target = teacher(images)[0] + teacher(images.flip(3))[0]
    pool = torch.from_numpy(np.ascontiguousarray(crops[~held].transpose(0, 3, 1, 2)))
    print(f"{len(pool)} faces to learn from, {len(watch)} to watch", flush=True)

    torch.manual_seed(0)
    student = AttentionEmbedder.from_weights(load_file(args.init)) if args.init else AttentionEmbedder()
    model = Distiller(student).to(memory_format=torch.channels_last)
    matrices = [p for m in model.student.blocks.modules() if isinstance(m, nn.Linear) for p in [m.weight]] + [model.student.parts.weight]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    optimisers = [
        torch.optim.Muon(matrices, lr=args.muon, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=args.adamw, weight_decay=0.05),
    ]
    full = [args.muon, args.adamw]
    step, spent_before, g = 0, 0.0, torch.Generator().manual_seed(0)
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        for o, s in zip(optimisers, state["optimisers"], strict=True):
            o.load_state_dict(s)
        step, spent_before = state["step"], state["spent"]
        g.manual_seed(step)
    compiled = torch.compile(model)
    replay = Replay(args.replay)

    started = time.monotonic()
    sums: dict[str, float] = {}
    last_saved = last_step = step
    last_time = started
    while True:
        spent = spent_before + time.monotonic() - started
        share = spent / (60 * args.minutes)
        for o, lr in zip(optimisers, full, strict=True):
            for group in o.param_groups:
                group["lr"] = lr * rate(share, fall=args.fall)
        if step % args.reuse == 0 or replay.seen < 8 * args.batch:
            x = augment(pool[torch.randint(len(pool), (args.batch,), generator=g)].float(), g).round()
            told: tuple[Tensor, ...] = teacher(x)
            replay.add(x, told)
        if args.reuse > 1:
            x, *told = replay.draw(args.batch, g)
        parts = compiled(x.contiguous(memory_format=torch.channels_last), *told)
        loss = parts["cosine"] + 2 * parts["matrix"] + 0.5 * parts["map7"] + 0.1 * parts["map14"]
        for o in optimisers:
            o.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        for o in optimisers:
            o.step()
        step += 1
        for k, v in parts.items():
            sums[k] = sums.get(k, 0.0) + float(v.detach())
        done = share >= 1 or step == args.stop_after
        if step % 100 == 0 or done:
            now = time.monotonic()
            n = step - last_step
            line = {"step": step, "samples": step * args.batch, "minutes": round(spent / 60, 2), "rate": round(rate(share, fall=args.fall), 4)}
            line |= {"faces_per_second": round(n * args.batch / (now - last_time), 1)} | {k: round(v / n, 4) for k, v in sums.items()}
            line["held_out_cosine"] = round(held_out(model.student, watch, target), 4)
            print(json.dumps(line), flush=True)
            with (args.out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            sums, last_step, last_time = {}, step, time.monotonic()
            if not math.isfinite(float(loss.detach())):
                raise SystemExit("the loss is no longer a number: lower the rates and start from an older checkpoint")
        if step - last_saved >= 300 or done:
            last_saved = step
            spent = spent_before + time.monotonic() - started
            state = {"model": model.state_dict(), "optimisers": [o.state_dict() for o in optimisers], "step": step, "spent": spent}
            torch.save(state, args.out / "checkpoint.new")
            (args.out / "checkpoint.new").replace(checkpoint)
            weights = {k: v.half() if v.is_floating_point() else v for k, v in model.student.state_dict().items()}
            save_file({k: v.contiguous() for k, v in weights.items()}, args.out / "embedder.safetensors")
        if done:
            return


if __name__ == "__main__":
    main()
