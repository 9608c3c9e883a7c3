"""Inverted lists by FAISS: a coarse quantiser, codes, and the candidates of a query. For collections too large to compare every pair.

A vector lies in the list of the centroid it is nearest to; a query is compared with the lists of the centroids nearest to itself. In the
lists stand codes (PQ, a code of 4 bits for every two numbers, compared by the fast scan), or the vectors themselves.

What is found depends on nothing but the vectors and their order:
- Products with centroids are exact: both are whole numbers small enough that float32 holds every sum (cohort.EXACT). FAISS's own sums of
  one query differ in their last bits with the number of queries and of threads.
- Of candidates with equal scores FAISS keeps some, by the lists that it looks at together. So those with the lowest score that was kept
  are left out (`above_lowest`): what remains is the same whether lists are searched together or in parts.
- Copies of a vector would all have equal scores, so only the first of them is in the lists (`first_of_copies`).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.cohort import EXACT
from facecluster.grouping.link_plan import FAST_SCAN, LinkPlan

Trained = tuple[NDArray[np.float32], NDArray[np.float32]]  # centroids and codebook, as `train` makes them
_ROUNDS = 6  # of k-means
_PQ_SAMPLE = 65_536
_MOST_CODES = 16  # of a number of 4 bits


def whole(x: NDArray[np.floating]) -> NDArray[np.float32]:
    """Vectors in whole steps of 1/EXACT, so that products are exact."""
    out: NDArray[np.float32] = np.rint(np.asarray(x, dtype=np.float32) * np.float32(EXACT))
    return out


def train(sample: NDArray[np.float16], plan: LinkPlan) -> Trained:
    """Centroids of the lists (lists, dim) in whole steps, by k-means on the sphere; and of the codes (dim / 2, 16, 2), or nothing.

    Args:
        sample: (m, dim), at least one.
        plan: says how many lists.
    """
    x = whole(sample)
    rng = np.random.default_rng(0)
    centroids = x[rng.choice(len(x), plan.lists, replace=len(x) < plan.lists)]
    for _ in range(_ROUNDS):
        near = probed(centroids, x, 1)[:, 0]
        order, counts = np.argsort(near, kind="stable"), np.bincount(near, minlength=plan.lists)
        used = np.flatnonzero(counts)
        sums = np.add.reduceat(x[order].astype(np.float64), (np.cumsum(counts) - counts)[used], axis=0)  # of whole numbers: exact
        centroids[used] = whole(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1))
        centroids[counts == 0] = x[rng.choice(len(x), plan.lists - len(used))]
    if plan.method != FAST_SCAN:
        return centroids, np.zeros(0, dtype=np.float32)
    quantiser = faiss.ProductQuantizer(plan.dim, plan.dim // 2, 4)
    quantiser.cp.min_points_per_centroid = 1  # no warning on stderr
    few = np.ascontiguousarray(sample[:_PQ_SAMPLE], dtype=np.float32)
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # its sums may depend on the number
    try:
        quantiser.train(few if len(few) >= _MOST_CODES else np.resize(few, (_MOST_CODES, plan.dim)))
    finally:
        faiss.omp_set_num_threads(threads)
    return centroids, faiss.vector_to_array(quantiser.centroids).reshape(-1, _MOST_CODES, 2)


def probed(centroids: NDArray[np.float32], x: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """The lists (n, count) nearest to each of `x` (n, dim), whole numbers."""
    index = faiss.IndexFlatIP(x.shape[1])
    index.add(centroids)
    return np.asarray(index.search(x, min(count, len(centroids)))[1])


def encode(codebook: NDArray[np.float32], x: NDArray[np.float16]) -> NDArray[np.uint8]:
    """Codes (n, bytes) of vectors `x` (n, dim); with no codebook, their own bytes."""
    if not codebook.size:
        return np.ascontiguousarray(x).view(np.uint8)
    quantiser = faiss.ProductQuantizer(x.shape[1], x.shape[1] // 2, 4)
    faiss.copy_array_to_vector(codebook.reshape(-1), quantiser.centroids)
    return np.asarray(quantiser.compute_codes(np.ascontiguousarray(x, dtype=np.float32)))


def first_of_copies(lists: NDArray[np.int32], rows: NDArray[np.int32], keys: NDArray[np.uint64], codes: NDArray[np.uint8]) -> tuple[
    NDArray[np.intp], NDArray[np.int32], NDArray[np.int32]
]:  # fmt: skip
    """Order the entries of lists and take copies out.

    Args:
        lists: (n,) list of each entry.
        rows: (n,) row of the face.
        keys: (n,) equal for equal vectors.
        codes: (n, bytes).

    Returns:
        the entries to keep, by list and row; and rows (m,) of copies with the rows (m,) of their firsts, by first and row.
    """
    order = np.lexsort((rows, keys, lists))
    same = np.zeros(len(order), dtype=bool)
    a, b = order[:-1], order[1:]
    same[1:] = (lists[a] == lists[b]) & (keys[a] == keys[b])
    close = np.flatnonzero(same)
    same[close] = (codes[order[close - 1]] == codes[order[close]]).all(axis=1)
    firsts = np.flatnonzero(~same)
    of = rows[order[firsts[np.cumsum(~same)[same] - 1]]]
    copies = rows[order[same]]
    by_first = np.lexsort((copies, of))
    kept = order[~same]
    return kept[np.lexsort((rows[kept], lists[kept]))], copies[by_first], of[by_first]


def pack(
    plan: LinkPlan, trained: Trained, lists: NDArray[np.int32], rows: NDArray[np.int32], codes: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """FAISS's file of an index of some lists: `lists` (n,) rising, `rows` (n,), `codes` (n, bytes)."""
    centroids, codebook = trained
    coarse = faiss.IndexFlatIP(plan.dim)
    coarse.add(centroids)  # for GPUs; elsewhere lists are chosen by `probed`
    index: Any
    if plan.method == FAST_SCAN:
        index = faiss.IndexIVFPQ(coarse, plan.dim, plan.lists, plan.dim // 2, 4, faiss.METRIC_INNER_PRODUCT)
        index.by_residual = False
        faiss.copy_array_to_vector(codebook.reshape(-1), index.pq.centroids)
    else:
        index = faiss.IndexIVFFlat(coarse, plan.dim, plan.lists, faiss.METRIC_INNER_PRODUCT)
        codes = codes.view(np.float16).astype(np.float32).view(np.uint8)
    index.is_trained, index.nprobe = True, plan.probes
    ids, ends = rows.astype(np.int64), np.searchsorted(lists, np.arange(plan.lists + 1))
    for number in np.unique(lists).tolist():
        some = slice(int(ends[number]), int(ends[number + 1]))
        given = np.ascontiguousarray(codes[some])
        index.invlists.add_entries(number, some.stop - some.start, faiss.swig_ptr(ids[some]), faiss.swig_ptr(given))
    index.ntotal = len(rows)
    return np.asarray(faiss.serialize_index(faiss.IndexIVFPQFastScan(index) if plan.method == FAST_SCAN else index))


def unpack(data: NDArray[np.uint8]) -> Any:
    """The index of a file that `pack` made; on all GPUs where there are some with memory for it and FAISS can use them."""
    index = faiss.deserialize_index(data)
    if gpus() and isinstance(index, faiss.IndexIVFFlat):
        with suppress(RuntimeError):  # other programs use the memory of the GPU: the processor searches the same lists
            return faiss.index_cpu_to_all_gpus(index)
    return index


def gpus() -> int:
    """How many GPUs FAISS can use."""
    return int(getattr(faiss, "get_num_gpus", lambda: 0)())


def candidates(index: Any, x: NDArray[np.float32], lists: NDArray[np.int64], count: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Rows and scores (n, count) of the best entries of the lists (n, probes) of each of `x` (n, dim), falling; -1 and -inf if fewer."""
    on_cpu: bool = isinstance(index, faiss.IndexIVF)
    if on_cpu:
        index.nprobe = lists.shape[1]
        scores, rows = index.search_preassigned(x, count, Iq=lists, Dq=np.zeros(lists.shape, dtype=np.float32))
    else:  # on GPUs
        scores, rows = index.search(x, count)
    return rows.astype(np.int32), np.where(rows < 0, -np.inf, scores).astype(np.float32)


def above_lowest(rows: NDArray[np.int32], scores: NDArray[np.float32]) -> NDArray[np.int32]:
    """The candidates (n, count), with -1 for those that share the lowest score of `count`, which may have been kept by chance."""
    lowest = scores.min(axis=1, keepdims=True)  # -inf: there were no more
    return np.where(scores > lowest, rows, -1)


def cosines(x: NDArray[np.float32], vectors: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Cosines (n, count) of each of `x` (n, dim) to `rows` (n, count) of `vectors`; anything where a row is -1."""
    n, count = rows.shape
    out = np.full((n, count), -2, dtype=np.float32)
    if n and count:
        pointers = [faiss.swig_ptr(array) for array in (out, np.ascontiguousarray(x), vectors, np.ascontiguousarray(rows))]
        kernel: Any = faiss
        kernel.fvec_inner_products_by_idx(*pointers, x.shape[1], n, count)
    return out


def nearest_of(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Cosines and rows of the `count` vectors nearest to each query, by comparison with all."""
    found, rows = faiss.knn(queries, vectors, min(count, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT)
    return np.asarray(found), np.asarray(rows)
