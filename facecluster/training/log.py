"""What a training says of itself: log.csv, a plot (log.svg), and TensorBoard's events if its package is there."""

from __future__ import annotations

import csv
import importlib
import importlib.util
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facecluster.evaluation import plot
from facecluster.training.folder import replacing

COLUMNS = ("step", "faces", "minutes", "faces_per_second", "rate", "loss", "margin", "teacher", "map7", "map14",
           "held_out_tar", "held_out_cosine")  # fmt: skip
_FIRST = COLUMNS[:6]  # which all versions begin with
CSV, SVG, EVENTS = "log.csv", "log.svg", "events"


class Log:
    """The log of a training in a folder; it goes on after `step`, and forgets what was said after that."""

    def __init__(self, folder: Path, step: int) -> None:
        self.folder, self.path = folder, folder / CSV
        kept = [{name: row.get(name, "") for name in COLUMNS} for row in read_log(self.path) if int(row["step"]) <= step] if step else []
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows(kept)
        with replacing(self.path) as file:
            file.write(text.getvalue().encode())
        self.rows: list[dict[str, str]] = kept
        self._events: Any = None
        if importlib.util.find_spec("tensorboard"):
            board: Any = importlib.import_module("torch.utils.tensorboard")
            self._events = board.SummaryWriter(str(folder / EVENTS), purge_step=step + 1)

    def add(self, values: Mapping[str, float | int | None]) -> None:
        """Add a line; a value that is missing or None stays empty."""
        row = {name: "" if (v := values.get(name)) is None else f"{v:.6g}" if isinstance(v, float) else str(v) for name in COLUMNS}
        self.rows.append(row)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS).writerow(row)
        if self._events is not None:
            for name in COLUMNS[3:]:
                if row[name]:
                    self._events.add_scalar(name, float(row[name]), int(row["step"]))

    def draw(self) -> None:
        """Write the plot."""
        with replacing(self.folder / SVG) as file:
            file.write(curves_svg(self.rows).encode())
        if self._events is not None:
            self._events.flush()

    def close(self) -> None:
        """Close what is open."""
        if self._events is not None:
            self._events.close()


def read_log(path: Path) -> list[dict[str, str]]:
    """The lines of a log; none if there is none. A last line that was cut off is left out."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if all(v is not None for v in row.values())]


def is_log(path: Path) -> bool:
    """Whether a file begins as the log of a training."""
    with path.open(encoding="utf-8", errors="replace") as file:
        found, first = file.read(200), ",".join(_FIRST)
    return found.startswith(first) or first.startswith(found)  # of a training that was stopped at once there is only a part


def curves_svg(rows: Sequence[Mapping[str, str]]) -> str:
    """Loss, as a share of its largest value, and accuracy on people who are held out, over the steps."""
    last = max((int(row["step"]) for row in rows), default=1)
    loss = [(int(row["step"]), float(row["loss"])) for row in rows if row["loss"]]
    held = [(int(row["step"]), float(row["held_out_tar"])) for row in rows if row["held_out_tar"]]
    most = max((v for _, v in loss), default=1.0) or 1.0
    parts = plot.frame("Training", "step", "share")
    for fifth in range(6):
        x = plot.x_of(fifth / 5)
        parts += [plot.line("axis", x, plot.TOP, x, plot.BASE), plot.text("dim mid", x, plot.BASE + 18, f"{round(last * fifth / 5):,}")]
    told = []
    if held:
        parts += _curve("a", [(s / last, v) for s, v in held])
        told.append(f"true accept rate of people who are held out, at a false accept rate of 1e-2: {held[-1][1]:.4f}")
    if loss:
        parts += _curve("b", [(s / last, v / most) for s, v in loss])
        told.append(f"loss, as a share of {most:.3g}; at the end {loss[-1][1]:.3g}")
    return plot.svg("Training", ". ".join(told), parts + plot.legend(told, ["a", "b"] if held else ["b"]))


def _curve(style: str, points: Sequence[tuple[float, float]]) -> list[str]:
    path = "L".join(f"{plot.x_of(u):.1f} {plot.y_of(v):.1f}" for u, v in points)
    u, v = points[-1]
    return [f'<path class="{style}" d="M{path}"/>', f'<circle class="dot-{style}" cx="{plot.x_of(u):.1f}" cy="{plot.y_of(v):.1f}" r="4"/>']
