"""Draw how processor time and memory grow with the number of faces: measured runs, the laws of `facecluster plan`, and N log N beside them.

    python workflows/benchmarks/growth_plot.py -o docs/images/growth.svg
"""

from __future__ import annotations

import argparse
from math import log2
from pathlib import Path

import matplotlib

from facecluster.plan.runs import HERE, TASKS, Size, read_runs
from facecluster.plan.stages import fit_stage

matplotlib.use("svg")
from matplotlib import pyplot as plt

PANELS = {"processor": ("processor time, s", 1.0), "peak": ("peak memory, GB", 1e9)}
LINES = (("link", HERE, "o"), ("link", TASKS, "s"), ("identify", HERE, "^"), ("identify", TASKS, "v"), ("report", HERE, "x"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    runs = [run for run in read_runs() if run.size.dim == 128]
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "growth", "font.size": 9})
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for axis, (quantity, (title, unit)) in zip(axes, PANELS.items(), strict=True):
        for stage, way, mark in LINES:
            some = sorted((r for r in runs if (r.stage, r.way) == (stage, way) and quantity in r.values), key=lambda r: r.size.faces)
            n, y = [r.size.faces for r in some], [r.values[quantity] / unit for r in some]
            label = stage if stage == "report" else f"{stage}, {'in tasks' if way == TASKS else 'in one process'}"
            points = axis.loglog(n, y, mark, label=label, markersize=4)[0]
            law = fit_stage(runs, stage, way)
            steps = [n[0] * (n[-1] / n[0]) ** (i / 30) for i in range(31)]
            axis.loglog(steps, [law.of(quantity, Size(faces=s)) / unit for s in steps], color=points.get_color(), linewidth=1)
            if quantity == "processor":
                axis.loglog(n, [y[0] * m * log2(m) / (n[0] * log2(n[0])) for m in n], ":", color=points.get_color(), linewidth=0.8)
        axis.set(xlabel="faces (128 numbers each)", title=title)
        axis.grid(alpha=0.3)
    axes[0].plot([], [], ":", color="grey", label="N log N from the smallest")
    axes[0].legend(fontsize=7)
    figure.savefig(args.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
