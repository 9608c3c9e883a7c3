"""STAGE link: embeddings -> links, the kNN graph. Only this file and matching/index.py import faiss.

Odd inputs: a single face has no neighbours (-1, similarity -2). A face that is in several shards (a copy of a photo) counts once. Faces
of photos that no place shows any more are left out. Rows are in order of face_id, so the graph does not depend on
the order in which photos came in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.errors import InputError
from facecluster.photos.places import of_current_photos
from facecluster.store import LINKS_K, ShardResult, Stamp, Store, embeddings_schema, links_schema, table_of

EXACT = 200_000  # faces up to which every pair is compared; above that an inverted file, whose recall the tests measure
ROWS = 100_000  # rows a shard of links
BLOCK = 4_096  # queries of one search, between two updates of the progress bar


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkConfig:
    """Settings that decide the graph."""

    k: int = LINKS_K  # neighbours a face

    def stamp(self, inputs: str) -> Stamp:
        return {"table": "links", "k": self.k, "inputs": inputs}


def load_vectors(store: Store, table: str) -> tuple[list[str], NDArray[np.float16]]:
    """face_ids (sorted, each once) and vectors (n, dim) of the faces of current photos."""
    shards = store.shards(table)
    if not shards:
        raise InputError(f"expected embedded faces in {store.url}, found none: run 'facecluster embed PHOTOS -o {store.url}' first")
    dim = store.read(table, shards[0], ["embedding"]).schema.field("embedding").type.list_size
    data = store.read_all(table, embeddings_schema(dim))
    ids = data["face_id"].combine_chunks().cast(pa.string())
    rows = np.flatnonzero(of_current_photos(store, ids).to_numpy(zero_copy_only=False))
    names = np.asarray(ids.take(pa.array(rows)).to_pylist(), dtype=object)
    unique, first = np.unique(names, return_index=True) if len(names) else (names, np.zeros(0, dtype=np.intp))
    vectors = data["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
    return list(unique), vectors[rows[first]]


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
    if getattr(faiss, "get_num_gpus", lambda: 0)() > 0:
        index = faiss.index_cpu_to_all_gpus(index)
    index.add(x)
    return index


def link(store: Store, embeddings: str, table: str, config: LinkConfig, tick: Callable[[int], None] | None = None) -> ShardResult:
    """Write the graph of the faces in `embeddings` to `table`; if it is there for exactly these vectors, nothing is done."""
    ids, vectors = load_vectors(store, embeddings)
    if not ids:
        raise InputError(f"expected faces in {store.url}, found none in its photos: see the report, or lower --threshold")
    digest = hashlib.sha256("\n".join(ids).encode())
    digest.update(np.ascontiguousarray(vectors).tobytes())
    stamp = config.stamp(digest.hexdigest()[:16])
    shards = [f"{i:05d}" for i in range((len(ids) + ROWS - 1) // ROWS)]
    if store.shards(table) == shards and all(store.stamp(table, s) == dict(stamp) for s in shards):
        return ShardResult(stage="link", shard="all", faces=len(ids), skipped=True)
    store.remove(table)
    neighbours, similarity = nearest(vectors, config.k, tick)
    for i, shard in enumerate(shards):
        rows = slice(i * ROWS, (i + 1) * ROWS)
        columns = {"face_id": ids[rows], "neighbours": neighbours[rows], "similarity": similarity[rows]}
        store.write(table, shard, table_of(links_schema(config.k), columns), stamp)
    return ShardResult(stage="link", shard="all", faces=len(ids))
