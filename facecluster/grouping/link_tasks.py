"""The tasks of a large collection's links, after its vectors are in order (link_shuffle.py): quantiser, lists, search.

Each reads tables and writes tables; no vector goes from one process to another in another way.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.grouping.cohort import content_keys
from facecluster.grouping.link_hops import exact_cosines
from facecluster.grouping.link_lists import (
    Trained,
    above_lowest,
    candidates,
    encode,
    first_of_copies,
    pack,
    probed,
    train,
    unpack,
    whole,
)
from facecluster.grouping.link_neighbours import Copies, best, expand, merged
from facecluster.grouping.link_plan import BLOCK, LinkPlan, Tick, blocks
from facecluster.grouping.link_shuffle import as_bytes, bytes_of, key_limits, vectors_of
from facecluster.grouping.link_turned import write_found
from facecluster.store import ShardResult, Store

_QUANTISER = pa.schema([pa.field("centroids", pa.list_(pa.float32())), pa.field("codebook", pa.list_(pa.float32()))])
_LISTS = pa.schema(
    [pa.field("index", pa.large_binary()), pa.field("copies", pa.list_(pa.int32())), pa.field("firsts", pa.list_(pa.int32()))]
)


def train_quantiser(shard: str, tick: Tick | None = None, *, store: Store, plan: LinkPlan) -> ShardResult:
    """Train the coarse quantiser and the codes on the sample."""
    sample = pa.concat_tables([store.read(plan.work("sample"), task) for task in plan.tasks])
    sample = sample.filter(pa.array(sample["key"].to_numpy() < key_limits(plan)[0]))
    trained = [[part.reshape(-1)] for part in train(vectors_of(sample), plan)]
    table = pa.table(dict(zip(_QUANTISER.names, trained, strict=True)), schema=_QUANTISER)
    store.write(plan.work("quantiser"), shard, table, plan.stamp("quantiser"))
    return ShardResult(stage="link", shard=shard)


def _trained(store: Store, plan: LinkPlan) -> Trained:
    table = store.read(plan.work("quantiser"), "00000")
    centroids, codebook = (table[name].combine_chunks().flatten().to_numpy() for name in _QUANTISER.names)
    return centroids.reshape(-1, plan.dim), codebook


def encode_vectors(task: str, tick: Tick | None = None, *, store: Store, plan: LinkPlan) -> ShardResult:
    """Choose the list and compute the code of each vector of a range of rows."""
    centroids, codebook = _trained(store, plan)
    found = []
    for shard in plan.shards(task):
        x = vectors_of(store.read(plan.work("vectors"), shard, ["embedding"]))
        lists = np.concatenate([probed(centroids, whole(x[some]), 1)[:, 0] for some in blocks(len(x), BLOCK)])
        keys = np.concatenate([content_keys(x[some].astype(np.float32)) for some in blocks(len(x), BLOCK)])
        rows = np.arange(len(x), dtype=np.int32) + np.int32(int(shard) * plan.rows)
        found.append((lists.astype(np.int32), rows, keys, encode(codebook, x)))
        if tick:
            tick(len(x))
    columns = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    part = columns[0].astype(np.int64) * plan.parts // plan.lists
    for number, name in enumerate(plan.list_parts):
        lists, rows, keys, codes = (column[part == number] for column in columns)
        table = pa.table({"list": lists, "row": rows, "key": keys, "code": as_bytes(codes)})
        store.write(plan.work("entries"), f"{name}-{task}", table, plan.stamp("entries"))
    return ShardResult(stage="link", shard=task, faces=len(columns[0]))


def pack_lists(part: str, tick: Tick | None = None, *, store: Store, plan: LinkPlan) -> ShardResult:
    """Make an index of a part of the lists, and note copies."""
    data = pa.concat_tables([store.read(plan.work("entries"), f"{part}-{task}") for task in plan.tasks]).combine_chunks()
    lists, rows, keys = (data[name].to_numpy() for name in ("list", "row", "key"))
    codes = bytes_of(data, "code")
    kept, copies, firsts = first_of_copies(lists, rows, keys, codes)
    index = pack(plan, _trained(store, plan), lists[kept], rows[kept], codes[kept])
    binary = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), 1, [None, pa.py_buffer(np.array([0, len(index)], dtype=np.int64)), pa.py_buffer(index)]
    )
    table = pa.table({"index": binary, "copies": [copies], "firsts": [firsts]}, schema=_LISTS)
    store.write(plan.work("lists"), part, table, plan.stamp("lists"))
    return ShardResult(stage="link", shard=part, faces=len(rows))


def search_lists(task: str, tick: Tick | None = None, *, store: Store, plan: LinkPlan) -> ShardResult:
    """Find the neighbours of a range of rows."""
    x = np.concatenate([vectors_of(store.read(plan.work("vectors"), shard, ["embedding"])) for shard in plan.shards(task)])
    rows, copies = _candidates(store, plan, x)
    exact = exact_cosines(store, plan, x, rows, tick)
    first = int(task) * plan.rows * plan.span
    for shard, part in zip(plan.shards(task), blocks(len(x), plan.rows), strict=True):
        own = np.arange(part.start, part.stop) + first
        found = [expand(*best(rows[part][some], exact[part][some], plan.k + 1), own[some], copies, plan.k)
                 for some in blocks(len(own), BLOCK)]  # fmt: skip
        write_found(store, plan, shard, *(np.concatenate(arrays) for arrays in zip(*found, strict=True)))
    return ShardResult(stage="link", shard=task, faces=len(x))


def _candidates(store: Store, plan: LinkPlan, x: NDArray[np.float16]) -> tuple[NDArray[np.int32], Copies]:
    """Rows (n, candidates) that may be among the nearest of each vector (n, dim), -1 where there are fewer; and the copies."""
    centroids, _ = _trained(store, plan)
    probes = np.concatenate([probed(centroids, whole(x[some]), plan.probes).astype(np.int32) for some in blocks(len(x), BLOCK)])
    rows = np.full((len(x), plan.candidates), -1, dtype=np.int32)
    scores = np.full(rows.shape, -np.inf, dtype=np.float32)
    copies, firsts = [], []
    for part in plan.list_parts:
        table = store.read(plan.work("lists"), part)
        index = unpack(np.frombuffer(table["index"][0].as_buffer(), np.uint8))
        copies.append(table["copies"].combine_chunks().flatten().to_numpy())
        firsts.append(table["firsts"].combine_chunks().flatten().to_numpy())
        del table
        for some in blocks(len(x), BLOCK):
            found = candidates(index, x[some].astype(np.float32), probes[some].astype(np.int64), plan.candidates)
            rows[some], scores[some] = found if plan.parts == 1 else merged((rows[some], scores[some]), found)
    for some in blocks(len(x), BLOCK):
        rows[some] = above_lowest(rows[some], scores[some])
    return rows, Copies(np.concatenate(copies), np.concatenate(firsts))
