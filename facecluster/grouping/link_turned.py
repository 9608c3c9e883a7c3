"""Links seen from their other end: if a face is among the neighbours of another, the other may be one of its own that it did not find.

A query looks at a small share of the lists, and the two faces of a pair look at different ones; so what either finds is given to both.
Cosines are the same from both ends, to the bit. A link is handed on only if it is good enough to be among the neighbours at its other end.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.grouping.link_held import drop_vectors
from facecluster.grouping.link_hops import read_links, write_links, write_nearest
from facecluster.grouping.link_neighbours import best
from facecluster.grouping.link_plan import BLOCK, LinkPlan, Tick, blocks
from facecluster.store import ShardResult, Store


def write_found(store: Store, plan: LinkPlan, shard: str, rows: NDArray[np.int32], cosines: NDArray[np.float32]) -> None:
    """Keep the neighbours (n, k) that the faces of a shard found themselves; and the least cosine of each."""
    write_links(store, plan, "found", shard, rows, cosines)
    least = pa.table({"least": np.ascontiguousarray(cosines[:, -1])})
    store.write(plan.work("least"), shard, least, plan.stamp("least"), packed=False)


def turn_links(task: str, tick: Tick | None = None, *, store: Store, plan: LinkPlan) -> ShardResult:
    """Deal the links of a range of rows out to the ranges of their other ends."""
    drop_vectors()
    least = np.concatenate([store.read(plan.work("least"), shard)["least"].to_numpy() for shard in plan.shards()])
    found = []
    for shard in plan.shards(task):
        rows, cosines = read_links(store, plan, "found", shard)
        good = (rows >= 0) & (cosines >= least[np.maximum(rows, 0)])
        own = np.arange(len(rows), dtype=np.int32) + np.int32(int(shard) * plan.rows)
        found.append((rows[good], np.repeat(own, good.sum(axis=1)), cosines[good]))
    ends, others, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
    part = ends // (plan.rows * plan.span)
    for number, name in enumerate(plan.tasks):
        some = part == number
        table = pa.table({"end": ends[some], "other": others[some], "cosine": values[some]})
        store.write(plan.work("turned"), f"{name}-{task}", table, plan.stamp("turned"), packed=False)
    return ShardResult(stage="link", shard=task)


def merge_links(task: str, tick: Tick | None = None, *, store: Store, plan: LinkPlan) -> ShardResult:
    """Put together what the faces of a range of rows found themselves, and what others found of them."""
    turned = pa.concat_tables([store.read(plan.work("turned"), f"{task}-{other}") for other in plan.tasks])
    ends, others, values = (turned[name].to_numpy() for name in ("end", "other", "cosine"))
    for shard in plan.shards(task):
        rows, cosines = read_links(store, plan, "found", shard)
        start = int(shard) * plan.rows
        some = (ends >= start) & (ends < start + len(rows))
        more, more_cosines = _by_face(ends[some] - start, others[some], values[some], rows.shape)
        merged = [
            best(np.concatenate([rows[part], more[part]], axis=1), np.concatenate([cosines[part], more_cosines[part]], axis=1), plan.k,
                 distinct=True)
            for part in blocks(len(rows), BLOCK)
        ]  # fmt: skip
        neighbours, similarity = (np.concatenate(arrays) for arrays in zip(*merged, strict=True))
        write_nearest(store, plan, shard, neighbours)
        write_links(store, plan, "merged", shard, neighbours, similarity)
    return ShardResult(stage="link", shard=task, faces=0)


def _by_face(
    ends: NDArray[np.int32], others: NDArray[np.int32], values: NDArray[np.float32], shape: tuple[int, ...]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The best links of each of n faces, as many as `shape` (n, k) says: others and cosines; -1 where there are fewer.

    Args:
        ends: (m,) the face that each link is of, 0 to n - 1.
        others: (m,) rising.
        values: (m,) cosines.
        shape: n, k.
    """
    bits = np.ascontiguousarray(values).view(np.int32)
    rising = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
    order = np.argsort((ends.astype(np.int64) << 32) - rising, kind="stable")  # of equal cosines the lowest row is first
    ends = ends[order]
    counts = np.bincount(ends, minlength=shape[0])
    place = np.arange(len(ends)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = place < shape[1]
    rows, cosines = np.full(shape, -1, dtype=np.int32), np.full(shape, -2, dtype=np.float32)
    rows[ends[kept], place[kept]] = others[order[kept]]
    cosines[ends[kept], place[kept]] = values[order[kept]]
    return rows, cosines
