"""The measured runs that the laws are fitted to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("measured.json")
HERE, TASKS, EMBED = "here", "tasks", "photos"  # ways of a stage: in one process, in tasks (large collections), and photos to vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much there is to do."""

    photos: float = 0
    faces: float = 0
    dim: int = 128  # numbers of a vector
    megapixels: float = 0.0  # a photo, the mean


@dataclass(frozen=True, slots=True)
class Run:
    """A stage that was measured."""

    stage: str
    way: str
    size: Size
    values: Mapping[str, float]  # processor (s), in_tasks (s), peak (bytes), ...; a run has not each
    name: str  # for people
    held_out: bool  # no law is fitted to it


def read_runs(path: Path = TABLE) -> list[Run]:
    """The runs of a table."""
    return [_run(row) for row in json.loads(path.read_text(encoding="utf-8"))["runs"]]


def _run(row: Mapping[str, Any]) -> Run:
    photos, faces, dim = row.get("photos", 0), row["faces"], row.get("dim", 128)
    size = Size(photos=photos, faces=faces, dim=dim, megapixels=row.get("megapixels", 0.0))
    values = {key: float(value) for key, value in row.items() if isinstance(value, int | float) and not isinstance(value, bool)}
    name = f"photos of {row['photo']}" if "photo" in row else f"{faces:,} faces" + (f" x {dim}" if dim != 128 else "")
    return Run(row["stage"], row["way"], size, values, name, row.get("held_out", False))
