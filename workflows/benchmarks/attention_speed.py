"""Processor time and memory of the family's forward passes, and of attention alone, in turns.

    python attention_speed.py      writes how far memory rises, in MB
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from attention_forms import Form, fused, linear, plain, windowed
from attention_networks import VARIANTS, Member, deployed
from torch import Tensor

from facecluster.models.int8 import Int8Embedder, measure_ranges
from facecluster.models.int8_layers import Ranges, multiplication
from facecluster.models.registry import fold_batch_norm

BATCHES = (1, 64)  # faces
FORMS: Mapping[str, Form] = {"plain": plain, "fused": fused, "windowed": windowed(7), "linear": linear}
TOKENS = (49, 196, 784)  # 7x7, 14x14, 28x28
ALONE = 8  # faces, of attention alone
INT8 = {"int8": "plain", "49 tokens, int8": "49 tokens"}  # the same weights in the product's 8-bit arithmetic
Run = Callable[[Tensor], Tensor]


def in_int8(network: Member, ranges: Ranges | None = None) -> Run:
    """The product's 8-bit arithmetic for a trained member with plain attention. Without ranges: for speed, they are those of noise."""
    ready = fold_batch_norm(network.eval())
    return Int8Embedder(ready, ranges or measure_ranges(ready, noise(8).float()), torch.bfloat16)  # type: ignore[arg-type]


def runs() -> dict[str, Run]:
    """Every way through the family that differs in speed: faces (n, 3, 112, 112) uint8 -> vectors. Weights do not matter for it."""
    return {name: run_of(name) for name in [*(n for n, v in VARIANTS.items() if not v.seed), *(INT8 if multiplication() else ())]}


def run_of(name: str) -> Run:
    if name in INT8:
        return in_int8(Member(VARIANTS[INT8[name]]))
    network = deployed(Member(VARIANTS[name]))
    return lambda images: network(images.to(torch.bfloat16))


def noise(n: int) -> Tensor:
    return torch.randint(0, 256, (n, 112, 112, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)).permute(0, 3, 1, 2)


def in_turns(ways: Mapping[str, Callable[[], object]], rounds: int, repeats: int) -> dict[str, float]:
    """Median processor seconds of a call of each, taken in turns; the first turn does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            began = time.process_time()
            for _ in range(repeats):
                way()
            if turn:
                seconds[name].append((time.process_time() - began) / repeats)
    return {name: statistics.median(found) for name, found in seconds.items()}


@torch.inference_mode()
def family_speed(rounds: int) -> dict[str, dict[str, float]]:
    """Faces a second of processor time of each variant at each batch size."""
    ways, found = runs(), {}
    for batch in BATCHES:
        faces = noise(batch)
        calls = {name: partial(run, faces) for name, run in ways.items()}
        for name, seconds in in_turns(calls, rounds, 20 if batch == 1 else 1).items():
            found.setdefault(name, {})[f"batch {batch}"] = round(batch / seconds, 1)
    return found


def _qkv(tokens: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(ALONE, 2, tokens, 64, generator=draw).to(dtype) for _ in range(3))
    return q, k, v


@torch.inference_mode()
def alone_speed(rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Microseconds of processor time a face of two heads of attention alone, by arithmetic, tokens and form."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for dtype in (torch.float32, torch.bfloat16):
        for tokens in TOKENS:
            parts = _qkv(tokens, dtype)
            calls = {name: partial(form, *parts) for name, form in FORMS.items()}
            seconds = in_turns(calls, rounds, max(1, 2000 // tokens))
            row = {name: round(1e6 * s / ALONE, 1) for name, s in seconds.items()}
            found.setdefault(str(dtype).removeprefix("torch."), {})[f"{tokens} tokens"] = row
    return found


def memory() -> dict[str, dict[str, dict[str, float]]]:
    """MB by which passes of the family and attention alone (8 faces, bfloat16) raise memory at most (Linux).

    Measured in a process of its own, where arrays of 4 kB and more go back to the system when they are freed.
    """
    settings = {"MALLOC_MMAP_THRESHOLD_": "4096", "MALLOC_TRIM_THRESHOLD_": "4096", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(Path(__file__).resolve())], env=os.environ | settings, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


def _status(field: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


@torch.inference_mode()
def _rise(work: Callable[[], object]) -> float:
    """MB above rest, the second time: the first makes what stays."""
    work()
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    work()
    return round(_status("VmHWM") - before, 1)


def main() -> None:
    torch.set_num_threads(1)
    family: dict[str, dict[str, float]] = {}
    for name, run in runs().items():
        family[name] = {f"batch {batch}": _rise(partial(run, noise(batch))) for batch in BATCHES}
    alone: dict[str, dict[str, float]] = {}
    for tokens in TOKENS:
        parts = _qkv(tokens, torch.bfloat16)
        alone[f"{tokens} tokens"] = {name: _rise(partial(form, *parts)) for name, form in FORMS.items()}
    print(json.dumps({"memory_mb": family, "alone_memory_mb": alone}))


if __name__ == "__main__":
    main()
