"""The manifest: a row for every face, in or out, and why. And the table of those that are in, in the order in which they are written.

Odd input: text that a spreadsheet could take for a formula is led by an apostrophe in the CSV; the Parquet file has it as it is.
"""

from __future__ import annotations

import csv
import hashlib
import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from facecluster.curate.plan import IN, Plan
from facecluster.report.text import csv_cell

MANIFEST = pa.schema(
    [
        pa.field("face_id", pa.string(), nullable=False, metadata={"description": "the face, as in the store"}),
        pa.field("photo_id", pa.string(), nullable=False, metadata={"description": "SHA-256 of the photo it is in"}),
        pa.field("uri", pa.string(), nullable=False, metadata={"description": "where that photo is; '' if nowhere any more"}),
        pa.field("label", pa.string(), metadata={"description": "who it was said to be; null = not said"}),
        pa.field("person", pa.string(), metadata={"description": "who it is in the data set; null = it is not in"}),
        pa.field("included", pa.bool_(), nullable=False, metadata={"description": "whether it is in the data set"}),
        pa.field("why", pa.string(), nullable=False, metadata={"description": "'in', or why it is left out"}),
        pa.field("split", pa.string(), nullable=False, metadata={"description": "train, val, test, or ''"}),
        pa.field(
            "verdict", pa.string(), nullable=False, metadata={"description": "on its label: right, wrong, stranger, bystander, alone"}
        ),
        pa.field("own_sd", pa.float32(), metadata={"description": "likeness to its label's other faces, sd above strangers; null = none"}),
        pa.field("other_sd", pa.float32(), metadata={"description": "likeness to the best other label, sd above strangers"}),
        pa.field("other", pa.string(), metadata={"description": "the best other label"}),
        pa.field("copy_of", pa.string(), metadata={"description": "face_id of the better copy of the same picture; null = no copy"}),
        pa.field("quality", pa.float32(), nullable=False, metadata={"description": "0 (of no use) to 1"}),
        pa.field("sharpness", pa.float32(), nullable=False, metadata={"description": "of the crop: about 2 blurred, 10 and up crisp"}),
        pa.field("yaw", pa.float32(), nullable=False, metadata={"description": "degrees, 0 towards the camera"}),
    ]
)


def manifest(plan: Plan) -> pa.Table:
    """A row of MANIFEST for each face of the plan, in order of face_id."""
    source, verdicts = plan.source, plan.judged.verdicts
    names = np.array([*source.names, None], dtype=object)  # -1 gives None
    rows = np.arange(len(source.face_ids))
    ids = np.array([*source.face_ids, None], dtype=object)
    inside = plan.why == IN
    columns = {
        "face_id": source.face_ids, "photo_id": source.photo_ids, "uri": [u.encode("utf-8", "replace").decode() for u in source.uris],
        "label": names[source.label], "person": names[np.where(inside, plan.person, -1)], "included": inside, "why": plan.why.tolist(),
        "split": plan.split.tolist(), "verdict": verdicts.verdict.tolist(),
        "own_sd": _number(verdicts.own), "other_sd": _number(verdicts.other), "other": names[verdicts.best],
        "copy_of": ids[np.where(plan.original != rows, plan.original, -1)],
        **{name: source.numbers[name].astype(np.float32) for name in ("quality", "sharpness", "yaw")},
    }  # fmt: skip
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in MANIFEST}, schema=MANIFEST)


def parquet_bytes(table: pa.Table, row_group: int | None = None) -> bytes:
    """A table as a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", row_group_size=row_group)
    return buffer.getvalue()


def csv_bytes(table: pa.Table) -> bytes:
    """A table as CSV in UTF-8 with a header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.column_names)
    for row in table.to_pylist():
        writer.writerow([_cell(value) for value in row.values()])
    return out.getvalue().encode()


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return csv_cell(value)
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _number(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(v) else round(v, 3) for v in values.tolist()]


def order(plan: Plan, split: str) -> list[int]:
    """Rows of a split in the order in which they are written: shuffled by the seed, so that one file has a fair part of the people."""
    rows = [row for row in plan.inside.tolist() if plan.split[row] == split]
    return sorted(rows, key=lambda row: hashlib.sha256(f"{plan.config.seed}\0{plan.source.face_ids[row]}".encode()).digest())
