"""The store: tables are read back as written, writes are atomic, shards with other settings are noticed."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from facecluster.errors import StampError, StoreError
from facecluster.store import FACES, FILES, IDENTITIES, PHOTOS, Store, embeddings_schema, links_schema

SCHEMAS = {
    "files": FILES,
    "photos": PHOTOS,
    "faces": FACES,
    "embeddings/m": embeddings_schema(3),
    "links/m": links_schema(2),
    "identities/m": IDENTITIES,
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "store"))
    store.create()
    return store


def value(kind: pa.DataType) -> Any:
    """A value of a type."""
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return [value(kind.value_type)] * (kind.list_size if pa.types.is_fixed_size_list(kind) else 2)
    if pa.types.is_timestamp(kind):
        return datetime(2021, 5, 6, 7, 8, 9)
    if pa.types.is_floating(kind):
        return np.float16(0.5) if pa.types.is_float16(kind) else 0.5
    return "a" if pa.types.is_string(kind) else b"a" if pa.types.is_binary(kind) else 7


def rows(schema: pa.Schema, n: int) -> pa.Table:
    return pa.Table.from_pylist([{f.name: value(f.type) for f in schema}] * n, schema=schema)


@pytest.mark.parametrize("table", SCHEMAS)
@pytest.mark.parametrize("n", [0, 2])
def test_a_table_is_read_back_with_its_schema(store: Store, table: str, n: int) -> None:
    schema = SCHEMAS[table]
    data = rows(schema, n)
    store.write(table, "00000", data, {"table": table})
    back = store.read(table, "00000")
    assert back.schema.equals(schema)
    assert [f.metadata for f in back.schema] == [f.metadata for f in schema]
    assert back.equals(data)


@pytest.mark.parametrize("table", SCHEMAS)
def test_no_shard_reads_as_an_empty_table(store: Store, table: str) -> None:
    schema = SCHEMAS[table]
    none = store.read_all(table, schema)
    store.write(table, "00000", rows(schema, 0), {})
    store.write(table, "00001", rows(schema, 2), {})
    every = store.read_all(table, schema)
    assert pa.concat_tables([none, every]).equals(rows(schema, 2))
    names = [schema.names[1], schema.names[0]]
    for each in (store, Store(store.url + "/none")):
        assert each.read_all(table, schema, names).column_names == names


def test_every_column_has_a_description() -> None:
    bare = [f"{t}.{f.name}" for t, schema in SCHEMAS.items() for f in schema if not (f.metadata or {}).get(b"description")]
    assert bare == []


def test_settings_are_stored_and_compared(store: Store) -> None:
    store.write("files", "00000", rows(FILES, 1), {"a": 1, "b": None, "c": [0.1]})
    assert store.stamp("files", "00000") == {"a": 1, "b": None, "c": [0.1]}
    assert store.is_done("files", "00000", {"c": [0.1], "b": None, "a": 1})
    assert not store.is_done("files", "00001", {"a": 1})
    with pytest.raises(StampError, match=r"a = 2 \(found 1\), b = .* again, or another store"):
        store.is_done("files", "00000", {"a": 2, "b": "x", "c": [0.1]})


def test_finished_shards_are_in_every_table_with_these_settings(store: Store) -> None:
    for table, shards in {"files": "0123", "photos": "012", "faces": "12", "embeddings/m": "013"}.items():
        for shard in shards:
            store.write(table, shard, rows(SCHEMAS[table], 1), {"table": table, "x": 1})
    photos, vectors = {"table": "photos", "x": 1}, {"table": "embeddings/m", "x": 1}
    assert store.finished_shards({"photos": photos, "embeddings/m": vectors}) == ["0", "1"]
    assert store.finished_shards({"photos": photos, "embeddings/m": vectors}, ["faces"]) == ["1"]
    assert store.finished_shards({"photos": photos, "none": {}}) == []
    store.write("embeddings/m", "3", rows(SCHEMAS["embeddings/m"], 1), {**vectors, "x": 2})  # the last one looked at
    with pytest.raises(StampError, match=r"part-3.parquet made with x = 1 \(found 2\)"):
        store.finished_shards({"photos": photos, "embeddings/m": vectors})


@pytest.mark.parametrize("content", ['{"kind": "shop", "format": 1}', '{"format": 1}', '{"kind": "facecluster store"}', "[]", "1", "null"])
def test_a_store_file_of_something_else(store: Store, content: str) -> None:
    (Path(store.root) / "store.json").write_text(content)
    for use in (store.check, store.create):
        with pytest.raises(StoreError, match="found a store.json of something else"):
            use()


def test_a_store_without_a_name_is_not_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for use in (Store("").create, Store("").check):
        with pytest.raises(StoreError, match="expected the name of a store"):
            use()
    assert os.listdir(tmp_path) == []


def test_a_write_that_fails_leaves_the_older_shard(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write("files", "00000", rows(FILES, 1), {})

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as m:
        m.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="No space left on device"):
            store.write("files", "00000", rows(FILES, 2), {})
    assert store.read("files", "00000").num_rows == 1
    assert os.listdir(Path(store.root) / "files") == ["part-00000.parquet"]


def test_other_files_are_not_shards(store: Store) -> None:
    store.write("files", "00001", rows(FILES, 1), {})
    folder = Path(store.root) / "files"
    for name in ("part-00000.parquet.1a2b3c4d.tmp", "notes.parquet", "part-00002.csv", ".DS_Store"):
        (folder / name).write_bytes(b"x")
    assert store.shards("files") == ["00001"] and store.shards("none") == []
    assert store.read_all("files", FILES).num_rows == 1


@pytest.mark.parametrize("damage", ["empty", "truncated", "garbage", "folder", "unstamped", "of another program", "a number"])
def test_a_damaged_shard_is_one_clear_line(store: Store, damage: str) -> None:
    store.write("files", "00000", rows(FILES, 3), {})
    path = Path(store.shard_path("files", "00000"))
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage == "unstamped":
        pa.parquet.write_table(rows(FILES, 3).replace_schema_metadata(), path)
    elif damage in ("of another program", "a number"):
        pa.parquet.write_table(rows(FILES, 3).replace_schema_metadata({"facecluster" if damage == "a number" else "other": "5"}), path)
    else:
        path.write_bytes({"empty": b"", "truncated": whole[:-9], "garbage": os.urandom(400)}[damage])
    if damage != "unstamped":
        with pytest.raises(StoreError, match="expected a readable shard, found .*part-00000.parquet") as caught:
            store.read_all("files", FILES)
        assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="expected a readable shard") as caught:
        store.is_done("files", "00000", {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["nosuchscheme://a/b", "s3x:///"])
def test_a_url_that_cannot_be_opened(url: str) -> None:
    for use in (Store(url).create, Store(url).check, Store(url).lock):
        with pytest.raises(StoreError, match=f"found {url}"):
            use()


def test_a_store_whose_first_write_was_killed_can_be_created(tmp_path: Path) -> None:
    (tmp_path / "store.json.0a1b2c3d.tmp").write_bytes(b'{"ki')
    Store(str(tmp_path)).create()
    Store(str(tmp_path)).check()


def test_a_relative_store_is_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert Store("store").root == str(tmp_path / name / "store") == Store(f"{tmp_path / name}/store/").root
