"""All vectors of a store as one file to search, memory-mapped: an exact search without loading what is not needed.

Every cosine is computed, in blocks: a million vectors of 128 numbers (256 MB of float16) take .4 s on one busy core, and an exact
search gives what a graph can't: the mean over each person's faces. The index lies in the store (index/MODEL), is stamped with a hash of
the vectors and with the shards it was made from, and is made anew when those changed. Where the store can't be written (read-only),
it is made in memory. Odd input: a store without faces raises InputError, as load_vectors does.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.errors import StoreError
from facecluster.link import load_vectors
from facecluster.tables import PHOTOS, Store

BLOCK = 8192  # vectors turned to float32 at a time: they stay in the cache
_MARK = "index.json"
_LAYOUT = 1  # of the files of an index


@dataclass(frozen=True, slots=True)
class Index:
    """Vectors of the faces of current photos, in order of face_id."""

    face_ids: pa.Array  # (n,)
    uris: pa.Array  # (n,) where the photo is: the first of its places
    vectors: NDArray[np.float16]  # (n, dim), rows of length 1; on disk until they are used
    digest: str  # of face_ids and vectors

    def cosines(self, queries: NDArray[np.floating]) -> NDArray[np.float32]:
        """Cosines of `queries` (q, dim), rows of length 1, to every face: (q, n)."""
        x = np.ascontiguousarray(queries, np.float32)
        out = np.empty((len(self.vectors), len(x)), np.float32)
        block = np.empty((min(BLOCK, len(self.vectors)), x.shape[1]), np.float32)
        for start in range(0, len(self.vectors), BLOCK):
            part = self.vectors[start : start + BLOCK]
            np.copyto(block[: len(part)], part)
            np.dot(block[: len(part)], x.T, out=out[start : start + len(part)])
        return np.clip(out.T, -1, 1)


def open_index(store: Store, model: str) -> Index:
    """The index of embeddings/`model`; made, or made anew, where it is missing or stale."""
    folder, sources = f"index/{model}", _sources(store, model)
    mark = _read_mark(store, folder)
    if mark.get("sources") == sources:
        try:
            return _load(store, folder, str(mark["digest"]))
        except (OSError, ValueError, KeyError, pa.ArrowException):
            pass  # half deleted or damaged: it is made again
    index = _build(store, model)
    try:
        _save(store, folder, index, sources)
    except (OSError, StoreError):
        return index
    return _load(store, folder, index.digest)


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
    return Index(face_ids, pc.fill_null(uris.take(at), ""), vectors, digest.hexdigest()[:16])


def _places(store: Store) -> tuple[pa.Array, pa.Array]:
    """First 24 digits of the photo_ids that are somewhere now, and the first place of each."""
    photos = store.read_all("photos", PHOTOS, ["photo_id", "uri"])
    last = dict(zip(photos["uri"].to_pylist(), photos["photo_id"].to_pylist(), strict=True))
    first: dict[str, str] = {}
    for uri in sorted(last, reverse=True):
        first[last[uri][:24]] = uri
    first.pop("", None)
    return pa.array(list(first), pa.string()), pa.array(list(first.values()), pa.string())


def _save(store: Store, folder: str, index: Index, sources: str) -> None:
    """Write the files of an index under names of its own, then the mark that points to them; then remove the files of older ones."""
    out = io.BytesIO()
    np.save(out, index.vectors)
    store.write_bytes(out.getvalue(), folder, f"vectors-{index.digest}.npy")
    sink = pa.BufferOutputStream()
    table = pa.table({"face_id": index.face_ids, "uri": index.uris})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    store.write_bytes(sink.getvalue().to_pybytes(), folder, f"faces-{index.digest}.arrow")
    mark = {"digest": index.digest, "faces": len(index.face_ids), "sources": sources}
    store.write_bytes(json.dumps(mark, sort_keys=True).encode(), folder, _MARK)
    keep = {_MARK, f"vectors-{index.digest}.npy", f"faces-{index.digest}.arrow"}
    store.fs.invalidate_cache(store.path(folder))
    for path in store.fs.ls(store.path(folder), detail=False):
        name = str(path).rsplit("/", 1)[-1]
        if name not in keep and name.startswith(("vectors-", "faces-")) and not name.endswith(".tmp"):
            store.fs.rm_file(path)


def _load(store: Store, folder: str, digest: str) -> Index:
    vectors, faces = store.path(folder, f"vectors-{digest}.npy"), store.path(folder, f"faces-{digest}.arrow")
    if store.is_local:
        x = np.load(vectors, mmap_mode="r", allow_pickle=False)
        table = pa.ipc.open_file(pa.memory_map(faces)).read_all()
    else:
        x = np.load(io.BytesIO(store.fs.cat_file(vectors)), allow_pickle=False)
        table = pa.ipc.open_file(pa.BufferReader(store.fs.cat_file(faces))).read_all()
    if x.dtype != np.float16 or x.ndim != 2 or len(x) != len(table):
        raise ValueError("files of an index that do not fit together")
    return Index(table["face_id"].combine_chunks(), table["uri"].combine_chunks(), x, digest)
