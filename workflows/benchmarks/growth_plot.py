"""Draw how time and memory grow with the number of faces, from 10^3 to 10^7: measured runs, the laws of `facecluster plan`, and N log N.

    python workflows/benchmarks/growth_plot.py -o docs/images/growth.svg

Left: processor time of one core, each stage alone in a process (facecluster/plan/measured.json). Middle: time by the clock of two Dask
workers on two cores (results/millions.json), full marks on cores that did nothing else, hollow ones beside other work; what a run did
before it was killed counts. Right: peak memory of one process, and of all processes of two workers, of which version where it is not now's.
"""

from __future__ import annotations

import argparse
import json
from math import log2
from pathlib import Path
from typing import Any

import matplotlib

from facecluster.plan.runs import HERE, TASKS, Run, Size, read_runs
from facecluster.plan.stages import fit_stage

matplotlib.use("svg")
from matplotlib import pyplot as plt

MILLIONS = Path(__file__).with_name("results") / "millions.json"
LINES = (("link", HERE, "o"), ("link", TASKS, "s"), ("identify", HERE, "^"), ("identify", TASKS, "v"), ("report", HERE, "x"))
STEPS = (("links", "link", "s"), ("identities", "identify", "v"))
FACES = 2e3, 1.3e7
Points = list[tuple[float, float, bool]]  # faces, value, whether other work went on beside it


def n_log_n(axis: Any, n: float, value: float, color: str) -> None:
    """N log N through a point, on to the largest number of faces."""
    ends = [n * (1e7 / n) ** (i / 20) for i in range(21)]
    axis.loglog(ends, [value * m * log2(m) / (n * log2(n)) for m in ends], ":", color=color, linewidth=0.8)


def draw_runs(axis: Any, runs: list[Run], quantity: str, unit: float) -> dict[str, str]:
    """Measured runs and laws; gives the colour of each line."""
    colors = {}
    for stage, way, mark in LINES:
        some = sorted((r for r in runs if (r.stage, r.way) == (stage, way) and quantity in r.values), key=lambda r: r.size.faces)
        n, y = [r.size.faces for r in some], [r.values[quantity] / unit for r in some]
        label = stage if stage == "report" else f"{stage}, {'in tasks' if way == TASKS else 'in one process'}"
        points = axis.loglog(n, y, mark, label=label, markersize=4)[0]
        colors[f"{stage}, {way}"] = points.get_color()
        law = fit_stage(runs, stage, way)
        steps = [n[0] * (n[-1] / n[0]) ** (i / 30) for i in range(31)]
        axis.loglog(steps, [law.of(quantity, Size(faces=s)) / unit for s in steps], color=points.get_color(), linewidth=1)
        if quantity == "processor":
            n_log_n(axis, n[0], y[0], points.get_color())
    return colors


def clock_seconds(run: dict[str, Any], step: str) -> float:
    """What a step took, with what was done of the links before the run was killed."""
    took = sum(part["seconds"] for part in run["steps"] if part["step"] == step)
    if step == "links":
        reads = (part["seconds"] for part in run["steps"] if part["step"] == "read")
        took += sum(part["seconds"] - next(reads) for part in run["runs"] if part["killed"])
    return float(took)


def draw_points(axis: Any, points: Points, mark: str, color: str, label: str) -> None:
    for n, value, busy in sorted(points):
        axis.loglog(n, value, mark, color=color, markersize=5, markerfacecolor="none" if busy else color)
    axis.plot([], [], mark, color=color, label=label)


def _busy(run: dict[str, Any]) -> bool:
    return "did nothing else" not in run.get("machine", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    runs = [run for run in read_runs() if run.size.dim == 128]
    whole: dict[str, Any] = json.loads(MILLIONS.read_text())
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "growth", "font.size": 8})
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
    colors = draw_runs(left, runs, "processor", 1.0)
    left.set_title("processor time of one core, s")
    for step, stage, mark in STEPS:
        color, of_two = colors[f"{stage}, {TASKS}"], [run for run in whole.values() if run.get("cores", 2) == 2]
        points: Points = [(run["faces"], clock_seconds(run, step), _busy(run)) for run in of_two]
        draw_points(middle, points, mark, color, step)
        for n, seconds, _ in points:
            n_log_n(middle, n, seconds, color)
    middle.set_title("time by the clock, two workers on two cores, s")
    draw_runs(right, runs, "peak", 1e9)
    held = [(run["faces"], max(part["peak_gb"] for part in run["runs"]), _busy(run)) for run in whole.values()]
    draw_points(right, held, "D", "black", "two workers, all processes")
    for run, (n, gigabytes, _) in zip(whole.values(), held, strict=True):
        right.annotate(run.get("version", ""), (n, gigabytes), (-6, 0), textcoords="offset points", fontsize=6, ha="right", va="center")
    right.set_title("peak memory, GB")
    for axis, least in ((left, FACES[0]), (middle, 6e5), (right, FACES[0])):
        axis.set(xlabel="faces (128 numbers each)", xlim=(least, FACES[1]))
        axis.grid(alpha=0.3)
    for axis in (left, middle):
        axis.plot([], [], ":", color="grey", label="N log N")
    middle.plot([], [], "o", color="grey", markerfacecolor="none", label="beside other work")
    for axis in (left, middle, right):
        axis.legend(fontsize=6)
    figure.savefig(args.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
