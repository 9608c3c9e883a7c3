"""Parquet with an image feature: data/SPLIT-00000-of-00001.parquet, which Hugging Face `datasets` reads directly.

The key `huggingface` of the schema metadata describes the columns: `image`, a struct of bytes and path, is an Image; `label` is a
ClassLabel with the names of the people (https://huggingface.co/docs/datasets, "Dataset features").
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pyarrow as pa

from facecluster.curate.manifest import parquet_bytes
from facecluster.curate.output_folder import OutputFolder
from facecluster.curate.plan import Plan
from facecluster.curate.samples import Sample, encode_crop, metadata, shards

_ROWS = 256  # rows a group: readers that stream hold one group in memory
_PLAIN = {
    "person": "string", "face_id": "string", "photo_id": "string", "quality": "float32", "sharpness": "float32", "yaw": "float32",
    "score": "float32",
}  # fmt: skip


def features(classes: list[str]) -> dict[str, Any]:
    """Hugging Face's description of the columns."""
    plain = {name: {"dtype": kind, "_type": "Value"} for name, kind in _PLAIN.items()}
    return {"image": {"_type": "Image"}, "label": {"names": classes, "_type": "ClassLabel"}, **plain}


def schema(classes: list[str]) -> pa.Schema:
    """The columns, with their description in the metadata."""
    kinds = {"string": pa.string(), "float32": pa.float32()}
    image = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
    fields = [pa.field("image", image), pa.field("label", pa.int64()), *(pa.field(name, kinds[kind]) for name, kind in _PLAIN.items())]
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features(classes)}})})


def write(plan: Plan, out: OutputFolder, image_format: str, shard_size: int, tick: Callable[[int], None]) -> None:
    """Write shards of `shard_size` faces into `parquet/data/`, with images in `image_format`."""
    for split, share in plan.config.shares:
        for i, count, part in shards(plan, split, shard_size) if share else ():
            out.write(f"parquet/data/{split}-{i:05d}-of-{count:05d}.parquet", partial(_shard, plan, part, image_format))
            tick(len(part))


def _shard(plan: Plan, part: list[Sample], image_format: str) -> bytes:
    rows = [{"image": {"bytes": encode_crop(plan, s, image_format), "path": f"{s.key}.{image_format}"}, **metadata(plan, s)} for s in part]
    return parquet_bytes(pa.Table.from_pylist(rows, schema=schema(plan.classes)), _ROWS)
