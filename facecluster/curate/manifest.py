"""The manifest: a row for every face, included or not, and why; and the order in which included faces are written.

Odd input: in the CSV, text that a spreadsheet could run as a formula gets an apostrophe before it; the Parquet file has the text unchanged.
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

from facecluster.curate.plan import INCLUDED, Plan
from facecluster.report.text import csv_cell

MANIFEST = pa.schema(
    [
        pa.field("face_id", pa.string(), nullable=False, metadata={"description": "the face, as in the store"}),
        pa.field("photo_id", pa.string(), nullable=False, metadata={"description": "SHA-256 of the photo it is in"}),
        pa.field("uri", pa.string(), nullable=False, metadata={"description": "where that photo is; '' if the store has no file of it"}),
        pa.field("label", pa.string(), metadata={"description": "label of the face; null = none"}),
        pa.field("person", pa.string(), metadata={"description": "person in the data set; null = left out"}),
        pa.field("included", pa.bool_(), nullable=False, metadata={"description": "whether the face is in the data set"}),
        pa.field("why", pa.string(), nullable=False, metadata={"description": "'in', or why the face is left out"}),
        pa.field("split", pa.string(), nullable=False, metadata={"description": "train, val, test, or ''"}),
        pa.field(
            "verdict", pa.string(), nullable=False, metadata={"description": "right, wrong, stranger, bystander, alone or unlabelled"}
        ),
        pa.field("own_sd", pa.float32(), metadata={"description": "margin to its label, in sd of impostor cosines; null = none"}),
        pa.field("other_sd", pa.float32(), metadata={"description": "margin to the best other label, in sd of impostor cosines"}),
        pa.field("other", pa.string(), metadata={"description": "the best other label"}),
        pa.field("copy_of", pa.string(), metadata={"description": "face_id of the better near-duplicate; null = none"}),
        pa.field("quality", pa.float32(), nullable=False, metadata={"description": "0 (of no use) to 1"}),
        pa.field("sharpness", pa.float32(), nullable=False, metadata={"description": "of the crop: about 2 blurred, 10 and up crisp"}),
        pa.field("yaw", pa.float32(), nullable=False, metadata={"description": "degrees, 0 towards the camera"}),
    ]
)


def manifest(plan: Plan) -> pa.Table:
    """A row of schema MANIFEST for each face of the plan, in order of face_id."""
    source, verdicts = plan.source, plan.labels.verdicts
    names = np.array([*source.names, None], dtype=object)  # -1 gives None
    rows = np.arange(len(source.face_ids))
    ids = np.array([*source.face_ids, None], dtype=object)
    included = plan.reason == INCLUDED
    columns = {
        "face_id": source.face_ids, "photo_id": source.photo_ids, "uri": [u.encode("utf-8", "replace").decode() for u in source.uris],
        "label": names[source.label], "person": names[np.where(included, plan.person, -1)], "included": included,
        "why": plan.reason.tolist(), "split": plan.split.tolist(), "verdict": verdicts.verdict.tolist(),
        "own_sd": _number(verdicts.own_margin), "other_sd": _number(verdicts.other_margin), "other": names[verdicts.best_other],
        "copy_of": ids[np.where(plan.original != rows, plan.original, -1)],
        **{name: source.measures[name].astype(np.float32) for name in ("quality", "sharpness", "yaw")},
    }  # fmt: skip
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in MANIFEST}, schema=MANIFEST)


def parquet_bytes(table: pa.Table, row_group: int | None = None) -> bytes:
    """A table as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", row_group_size=row_group)
    return buffer.getvalue()


def csv_bytes(table: pa.Table) -> bytes:
    """A table as the bytes of a CSV file: UTF-8, with a header."""
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


def write_order(plan: Plan, split: str) -> list[int]:
    """Rows of a split in the order in which they are written: shuffled by the seed, so that each file holds a mix of people."""
    rows = [row for row in plan.included.tolist() if plan.split[row] == split]
    return sorted(rows, key=lambda row: hashlib.sha256(f"{plan.config.seed}\0{plan.source.face_ids[row]}".encode()).digest())
