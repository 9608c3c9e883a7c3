"""All vectors of a store as FAISS indexes on disk, of PART vectors each. They are memory-mapped: a search loads only the pages it needs.

FAISS's scalar quantiser in half precision stores the numbers unchanged, so the search is exact and every vector can be read back. match
computes what else it needs (means over people, spread of impostors) from those vectors. The index lies in the store (index/MODEL). It is
stamped with a hash of the vectors and a hash of the shards that it was made from, and is rebuilt when the shards change. If the store
can't be written (read-only), the index is made in memory. Odd input: a store without faces raises InputError.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.errors import StoreError
from facecluster.grouping.face_vectors import FaceVectors
from facecluster.grouping.shelved_vectors import crew_for, shelve_vectors
from facecluster.photos.copy_names import by_place
from facecluster.photos.places import GONE_TABLE, current_photos
from facecluster.store import FaceIds, Store
from facecluster.store.fingerprint import tables_hash

BLOCK = 65_536  # vectors converted to float32 at a time while an index is built
PART = 1 << 18  # vectors of a file
_PHOTO_CHARS = 24  # first characters of a face_id, which stand for the photo
_MANIFEST = "index.json"
_LAYOUT = 2  # version of the index files


@dataclass(frozen=True, slots=True)
class Index:
    """Vectors of the faces of current photos, in order of face_id."""

    face_ids: pa.Array  # (n,)
    uris: pa.Array  # (n,) path or URI of the photo, the first one if it has several
    parts: tuple[faiss.Index, ...]  # of the vectors of length 1, one after the other; on disk until they are used
    digest: str  # of face_ids and vectors

    def nearest(self, queries: NDArray[np.floating], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Falling cosines and rows of the k nearest faces (at most n) of each of `queries` (q, dim), rows of length 1: (q, k) each."""
        k = min(k, len(self.face_ids))
        if not k or not len(queries):
            return np.zeros((len(queries), k), np.float32), np.zeros((len(queries), k), np.int64)
        queries = np.ascontiguousarray(queries, np.float32)
        found = [part.search(queries, min(k, part.ntotal)) for part in self.parts]
        cosines = np.concatenate([part for part, _ in found], axis=1)
        rows = np.concatenate([part + start for (_, part), start in zip(found, self._starts, strict=False)], axis=1)
        best = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        return np.clip(np.take_along_axis(cosines, best, 1), -1, 1), np.take_along_axis(rows, best, 1)

    def vectors(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """The vectors of `rows` (m,): (m, dim)."""
        rows, out = np.asarray(rows, np.int64), np.empty((len(rows), self.parts[0].d), np.float32)
        of = np.searchsorted(self._starts, rows, "right") - 1
        for number in np.unique(of).tolist():
            mine = of == number
            out[mine] = self.parts[number].reconstruct_batch(np.ascontiguousarray(rows[mine] - self._starts[number]))
        return out

    @property
    def _starts(self) -> NDArray[np.int64]:
        return np.cumsum([0, *(part.ntotal for part in self.parts)])

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
    with crew_for(store, f"embeddings/{model}") as crew:
        ids, vectors = shelve_vectors(crew, store, f"embeddings/{model}")
        index = _build(store, ids, vectors)
        try:
            manifest = _save(store, folder, index, (build_faiss_index(vectors[s]) for s in _slices(len(ids))), sources)
        except (OSError, StoreError):
            return replace(index, parts=tuple(build_faiss_index(vectors[s]) for s in _slices(len(ids))))
    return _load(store, folder, manifest)


def _slices(n: int) -> Iterator[slice]:
    return (slice(start, start + PART) for start in range(0, max(n, 1), PART))


def _hash_sources(store: Store, model: str) -> str:
    """A hash of names, sizes and times of the shards of vectors, photos and places: it shows every change."""
    return tables_hash(store, (f"embeddings/{model}", "photos", GONE_TABLE), f"layout {_LAYOUT}")


def _read_manifest(store: Store, folder: str) -> dict[str, Any]:
    try:
        manifest = json.loads(store.read_bytes(folder, _MANIFEST))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _build(store: Store, ids: FaceIds, vectors: FaceVectors) -> Index:
    """The index without its vectors."""
    digest = hashlib.sha256()
    for start in range(0, len(ids), BLOCK):
        digest.update(("\n" if start else "").encode() + "\n".join(ids[start : start + BLOCK]).encode())
    for start in range(0, len(ids), BLOCK):
        digest.update(vectors[start : start + BLOCK].astype(np.float16).tobytes())
    photos, uris = _first_uris(store)
    at = photos.rows_of(FaceIds(ids.keys.astype(f"S{_PHOTO_CHARS}")))
    return Index(ids.arrow(), pc.fill_null(uris.take(pa.array(at, mask=at < 0)), ""), (), digest.hexdigest()[:16])


def build_faiss_index(vectors: NDArray[np.floating]) -> faiss.Index:
    """A FAISS index of `vectors` (n, dim), rows of length 1, in half precision."""
    dim = vectors.shape[1]
    index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.train(np.zeros((1, dim), np.float32))
    for start in range(0, len(vectors), BLOCK):
        index.add(np.ascontiguousarray(vectors[start : start + BLOCK], np.float32))
    return index


def _first_uris(store: Store) -> tuple[FaceIds, pa.Array]:
    """First 24 digits of each photo_id that a uri still leads to, and the first of its uris."""
    photos = current_photos(store, ["photo_id", "uri"])
    photos = photos.filter(pc.not_equal(photos["photo_id"], ""))
    photos = photos.take(by_place(photos))
    begin = FaceIds.of(pc.utf8_slice_codeunits(photos["photo_id"], 0, _PHOTO_CHARS)).keys
    keys, first = np.unique(begin, return_index=True)
    return FaceIds(keys), photos["uri"].take(pa.array(first)).combine_chunks()


def _save(store: Store, folder: str, index: Index, parts: Iterable[faiss.Index], sources: str) -> dict[str, Any]:
    """Write the files of an index under unique names, then the manifest that points to them; then remove the files of older indexes."""
    faces, files, size, sums = f"faces-{index.digest}.arrow", [], 0, {}
    for number, part in enumerate(parts):
        data = faiss.serialize_index(part).data
        files.append(_vectors_file(index.digest, number))
        sums[files[-1]] = hashlib.sha256(data).hexdigest()
        store.write_bytes(bytes(data), folder, files[-1])
        size += data.nbytes
    sink = pa.BufferOutputStream()
    table = pa.table({"face_id": index.face_ids, "uri": index.uris})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    found = sink.getvalue().to_pybytes()
    sums[faces] = hashlib.sha256(found).hexdigest()
    store.write_bytes(found, folder, faces)
    manifest = {"digest": index.digest, "faces": len(index.face_ids), "sources": sources, "bytes": size, "files": len(files)}
    manifest |= {"sha256": sums}
    store.write_bytes(json.dumps(manifest, sort_keys=True).encode(), folder, _MANIFEST)
    store.fs.invalidate_cache(store.path(folder))
    for path in store.fs.ls(store.path(folder), detail=False):
        name = str(path).rsplit("/", 1)[-1]
        if name not in (faces, *files) and name.startswith(("vectors-", "faces-")) and not name.endswith(".tmp"):
            store.fs.rm_file(path)
    return manifest


def _vectors_file(digest: str, number: int) -> str:
    return f"vectors-{digest}{f'-{number}' if number else ''}.faiss"


def _load(store: Store, folder: str, manifest: dict[str, Any]) -> Index:
    digest = str(manifest["digest"])
    places = [(folder, _vectors_file(digest, number)) for number in range(manifest.get("files", 1))]
    vectors = [store.path(*place) for place in places]
    faces = store.path(folder, f"faces-{digest}.arrow")
    # reading past the end of a mapped file would kill the process
    if store.cipher is None and sum(map(store.fs.size, vectors)) != manifest["bytes"]:
        raise ValueError("the file of vectors is incomplete")
    if store.is_local and store.cipher is None:
        parts = [faiss.read_index(path, faiss.IO_FLAG_MMAP) for path in vectors]
        table = pa.ipc.open_file(pa.memory_map(faces)).read_all()
    else:
        parts = [faiss.deserialize_index(np.frombuffer(store.read_bytes(*path), np.uint8)) for path in places]
        table = pa.ipc.open_file(pa.BufferReader(store.read_bytes(folder, f"faces-{digest}.arrow"))).read_all()
    if sum(part.ntotal for part in parts) != len(table):
        raise ValueError("the files of the index do not fit together")
    return Index(table["face_id"].combine_chunks(), table["uri"].combine_chunks(), tuple(parts), digest)
