"""A hash of the state of tables, without reading them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from facecluster.store.store import Store


def tables_hash(store: Store, tables: Iterable[str], salt: str) -> str:
    """A hash of names, sizes and times of the shards of some tables: it shows every change."""
    digest = hashlib.sha256(salt.encode())
    for table in tables:
        holder = store.holder(table)
        folder = holder.path(table)
        if not holder.fs.isdir(folder):
            continue
        holder.fs.invalidate_cache(folder)
        for found in sorted(holder.fs.ls(folder, detail=True), key=lambda f: str(f["name"])):
            name = str(found["name"]).rsplit("/", 1)[-1]
            if name.startswith("part-") and name.endswith(".parquet"):
                when = next((found[k] for k in ("mtime", "ETag", "etag", "LastModified", "updated") if k in found), "")
                digest.update(f"{table}/{name} {found.get('size')} {when}\n".encode())
    return digest.hexdigest()
