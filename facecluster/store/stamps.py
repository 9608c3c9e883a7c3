"""Stamps: the settings that a shard was made with, as JSON in the metadata of its file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from facecluster.errors import StoreError

FORMAT = 1  # of the store; newer formats are refused
STAMP_KEY = b"facecluster"  # of a shard's metadata

Stamp = Mapping[str, Any]


def settings_hash(stamp: Stamp) -> str:
    """A short hash of settings, independent of their order."""
    return hashlib.sha256(json.dumps(stamp, sort_keys=True).encode()).hexdigest()[:16]


def stamp_of(metadata: Mapping[bytes, bytes], path: str) -> dict[str, Any]:
    """The stamp in the metadata of a shard.

    Raises:
        StoreError: the shard is of a newer format.
        KeyError, ValueError: there is no stamp that can be read.
    """
    found = dict(json.loads(metadata[STAMP_KEY]))
    version = found.pop("format", FORMAT)
    if not isinstance(version, int) or version > FORMAT:
        raise StoreError(f"expected {path} of format {FORMAT} or older, found {version!r}: install a newer facecluster")
    return found
