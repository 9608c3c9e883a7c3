"""Neighbours of neighbours: who is near the neighbours of a face is often near the face itself, though no list that it looked at held both.

This is one round of what Dong et al. (2011) build whole graphs with. It finds more for its cost than looking at more lists does.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.grouping.link_held import Held, held_vectors
from facecluster.grouping.link_lists import cosines
from facecluster.grouping.link_neighbours import best
from facecluster.grouping.link_plan import BLOCK, HOPS, LinkPlan, Tick, blocks
from facecluster.grouping.link_shuffle import as_bytes, bytes_of, vectors_of
from facecluster.store import ShardResult, Stamp, Store, links_schema, table_of

Rows = NDArray[np.int32]
Floats = NDArray[np.float32]
_NONE = np.iinfo(np.int32).max


def write_links(store: Store, plan: LinkPlan, table: str, shard: str, rows: Rows, values: Floats) -> None:
    """Keep neighbours (n, k) and their cosines in a table of the work."""
    columns = {"rows": as_bytes(rows), "cosines": as_bytes(values)}
    store.write(plan.work(table), shard, pa.table(columns), plan.stamp(table), packed=False)


def read_links(store: Store, plan: LinkPlan, table: str, shard: str) -> tuple[Rows, Floats]:
    """What `write_links` kept."""
    columns = store.read(plan.work(table), shard)
    return bytes_of(columns, "rows").view(np.int32), bytes_of(columns, "cosines").view(np.float32)


def write_nearest(store: Store, plan: LinkPlan, shard: str, rows: Rows) -> None:
    """Keep the nearest of the neighbours (n, k) of a shard, which the faces that are near them will look at."""
    nearest = np.full((len(rows), HOPS[1]), -1, dtype=np.int32)
    nearest[:, : rows.shape[1]] = rows[:, : HOPS[1]]
    store.write(plan.work("nearest"), shard, pa.table({"rows": as_bytes(nearest)}), plan.stamp("nearest"), packed=False)


def closer_links(task: str, tick: Tick | None = None, *, store: Store, plan: LinkPlan, stamp: Stamp) -> ShardResult:
    """Write the shards of links of a range of rows: their neighbours, and who is near these."""
    parts = [read_links(store, plan, "merged", shard) for shard in plan.shards(task)]
    rows, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    del parts
    x = np.concatenate([vectors_of(store.read(plan.work("vectors"), shard, ["embedding"])) for shard in plan.shards(task)])
    own = np.arange(len(rows), dtype=np.int32) + np.int32(int(task) * plan.rows * plan.span)
    nearest = _held_nearest(store, plan)
    with held_vectors(store, plan) as vectors:
        for lot in blocks(len(rows), BLOCK if vectors.whole and nearest.whole else len(rows)):
            more = _new_rows(nearest, rows[lot], own[lot])
            found = np.clip(exact_cosines(vectors, x[lot], more, tick), -1, 1)
            for some in blocks(len(more), BLOCK):
                at = slice(lot.start + some.start, lot.start + some.stop)
                near, cosine = np.concatenate([rows[at], more[some]], axis=1), np.concatenate([values[at], found[some]], axis=1)
                rows[at], values[at] = best(near, cosine, plan.k)
    del nearest, x
    for shard, part in zip(plan.shards(task), blocks(len(rows), plan.rows), strict=True):
        ids = store.read(plan.work("vectors"), shard, ["face_id"])["face_id"].combine_chunks()
        similarity = np.where(rows[part] < 0, np.float32(-2), values[part])
        columns = {"face_id": ids, "neighbours": rows[part], "similarity": similarity}
        store.write(plan.links, shard, table_of(links_schema(plan.k), columns), stamp)
    return ShardResult(stage="link", shard=task, faces=len(rows))


def exact_cosines(vectors: Held, x: NDArray[np.float16], rows: Rows, tick: Tick | None = None) -> Floats:
    """Cosines (n, count) of vectors `x` (n, dim) to the faces in `rows` (n, count); anything where a row is -1."""
    exact = np.empty(rows.shape, dtype=np.float32)
    for held, part in vectors.parts():
        for some in blocks(len(x), BLOCK):
            queries = x[some].astype(np.float32)
            if vectors.whole:
                exact[some] = cosines(queries, part, rows[some].astype(np.int64))
            else:
                inside = (rows[some] >= held.start) & (rows[some] < held.stop)
                at = np.where(inside, rows[some].astype(np.int64) - held.start, -1)
                np.copyto(exact[some], cosines(queries, part, at), where=inside)
    if tick:
        tick(len(x))
    return exact


def _held_nearest(store: Store, plan: LinkPlan) -> Held:
    """What `write_nearest` kept of all faces, in the memory of full vectors."""

    def read(rows: slice, into: Rows) -> None:
        for start in range(rows.start, rows.stop, plan.rows):
            table = store.read(plan.work("nearest"), f"{start // plan.rows:05d}", ["rows"])
            into[start - rows.start :][: len(table)] = bytes_of(table, "rows").view(np.int32)

    shards = max(1, plan.held // plan.rows * plan.dim // HOPS[1])
    return Held(plan.faces, shards * plan.rows, HOPS[1], np.int32, read)


def _new_rows(nearest: Held, rows: Rows, own: Rows) -> Rows:
    """Who is near the neighbours `rows` (n, k) of faces `own` (n,) and no neighbour yet: (n, w), each once, -1 where there are fewer."""
    more = np.full((len(rows), HOPS[0] * HOPS[1]), -1, dtype=np.int32)
    for held, part in nearest.parts():
        for some in blocks(len(rows), BLOCK):
            of, into = rows[some, : HOPS[0]], more[some].reshape(-1, HOPS[0], HOPS[1])[:, : rows.shape[1]]
            inside = (of >= held.start) & (of < held.stop)
            into[inside] = part[of[inside] - held.start]
    width = 0
    for some in blocks(len(rows), BLOCK):
        found = _unknown(rows[some], more[some], own[some])
        width = max(width, found.shape[1])
        more[some, : found.shape[1]], more[some, found.shape[1] :] = found, -1
    return more[:, :width]


def _unknown(known: Rows, more: Rows, own: Rows) -> Rows:
    """The rows of `more` (n, a) that are not in `known` (n, b), nor `own` (n,): (n, w), each once, rising; -1 where there are fewer."""
    keys = np.concatenate([known << 1, more << 1 | 1], axis=1).view(np.uint32)  # -1 comes last
    keys.sort(axis=1)
    rows = (keys >> 1).astype(np.int32)
    new = (keys & 1 == 1) & (rows != own[:, None]) & (rows != _NONE)
    new[:, 1:] &= rows[:, 1:] != rows[:, :-1]
    counts = new.sum(axis=1)
    out = np.full((len(rows), counts.max(initial=0)), -1, dtype=np.int32)
    out[np.arange(out.shape[1]) < counts[:, None]] = rows[new]
    return out
