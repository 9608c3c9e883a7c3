"""All vectors of a store as one FAISS index on disk. It is memory-mapped: a search loads only the pages that it needs.

FAISS's scalar quantiser in half precision stores the numbers unchanged, so the search is exact and every vector can be read back. match
computes what else it needs (means over people, spread of impostors) from those vectors. The index lies in the store (index/MODEL). It is
stamped with a hash of the vectors and a hash of the shards that it was made from, and is rebuilt when the shards change. If the store
can't be written (read-only), the index is made in memory. Odd input: a store without faces raises InputError, as load_vectors does.
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
from facecluster.photos.places import GONE_TABLE, current_photos
from facecluster.store import Store
from facecluster.store.fingerprint import tables_hash

BLOCK = 65_536  # vectors converted to float32 at a time while an index is built
_MANIFEST = "index.json"
_LAYOUT = 2  # version of the index files


@dataclass(frozen=True, slots=True)
class Index:
    """Vectors of the faces of current photos, in order of face_id."""

    face_ids: pa.Array  # (n,)
    uris: pa.Array  # (n,) path or URI of the photo, the first one if it has several
    faiss_index: faiss.Index  # of n vectors of length 1; on disk until they are used
    digest: str  # of face_ids and vectors

    def nearest(self, queries: NDArray[np.floating], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Falling cosines and rows of the k nearest faces (at most n) of each of `queries` (q, dim), rows of length 1: (q, k) each."""
        k = min(k, len(self.face_ids))
        if not k or not len(queries):
            return np.zeros((len(queries), k), np.float32), np.zeros((len(queries), k), np.int64)
        cosines, rows = self.faiss_index.search(np.ascontiguousarray(queries, np.float32), k)
        return np.clip(cosines, -1, 1), rows

    def vectors(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """The vectors of `rows` (m,): (m, dim)."""
        if not len(rows):
            return np.zeros((0, self.faiss_index.d), np.float32)
        return np.asarray(self.faiss_index.reconstruct_batch(np.ascontiguousarray(rows, np.int64)))

    def rows_of_photo(self, photo_id: str) -> slice:
        """Rows of the faces of a photo: they are adjacent. An empty slice if it has none."""
        start = f"{photo_id[:24]}-"
        return slice(*(bisect_left(range(len(self.face_ids)), key, key=lambda i: self.face_ids[i].as_py()) for key in (start, start + "~")))


def open_index(store: Store, model: str) -> Index:
    """The index of embeddings/`model`. Builds it if it is missing, out of date or damaged."""
    folder, sources = f"index/{model}", _hash_sources(store, model)
    manifest = _read_manifest(store, folder)
    if manifest.get("sources") == sources:
        try:
            return _load(store, folder, manifest)
        except (OSError, ValueError, KeyError, RuntimeError, pa.ArrowException):
            pass  # partly deleted or damaged: it is built again
    index = _build(store, model)
    try:
        manifest = _save(store, folder, index, sources)
    except (OSError, StoreError):
        return index
    return _load(store, folder, manifest)


def _hash_sources(store: Store, model: str) -> str:
    """A hash of names, sizes and times of the shards of vectors, photos and places: it shows every change."""
    return tables_hash(store, (f"embeddings/{model}", "photos", GONE_TABLE), f"layout {_LAYOUT}")


def _read_manifest(store: Store, folder: str) -> dict[str, Any]:
    try:
        manifest = json.loads(store.fs.cat_file(store.path(folder, _MANIFEST)))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _build(store: Store, model: str) -> Index:
    ids, vectors = load_vectors(store, f"embeddings/{model}")
    digest = hashlib.sha256("\n".join(ids).encode())
    digest.update(np.ascontiguousarray(vectors).tobytes())
    face_ids = pa.array(ids, pa.string())
    prefixes, uris = _first_uris(store)
    at = pc.index_in(pc.utf8_slice_codeunits(face_ids, 0, 24), value_set=prefixes)
    return Index(face_ids, pc.fill_null(uris.take(at), ""), build_faiss_index(vectors), digest.hexdigest()[:16])


def build_faiss_index(vectors: NDArray[np.floating]) -> faiss.Index:
    """A FAISS index of `vectors` (n, dim), rows of length 1, in half precision."""
    dim = vectors.shape[1]
    index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.train(np.zeros((1, dim), np.float32))
    for start in range(0, len(vectors), BLOCK):
        index.add(np.ascontiguousarray(vectors[start : start + BLOCK], np.float32))
    return index


def _first_uris(store: Store) -> tuple[pa.Array, pa.Array]:
    """First 24 digits of each photo_id that a uri still leads to, and the first of its uris."""
    photos = current_photos(store, ["photo_id", "uri"])
    first: dict[str, str] = {}
    for uri, photo_id in sorted(zip(photos["uri"].to_pylist(), photos["photo_id"].to_pylist(), strict=True), reverse=True):
        first[photo_id[:24]] = uri
    first.pop("", None)
    return pa.array(list(first), pa.string()), pa.array(list(first.values()), pa.string())


def _save(store: Store, folder: str, index: Index, sources: str) -> dict[str, Any]:
    """Write the files of an index under unique names, then the manifest that points to them; then remove the files of older indexes."""
    data = faiss.serialize_index(index.faiss_index).data
    names = {"vectors": f"vectors-{index.digest}.faiss", "faces": f"faces-{index.digest}.arrow"}
    store.write_bytes(bytes(data), folder, names["vectors"])
    sink = pa.BufferOutputStream()
    table = pa.table({"face_id": index.face_ids, "uri": index.uris})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    store.write_bytes(sink.getvalue().to_pybytes(), folder, names["faces"])
    manifest = {"digest": index.digest, "faces": len(index.face_ids), "sources": sources, "bytes": data.nbytes}
    store.write_bytes(json.dumps(manifest, sort_keys=True).encode(), folder, _MANIFEST)
    store.fs.invalidate_cache(store.path(folder))
    for path in store.fs.ls(store.path(folder), detail=False):
        name = str(path).rsplit("/", 1)[-1]
        if name not in names.values() and name.startswith(("vectors-", "faces-")) and not name.endswith(".tmp"):
            store.fs.rm_file(path)
    return manifest


def _load(store: Store, folder: str, manifest: dict[str, Any]) -> Index:
    digest = str(manifest["digest"])
    vectors, faces = (store.path(folder, name) for name in (f"vectors-{digest}.faiss", f"faces-{digest}.arrow"))
    if store.fs.size(vectors) != manifest["bytes"]:  # reading past the end of a mapped file would kill the process
        raise ValueError("the file of vectors is incomplete")
    if store.is_local:
        faiss_index = faiss.read_index(vectors, faiss.IO_FLAG_MMAP)
        table = pa.ipc.open_file(pa.memory_map(faces)).read_all()
    else:
        faiss_index = faiss.deserialize_index(np.frombuffer(store.fs.cat_file(vectors), np.uint8))
        table = pa.ipc.open_file(pa.BufferReader(store.fs.cat_file(faces))).read_all()
    if faiss_index.ntotal != len(table):
        raise ValueError("the files of the index do not fit together")
    return Index(table["face_id"].combine_chunks(), table["uri"].combine_chunks(), faiss_index, digest)
