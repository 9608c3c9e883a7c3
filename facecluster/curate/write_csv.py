"""CSV: a table for each split, with the photo, the box and the person of each face. It is for programs, so it has no byte order mark."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pyarrow as pa

from facecluster.curate.manifest import csv_bytes
from facecluster.curate.output_folder import OutputFolder
from facecluster.curate.plan import Plan
from facecluster.curate.samples import Sample, metadata, samples

COLUMNS = ("face_id", "uri", "person", "label", "split", "x", "y", "w", "h", "quality", "sharpness", "yaw", "score", "photo_id")


def write(plan: Plan, out: OutputFolder, image_format: str, shard_size: int, tick: Callable[[int], None]) -> None:
    """Write `csv/SPLIT.csv`; `image_format` and `shard_size` are not used."""
    for split, share in plan.config.shares:
        part = samples(plan, split) if share else []
        if part:
            out.write(f"csv/{split}.csv", partial(_table, plan, part))
            tick(len(part))


def _table(plan: Plan, part: list[Sample]) -> bytes:
    rows = []
    for sample in part:
        about = metadata(plan, sample) | {"split": sample.split}
        about |= dict(zip("xywh", about["box"], strict=True))
        rows.append({name: about[name] for name in COLUMNS})
    return csv_bytes(pa.Table.from_pylist(rows))
