"""Train the bundled embedder: distil a face-recognition teacher (ONNX) into the small attention model.

    python workflows/train_embedder.py --faces faces_train.parquet --more faces_more.parquet --teacher mobilefacenet.onnx \
        --out runs/embedder --minutes 120

Every batch is augmented afresh and the teacher looks at it; then parts of some faces are hidden (masks, dark glasses), and the student
learns what the teacher said:

    (1 - cosine to the teacher's vector) + 2 * mean squared error of the batch's cosine matrix
    + the teacher's 7x7 map before its head, and its 14x14 map (relative mean squared errors): 25,000 numbers a face, not 128.

Matrices learn by Muon, the rest by AdamW; the rate follows the share of the time budget that is spent (warm up, hold, fall to zero).
A training that goes on for days holds its rate (`--fall 0`): the mean of the weights over the last steps (`--average`) stands in for
the fall, so that it can be published at any time. That mean is what embedder.safetensors holds and what the log's held_out_cosine is of.
Stop it whenever you like: it goes on from the last checkpoint. `log.jsonl` beside the checkpoint is the lab book.
Some people and faces of the training file are held out to watch progress; the evaluation file is never opened here.

Needs the `train` dependency group (onnx, onnxruntime) besides the product. On Linux set MALLOC_MMAP_THRESHOLD_=4294967296 and
MALLOC_TRIM_THRESHOLD_=17179869184: without them more than half of the time goes to page faults (178 against 418 faces/s, batch 128).
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from embedder_faces import load_faces
from embedder_teacher import Teacher
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from facecluster.models.embedder import AttentionEmbedder
from facecluster.models.registry import has_bf16
from facecluster.training.augment import augment, occlude
from facecluster.training.averaging import kept_blocks
from facecluster.training.optimisers import Muon, move_mean, rate

BF16 = has_bf16("cpu")  # where the processor only emulates it, it is several times slower than float32


def look(teacher: Teacher, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the teacher says of (n, 3, 112, 112) RGB 0..255: vectors (n, 128), maps (n, 49, 512) and (n, 128, 14, 14)."""
    vectors, map7, map14 = (torch.from_numpy(a) for a in teacher.run(images.permute(0, 2, 3, 1).numpy()))
    return vectors, map7.flatten(2).transpose(1, 2), map14


class Replay:
    """The last `size` faces that the teacher labelled.

    Labels cost a third of a step; while the student underfits, seeing one twice more is nearly free.
    """

    def __init__(self, size: int) -> None:
        self.size, self.seen, self.parts = size, 0, list[Tensor]()

    def add(self, images: Tensor, told: Sequence[Tensor]) -> None:
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
        with torch.autocast("cpu", torch.bfloat16, enabled=BF16):
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
        with torch.autocast("cpu", torch.bfloat16, enabled=BF16):
            rows.append(model(x).float() + model(x.flip(3)).float())
    model.train()
    return float(F.cosine_similarity(torch.cat(rows), target).mean())


def grow(student: AttentionEmbedder, depth: int) -> AttentionEmbedder:
    """The same function in a deeper network: blocks that add nothing yet, spread evenly between those there are."""
    settings = dict(student.settings)
    before = settings["depth"]
    grown = AttentionEmbedder(**settings | {"depth": depth})  # type: ignore[arg-type]
    kept = kept_blocks(before, depth)
    state = {k: v for k, v in student.state_dict().items() if not k.startswith("blocks.")}
    for at, block in enumerate(grown.blocks):
        if at in kept:
            block.load_state_dict(student.blocks[kept[at]].state_dict())
        else:
            for last in (block.attention.out, block.mlp[2]):  # type: ignore[union-attr, index]
                nn.init.zeros_(last.weight)  # type: ignore[union-attr, arg-type]
                nn.init.zeros_(last.bias)  # type: ignore[union-attr, arg-type]
    grown.load_state_dict(state | {f"blocks.{k}": v for k, v in grown.blocks.state_dict().items()})
    return grown


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="further files of faces, of which none is held out")
    parser.add_argument("--photos", type=Path, help="loose photos with boxes and landmarks, for further faces")
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=120, help="time budget over all runs together")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--muon", type=float, default=3e-3)
    parser.add_argument("--adamw", type=float, default=2e-3)
    parser.add_argument("--fall", type=float, default=0.5, help="share of the budget in which the rates fall to zero; 0: never")
    parser.add_argument("--average", type=float, default=0.999, help="decay a step of the mean of the weights that is kept and published")
    parser.add_argument("--depth", type=int, help="blocks to grow the network of --init to, before its first step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--init", type=Path, help="weights to start from (safetensors), which also say the network's size")
    parser.add_argument("--reuse", type=int, default=3, help="steps a batch of the teacher's labels serves on average; 1: always fresh")
    parser.add_argument("--replay", type=int, default=40_000, help="labelled faces to keep in memory (140 kB each)")
    parser.add_argument("--stop-after", type=int, help="steps; to try a setting")
    return parser.parse_args()


class Run:
    """Model, optimisers, clock and generator of a training: what a checkpoint holds."""

    def __init__(self, args: argparse.Namespace) -> None:
        torch.manual_seed(0)
        student = AttentionEmbedder.from_weights(load_file(args.init)) if args.init else AttentionEmbedder()
        if args.depth:
            student = grow(student, args.depth)
        self.args, self.model = args, Distiller(student).to(memory_format=torch.channels_last)
        self.mean = copy.deepcopy(student).to(memory_format=torch.channels_last)
        matrices = [m.weight for m in student.blocks.modules() if isinstance(m, nn.Linear)] + [student.parts.weight]
        chosen = {id(p) for p in matrices}
        others = [p for p in self.model.parameters() if id(p) not in chosen]
        self.optimisers: list[torch.optim.Optimizer] = [
            Muon(matrices, lr=args.muon, weight_decay=0.05),
            torch.optim.AdamW(others, lr=args.adamw, weight_decay=0.05),
        ]
        self.step, self.spent_before, self.generator = 0, 0.0, torch.Generator().manual_seed(0)
        self.checkpoint = args.out / "checkpoint.pt"
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.mean.load_state_dict(state["mean"])
            for o, s in zip(self.optimisers, state["optimisers"], strict=True):
                o.load_state_dict(s)
            self.step, self.spent_before = state["step"], state["spent"]
            self.generator.manual_seed(self.step)
        self.compiled = torch.compile(self.model)
        self.started = time.monotonic()

    @property
    def spent(self) -> float:
        """Seconds, of all runs together."""
        return self.spent_before + time.monotonic() - self.started

    @property
    def share(self) -> float:
        """Of the budget that is spent."""
        return self.spent / (60 * self.args.minutes)

    def learn(self, x: Tensor, told: Sequence[Tensor], share: float) -> dict[str, float]:
        """One step; returns the parts of the loss."""
        for o, full in zip(self.optimisers, (self.args.muon, self.args.adamw), strict=True):
            for group in o.param_groups:
                group["lr"] = full * rate(share, fall=self.args.fall)
        parts = self.compiled(x.contiguous(memory_format=torch.channels_last), *told)
        loss = parts["cosine"] + 2 * parts["matrix"] + 0.5 * parts["map7"] + 0.1 * parts["map14"]
        for o in self.optimisers:
            o.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        for o in self.optimisers:
            o.step()
        self.step += 1
        move_mean(self.mean, self.model.student, min(self.args.average, self.step / (self.step + 10)))
        if not math.isfinite(float(loss.detach())):
            raise SystemExit("the loss is no longer a number: lower the rates and start from an older checkpoint")
        return {k: float(v.detach()) for k, v in parts.items()}

    def save(self) -> None:
        optimisers = [o.state_dict() for o in self.optimisers]
        state = {
            "model": self.model.state_dict(), "mean": self.mean.state_dict(), "optimisers": optimisers,
            "step": self.step, "spent": self.spent,
        }  # fmt: skip
        beside = self.checkpoint.with_suffix(".new")
        torch.save(state, beside)
        beside.replace(self.checkpoint)
        weights = {k: v.half() if v.is_floating_point() else v for k, v in self.mean.state_dict().items()}
        save_file({k: v.contiguous() for k, v in weights.items()}, self.args.out / "embedder.safetensors")


def main() -> None:
    args = parse()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    crops, held = load_faces(args.faces, args.photos, args.more)
    teacher = Teacher(args.teacher, args.threads, maps=True, spin=False)
    watch = crops[held][:: max(1, held.sum() // 512)][:512]
    target = torch.from_numpy(teacher.embed(watch))
    pool, learn_from = torch.from_numpy(crops), torch.from_numpy(np.flatnonzero(~held))
    print(f"{len(learn_from)} faces to learn from, {len(watch)} to watch", flush=True)
    run, replay = Run(args), Replay(args.replay)
    g, batch = run.generator, args.batch
    sums: dict[str, float] = {}
    last_saved = last_step = run.step
    last_time, share = run.started, 0.0
    while share < 1 and run.step != args.stop_after:
        share = run.share
        if run.step % args.reuse == 0 or replay.seen < 8 * batch:
            chosen = learn_from[torch.randint(len(learn_from), (batch,), generator=g)]
            x = augment(pool[chosen].permute(0, 3, 1, 2).float(), g).round()
            told: Sequence[Tensor] = look(teacher, x)
            x = occlude(x, g)
            replay.add(x, told)
        if args.reuse > 1:
            x, *told = replay.draw(batch, g)
        for k, v in run.learn(x, told, share).items():
            sums[k] = sums.get(k, 0.0) + v
        done = share >= 1 or run.step == args.stop_after
        if run.step % 100 == 0 or done:
            now, n = time.monotonic(), run.step - last_step
            line = {"step": run.step, "samples": run.step * batch, "minutes": round(run.spent / 60, 2)}
            line |= {"rate": round(rate(share, fall=args.fall), 4), "faces_per_second": round(n * batch / (now - last_time), 1)}
            line |= {k: round(v / n, 4) for k, v in sums.items()}
            line["held_out_cosine"] = round(held_out(run.mean, watch, target), 4)
            print(json.dumps(line), flush=True)
            with (args.out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            sums, last_step, last_time = {}, run.step, time.monotonic()
        if run.step - last_saved >= 300 or done:
            last_saved = run.step
            run.save()


if __name__ == "__main__":
    main()
