"""Let `facecluster train` go on from a checkpoint of the script that trained the bundled embedder before.

    facecluster train runs/embedder-faces -o runs/embedder --recipe bundled --init bundled --teacher mobilefacenet --steps 1
    python workflows/older_checkpoint.py --older older/checkpoint.pt --training runs/embedder

The first line begins a training with the settings that are wanted, and of the same depth. The second gives it the older one's weights,
their mean, its optimisers' memory, its number of steps and the time that was spent. The same command with more --minutes then goes on.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import torch

from facecluster.training.loop import CHECKPOINT, read_checkpoint


def taken_over(older: dict[str, Any], begun: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint of a training that was begun, with what an older one had learnt."""
    parts: dict[str, dict[str, Any]] = {"student": {}, "adapt": {}}
    for name, value in older["model"].items():
        part, _, rest = name.partition(".")
        parts[part][rest] = value
    for mine, theirs in ((begun["network"], parts["student"]), (begun["mean"], older["mean"]), (begun["adapt"], parts["adapt"])):
        if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in theirs.items()}:
            raise SystemExit("expected a training of a network of the same size, found another: begin one of the same depth")
    optimisers = [new | {"state": old["state"]} for new, old in zip(begun["optimisers"], older["optimisers"], strict=True)]
    learnt = {"network": parts["student"], "mean": older["mean"], "adapt": parts["adapt"], "optimisers": optimisers}
    return begun | learnt | {"step": older["step"], "spent": older["spent"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--older", type=Path, required=True)
    parser.add_argument("--training", type=Path, required=True, help="folder of the training that was begun")
    args = parser.parse_args()
    path = args.training / CHECKPOINT
    found = taken_over(torch.load(args.older, map_location="cpu", weights_only=True), read_checkpoint(path))
    torch.save(found, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)
    print(f"{args.training} goes on from step {found['step']}, after {found['spent'] / 60:.1f} minutes")


if __name__ == "__main__":
    main()
