"""Vectors of a shard whose faces were found anew, and are others than before: they are removed, and the stage `embed` makes them again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from facecluster.errors import StoreError
from facecluster.store import Store

_TABLES = "embeddings"


def drop_stale_vectors(store: Store, shard: str, face_ids: Sequence[str]) -> None:
    """Remove the vectors of a shard, of every model, that are not of these faces in this order. Call it before the faces are written."""
    folder = store.path(_TABLES)
    if not store.fs.isdir(folder):
        return
    for path in store.fs.ls(folder, detail=False):
        table = f"{_TABLES}/{str(path).rstrip('/').rsplit('/', 1)[-1]}"
        if not store.exists(table, f"part-{shard}.parquet"):
            continue
        with suppress(StoreError):  # one that is damaged is for `check` to tell
            if store.read(table, shard, ["face_id"])["face_id"].to_pylist() != list(face_ids):
                store.fs.rm_file(store.shard_path(table, shard))  # no other one: another worker may be writing it
