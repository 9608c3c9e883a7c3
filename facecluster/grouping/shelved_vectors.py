"""The vectors of a store, put on a shelf in order of face_id: tasks deal out the vectors of some shards each, others put them in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.grouping.face_vectors import FaceVectors
from facecluster.grouping.link import EXACT, embedded_shards
from facecluster.grouping.link_shuffle import FaceOrder, lists_of
from facecluster.grouping.work import Crew, LocalCrew, Shelf, Stored, kept, load, load_rows, temporary_shelf
from facecluster.store import FaceIds, Store, embeddings_schema

PART = 1 << 17  # vectors of a part, and of the shards that one task deals out


def is_large(store: Store, table: str) -> bool:
    """Whether a table of vectors has so many faces that its links are not made by comparing every pair."""
    left = EXACT
    for shard in store.shards(table):
        left -= store.read(table, shard, ["face_id"]).num_rows
        if left < 0:
            return True
    return False


@contextmanager
def crew_for(store: Store, table: str) -> Iterator[LocalCrew]:
    """Who works on a table of vectors in this process: with many faces by way of files in a temporary folder, else in memory."""
    if not is_large(store, table):
        yield LocalCrew()
        return
    with temporary_shelf("" if store.cipher is None else store.cipher.key_id) as shelf:
        yield LocalCrew(shelf)


def shelve_vectors(crew: Crew, store: Store, table: str, order: FaceOrder | None = None) -> tuple[FaceIds, FaceVectors]:
    """face_ids (sorted, each once) and vectors (n, dim) of the faces of current photos; `order`: of the table, if it is known."""
    shelf = crew.shelf
    dim = int(store.read(table, embedded_shards(store, table)[0], ["embedding"]).schema.field("embedding").type.list_size)
    order = FaceOrder.of(store, table) if order is None else order
    counts, ends, faces = order.counts, np.cumsum(order.counts), len(order.rows)
    groups = [list(some) for _, some in groupby(range(len(counts)), key=lambda i: max(int(ends[i]) - 1, 0) // PART)]
    starts = [*range(0, faces, PART), faces]
    shared, names = shelf.keep("vectors/to", order.places()), store.shards(table)
    calls = [
        (shelf, f"vectors/dealt/{g}", store, table, dim, [names[i] for i in some], shared, int(ends[some[0]] - counts[some[0]]), starts)
        for g, some in enumerate(groups)
    ]
    dealt = crew.map(_deal, calls)
    parts = crew.map(_order, [(shelf, f"vectors/{p}", p, starts, dim, dealt) for p in range(len(starts) - 1)])
    shelf.drop([shared, *(array for arrays in dealt for array in arrays)])
    return FaceIds.of(order.ids.take(pa.array(order.rows))), FaceVectors(tuple(part for (part,) in parts), tuple(starts), dim)


def _deal(
    shelf: Shelf, name: str, store: Store, table: str, dim: int, shards: Sequence[str], to: Stored, first: int, starts: Sequence[int]
) -> tuple[Stored, ...]:
    """The vectors of some shards by rising row, their rows, and where those of each part begin."""

    def make() -> tuple[NDArray[np.int32], NDArray[np.float16], NDArray[np.int64]]:
        schema = pa.schema([embeddings_schema(dim).field("embedding")])
        vectors = np.concatenate([lists_of(store.read(table, shard, schema.names).cast(schema), "embedding") for shard in shards])
        rows = load(to)[first : first + len(vectors)]
        order = np.argsort(rows, kind="stable")
        order = order[np.searchsorted(rows[order], 0) :]
        rows = rows[order]
        return rows, vectors[order], np.searchsorted(rows, starts)

    return kept(shelf, name, ("rows", "vectors", "bounds"), make)


def _order(
    shelf: Shelf, name: str, part: int, starts: Sequence[int], dim: int, dealt: Sequence[tuple[Stored, ...]]
) -> tuple[Stored, ...]:
    """The vectors of a part, in order."""

    def make() -> tuple[NDArray[np.float16]]:
        out = np.empty((starts[part + 1] - starts[part], dim), dtype=np.float16)
        for rows, vectors, bounds in dealt:
            first, last = (int(bound) for bound in load(bounds)[part : part + 2])
            out[load_rows(rows, first, last) - starts[part]] = load_rows(vectors, first, last)
        return (out,)

    return kept(shelf, name, ("vectors",), make)
