"""The tasks of a large collection's links, after its vectors are in order (link_shuffle.py): quantiser, lists, search.

Each reads tables and writes tables; no vector goes from one process to another in another way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.grouping.cohort import content_keys
from facecluster.grouping.link_held import held_vectors
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
    """Choose the lists of each vector of a range of rows, those that it is searched in and the first of them for itself; and its code."""
    centroids, codebook = _trained(store, plan)
    found = []
    for shard in plan.shards(task):
        x = vectors_of(store.read(plan.work("vectors"), shard, ["embedding"]))
        near = np.concatenate([probed(centroids, whole(x[some]), plan.probes).astype(np.int32) for some in blocks(len(x), BLOCK)])
        store.write(plan.work("probes"), shard, pa.table({"lists": as_bytes(near)}), plan.stamp("probes"), packed=False)
        keys = np.concatenate([content_keys(x[some].astype(np.float32)) for some in blocks(len(x), BLOCK)])
        rows = np.arange(len(x), dtype=np.int32) + np.int32(int(shard) * plan.rows)
        found.append((near[:, 0], rows, keys, encode(codebook, x)))
        if tick:
            tick(len(x))
    columns = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    part = columns[0].astype(np.int64) * plan.parts // plan.lists
    for number, name in enumerate(plan.list_parts):
        lists, rows, keys, codes = (column[part == number] for column in columns)
        table = pa.table({"list": lists, "row": rows, "key": keys, "code": as_bytes(codes)})
        store.write(plan.work("entries"), f"{name}-{task}", table, plan.stamp("entries"), packed=False)
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
    store.write(plan.work("lists"), part, table, plan.stamp("lists"), packed=False)
    return ShardResult(stage="link", shard=part, faces=len(rows))


def search_lists(task: str, tick: Tick | None = None, *, store: Store, plan: LinkPlan) -> ShardResult:
    """Find the neighbours of a range of rows."""
    x = np.concatenate([vectors_of(store.read(plan.work("vectors"), shard, ["embedding"])) for shard in plan.shards(task)])
    probes = np.concatenate([bytes_of(store.read(plan.work("probes"), shard), "lists").view(np.int32) for shard in plan.shards(task)])
    own = np.arange(len(x)) + int(task) * plan.rows * plan.span
    lists = _Lists(store, plan)
    found = np.empty((len(x), plan.k), dtype=np.int32), np.empty((len(x), plan.k), dtype=np.float32)
    with held_vectors(store, plan) as vectors:
        for lot in blocks(len(x), BLOCK if vectors.whole and plan.parts == 1 else len(x)):
            rows = lists.candidates(x[lot], probes[lot])
            exact = exact_cosines(vectors, x[lot], rows, tick)
            for some in blocks(len(rows), BLOCK):
                at = slice(lot.start + some.start, lot.start + some.stop)
                found[0][at], found[1][at] = expand(*best(rows[some], exact[some], plan.k + 1), own[at], lists.copies, plan.k)
    for shard, part in zip(plan.shards(task), blocks(len(x), plan.rows), strict=True):
        write_found(store, plan, shard, found[0][part], found[1][part])
    return ShardResult(stage="link", shard=task, faces=len(x))


class _Lists:
    """The inverted lists, in parts that fit into memory; where one part is all, it is read once."""

    def __init__(self, store: Store, plan: LinkPlan) -> None:
        self._store, self._plan = store, plan
        self._only: Any = None
        parts = [store.read(plan.work("lists"), part, ["copies", "firsts"]) for part in plan.list_parts]
        columns = [[table[name].combine_chunks().flatten().to_numpy() for table in parts] for name in ("copies", "firsts")]
        self.copies = Copies(*map(np.concatenate, columns))

    def _indexes(self) -> Iterator[Any]:
        for part in self._plan.list_parts:
            index = self._only
            if index is None:
                table = self._store.read(self._plan.work("lists"), part, ["index"])
                index = unpack(np.frombuffer(table["index"][0].as_buffer(), np.uint8))
                del table
            if self._plan.parts == 1:
                self._only = index
            yield index
            del index

    def candidates(self, x: NDArray[np.float16], probes: NDArray[np.int32]) -> NDArray[np.int32]:
        """Rows (n, candidates) that may be among the nearest of each vector (n, dim) in its lists (n, probes), -1 where there are fewer."""
        plan = self._plan
        rows = np.full((len(x), plan.candidates), -1, dtype=np.int32)
        scores = np.full(rows.shape, -np.inf, dtype=np.float32)
        for index in self._indexes():
            for some in blocks(len(x), BLOCK):
                found = candidates(index, x[some].astype(np.float32), probes[some].astype(np.int64), plan.candidates)
                rows[some], scores[some] = found if plan.parts == 1 else merged((rows[some], scores[some]), found)
        for some in blocks(len(x), BLOCK):
            rows[some] = above_lowest(rows[some], scores[some])
        return rows
