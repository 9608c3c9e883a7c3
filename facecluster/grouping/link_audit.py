"""How many neighbours the links of a large collection hold: a sample of faces is compared with all others."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.grouping.link_held import drop_vectors
from facecluster.grouping.link_lists import nearest_of
from facecluster.grouping.link_neighbours import merged
from facecluster.grouping.link_plan import AUDITED, LinkPlan, Tick
from facecluster.grouping.link_shuffle import key_limits, lists_of, vectors_of
from facecluster.store import ShardResult, Store, table_of


def _queries(store: Store, plan: LinkPlan) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
    """Rows (m,), rising, and vectors (m, dim) of the faces to audit."""
    sample = pa.concat_tables([store.read(plan.work("sample"), task) for task in plan.tasks]).combine_chunks()
    sample = sample.filter(pa.array(sample["key"].to_numpy() >= key_limits(plan)[0]))
    first = np.sort(np.argsort(sample["key"].to_numpy(), kind="stable")[:AUDITED])
    sample = sample.take(pa.array(first))
    return sample["row"].to_numpy().astype(np.int64), vectors_of(sample)


def _schema(width: int) -> pa.Schema:
    return pa.schema([pa.field("rows", pa.list_(pa.int32(), width)), pa.field("cosines", pa.list_(pa.float32(), width))])


def compare_sample(task: str, tick: Tick | None = None, *, store: Store, plan: LinkPlan) -> ShardResult:
    """Write the nearest of a range of rows to each face of the sample, and the links of those of the sample that are in the range."""
    drop_vectors()
    own, queries = _queries(store, plan)
    x, width = queries.astype(np.float32), plan.k + 1
    found = np.full((len(x), width), -1, dtype=np.int32), np.full((len(x), width), -np.inf, dtype=np.float32)
    links = []
    for shard in plan.shards(task):
        start = int(shard) * plan.rows
        block = vectors_of(store.read(plan.work("vectors"), shard, ["embedding"])).astype(np.float32)
        values, rows = nearest_of(x, block, width)
        found = merged(found, ((rows + start).astype(np.int32), values))
        inside = own[(own >= start) & (own < start + len(block))] - start
        links.append(lists_of(store.read(plan.links, shard, ["neighbours"]), "neighbours")[inside])
    columns = {"rows": found[0], "cosines": found[1]}
    store.write(plan.work("audit"), task, table_of(_schema(width), columns), plan.stamp("audit"), packed=False)
    linked = {"neighbours": np.concatenate(links)}
    schema = pa.schema([pa.field("neighbours", pa.list_(pa.int32(), plan.k))])
    store.write(plan.work("audited"), task, table_of(schema, linked), plan.stamp("audited"), packed=False)
    return ShardResult(stage="link", shard=task, faces=len(own))


def recall(store: Store, plan: LinkPlan) -> tuple[float | None, int]:
    """Share of the sample's exact k nearest, with cosines from `plan.same_person` on, that the links hold; None if there are none.

    Returns:
        the share; and how many faces the sample has.
    """
    own, _ = _queries(store, plan)
    width = plan.k + 1
    found = np.full((len(own), width), -1, dtype=np.int32), np.full((len(own), width), -np.inf, dtype=np.float32)
    for task in plan.tasks:
        table = store.read(plan.work("audit"), task)
        found = merged(found, (lists_of(table, "rows"), lists_of(table, "cosines")))
    links = lists_of(pa.concat_tables([store.read(plan.work("audited"), task) for task in plan.tasks]), "neighbours")
    rows, values = found
    other = (rows != own[:, None]) & (rows >= 0)
    wanted = other & (np.cumsum(other, axis=1) <= plan.k) & (values >= plan.same_person)
    there = np.array([np.isin(line, link) for line, link in zip(rows, links, strict=True)]).reshape(rows.shape)
    total = int(wanted.sum())
    return (float((wanted & there).sum() / total) if total else None), len(own)
