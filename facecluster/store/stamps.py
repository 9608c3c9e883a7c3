"""Stamps: the settings that a shard was made with, as JSON in the metadata of its file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from facecluster.errors import StoreError

FORMAT = 1  # of the store; newer formats are refused
STAMP_KEY = b"facecluster"  # of a shard's metadata
PLACE_KEY = b"facecluster.place"  # the same: where the shard was written

Stamp = Mapping[str, Any]


def settings_hash(stamp: Stamp) -> str:
    """A short hash of settings, independent of their order."""
    return hashlib.sha256(json.dumps(stamp, sort_keys=True).encode()).hexdigest()[:16]


def stamp_of(metadata: Mapping[bytes, bytes], path: str) -> dict[str, Any]:
    """The stamp in the metadata of a shard.

    Raises:
        StoreError: the shard is of a newer format.
        ValueError: there is no stamp that can be read.
    """
    try:
        found = dict(json.loads(metadata[STAMP_KEY]))
    except (KeyError, TypeError, RecursionError) as e:
        raise ValueError("it has no settings that can be read") from e
    version = found.pop("format", FORMAT)
    if not isinstance(version, int) or version > FORMAT:
        raise StoreError(f"expected {path} of format {FORMAT} or older, found {version!r}: install a newer facecluster")
    return found


def place(table: str, shard: str, store_id: str) -> bytes:
    """Where a shard is written, for its metadata. `store_id`: '' if the store has none."""
    return json.dumps({"table": table, "part": shard, **({"store": store_id} if store_id else {})}, sort_keys=True).encode()


def misplaced(metadata: Mapping[bytes, bytes], table: str, shard: str) -> str:
    """What a shard's metadata says against the place where it lies; '' if nothing, as in shards of earlier versions."""
    if PLACE_KEY not in metadata:
        return ""
    said = json.loads(metadata[PLACE_KEY])
    if (said["table"], said["part"]) != (table, shard):
        return f"it was written as {said['table']}/part-{said['part']}.parquet"
    return ""


def store_in(metadata: Mapping[bytes, bytes]) -> str:
    """The id of the store that a shard was written in; '' if it does not say."""
    try:
        return str(json.loads(metadata.get(PLACE_KEY, b"{}")).get("store", ""))
    except (ValueError, AttributeError):
        return ""
