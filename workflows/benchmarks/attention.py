"""What cheaper attention gives a small embedder of faces: accuracy after equal short training, faces a second, memory (docs/attention.md).

    python workflows/benchmarks/attention.py --work FOLDER --again

`attention_networks.py` says what the variants are. Each learns from the same faces in the same order what the teacher says of them, and is
judged, in bfloat16, on faces of other people. `--work` keeps the weights, and what the teacher says of the faces to judge by. The vectors
to learn are those in the file of faces; with `--ask`, the teacher is asked about the crops as they are (half an hour for 16,680 of them).
The results are written after each variant: stop it when you like; the command without `--again` goes on with the next. A variant that is
in the results is not trained again, and those that are committed hold all: `--again` begins with none. Speed and memory are measured of all
variants together, in turns, at the end.
Times are of the processor, not of the clock. Needs onnx and onnxruntime (the `train` dependency group).
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]
import torch  # noqa: E402
from attention_forms import fused, plain  # noqa: E402
from attention_networks import VARIANTS, Member, Variant, deployed  # noqa: E402
from attention_speed import INT8, alone_speed, family_speed, in_int8, memory  # noqa: E402
from attention_training import judged, labelled, train, training_speed  # noqa: E402
from embedder import accuracy, machine  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from facecluster.models.int8 import measure_ranges  # noqa: E402
from facecluster.models.int8_layers import multiplication  # noqa: E402
from facecluster.models.registry import fold_batch_norm  # noqa: E402

DATA = Path("../shared")


def multiplications(variant: Variant) -> float:
    """Millions of multiplications a face. The counter does not know the fused kernel, which needs as many as plain attention."""
    counted = replace(variant, forms=tuple(plain if form is fused else form for form in variant.forms))
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        Member(counted).eval()(torch.zeros(1, 3, 112, 112))
    return round(counter.get_total_flops() / 2e6, 1)


def save(path: Path, result: dict[str, Any]) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    beside.replace(path)


def weights_path(work: Path, name: str) -> Path:
    return work / f"{name.replace(', ', '-').replace(' ', '-')}.safetensors"


def load(work: Path, name: str, weights_of: str) -> Member:
    network = Member(VARIANTS[name]).eval()
    network.load_state_dict(load_file(weights_path(work, weights_of)))
    return network


def train_all(options: argparse.Namespace, result: dict[str, Any]) -> None:
    """Train and judge what has not been, variant by variant."""
    found = result.setdefault("variants", {})
    wanted = [*VARIANTS, *(INT8 if multiplication() else ())]
    if all(name in found for name in wanted):
        return
    crops, _, told = labelled(options.faces, options.teacher if options.ask else None, options.work)
    judges, names, theirs = labelled(options.judges, options.teacher, options.work)
    result |= {"trained_on": len(crops), "steps": options.steps, "batch": options.batch, "teacher": accuracy(theirs, names)}
    for name in (n for n in VARIANTS if n not in found):
        variant, seconds = VARIANTS[name], None
        if variant.weights_of:
            network = load(options.work, name, variant.weights_of)
        else:
            network, seconds = train(variant, crops, told, options.steps, options.batch, lambda line, n=name: print(n, line, flush=True))
            save_file({k: v.contiguous() for k, v in network.state_dict().items()}, weights_path(options.work, name))
        ready = deployed(network)
        found[name] = {
            "what": variant.says, "parameters": sum(p.numel() for p in network.parameters()),
            "million_multiplications": multiplications(variant), "training_seconds": seconds and round(seconds, 1),
            **judged(lambda x, run=ready: run(x.to(torch.bfloat16)), judges, names, theirs),
        }  # fmt: skip
        save(options.out, result)
    for name in (n for n in wanted if n in INT8 and n not in found):
        network = load(options.work, INT8[name], INT8[name])
        some = torch.from_numpy(crops[:: len(crops) // 512]).permute(0, 3, 1, 2).float()
        ranges = measure_ranges(fold_batch_norm(copy.deepcopy(network)), some)  # type: ignore[arg-type]
        found[name] = {
            "what": f"the weights of '{INT8[name]}' in 8-bit integers", **judged(in_int8(network, ranges), judges, names, theirs),
        }  # fmt: skip
        save(options.out, result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, default=DATA / "data" / "faces_train.parquet", help="to learn from")
    parser.add_argument("--judges", type=Path, default=DATA / "data" / "faces_eval.parquet", help="to judge by")
    parser.add_argument("--teacher", type=Path, default=DATA / "teachers" / "mobilefacenet.onnx")
    parser.add_argument("--ask", action="store_true", help="ask the teacher about the faces to learn from, too")
    parser.add_argument("--work", type=Path, required=True, help="folder for the teacher's vectors and the weights")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7, help="of the speed measurement; 0 leaves speed and memory out")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "attention.json")
    parser.add_argument("--again", action="store_true", help="train all variants, also those in the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() and not options.again else {}
    train_all(options, result)
    if options.rounds:
        result["faces_per_second"], result["alone_microseconds_a_face"] = family_speed(options.rounds), alone_speed(options.rounds)
        result["training_faces_per_second"] = training_speed(options.batch, options.rounds)
        result |= memory()
    result["machine"] = machine(1)
    save(options.out, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
