"""Draw what the variants of `attention.py` give: accuracy after equal short training against faces a second.

    python workflows/benchmarks/attention_plot.py -o docs/images/attention.svg
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot as plt

RESULTS = Path(__file__).parent / "results" / "attention.json"
FORMS = ("plain", "fused", "windowed", "linear")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "attention", "font.size": 9})
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for at, (name, speeds) in enumerate(found["faces_per_second"].items()):
        colour, mark = plt.get_cmap("tab10")(at % 10), "os^"[at % 3]
        left.plot(speeds["batch 64"], found["variants"][name]["cosine_to_teacher"], mark, color=colour, markersize=5, label=name)
    left.legend(fontsize=7, loc="lower right")
    left.set(xlabel="faces a second, 64 at a time", ylabel="cosine to the teacher, other people", title="family, equal short training")
    rows = found["alone_microseconds_a_face"]["bfloat16"]
    tokens = [int(row.split()[0]) for row in rows]
    for form in FORMS:
        right.loglog(tokens, [rows[f"{n} tokens"][form] for n in tokens], "o-", label=form, markersize=4, linewidth=1)
    right.set(xlabel="tokens", title="attention alone, microseconds a face", xticks=tokens, xticklabels=list(map(str, tokens)))
    right.minorticks_off()
    right.legend(fontsize=7)
    for axis in (left, right):
        axis.grid(alpha=0.3)
    figure.savefig(args.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
