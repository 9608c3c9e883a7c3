"""Vectors of a shard whose faces are others now."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facecluster.faces.stale_vectors import drop_stale_vectors
from facecluster.store import Store, embeddings_schema, table_of

TABLE = "embeddings/bundled"


def test_no_other_shard_goes_while_another_worker_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards are searched and embedded at the same time: after every look into the folder a further one is there."""
    store, written = Store(str(tmp_path / "store")), list[str]()
    store.create()

    def write() -> None:
        rows = table_of(embeddings_schema(4), {"face_id": ["a", "b"], "embedding": np.ones((2, 4), np.float16)})
        written.append(f"{len(written):05d}")
        store.write(TABLE, written[-1], rows, {"table": "embeddings"})

    for _ in range(3):
        write()
    shards = Store.shards
    monkeypatch.setattr(Store, "shards", lambda self, table: (shards(self, table), write())[0])
    drop_stale_vectors(store, "00000", ["a", "b"])
    drop_stale_vectors(store, "00001", ["b", "a"])
    drop_stale_vectors(store, "00009", ["x"])
    monkeypatch.undo()
    assert store.shards(TABLE) == [shard for shard in written if shard != "00001"]
