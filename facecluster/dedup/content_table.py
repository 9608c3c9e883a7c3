"""Values of photos by their bytes, kept in a table of the store; what the table lacks is computed when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from facecluster.dedup.store_photos import Photos
from facecluster.store import Stamp, Store, table_of


class ContentTable:
    """Rows by number of the photo. The first column of the schema holds the SHA-256 of the bytes."""

    def __init__(
        self, store: Store, photos: Photos, schema: pa.Schema, stamp: Stamp, compute: Callable[[int], dict[str, Any] | None]
    ) -> None:
        """Reads the table named in the stamp. `compute` gives the other columns of a photo, or None if it can't be opened."""
        self._store, self._photos, self._schema, self._stamp, self._compute = store, photos, schema, stamp, compute
        self._name, self._key = str(stamp["table"]), schema.names[0]
        wanted = set(photos.ids)
        self._known: dict[str, dict[str, Any] | None] = {}
        for shard in store.shards(self._name):
            if store.stamp(self._name, shard) == dict(stamp):
                for row in store.read(self._name, shard).to_pylist():
                    content = row.pop(self._key)
                    if content in wanted:
                        self._known[content] = row
        self._new: dict[str, dict[str, Any]] = {}

    def of(self, photo: int) -> dict[str, Any] | None:
        """The row of a photo without its key; None if no file of the photo can be opened."""
        content = self._photos.ids[photo]
        if content not in self._known:
            row = self._known[content] = self._compute(photo)
            if row is not None:
                self._new[content] = row
        return self._known[content]

    def save(self) -> None:
        """Write the rows that were computed since the last call, as a shard whose name detection does not use."""
        if not self._new:
            return
        late = [shard for shard in self._store.shards(self._name) if shard.startswith("late-")]
        columns = {name: [row[name] for row in self._new.values()] for name in self._schema.names[1:]}
        self._store.write(self._name, f"late-{len(late):05d}", table_of(self._schema, {self._key: list(self._new)} | columns), self._stamp)
        self._new = {}
