"""Neighbours of neighbours: who is near the neighbours of a face is often near the face itself, though no list that it looked at held both.

This is one round of what Dong et al. (2011) build whole graphs with. It finds more for its cost than looking at more lists does.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.grouping.link_lists import cosines
from facecluster.grouping.link_neighbours import best
from facecluster.grouping.link_plan import BLOCK, HOPS, LinkPlan, Tick, blocks
from facecluster.grouping.link_shuffle import as_bytes, bytes_of, read_vectors, vectors_of
from facecluster.store import ShardResult, Stamp, Store, links_schema, table_of

Rows = NDArray[np.int32]
Floats = NDArray[np.float32]


def write_links(store: Store, plan: LinkPlan, table: str, shard: str, rows: Rows, values: Floats) -> None:
    """Keep neighbours (n, k) and their cosines in a table of the work."""
    columns = {"rows": as_bytes(rows), "cosines": as_bytes(values)}
    store.write(plan.work(table), shard, pa.table(columns), plan.stamp(table))


def read_links(store: Store, plan: LinkPlan, table: str, shard: str) -> tuple[Rows, Floats]:
    """What `write_links` kept."""
    columns = store.read(plan.work(table), shard)
    return bytes_of(columns, "rows").view(np.int32), bytes_of(columns, "cosines").view(np.float32)


def write_nearest(store: Store, plan: LinkPlan, shard: str, rows: Rows) -> None:
    """Keep the nearest of the neighbours (n, k) of a shard, which the faces that are near them will look at."""
    nearest = np.full((len(rows), HOPS[1]), -1, dtype=np.int32)
    nearest[:, : rows.shape[1]] = rows[:, : HOPS[1]]
    store.write(plan.work("nearest"), shard, pa.table({"rows": as_bytes(nearest)}), plan.stamp("nearest"))


def closer_links(task: str, tick: Tick | None = None, *, store: Store, plan: LinkPlan, stamp: Stamp) -> ShardResult:
    """Write the shards of links of a range of rows: their neighbours, and who is near these."""
    parts = [read_links(store, plan, "merged", shard) for shard in plan.shards(task)]
    rows, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    more = _neighbours_of(store, plan, rows[:, : HOPS[0]])
    own = np.arange(len(rows), dtype=np.int32) + np.int32(int(task) * plan.rows * plan.span)
    for some in blocks(len(rows), BLOCK):
        more[some] = _once(more[some], own[some])
    x = np.concatenate([vectors_of(store.read(plan.work("vectors"), shard, ["embedding"])) for shard in plan.shards(task)])
    found = exact_cosines(store, plan, x, more, tick)
    for shard, part in zip(plan.shards(task), blocks(len(rows), plan.rows), strict=True):
        lots = [
            best(np.concatenate([rows[some], more[some]], 1), np.concatenate([values[some], found[some]], 1), plan.k, distinct=True)
            for some in (slice(part.start + b.start, part.start + b.stop) for b in blocks(part.stop - part.start, BLOCK))
        ]
        neighbours, similarity = (np.concatenate(arrays) for arrays in zip(*lots, strict=True))
        ids = store.read(plan.work("vectors"), shard, ["face_id"])["face_id"].combine_chunks()
        columns = {"face_id": ids, "neighbours": neighbours, "similarity": np.where(neighbours < 0, np.float32(-2), similarity)}
        store.write(plan.links, shard, table_of(links_schema(plan.k), columns), stamp)
    return ShardResult(stage="link", shard=task, faces=len(rows))


def exact_cosines(store: Store, plan: LinkPlan, x: NDArray[np.float16], rows: Rows, tick: Tick | None = None) -> Floats:
    """Cosines (n, count) of vectors `x` (n, dim) to the faces in `rows` (n, count); anything where a row is -1."""
    exact = np.empty(rows.shape, dtype=np.float32)
    for held in blocks(plan.faces, plan.held):
        vectors = np.empty((held.stop - held.start, plan.dim), dtype=np.float32)
        read_vectors(store, plan, held, vectors)
        for some in blocks(len(x), BLOCK):
            inside = (rows[some] >= held.start) & (rows[some] < held.stop)
            at = np.where(inside, rows[some].astype(np.int64) - held.start, -1)
            np.copyto(exact[some], cosines(x[some].astype(np.float32), vectors, at), where=inside)
            if tick and held.stop == plan.faces:
                tick(some.stop - some.start)
    return exact


def _neighbours_of(store: Store, plan: LinkPlan, rows: Rows) -> Rows:
    """The nearest (n, a * b) of each of `rows` (n, a), -1 where there are fewer."""
    out = np.full((*rows.shape, HOPS[1]), -1, dtype=np.int32)
    shards = plan.held // plan.rows * plan.dim // HOPS[1]  # of `HOPS[1]` numbers a face, in the memory of the full vectors
    for held in blocks(plan.faces, max(1, shards) * plan.rows):
        names = [f"{start // plan.rows:05d}" for start in range(held.start, held.stop, plan.rows)]
        near = np.concatenate([bytes_of(store.read(plan.work("nearest"), name), "rows").view(np.int32) for name in names])
        for some in blocks(len(rows), BLOCK):
            inside = (rows[some] >= held.start) & (rows[some] < held.stop)
            out[some][inside] = near[rows[some][inside] - held.start]
    return out.reshape(len(rows), -1)


def _once(rows: Rows, own: Rows) -> Rows:
    """Rows (n, w), rising, with -1 for what is there again and for the face itself, `own` (n,)."""
    rows = np.sort(rows, axis=1)
    again = rows == own[:, None]
    again[:, 1:] |= rows[:, 1:] == rows[:, :-1]
    return np.where(again, np.int32(-1), rows)
