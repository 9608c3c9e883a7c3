"""Faces whose boxes the user drew where the detector saw none: their ids, and their shards of `faces` and of the tables made from it.

Their numbers in the photo begin at FIRST, so that no detector gives one of them to another face. Each drawing is a shard of its own, with a
shard of the same name in the tables of vectors; it is never written anew, only left without faces that were undone.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.photos.followed import PHOTO_CHARS
from facecluster.store import FACES, FaceIds, Ids, Stamp, Store, in_schema

DRAWN = "drawn"  # in the column `origin` of faces
FIRST = 0x8000  # number in its photo of the first drawn face; detectors count from 0
LEAST_SIDE = 8.0  # px of the photo, of the shorter side of a box that is drawn
_PREFIX = "drawn-"  # of the names of shards
_DERIVED = ("embeddings", "attributes")  # folders of tables with a row for each face of `faces`
_FACE = pa.schema([FACES.field(name) for name in ("face_id", "photo_id", "box")])


def is_drawn(ids: Ids) -> NDArray[np.bool_]:
    """Which of some face_ids (n,) are of drawn faces."""
    keys = FaceIds.of(ids).keys.astype(f"S{PHOTO_CHARS + 2}")  # as far as the first digit of the number
    first = keys.view("S1").reshape(len(keys), PHOTO_CHARS + 2)[:, -1] if len(keys) else keys
    return np.asarray(first >= f"{FIRST:04x}"[:1].encode())


def drawn_shards(store: Store) -> list[str]:
    """Names of the shards of `faces` that hold drawn faces."""
    return [shard for shard in store.shards("faces") if shard.startswith(_PREFIX)]


def drawn_without_vectors(store: Store, table: str) -> list[str]:
    """Names of the shards of drawn faces that a table of vectors does not have."""
    shards = drawn_shards(store)
    return sorted(set(shards) - set(store.shards(table))) if shards else []


def drawn_faces(store: Store) -> pa.Table:
    """face_id, photo_id and box of the drawn faces."""
    parts = [in_schema(_FACE, store.read("faces", shard, _FACE.names)) for shard in drawn_shards(store)]
    return pa.concat_tables(parts) if parts else _FACE.empty_table()


def without_undone(store: Store, ids: FaceIds) -> NDArray[np.bool_]:
    """Which of the faces `ids` (n,) are not drawn ones that the store has no more."""
    drawn = is_drawn(ids)
    if drawn.any():
        drawn[drawn] = ~FaceIds.among(drawn_faces(store)["face_id"]).has(FaceIds(ids.keys[drawn]))
    return ~drawn


def next_face_id(photo_id: str, taken: Collection[str]) -> str:
    """The face_id of a face that is drawn in a photo, where `taken` are all that were ever drawn: a random one, as two may draw at once."""
    while True:
        face = f"{photo_id[:PHOTO_CHARS]}-{FIRST + secrets.randbelow(FIRST):04x}"
        if face not in taken:
            return face


def write_drawn(store: Store, faces: pa.Table, vectors: Mapping[str, tuple[pa.Table, Stamp]], stamp: Stamp) -> str:
    """Write drawn faces as a new shard; gives its name.

    Args:
        store: gets them.
        faces: rows of FACES.
        vectors: by the name of a table made from faces, its rows for these faces and its stamp.
        stamp: of the faces.
    """
    used = {shard for table in ("faces", *_derived(store)) for shard in store.shards(table) if shard.startswith(_PREFIX)}
    shard = f"{_PREFIX}{max((int(name[len(_PREFIX) :]) for name in used), default=-1) + 1:05d}"
    store.write("faces", shard, faces, stamp)
    for table, (rows, made_with) in vectors.items():
        store.write(table, shard, rows, made_with)
    return shard


def drop_drawn(store: Store, faces: Collection[str]) -> None:
    """Take drawn faces out of `faces` and of the tables made from it; a shard without faces goes."""
    gone = pa.array(sorted(faces), pa.string())
    for shard in drawn_shards(store) if faces else ():
        # from `faces` last: what is stopped half way is done again
        for table in (*_derived(store), "faces"):
            if shard not in store.shards(table):
                continue
            data = store.read(table, shard)
            kept = data.filter(pc.invert(pc.is_in(data["face_id"].cast(pa.string()), value_set=gone)))
            if not len(kept):
                store.fs.rm_file(store.shard_path(table, shard))
            elif len(kept) < len(data):
                store.write(table, shard, kept, store.stamp(table, shard) or {})


def _derived(store: Store) -> Iterator[str]:
    for folder in _DERIVED:
        path = store.path(folder)
        if store.fs.isdir(path):
            yield from (f"{folder}/{str(name).rstrip('/').rsplit('/', 1)[-1]}" for name in sorted(store.fs.ls(path, detail=False)))
