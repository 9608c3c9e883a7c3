"""The store: Arrow tables in sharded Parquet in one folder, on any fsspec filesystem."""

from __future__ import annotations

from facecluster.store.face_ids import FaceIds, Ids
from facecluster.store.schemas import (
    ARCHIVES,
    FACES,
    FILES,
    FOLLOWED,
    GONE,
    IDENTITIES,
    LINKS_K,
    PHOTOS,
    embeddings_schema,
    in_schema,
    links_schema,
    table_of,
)
from facecluster.store.stamps import FORMAT, Stamp, settings_hash, stamp_of
from facecluster.store.store import FORGETTING, KIND, STORE_FILE, TEMPORARY, ShardResult, Store

__all__ = [
    "ARCHIVES", "FACES", "FILES", "FOLLOWED", "FORGETTING", "FORMAT", "FaceIds", "GONE", "IDENTITIES", "Ids", "KIND", "LINKS_K", "PHOTOS",
    "STORE_FILE", "ShardResult", "Stamp", "Store", "embeddings_schema", "in_schema", "links_schema", "settings_hash",
    "TEMPORARY", "stamp_of", "table_of",
]  # fmt: skip
