"""exports.json: where reports, exports and data sets of a store were written outside it, so that `forget` can say where copies lie.

Only folders are kept, not what is in them. Odd inputs: a store that can't be written keeps nothing; one from before has no list.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from facecluster.errors import InputError
from facecluster.store.stamps import FORMAT
from facecluster.store.store import Store

COPIES = "exports.json"
DATA_SET = "data set"  # kind of the folders that `curate` wrote
DATA_SET_MARK = ".facecluster-curate.json"  # is in each of these


def remember_copy(store: Store, kind: str, where: str) -> bool:
    """Keep in the store that something was written to a folder; the last time for each kind and folder.

    Args:
        store: whose faces were written.
        kind: "report", "xmp", "curate", ...
        where: the folder, or "beside the photos".

    Returns:
        whether it could be kept; True also for a folder in the store, of which nothing needs to be kept.
    """
    if os.path.isabs(where) and store.is_local:
        root = os.path.realpath(store.root)
        if os.path.commonpath([os.path.realpath(where), root]) == root:
            return True
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    rows = [row for row in read_copies(store) if (row["kind"], row["where"]) != (kind, where)]
    try:
        found = {"format": FORMAT, "exports": [*rows, {"kind": kind, "where": where, "at": now}]}
        store.write_bytes(json.dumps(found, indent=1, ensure_ascii=False).encode("utf-8", "surrogateescape"), COPIES)
    except store.io_errors:
        return False
    return True


def refuse_inside(store: Store, folder: str | None) -> None:
    """Raise InputError if a folder for pages, exports or data sets lies in an encrypted store: they can't be encrypted."""
    if folder is None or not store.is_local or store.cipher is None:
        return
    root = os.path.realpath(store.root)
    if os.path.commonpath([os.path.realpath(os.path.expanduser(folder)), root]) == root:
        raise InputError(f"expected a folder outside the encrypted store, found {folder}: what is written there is not encrypted")


def read_copies(store: Store) -> list[Mapping[str, Any]]:
    """What was written outside the store: kind, where, at (UTC); oldest first."""
    try:
        found = json.loads(store.read_bytes(COPIES).decode("utf-8", "surrogateescape"))
        return [row for row in found["exports"] if all(isinstance(row[key], str) for key in ("kind", "where", "at"))]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
