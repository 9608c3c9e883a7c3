"""Plots as SVG text, in a light or dark scheme as the reader prefers: the ROC with a logarithmic axis, and the reliability diagram.

Odd inputs: without a curve or a calibration the plot has axes only; points left of the axis (a rate of 0) are not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from xml.sax.saxutils import escape

from facecluster.evaluation.reliability import Calibration
from facecluster.evaluation.verify import RATES, Roc, thinned

WIDTH, HEIGHT = 640, 490  # px of a drawing with up to three lines in its legend
LINE = 18  # px a line of a legend
MOST = 8  # curves of subgroups in one panel
LEFT, RIGHT, TOP, BASE = 64, 616, 40, 380  # px, the area of the axes
_STYLE = """
svg{font:13px system-ui,sans-serif;background:#fff;--ink:#1c2024;--dim:#60666d;--line:#dcdfe2;--a:#3b82c4;--b:#b3261e;--c:#1f7a45}
@media (prefers-color-scheme:dark){svg{background:#15181b;--ink:#e7e9eb;--dim:#a0a7ae;--line:#363c42;--a:#5b9fdc;--b:#ff8f86;--c:#6fce97}}
text{fill:var(--ink)}.dim{fill:var(--dim)}.mid{text-anchor:middle}.end{text-anchor:end}
.axis{stroke:var(--line)}.guide{stroke:var(--dim);stroke-dasharray:4 4}
.a{stroke:var(--a);fill:none;stroke-width:2}.b{stroke:var(--b);fill:none;stroke-width:2;stroke-dasharray:7 4}
.c{stroke:var(--c);fill:none;stroke-width:2;stroke-dasharray:2 3}
.dot-a{fill:var(--a)}.dot-b{fill:var(--b)}.dot-c{fill:var(--c)}
"""
_GROUP_STYLES = tuple(f"g{i}" for i in range(MOST))
# hues that are distinct on white and on black; neighbours have different dashes, so that colour is not needed to tell them apart
_GROUPS = "\n".join(
    f".{style}{{stroke:hsl({hue} 65% 50%);fill:none;stroke-width:2;stroke-dasharray:{dash}}}.dot-{style}{{fill:hsl({hue} 65% 50%)}}"
    for style, hue, dash in zip(_GROUP_STYLES, (210, 5, 145, 35, 275, 185, 325, 85), ("none", "7 4", "2 3", "12 4 2 4") * 2, strict=True)
)


def roc_svg(curves: Mapping[str, Roc], groups: Mapping[str, Mapping[str, Roc]] | None = None) -> str:
    """The ROC of up to three sets of pairs by name: true accept rate over false accept rate, 1 down to one pair, or 1e-6.

    Below it is a panel for each column of `groups` with a curve for each value; of more than 8 values those with the most pairs.
    """
    lowest = min((1 / curve.different for curve in curves.values()), default=1e-5)
    first = max(-6, min(-1, math.floor(math.log10(lowest) + 1e-9)))
    parts, told = _roc_panel("True accept rate over false accept rate", dict(zip("abc", curves.items(), strict=False)), first)
    height = HEIGHT
    for column, kinds in (groups or {}).items():
        most = sorted(kinds.items(), key=lambda kind: (-kind[1].same - kind[1].different, kind[0]))[:MOST]
        styled = dict(zip(_GROUP_STYLES, sorted(most, key=lambda kind: kind[0]), strict=False))
        panel, more = _roc_panel(f"The same by {column}: pairs within each value", styled, first)
        if len(kinds) > MOST:
            more.append(f"{len(kinds) - MOST} more values with fewer pairs: see evaluation.json")
            panel.append(text("dim", LEFT, BASE + 66 + LINE * MOST, more[-1]))
        parts += [f'<g transform="translate(0 {height})">', *panel, "</g>"]
        told += more
        height += BASE + 66 + LINE * len(more) + 20
    return svg("Receiver operating characteristic", ". ".join(told), parts, height)


def _roc_panel(title: str, curves: Mapping[str, tuple[str, Roc]], first: int) -> tuple[list[str], list[str]]:
    """Axes from 10 to the power of `first` to 1, curves by style, and a legend; returns the parts and the text of the legend."""
    parts = frame(title, "false accept rate (logarithmic)", "true accept rate")
    for power in range(first, 1):
        x = x_of(1 - power / first)
        label = "1" if power == 0 else f"1e{power}"
        parts += [line("axis", x, TOP, x, BASE), text("dim mid", x, BASE + 18, label)]
    told = []
    for style, (name, curve) in curves.items():
        far, tar, _ = thinned(curve)
        points = [(1 - math.log10(f) / first, t) for f, t in zip(far, tar, strict=True) if f >= 10.0**first * (1 - 1e-9)]
        # the curve is a step function: between two measured rates it has the value at the lower rate
        path = "".join(f"H{x_of(u):.1f}V{y_of(t):.1f}" for u, t in points[1:])
        if points:
            parts.append(f'<path class="{style}" d="M{x_of(points[0][0]):.1f} {y_of(points[0][1]):.1f}{path}"/>')
        reached = [(rate, curve.tar[i]) for rate, i in zip(RATES, curve.at(RATES), strict=True) if rate * curve.different >= 1]
        parts += [f'<circle class="dot-{style}" cx="{x_of(1 - math.log10(r) / first):.1f}" cy="{y_of(t):.1f}" r="4"/>' for r, t in reached]
        told.append(
            f"{name}: " + (", ".join(f"{t:.3f} at 1e{round(math.log10(r))}" for r, t in reached) or "too few pairs for a rate of 0.01")
        )
    return parts + legend(told, list(curves)), told


def reliability_svg(found: Mapping[str, Calibration]) -> str:
    """Observed share over stated probability, both 0 to 1, for up to three kinds of statements by name; the diagonal is perfect."""
    parts = frame("Observed share over stated probability", "stated probability", "share that was right")
    for tenth in range(0, 11, 2):
        parts.append(text("dim mid", x_of(tenth / 10), BASE + 18, f"{tenth / 10:g}"))
    parts.append(line("guide", x_of(0), y_of(0), x_of(1), y_of(1)))
    told = []
    for style, (name, calibration) in zip("abc", found.items(), strict=False):
        points = [(bin_.stated, bin_.observed) for bin_ in calibration.bins]
        parts.append(f'<polyline class="{style}" points="{" ".join(f"{x_of(u):.1f},{y_of(v):.1f}" for u, v in points)}"/>')
        parts += [f'<circle class="dot-{style}" cx="{x_of(u):.1f}" cy="{y_of(v):.1f}" r="4"/>' for u, v in points]
        told.append(f"{name}: expected calibration error {calibration.ece:.3f} ({calibration.count:,} statements)")
    parts += legend(told, list("abc"))
    return svg("Reliability diagram", ". ".join(told), parts)


def frame(title: str, across: str, up: str) -> list[str]:
    """The axes: a title, what lies across and up, and a scale of 0 to 1 upwards."""
    parts = [text("", LEFT, TOP - 16, title), text("mid dim", (LEFT + RIGHT) / 2, BASE + 42, across)]
    parts.append(f'<text class="mid dim" transform="translate(16 {(TOP + BASE) / 2}) rotate(-90)">{escape(up)}</text>')
    for fifth in range(6):
        y = y_of(fifth / 5)
        parts += [line("axis", LEFT, y, RIGHT, y), text("dim end", LEFT - 8, y + 4, f"{fifth / 5:g}")]
    return parts


def legend(lines: list[str], styles: list[str]) -> list[str]:
    """A line of a legend for each curve, by style."""
    return [text(f"dot-{style}", LEFT, BASE + 66 + LINE * i, told) for i, (style, told) in enumerate(zip(styles, lines, strict=False))]


def svg(title: str, description: str, parts: list[str], height: int = HEIGHT) -> str:
    """The whole drawing, with a title and a description for readers who do not see it."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-labelledby="title desc"><title id="title">{escape(title)}</title><desc id="desc">{escape(description)}</desc>'
    )
    return "\n".join([head, f"<style>{_STYLE}{_GROUPS}</style>", *parts, "</svg>"]) + "\n"


def x_of(share: float) -> float:
    """The place across in px of a share, 0 to 1."""
    return LEFT + (RIGHT - LEFT) * share


def y_of(share: float) -> float:
    """The place upwards in px of a share, 0 to 1."""
    return BASE + (TOP - BASE) * share


def line(style: str, x0: float, y0: float, x1: float, y1: float) -> str:
    """A line in the style of a class, between two places in px."""
    return f'<line class="{style}" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>'


def text(style: str, x: float, y: float, words: str) -> str:
    """Words in the style of some classes, at a place in px."""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'
