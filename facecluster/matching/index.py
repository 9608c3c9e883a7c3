"""All vectors of a store as one FAISS index on disk, memory-mapped: the nearest faces of a new one without loading what is not needed.

FAISS's scalar quantiser in half precision keeps the stored numbers as they are: its search is exact, and any vector can be had back. What
match needs beside the nearest faces (means over people, strangers' spread) is computed from those. The index lies in the store
(index/MODEL), is stamped with a hash of the vectors and with the shards it was made from, and is made anew when those changed.
Where the store can't be written (read-only), it is made in memory. Odd input: a store without faces raises InputError, as
load_vectors does.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.errors import StoreError
from facecluster.grouping.link import load_vectors
from facecluster.store import PHOTOS, Store

BLOCK = 65_536  # vectors turned to float32 at a time as an index is made
_MARK = "index.json"
_LAYOUT = 2  # of the files of an index


@dataclass(frozen=True, slots=True)
class Index:
    """Vectors of the faces of current photos, in order of face_id."""

    face_ids: pa.Array  # (n,)
    uris: pa.Array  # (n,) where the photo is: the first of its places
    search: faiss.Index  # of n vectors of length 1; on disk until they are used
    digest: str  # of face_ids and vectors

    def nearest(self, queries: NDArray[np.floating], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Cosines, falling, and rows of the k nearest faces (at most n) of each of `queries` (q, dim), rows of length 1: (q, k) each."""
        k = min(k, len(self.face_ids))
        if not k or not len(queries):
            return np.zeros((len(queries), k), np.float32), np.zeros((len(queries), k), np.int64)
        cosines, rows = self.search.search(np.ascontiguousarray(queries, np.float32), k)
        return np.clip(cosines, -1, 1), rows

    def vectors(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """The vectors of `rows` (m,): (m, dim)."""
        if not len(rows):
            return np.zeros((0, self.search.d), np.float32)
        return np.asarray(self.search.reconstruct_batch(np.ascontiguousarray(rows, np.int64)))

    def of_photo(self, photo_id: str) -> slice:
        """Rows of the faces of a photo."""
        start = f"{photo_id[:24]}-"
        return slice(*(bisect_left(range(len(self.face_ids)), key, key=lambda i: self.face_ids[i].as_py()) for key in (start, start + "~")))


def open_index(store: Store, model: str) -> Index:
    """The index of embeddings/`model`; made, or made anew, where it is missing or stale."""
    folder, sources = f"index/{model}", _sources(store, model)
    mark = _read_mark(store, folder)
    if mark.get("sources") == sources:
        try:
            return _load(store, folder, mark)
        except (OSError, ValueError, KeyError, RuntimeError, pa.ArrowException):
            pass  # half deleted or damaged: it is made again
    index = _build(store, model)
    try:
        mark = _save(store, folder, index, sources)
    except (OSError, StoreError):
        return index
    return _load(store, folder, mark)


def _sources(store: Store, model: str) -> str:
    """A hash of names, sizes and times of the shards of vectors and photos: they are never changed in place, so it tells of any change."""
    digest = hashlib.sha256(f"layout {_LAYOUT}".encode())
    for table in (f"embeddings/{model}", "photos"):
        folder = store.path(table)
        if not store.fs.isdir(folder):
            continue
        store.fs.invalidate_cache(folder)
        for found in sorted(store.fs.ls(folder, detail=True), key=lambda f: str(f["name"])):
            name = str(found["name"]).rsplit("/", 1)[-1]
            if name.startswith("part-") and name.endswith(".parquet"):
                when = next((found[k] for k in ("mtime", "ETag", "etag", "LastModified", "updated") if k in found), "")
                digest.update(f"{table}/{name} {found.get('size')} {when}\n".encode())
    return digest.hexdigest()


def _read_mark(store: Store, folder: str) -> dict[str, Any]:
    try:
        mark = json.loads(store.fs.cat_file(store.path(folder, _MARK)))
    except (OSError, ValueError):
        return {}
    return mark if isinstance(mark, dict) else {}


def _build(store: Store, model: str) -> Index:
    ids, vectors = load_vectors(store, f"embeddings/{model}")
    digest = hashlib.sha256("\n".join(ids).encode())
    digest.update(np.ascontiguousarray(vectors).tobytes())
    face_ids = pa.array(ids, pa.string())
    prefixes, uris = _places(store)
    at = pc.index_in(pc.utf8_slice_codeunits(face_ids, 0, 24), value_set=prefixes)
    return Index(face_ids, pc.fill_null(uris.take(at), ""), searchable(vectors), digest.hexdigest()[:16])


def searchable(vectors: NDArray[np.floating]) -> faiss.Index:
    """A FAISS index of `vectors` (n, dim), rows of length 1, that keeps them in half precision."""
    dim = vectors.shape[1]
    index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.train(np.zeros((1, dim), np.float32))
    for start in range(0, len(vectors), BLOCK):
        index.add(np.ascontiguousarray(vectors[start : start + BLOCK], np.float32))
    return index


def _places(store: Store) -> tuple[pa.Array, pa.Array]:
    """First 24 digits of the photo_ids that are somewhere now, and the first place of each."""
    photos = store.read_all("photos", PHOTOS, ["photo_id", "uri"])
    last = dict(zip(photos["uri"].to_pylist(), photos["photo_id"].to_pylist(), strict=True))
    first: dict[str, str] = {}
    for uri in sorted(last, reverse=True):
        first[last[uri][:24]] = uri
    first.pop("", None)
    return pa.array(list(first), pa.string()), pa.array(list(first.values()), pa.string())


def _save(store: Store, folder: str, index: Index, sources: str) -> dict[str, Any]:
    """Write the files of an index under names of its own, then the mark that points to them; then remove the files of older ones."""
    data = faiss.serialize_index(index.search).data
    names = {"vectors": f"vectors-{index.digest}.faiss", "faces": f"faces-{index.digest}.arrow"}
    store.write_bytes(bytes(data), folder, names["vectors"])
    sink = pa.BufferOutputStream()
    table = pa.table({"face_id": index.face_ids, "uri": index.uris})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    store.write_bytes(sink.getvalue().to_pybytes(), folder, names["faces"])
    mark = {"digest": index.digest, "faces": len(index.face_ids), "sources": sources, "bytes": data.nbytes}
    store.write_bytes(json.dumps(mark, sort_keys=True).encode(), folder, _MARK)
    store.fs.invalidate_cache(store.path(folder))
    for path in store.fs.ls(store.path(folder), detail=False):
        name = str(path).rsplit("/", 1)[-1]
        if name not in names.values() and name.startswith(("vectors-", "faces-")) and not name.endswith(".tmp"):
            store.fs.rm_file(path)
    return mark


def _load(store: Store, folder: str, mark: dict[str, Any]) -> Index:
    vectors, faces = (store.path(folder, name) for name in (f"vectors-{mark['digest']}.faiss", f"faces-{mark['digest']}.arrow"))
    if store.fs.size(vectors) != mark["bytes"]:  # what FAISS maps must be there to the end
        raise ValueError("a file of vectors that is not whole")
    if store.is_local:
        search = faiss.read_index(vectors, faiss.IO_FLAG_MMAP)
        table = pa.ipc.open_file(pa.memory_map(faces)).read_all()
    else:
        search = faiss.deserialize_index(np.frombuffer(store.fs.cat_file(vectors), np.uint8))
        table = pa.ipc.open_file(pa.BufferReader(store.fs.cat_file(faces))).read_all()
    if search.ntotal != len(table):
        raise ValueError("files of an index that do not fit together")
    return Index(table["face_id"].combine_chunks(), table["uri"].combine_chunks(), search, str(mark["digest"]))
