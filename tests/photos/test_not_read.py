"""Which photos could not be read is found without reading the shards that have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from facecluster.photos.not_read import shards_not_read
from facecluster.store import PHOTOS, Store, table_of

UNREAD = ["expected a readable file, found: Input/output error", "expected a photo, found no file"]
OTHERS = [None, "damaged", "expected a photo (JPEG, PNG), found something else", "expected a whole JPEG photo, found a damaged one", "é"]
WEB, MEMBER = "https://example.org/a.jpg", "zip:/photos/a.zip!/b.jpg"


def write(store: Store, shard: str, rows: list[tuple[str, str | None]]) -> None:
    made = {"uri": [uri for uri, _ in rows], "error": [error for _, error in rows], "photo_id": ["x"] * len(rows)}
    numbers = {name: [0] * len(rows) for name in ("size", "mtime_ns", "faces")}
    columns = {name: (made | numbers).get(name, [None] * len(rows)) for name in PHOTOS.names}
    store.write("photos", shard, table_of(PHOTOS, columns), {"table": "photos"})


@pytest.mark.parametrize("error", UNREAD)
def test_a_file_that_could_not_be_read_is_found_among_all_kinds_of_errors(tmp_path: Path, error: str) -> None:
    store = Store(str(tmp_path / "store"))
    store.create()
    for i, other in enumerate(OTHERS):
        write(store, f"{i:05d}", [("/a.jpg", other), (f"/{i}.jpg", error), ("/b.jpg", None), (WEB, error), (MEMBER, error)])
    write(store, "00099", [])
    assert shards_not_read(store, store.shards("photos")) == {f"{i:05d}": [f"/{i}.jpg"] for i in range(len(OTHERS))}


def test_shards_without_any_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path / "store"))
    store.create()
    write(store, "00000", [("/a.jpg", None), ("/b.jpg", None)])
    write(store, "00001", [("/c.jpg", OTHERS[1]), ("/d.jpg", None)])
    write(store, "00002", [("/e.jpg", OTHERS[3])])
    write(store, "00003", [("/f.jpg", UNREAD[0])])
    read: list[str] = []
    real = Store.read

    def counted(self: Store, table: str, shard: str, columns: list[str] | None = None) -> Any:
        read.append(shard)
        return real(self, table, shard, columns)

    monkeypatch.setattr(Store, "read", counted)
    assert shards_not_read(store, store.shards("photos")) == {"00003": ["/f.jpg"]} and read == ["00003"]
