"""CSV: a table for each split that points into the photos: where a photo is, the box of the face in it, and whose it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pyarrow as pa

from facecluster.curate.images import Sample, facts, samples
from facecluster.curate.manifest import csv_bytes
from facecluster.curate.out import Out
from facecluster.curate.plan import Plan

COLUMNS = ("face_id", "uri", "person", "label", "split", "x", "y", "w", "h", "quality", "sharpness", "yaw", "score", "photo_id")


def write(plan: Plan, out: Out, kind: str, size: int, tick: Callable[[int], None]) -> None:
    """Write `csv/SPLIT.csv`. `kind` and `size` have no meaning here."""
    for split, share in plan.config.shares:
        part = samples(plan, split) if share else []
        if part:
            out.write(f"csv/{split}.csv", partial(_table, plan, part))
            tick(len(part))


def _table(plan: Plan, part: list[Sample]) -> bytes:
    rows = []
    for sample in part:
        about = facts(plan, sample) | {"split": sample.split}
        about |= dict(zip("xywh", about["box"], strict=True))
        rows.append({name: about[name] for name in COLUMNS})
    return csv_bytes(pa.Table.from_pylist(rows))
