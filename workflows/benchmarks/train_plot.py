"""The plot of benchmarks/train.py: accuracy on people held out over the minutes, and by head, body and tail of an imbalanced draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facecluster.evaluation import plot
from facecluster.training.accuracy import PARTS
from facecluster.training.log import read_log

BAR = 34  # px, width of a bar
STYLES = ("a", "b", "c")


def draw(named: Mapping[str, Any], logs: Mapping[str, Path], ways: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """The plot as SVG.

    Args:
        named: `before`, true accept rates on people held out before the training.
        logs: log.csv of each training on the named faces.
        ways: true accept rates at .01 and .001 of "head", "body" and "tail", by how the imbalanced draw was learnt.
    """
    panels = [panel for panel in (_curves(named, logs), _bars(ways)) if panel[1]]
    parts: list[str] = []
    told: list[str] = []
    for i, (drawn, words) in enumerate(panels):
        parts += [f'<g transform="translate(0 {i * plot.HEIGHT})">', *drawn, "</g>"]
        told += words
    return plot.svg("Trainings from names", ". ".join(told), parts, plot.HEIGHT * max(1, len(panels)))


def _curves(named: Mapping[str, Any], logs: Mapping[str, Path]) -> tuple[list[str], list[str]]:
    logged = {way: [r for r in read_log(path) if r["held_out_tar"]] for way, path in logs.items()}
    rows = {way: [(float(r["minutes"]), float(r["held_out_tar"])) for r in said] for way, said in logged.items()}
    last = max((minutes for points in rows.values() for minutes, _ in points), default=0.0)
    parts = plot.frame("Named people of the training faces", "minutes", "true accept rate at .01, people held out")
    for fifth in range(6):
        x = plot.x_of(fifth / 5)
        parts += [plot.line("axis", x, plot.TOP, x, plot.BASE), plot.text("dim mid", x, plot.BASE + 18, f"{last * fifth / 5:.3g}")]
    told = []
    for style, (way, points) in zip(STYLES, rows.items(), strict=False):
        if not points:
            continue
        path = "L".join(f"{plot.x_of(minutes / last):.1f} {plot.y_of(tar):.1f}" for minutes, tar in points)
        parts.append(f'<path class="{style}" d="M{path}"/>')
        parts += [f'<circle class="dot-{style}" cx="{plot.x_of(m / last):.1f}" cy="{plot.y_of(t):.1f}" r="4"/>' for m, t in points]
        told.append(f"{way}: {points[-1][1]:.3f} of some faces at the end")
    if told and named.get("before"):
        y = plot.y_of(named["before"]["tar at far 0.01"])
        parts.append(plot.line("guide", plot.LEFT, y, plot.RIGHT, y))
        told.append(f"bundled model, before: {named['before']['tar at far 0.01']:.3f} of all their faces (the thin grey line)")
    return parts + plot.legend(told, list(STYLES)), told


def _bars(ways: Mapping[str, Mapping[str, Sequence[float]]]) -> tuple[list[str], list[str]]:
    parts = plot.frame("Imbalanced draw: thirds of the people by their faces", "", "true accept rate at .001, other faces of these people")
    for i, part in enumerate(PARTS):
        middle = plot.x_of((i + 0.5) / len(PARTS))
        parts.append(plot.text("dim mid", middle, plot.BASE + 18, part))
        for j, (style, rates) in enumerate(zip(STYLES, ways.values(), strict=False)):
            x, tar = middle + (j - len(ways) / 2) * (BAR + 4), rates[part][1]
            top = plot.y_of(tar)
            parts.append(f'<rect class="dot-{style}" x="{x:.1f}" y="{top:.1f}" width="{BAR}" height="{plot.BASE - top:.1f}"/>')
            parts.append(plot.text("mid", x + BAR / 2, top - 4, f"{tar:.3f}"[1:] if tar < 1 else "1"))
    told = [f"{way}: " + ", ".join(f"{part} {rates[part][1]:.4f}" for part in PARTS) for way, rates in ways.items()]
    return parts + plot.legend(told, list(STYLES)), told
