"""STAGE link: embeddings -> links, the kNN graph. Only this file, link_lists.py and matching/index.py import faiss.

Up to EXACT faces, one task compares every pair. More are done in tasks: link_plan.py chooses how, link_large.py has them done.

Odd inputs: a single face has no neighbours (-1, similarity -2). A face that is in several shards (a copy of a photo) counts once. Faces
of photos that no place shows any more are left out. Rows are in order of face_id, so the graph does not depend on
the order in which photos came in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.errors import InputError, shell
from facecluster.grouping.link_large import Linked, link_large, remove_work, run_here
from facecluster.grouping.link_lists import gpus
from facecluster.grouping.link_plan import BLOCK, EXACT_SEARCH, MEMORY, LinkPlan, Run, blocks, chosen_lists, chosen_method, sizes
from facecluster.grouping.link_shuffle import FaceOrder, lists_of, rows_in_order, write_order
from facecluster.grouping.stale_work import state_of_faces
from facecluster.store import LINKS_K, FaceIds, ShardResult, Stamp, Store, embeddings_schema, links_schema, table_of

EXACT = 200_000  # faces up to which every pair is compared; above that an inverted file, whose recall the tests measure
ROWS = 100_000  # rows a shard of links


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkConfig:
    """Settings that decide the graph."""

    k: int = LINKS_K  # neighbours a face

    def stamp(self, inputs: str) -> Stamp:
        return {"table": "links", "k": self.k, "inputs": inputs}


def load_vectors(store: Store, table: str) -> tuple[FaceIds, NDArray[np.float16]]:
    """face_ids (sorted, each once) and vectors (n, dim) of the faces of current photos."""
    dim = store.read(table, embedded_shards(store, table)[0], ["embedding"]).schema.field("embedding").type.list_size
    data = store.read_all(table, embeddings_schema(dim))
    rows = rows_in_order(store, data["face_id"].cast(pa.large_string()))
    return FaceIds.of(data["face_id"].take(pa.array(rows))), lists_of(data, "embedding")[rows]


def nearest(
    vectors: NDArray[np.floating], k: int, tick: Callable[[int], None] | None = None, *, exact: int = EXACT
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The k most similar other rows of each row of `vectors` (n, dim), rows of length 1.

    Returns:
        neighbours (n, k) int32 and cosines (n, k) float32, falling; -1 and -2 where there are fewer than k others.
    """
    x = np.ascontiguousarray(vectors, dtype=np.float32)
    n, dim = x.shape
    neighbours = np.full((n, k), -1, dtype=np.int32)
    similarity = np.full((n, k), -2.0, dtype=np.float32)
    index = _index(x, exact)
    for start in range(0, n, BLOCK):
        block = slice(start, min(n, start + BLOCK))
        sim, idx = index.search(x[block], min(k + 1, n))
        rows = np.arange(block.start, block.stop)[:, None]
        # put the row itself last, wherever it was (copies of a face are equally near), then drop the last
        order = np.argsort(idx == rows, axis=1, kind="stable")[:, : min(k, n - 1)]
        idx, sim = np.take_along_axis(idx, order, 1), np.take_along_axis(sim, order, 1)
        found = idx >= 0
        neighbours[block, : idx.shape[1]] = np.where(found, idx, -1)
        similarity[block, : idx.shape[1]] = np.where(found, np.clip(sim, -1, 1), -2)
        if tick:
            tick(block.stop - block.start)
    return neighbours, similarity


def _index(x: NDArray[np.float32], exact: int) -> faiss.Index:
    n, dim = x.shape
    if n <= exact:
        index: faiss.Index = faiss.IndexFlatIP(dim)
    else:
        lists = int(2 * np.sqrt(n))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed = 0
        index.nprobe = 48
        index.train(x[np.random.default_rng(0).choice(n, min(n, 40 * lists), replace=False)])
    if gpus():
        index = faiss.index_cpu_to_all_gpus(index)
    index.add(x)
    return index


def link(
    store: Store, embeddings: str, table: str, config: LinkConfig, *, run: Run = run_here, memory: int = MEMORY, same_person: float = 0.5,
    order: FaceOrder | None = None,
) -> Linked:  # fmt: skip
    """Write the graph of the faces in `embeddings` to `table`; if it is there for exactly these vectors, nothing is done.

    Args:
        store: holds the vectors and gets the links.
        embeddings: table of the vectors.
        table: table to write.
        config: settings that decide the links.
        run: has tasks done, here or on other machines; the links are the same.
        memory: bytes that a task may take.
        same_person: cosine from which a neighbour counts when a large collection's links are compared with a full search.
        order: of the faces in `embeddings`, if it is known.

    Raises:
        InputError: there are no faces, or the memory is too little.
    """
    shards = embedded_shards(store, embeddings)
    dim = store.read(embeddings, shards[0], ["embedding"]).schema.field("embedding").type.list_size
    order = FaceOrder.of(store, embeddings) if order is None else order
    n, k = len(order.rows), config.k
    if not n:
        url = store.holder(embeddings).url
        raise InputError(
            f"expected faces in {url}, found none in its photos: 'facecluster report {shell(url)}' lists those that could not "
            "be read; else lower --threshold"
        )
    method, gpu = chosen_method(n, dim, exact=EXACT, gpus=gpus()), gpus() > 0
    if method == EXACT_SEARCH:
        task = partial(link_all, store=store, embeddings=embeddings, table=table, config=config, rows=ROWS)
        done: list[ShardResult] = run("faces linked", n, ["all"], task, gpu=gpu)
        remove_work(store, table)  # of a time when there were more faces
        return Linked(n, method, skipped=all(part.skipped for part in done))
    lists, probes = chosen_lists(n)
    plan = LinkPlan(
        embeddings=embeddings, links=table, sources=state_of_faces(store, embeddings, "links"), faces=n, dim=dim, k=k,
        rows=ROWS, method=method, lists=lists, probes=probes, same_person=same_person, gpu=gpu,
        **sizes(n, dim, k, ROWS, method, memory),
    )  # fmt: skip
    return link_large(store, plan, lambda: write_order(store, plan, order), run)


def link_all(
    shard: str, tick: Callable[[int], None] | None = None, *, store: Store, embeddings: str, table: str, config: LinkConfig, rows: int
) -> ShardResult:
    """Link all faces in one task, by comparing every pair."""
    ids, vectors = load_vectors(store, embeddings)
    digest = hashlib.sha256("\n".join(ids).encode())
    digest.update(np.ascontiguousarray(vectors).tobytes())
    stamp = config.stamp(digest.hexdigest()[:16])
    shards = [f"{i:05d}" for i in range((len(ids) + rows - 1) // rows)]
    if store.shards(table) == shards and all(store.stamp(table, s) == dict(stamp) for s in shards):
        return ShardResult(stage="link", shard=shard, faces=len(ids), skipped=True)
    store.remove(table)
    neighbours, similarity = nearest(vectors, config.k, tick, exact=len(ids))
    for name, part in zip(shards, blocks(len(ids), rows), strict=True):
        columns = {"face_id": ids[part].arrow(), "neighbours": neighbours[part], "similarity": similarity[part]}
        store.write(table, name, table_of(links_schema(config.k), columns), stamp)
    return ShardResult(stage="link", shard=shard, faces=len(ids))


def embedded_shards(store: Store, table: str) -> list[str]:
    """Names of the shards of vectors. Raises InputError if there are none."""
    shards = store.shards(table)
    if not shards:
        place = store.holder(table)
        folder, _, model = table.rpartition("/")
        if others := [name for name in _folders(place, folder) if place.shards(f"{folder}/{name}")]:
            raise InputError(
                f"expected vectors of the model {model} in {place.url}, found those of {', '.join(others)}: choose one with --model, or "
                f"run 'facecluster embed PHOTOS -o {shell(place.url)} --model {shell(model)}' first"
            )
        raise InputError(f"expected embedded faces in {place.url}, found none: run 'facecluster embed PHOTOS -o {shell(place.url)}' first")
    return shards


def _folders(store: Store, table: str) -> list[str]:
    """Names of the folders in the folder of a table, sorted."""
    path = store.path(table)
    return sorted(str(p).rstrip("/").rsplit("/", 1)[-1] for p in store.fs.ls(path, detail=False)) if store.fs.isdir(path) else []
