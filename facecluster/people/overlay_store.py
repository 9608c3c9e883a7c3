"""An overlay store for dry runs: reads from a base store, writes to a folder of its own.

Once a table is written to, or emptied, only what the overlay holds of it counts.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from facecluster.store import Store
from facecluster.store.cipher import Cipher


@dataclass(frozen=True, slots=True)
class OverlayStore(Store):
    """Tables of `base`, covered by those written to `url`, a local folder. Files that are not tables are not read from `base`."""

    base: Store

    @property
    def cipher(self) -> Cipher | None:
        return self.base.cipher

    def holder(self, table: str) -> Store:
        return Store(self.url) if os.path.isdir(self.path(table)) else self.base

    def shards(self, table: str) -> list[str]:
        return Store.shards(self.holder(table), table)

    def read(self, table: str, shard: str, columns: list[str] | None = None) -> pa.Table:
        return Store.read(self, table, shard, columns) if os.path.isdir(self.path(table)) else self.base.read(table, shard, columns)

    def stamp(self, table: str, shard: str) -> dict[str, Any] | None:
        return Store.stamp(self, table, shard) if os.path.isdir(self.path(table)) else self.base.stamp(table, shard)

    def remove(self, table: str, keep: Collection[str] = ()) -> None:
        for shard in keep:
            self.write(table, shard, self.read(table, shard), self.stamp(table, shard) or {})
        os.makedirs(self.path(table), exist_ok=True)
        for shard in self.shards(table):
            if shard not in keep:
                os.unlink(self.shard_path(table, shard))
