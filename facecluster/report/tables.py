"""The report as tables: CSV for spreadsheets, Parquet for programs, a summary in JSON.

CSV is RFC 4180 in UTF-8. A text cell that a spreadsheet could take for a formula gets a leading apostrophe; Parquet does not need it.
"""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Iterable, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from facecluster.report.report_data import ReportData
from facecluster.report.text import csv_cell
from facecluster.store import FACES, Store

_PACKAGES = ("facecluster", "pyarrow", "numpy", "pillow", "jinja2")
FACE_COLUMNS = ("face_id", "photo", "person", "person_name", "probability", "x", "y", "w", "h", "score", "quality", "sharpness", "yaw")
PERSON_COLUMNS = ("person", "name", "faces", "photos", "confidence", "best_face", "first_date", "last_date", "person_id", "ignored",
                  "number")  # fmt: skip


def _field(name: str, kind: pa.DataType, text: str) -> pa.Field:
    return pa.field(name, kind, nullable=False, metadata={"description": text})


PERSON_FIELDS = [
    _field("person", pa.int32(), "the identity; -1 = nobody"),
    _field("person_name", pa.string(), "the name that the user gave, or ''"),
    _field("probability", pa.float32(), "that the face shows the person, 0 to 1; 0 for nobody"),
    _field("outlier_score", pa.float32(), "GLOSH, 0 (in the middle of its group) to 1"),
    pa.field("recognisability", pa.float32(), metadata={"description": "that the face says who it is, 0 to 1; null: not known"}),
    _field("photo", pa.string(), "path or URI of the photo, the first one if there are copies; where it was if it is gone"),
    _field("taken_at", pa.string(), "when the photo was taken by the camera's clock, ISO 8601; '' if unknown"),
]
PEOPLE_SCHEMA = pa.schema(
    [
        _field("person", pa.int32(), "the identity, from 0"),
        _field("name", pa.string(), "the name that the user gave, or ''"),
        _field("faces", pa.int32(), "number of faces"),
        _field("photos", pa.int32(), "number of photos"),
        _field("confidence", pa.float32(), "mean probability of the faces, 0 to 1"),
        _field("best_face", pa.string(), "face_id of the face with the highest quality x probability"),
        _field("first_date", pa.string(), "of the photos, ISO 8601; '' if unknown"),
        _field("last_date", pa.string(), "of the photos, ISO 8601; '' if unknown"),
        _field("person_id", pa.string(), "the lasting id, the same in every run; '' if the grouping has none"),
        _field("ignored", pa.bool_(), "whether the user ignores the person"),
        _field("number", pa.int32(), "by which pages and commands call the person in this run, from 1: the identity + 1"),
    ]
)


def write_tables(folder: Path, data: ReportData) -> None:
    """Write faces.csv, people.csv, faces.parquet and people.parquet. Faces are in the order of the store."""
    people = people_table(data)
    faces = faces_table(data)
    for name, table in (("faces", faces), ("people", people)):
        with open(folder / f"{name}.parquet", "wb") as file:  # pyarrow can't open a path that is not UTF-8
            pq.write_table(table, file, compression="zstd")
    flat = {name: faces[name] for name in faces.column_names if name not in ("box", "landmarks")}
    flat |= {name: pa.array(data.box[:, i].astype(np.float32)) for i, name in enumerate("xywh")}
    _write_csv(folder / "faces.csv", pa.table(flat).select([*FACE_COLUMNS, "taken_at", "photo_id", "recognisability"]))
    _write_csv(folder / "people.csv", people.select(PERSON_COLUMNS))


def faces_table(data: ReportData) -> pa.Table:
    """The faces of the store without their crops, each with its person and photo."""
    names = {p.identity: p.name for p in data.people}
    numbers, at = np.unique(data.identity, return_inverse=True)
    photo = pa.array(data.photo)
    values: list[Any] = [
        data.identity,
        pa.array([names.get(i, "") for i in numbers.tolist()], pa.string()).take(pa.array(at)),
        data.probability,
        data.outlier_score,
        pa.array(data.recognisability, pa.float32(), from_pandas=True),  # NaN is null
        data.photos.first_uri.take(photo),
        data.photos.taken_at.take(photo),
    ]
    arrays = [v if isinstance(v, pa.Array) else pa.array(v, type=f.type, safe=False) for v, f in zip(values, PERSON_FIELDS, strict=True)]
    own = [f for f in FACES if f.name != "crop"]
    return pa.Table.from_arrays([*(data.table[f.name] for f in own), *arrays], schema=pa.schema([*own, *PERSON_FIELDS]))


def people_table(data: ReportData) -> pa.Table:
    """A row for each person, by falling number of faces."""
    ids = data.table["face_id"]
    rows = [
        (p.identity, p.name, len(p.rows), p.photos, p.confidence, ids[p.best_face].as_py(), p.first_date, p.last_date, p.person_id,
         p.ignored, p.number)
        for p in data.people
    ]  # fmt: skip
    return pa.Table.from_pylist([dict(zip(PEOPLE_SCHEMA.names, row, strict=True)) for row in rows], schema=PEOPLE_SCHEMA)


def write_summary(folder: Path, store: Store, identities: str, counts: dict[str, int], created: datetime) -> None:
    """Write summary.json: counts, the settings (stamps) of each table, versions, and the time."""
    tables = {table: _stamps(store, table) for table in ("photos", "faces", identities)}
    summary = {
        "kind": "facecluster report",
        "format": 1,
        "created": created.isoformat(timespec="seconds"),
        "counts": counts,
        "tables": tables,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _stamps(store: Store, table: str) -> dict[str, Any]:
    """Number of shards of a table, and the distinct settings in their stamps."""
    shards = store.shards(table)
    stamps = {json.dumps(store.stamp(table, shard), sort_keys=True) for shard in shards}
    return {"shards": len(shards), "settings": [json.loads(s) for s in sorted(stamps)]}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _write_csv(path: Path, table: pa.Table) -> None:
    with open(path, "w", encoding="utf-8-sig", newline="") as file:  # without a mark Excel reads another encoding
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(table.column_names)
        for batch in table.to_batches(max_chunksize=10_000):
            writer.writerows(zip(*(_cells(column) for column in batch.columns), strict=True))


def _cells(column: pa.Array) -> Iterable[object]:
    if pa.types.is_string(column.type):
        return (csv_cell(v) for v in column.to_pylist())
    if pa.types.is_floating(column.type):
        return _floats(column.to_pylist())
    return list(column.to_pylist())


def _floats(values: Sequence[float | None]) -> list[str]:
    """Six significant digits, which float32 holds; nothing for what is not known."""
    return ["" if v is None else f"{v:.6g}" for v in values]
