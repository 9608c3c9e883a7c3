"""Vectors of all shards in order of face_id, in shards of equal size: the first part of the links of a large collection.

One process orders the face_ids (no vectors). Then tasks read some shards each and deal their vectors out to ranges of rows, and tasks
put each range in order. Of faces that are in several shards the first counts; faces of photos that no place shows are left out.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.grouping.link_plan import AUDITED, SAMPLED, LinkPlan, Tick
from facecluster.photos.places import of_current_photos
from facecluster.store import ShardResult, Store, embeddings_schema, table_of

# in tables of the work a vector is float16 numbers as bytes, which is written and read several times faster than a list
_ORDER = pa.schema([pa.field("shard", pa.string()), pa.field("row", pa.int32())])


def read_ids(store: Store, table: str) -> tuple[pa.ChunkedArray, list[int]]:
    """The face_ids of a table, shard after shard, and how many each shard has."""
    parts = [store.read(table, shard, ["face_id"])["face_id"] for shard in store.shards(table)]
    chunks = [chunk.cast(pa.large_string()) for part in parts for chunk in part.chunks]
    return pa.chunked_array(chunks, pa.large_string()), [len(part) for part in parts]


def rows_in_order(store: Store, ids: pa.ChunkedArray) -> NDArray[np.int64]:
    """Rows (m,) of the faces of current photos, in order of face_id; of equal face_ids the first."""
    current = np.flatnonzero(of_current_photos(store, ids).to_numpy(zero_copy_only=False) if len(ids) else [])
    kept = ids.take(pa.array(current))
    order = pc.sort_indices(kept).to_numpy()
    ordered = kept.take(pa.array(order)).combine_chunks()
    first = np.ones(len(order), dtype=bool)
    if len(order):
        first[1:] = pc.not_equal(ordered[1:], ordered[:-1]).to_numpy(zero_copy_only=False)
    return np.asarray(current[order[first]], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class FaceOrder:
    """The faces of a table of vectors, shard after shard, and their order by face_id."""

    ids: pa.ChunkedArray  # (m,) face_ids as they stand in the shards
    counts: list[int]  # of each shard
    rows: NDArray[np.int64]  # (n,) the faces of current photos by rising face_id, each once: places among `ids`

    @classmethod
    def of(cls, store: Store, table: str) -> FaceOrder:
        """Read it from a table."""
        ids, counts = read_ids(store, table)
        return cls(ids, counts, rows_in_order(store, ids))

    def places(self) -> NDArray[np.int32]:
        """(m,) the place of each face in the order; -1 = none."""
        to = np.full(len(self.ids), -1, dtype=np.int32)
        to[self.rows] = np.arange(len(self.rows), dtype=np.int32)
        return to


def write_order(store: Store, plan: LinkPlan, order: FaceOrder) -> list[str]:
    """For each group of shards, where each of its faces goes: a shard of the table `order`; -1 is nowhere. Returns the groups' names."""
    to, counts = order.places(), order.counts
    names, ends = store.shards(plan.embeddings), np.cumsum(counts)
    groups = np.maximum(ends - 1, 0) // (plan.rows * plan.span)
    table, start, written = plan.work("order"), 0, []
    for number, members in groupby(range(len(names)), key=lambda i: int(groups[i])):
        some = list(members)
        end = int(ends[some[-1]])
        shard = f"{number:05d}"
        of = np.repeat(np.array([names[i] for i in some], dtype=object), [counts[i] for i in some])
        store.write(table, shard, table_of(_ORDER, {"shard": of, "row": to[start:end]}), plan.stamp("order"))
        start = end
        written.append(shard)
    return written


def scatter(group: str, tick: Tick | None = None, *, store: Store, plan: LinkPlan) -> ShardResult:
    """Deal the vectors of a group of shards out to the ranges of rows that tasks do."""
    order = store.read(plan.work("order"), group)
    to = order["row"].to_numpy()
    shards = list(dict.fromkeys(order["shard"].to_pylist()))
    schema = embeddings_schema(plan.dim)
    parts = [store.read(plan.embeddings, shard, schema.names).cast(schema) for shard in shards]
    data = pa.concat_tables([_packed(part) for part in parts])
    rows = np.argsort(to, kind="stable")
    ends = np.searchsorted(to[rows], [min(plan.faces, plan.rows * plan.span * i) for i in range(len(plan.tasks) + 1)])
    for task, start, end in zip(plan.tasks, ends[:-1], ends[1:], strict=True):
        some = rows[start:end]
        table = data.take(pa.array(some)).append_column("row", pa.array(to[some]))
        store.write(plan.work("scattered"), f"{task}-{group}", table.combine_chunks(), plan.stamp("scattered"), packed=False)
    faces = int((to >= 0).sum())
    if tick:
        tick(faces)
    return ShardResult(stage="link", shard=group, faces=faces)


def gather(task: str, tick: Tick | None = None, *, store: Store, plan: LinkPlan) -> ShardResult:
    """Write the vectors of a range of rows in order, and those of its faces that are in the sample."""
    table = plan.work("scattered")
    parts = [store.read(table, shard) for shard in store.shards(table) if shard.startswith(f"{task}-")]
    data = pa.concat_tables(parts)
    data = data.take(pc.sort_indices(data["row"])).combine_chunks()
    keys, start = face_keys(data["face_id"].to_pylist()), 0
    for shard in plan.shards(task):
        block = data.slice(start, plan.rows).select(["face_id", "embedding"])
        store.write(plan.work("vectors"), shard, block, {**plan.stamp("vectors"), "digest": _digest(block)}, packed=False)
        start += block.num_rows
    some = pa.array(keys < key_limits(plan)[1])
    sample = data.append_column("key", pa.array(keys)).filter(some).select(["row", "key", "embedding"])
    store.write(plan.work("sample"), task, sample, plan.stamp("sample"), packed=False)
    if tick:
        tick(data.num_rows)
    return ShardResult(stage="link", shard=task, faces=data.num_rows)


def face_keys(face_ids: list[str]) -> NDArray[np.float64]:
    """Numbers (n,) of 0 to 1, each of which follows from a face_id alone: they decide who is in the sample."""
    blake2b = hashlib.blake2b
    digests = b"".join([blake2b(face_id.encode(), digest_size=6).digest() for face_id in face_ids])
    out = np.zeros((len(face_ids), 8), dtype=np.uint8)
    out[:, :6] = np.frombuffer(digests, dtype=np.uint8).reshape(-1, 6)
    return out.view("<u8")[:, 0] / 2**48


def key_limits(plan: LinkPlan) -> tuple[float, float]:
    """Keys below the first are of faces that the quantiser is trained on, those from there to the second of faces to audit."""
    trained = min(0.3, SAMPLED * plan.lists / plan.faces)
    return trained, trained + (1.3 * AUDITED + 100) / plan.faces


def _digest(block: pa.Table) -> str:
    digest = hashlib.sha256("\n".join(block["face_id"].to_pylist()).encode())
    digest.update(np.ascontiguousarray(vectors_of(block)).tobytes())
    return digest.hexdigest()


def _packed(table: pa.Table) -> pa.Table:
    """face_id, and the vectors as bytes."""
    return pa.table({"face_id": table["face_id"], "embedding": as_bytes(np.ascontiguousarray(lists_of(table, "embedding"), np.float16))})


def as_bytes(rows: NDArray[Any]) -> pa.Array:
    """Rows of numbers (n, m) as a column of bytes."""
    flat = np.ascontiguousarray(rows).view(np.uint8)
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(flat.shape[1]), len(flat), [None, pa.py_buffer(flat)])


def bytes_of(table: pa.Table, name: str) -> NDArray[np.uint8]:
    """A column of bytes as rows (n, bytes)."""
    column = table[name].combine_chunks()
    width = column.type.byte_width
    start = column.offset * width
    return np.frombuffer(column.buffers()[1], np.uint8)[start : start + len(column) * width].reshape(-1, width)


def lists_of(table: pa.Table, name: str) -> NDArray[Any]:
    """A column of lists of one length as rows (n, length)."""
    column = table[name].combine_chunks()
    return np.asarray(column.flatten().to_numpy(zero_copy_only=False)).reshape(len(column), column.type.list_size)


def inputs_of(store: Store, plan: LinkPlan) -> str:
    """A hash of all face_ids and vectors in order, from those of the shards."""
    found: list[Any] = [(store.stamp(plan.work("vectors"), shard) or {}).get("digest") for shard in plan.shards()]
    return hashlib.sha256(json.dumps([plan.rows, found]).encode()).hexdigest()[:16]


def vectors_of(table: pa.Table) -> NDArray[np.float16]:
    """The vectors (n, dim) of a table of the work."""
    return bytes_of(table, "embedding").view(np.float16)


def read_vectors(store: Store, plan: LinkPlan, rows: slice, into: NDArray[Any]) -> None:
    """Put the vectors of `rows`, which begin where a shard does, into an array (rows, dim)."""
    for start in range(rows.start, rows.stop, plan.rows):
        block = vectors_of(store.read(plan.work("vectors"), f"{start // plan.rows:05d}", ["embedding"]))
        into[start - rows.start :][: len(block)] = block
