"""The store: Arrow tables in sharded Parquet in one folder, on any fsspec filesystem."""

from __future__ import annotations

from facecluster.store.face_ids import FaceIds, FaceRows, Ids
from facecluster.store.schemas import (
    ARCHIVES,
    FACES,
    FILES,
    FOLLOWED,
    GONE,
    IDENTITIES,
    KNOWN,
    LINKS_K,
    PHOTOS,
    embeddings_schema,
    in_schema,
    known_schema,
    links_schema,
    table_of,
    table_of_rows,
)
from facecluster.store.shard_result import ShardResult
from facecluster.store.stamps import FORMAT, Stamp, settings_hash, stamp_of
from facecluster.store.store import COMPACTING, FORGETTING, Store
from facecluster.store.store_file import KIND, STORE_FILE, TEMPORARY

__all__ = [
    "ARCHIVES", "COMPACTING", "FACES", "FILES", "FOLLOWED", "FORGETTING", "FORMAT", "FaceIds", "FaceRows", "GONE", "IDENTITIES", "Ids",
    "KIND", "KNOWN", "LINKS_K", "PHOTOS", "STORE_FILE", "ShardResult", "Stamp", "Store", "TEMPORARY", "embeddings_schema", "in_schema",
    "known_schema", "links_schema", "settings_hash", "stamp_of", "table_of", "table_of_rows",
]  # fmt: skip
