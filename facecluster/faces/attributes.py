"""Faces -> attributes: what a model says of each face, from the stored crops and landmarks; a shard at a time, as vectors are made.

Odd inputs: a number that is not finite, as the pose of landmarks that all coincide, is null.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from facecluster.models.card import NUMBER
from facecluster.photos.images import decode_crop
from facecluster.store import ShardResult, Store

if TYPE_CHECKING:
    from facecluster.models.attribute import AttributeModel  # torch, which whoever reads a report or prints a line needs not

TABLE = "attributes"
_BATCH = 64


def attributes_table(name: str) -> str:
    """Name of the table of a model's attributes."""
    return f"{TABLE}/{name}"


def attributes_schema(model: AttributeModel) -> pa.Schema:
    """Schema of the table of a model's attributes."""
    kinds = {name: pa.float32() if kind == NUMBER else pa.string() for name, kind in model.columns.items()}
    return pa.schema([pa.field("face_id", pa.string(), nullable=False), *(pa.field(name, kind) for name, kind in kinds.items())])


def measure_shard(shard: str, model: AttributeModel, store: Store, tick: Callable[[int], None] | None = None) -> ShardResult:
    """Measure the faces of one shard of `faces`; one that is done is skipped, one that was made with other weights is made again."""
    table = attributes_table(model.name)
    stamp = {"table": TABLE, "model": model.name, "weights": model.fingerprint}
    faces = store.read("faces", shard, ["face_id", "landmarks", "crop"])
    if store.is_done(table, shard, stamp, ("weights",)) and store.read(table, shard, ["face_id"])["face_id"].equals(faces["face_id"]):
        return ShardResult(stage=TABLE, shard=shard, skipped=True)
    parts = [_measure(faces.slice(i, _BATCH), model, tick) for i in range(0, len(faces), _BATCH)]
    store.write(table, shard, pa.concat_tables([attributes_schema(model).empty_table(), *parts]), stamp)
    return ShardResult(stage=TABLE, shard=shard, faces=len(faces))


def _measure(faces: pa.Table, model: AttributeModel, tick: Callable[[int], None] | None) -> pa.Table:
    crops = np.stack([decode_crop(c.as_py()) for c in faces["crop"]])
    landmarks = np.array(faces["landmarks"].to_pylist(), np.float32).reshape(-1, 5, 2)
    values = model.measure(crops, landmarks)
    if tick:
        tick(len(faces))
    columns = [faces["face_id"].combine_chunks()]
    for name, kind in model.columns.items():
        value = values[name]
        missing = ~np.isfinite(value.astype(np.float64)) if kind == NUMBER else None
        columns.append(pa.array(value, pa.float32() if kind == NUMBER else pa.string(), mask=missing))
    return pa.table(columns, schema=attributes_schema(model))


def attribute_models(store: Store) -> list[str]:
    """Names of the models whose attributes a store has, sorted."""
    folder = store.path(TABLE)
    if not store.fs.isdir(folder):
        return []
    return sorted(str(path).rstrip("/").rsplit("/", 1)[-1] for path in store.fs.ls(folder, detail=False))
