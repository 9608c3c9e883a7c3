"""Train the bundled embedder on one GPU: faces, augmentation and teacher are there too, so the processor keeps nothing waiting.

    python workflows/train_embedder_gpu.py --faces faces_train.parquet --more faces_more.parquet --photos photos_detect.parquet \
        --out runs/embedder-gpu --teacher mobilefacenet.onnx --minutes 8
    python workflows/sharpen_embedder.py --weights runs/embedder-gpu/embedder.safetensors ...

The same faces as for train_embedder.py, written beside the training, in OUT-faces; the evaluation file is never opened here. Names and
weights of the maps, `hide` and `average` are those of facecluster/training/recipes/bundled.toml. What differs: 512 faces a step, the rate
falls over the last .8 of the budget, and no face is learnt from again, since the teacher costs next to nothing here. The teacher is an ONNX
file of convolutions (torch_teacher.py); it takes the package onnx to read it.

OUT gets a checkpoint each minute and embedder.safetensors at the end: the mean of the weights over the last steps, in float16. Ctrl-C keeps
what was learnt; the same command goes on, also with more --minutes or --steps. With fewer than were spent it writes the weights of now.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from embedder_faces import read_set, write_data_set
from gpu_training import LOSSES, RECIPE, Training
from safetensors.torch import save as to_bytes
from torch_teacher import MEAN, STD

from facecluster.errors import FaceclusterError, InputError, ModelError
from facecluster.models.folder import WEIGHTS
from facecluster.models.onnx_session import sha256_of
from facecluster.models.registry import best_device
from facecluster.training.folder import at_work, replacing
from facecluster.training.loop import CHECKPOINT, read_checkpoint
from facecluster.training.networks import named_weights
from facecluster.training.optimisers import rate
from facecluster.training.processes import noted_interrupt

CHUNK = 8  # batches that are made at once; the steps that follow do not wait for the GPU
SAVE_SECONDS, TELL_SECONDS = 60.0, 10.0
LOOKS = 10  # at the held-out faces, over the whole budget


class Clock:
    """How much of the budget is spent, in all runs together."""

    def __init__(self, args: argparse.Namespace, before: float) -> None:
        self.args, self.started = args, time.monotonic() - before

    @property
    def spent(self) -> float:
        """Seconds."""
        return time.monotonic() - self.started

    def share(self, step: int) -> float:
        """0 to 1, of the budget that ends first."""
        by_time = self.spent / (60 * self.args.minutes) if self.args.minutes else 0.0
        return min(1.0, max(by_time, step / self.args.steps if self.args.steps else 0.0))


def learn(training: Training, args: argparse.Namespace, fixed: dict[str, Any]) -> None:
    """Learn until the budget is spent, from the checkpoint if there is one. Raises KeyboardInterrupt after the checkpoint is written."""
    path, before = args.out / CHECKPOINT, 0.0
    if path.exists():
        state = read_checkpoint(path)
        check_settings(state["fixed"], fixed, args.out)
        training.restore(state)
        before = state["spent"]
    print(f"{len(training.faces):,} faces on {args.device}; step {training.step}; held-out cosine {training.cosine():.4f}", flush=True)
    clock, told, saved = Clock(args, before), time.monotonic(), time.monotonic()
    looked, since, sums = int(LOOKS * clock.share(training.step)), 0, [0.0] * len(LOSSES)

    def save() -> None:
        with replacing(path) as file:
            torch.save(training.state() | {"spent": clock.spent, "fixed": fixed}, file)

    with noted_interrupt() as pressed:
        while (share := clock.share(training.step)) < 1 and not pressed[0]:
            count = min(CHUNK, args.steps - training.step if args.steps else CHUNK)
            at = rate(share, fall=args.fall)
            said = torch.stack([training.learn(*batch, at) for batch in training.batches(count)]).sum(dim=0).tolist()
            if not math.isfinite(said[0]):
                raise ModelError("expected a loss that is a number, found one that is not: choose a lower --rate and another --out")
            sums, since, now = [a + b for a, b in zip(sums, said, strict=True)], since + count, time.monotonic()
            share = clock.share(training.step)
            if now - told > TELL_SECONDS or share >= 1:
                left = clock.spent * (1 - share) / max(share, 1e-9)
                parts = ", ".join(f"{name} {value / since:.4f}" for name, value in zip(LOSSES, sums, strict=True))
                speed = since * args.batch / (now - told)
                print(f"step {training.step}, {share:.1%}, {speed:,.0f} faces/s, {left / 60:.1f} min left; {parts}", flush=True)
                told, since, sums = now, 0, [0.0] * len(LOSSES)
            if int(LOOKS * share) > looked:
                looked = int(LOOKS * share)
                print(f"held-out cosine {training.cosine():.4f}", flush=True)
            if now - saved > SAVE_SECONDS:
                save()
                saved = time.monotonic()
        save()
    if share < 1:
        raise KeyboardInterrupt


def check_settings(before: dict[str, Any], now: dict[str, Any], out: Path) -> None:
    """Raise InputError unless a checkpoint was made with the settings of now."""
    for name, value in now.items():
        if before.get(name) != value:
            said, found = (f", {before.get(name)}", str(value)) if isinstance(value, int | float) else ("", "another")
            wanted = f"expected the {name} of the checkpoint in {out}{said}"
            raise InputError(f"{wanted}, found {found}: give the same command, or another --out")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="further files of faces, of which none is held out")
    parser.add_argument("--photos", type=Path, help="loose photos with boxes and landmarks, for further faces")
    parser.add_argument("--teacher", type=Path, required=True, help="ONNX file")
    parser.add_argument("--mean", type=float, nargs=3, default=MEAN, help="of the teacher's colours, RGB from 0 to 255")
    parser.add_argument("--std", type=float, nargs=3, default=STD)
    parser.add_argument("--init", type=Path, default=WEIGHTS / "embedder.safetensors", help="weights to start from")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, help="of all runs together, compiling too")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, default=0.002)
    parser.add_argument("--fall", type=float, default=0.8, help="share of the budget in which the rate falls to zero")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=["auto", "cuda", "cpu"], default="auto")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, help="by torch.compile; usual on a GPU")
    args = parser.parse_args()
    if max(args.minutes or 0, args.steps or 0) <= 0:
        parser.error("expected --minutes or --steps above 0, found neither: say how long to learn")
    return args


def main() -> None:
    args = parsed()
    try:
        args.device = best_device(args.device)
        if args.compile is None:
            args.compile = args.device == "cuda"
        run(args)
    except (FaceclusterError, OSError) as e:
        sys.exit(str(e))
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        sys.exit(130)


def run(args: argparse.Namespace) -> None:
    if args.device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    data = args.out.with_name(f"{args.out.name}-faces")
    sources = [args.faces, *args.more, *([args.photos] if args.photos else [])]
    if not data.is_dir() and (missing := [path for path in sources if not path.is_file()]):
        raise InputError(f"expected a file of faces or photos at {missing[0]}, found none: correct the path")
    write_data_set(data, args.faces, args.more, args.photos)
    faces, held_out, digest = read_set(data, args.device)
    fixed = {name: getattr(args, name) for name in ("batch", "rate", "fall", "seed")} | {"faces": digest, "recipe": RECIPE}
    fixed |= {name: list(getattr(args, name)) for name in ("mean", "std")}
    fixed |= {name: sha256_of(getattr(args, name)) for name in ("init", "teacher")}
    with at_work(args.out):
        training = Training(args, faces, held_out)
        learn(training, args, fixed)
        with replacing(args.out / "embedder.safetensors") as file:
            file.write(to_bytes(named_weights(training.mean)))


if __name__ == "__main__":
    main()
