"""compact: fewer files, the same rows in the same order, nothing computed anew, wherever it was stopped."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from people_store import add, call, people, refused
from report import report_store as syn

from facecluster.check import check
from facecluster.photos.fingerprint import LOOKS_TABLE, looks_stamp, looks_table
from facecluster.store import COMPACTING, FILES, Store, table_of
from facecluster.upkeep.compact import compact

SHARDS = 9


@pytest.fixture
def store(made: Store, tmp_path: Path) -> Store:
    """Shards of two photos each, and a grouping."""
    shutil.copytree(made.root, tmp_path / "store")
    return Store(str(tmp_path / "store"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(str(tmp_path_factory.mktemp("made") / "store"))
    store.create()
    vectors, _ = people((7, 6, 5), noise=0.5)
    for i in range(SHARDS):
        part = vectors[2 * i : 2 * i + 2]
        ids = add(store, f"{i:05d}", part, start=2 * i)
        photos = [store.read("photos", f"{i:05d}")["photo_id"][row].as_py() for row in range(len(part))]
        syn.write_faces(store, f"{i:05d}", list(zip(ids, photos, strict=True)), [syn.crop((i, 2, 3))] * len(part))
        add(store, f"{i:05d}", part, start=2 * i)
        none: dict[str, Any] = {name: [None] * len(part) for name in ("known_photos", "known_pictures", "offset", "error", "label")}
        rows = {"uri": [f"/photos/{2 * i + j}.jpg" for j in range(len(part))], "size": [9] * len(part), "mtime_ns": [5] * len(part),
                "known": [[]] * len(part), "known_faces": [[]] * len(part)} | none  # fmt: skip
        store.write("files", f"{i:05d}", table_of(FILES, rows), {"table": "files"})
        store.write(LOOKS_TABLE, f"{i:05d}", looks_table([]), looks_stamp())
    call("cluster", store.url)
    call("name", store.url, store.read("faces", "00000")["face_id"][0].as_py(), "Ada")
    call("cluster", store.url, "--full")
    return store


def rows(store: Store) -> dict[str, pa.Table]:
    """What each table says, in order."""
    found = {}
    for table in ("files", "photos", "faces", "embeddings/bundled", "links/bundled", "identities/bundled"):
        parts = [store.read(table, shard).replace_schema_metadata(None) for shard in store.shards(table)]
        found[table] = pa.concat_tables(parts).combine_chunks()
    return found


def written(store: Store, *tables: str) -> dict[str, int]:
    return {f"{t} {s}": os.stat(store.shard_path(t, s)).st_mtime_ns for t in tables for s in store.shards(t)}


def test_shards_become_one_and_nothing_is_computed_anew(store: Store) -> None:
    before, made = rows(store), written(store, "links/bundled", "identities/bundled")
    stamps = {table: store.stamp(table, "00000") for table in before}
    dry = json.loads(call("compact", store.url, "--dry-run", "--json").stdout)
    assert rows(store) == before and len(store.shards("photos")) == SHARDS
    assert "now" in call("compact", store.url).output
    assert rows(store) == before
    for table in ("files", "photos", "faces", "embeddings/bundled", LOOKS_TABLE):
        assert store.shards(table) == [f"{SHARDS - 1:05d}"], table
    assert {table: store.stamp(table, store.shards(table)[0]) for table in before} == stamps
    assert dry["after"] == sum(len(store.shards(t)) for t in [*before, LOOKS_TABLE]) and dry["before"] == dry["after"] + 5 * (SHARDS - 1)
    call("cluster", store.url)
    assert written(store, "links/bundled", "identities/bundled") == made
    assert "Ada" in call("people", store.url).output and not check(store).findings
    state = written(store, "files", "photos")
    assert json.loads(call("compact", store.url, "--json").stdout)["after"] == dry["after"] and written(store, "files", "photos") == state


def test_a_shard_of_other_settings_and_one_that_is_not_finished_stay(store: Store) -> None:
    before = rows(store)
    store.write("photos", "00003", store.read("photos", "00003"), {"table": "photos", "threshold": 0.9})
    store.fs.rm_file(store.shard_path("photos", "00008"))
    compact(store)
    assert store.shards("photos") == ["00002", "00003", "00007"] and store.shards("files") == ["00002", "00003", "00007", "00008"]
    found = rows(store)
    assert found["files"] == before["files"] and found["photos"] == before["photos"].slice(0, 16)


def test_shards_stay_below_a_size(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[compact.__module__], "MOST_ROWS", 6)
    before = rows(store)
    compact(store)
    assert store.shards("photos") == ["00002", "00005", "00008"] and rows(store) == before


def test_late_tables_keep_the_name_that_the_next_one_does_not_take(store: Store) -> None:
    for i in range(4):
        store.write(LOOKS_TABLE, f"late-{i:05d}", looks_table([]), looks_stamp())
    compact(store)
    assert store.shards(LOOKS_TABLE) == ["00008", "late-00000"]


@pytest.mark.parametrize("call_of", ["write", "rm_file"])
@pytest.mark.parametrize("retried", [False, True])
def test_stopped_anywhere_it_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch, call_of: str, retried: bool) -> None:
    """Before each write and each removal; a command that finds new photos may come before it goes on."""
    before, stop = rows(store), 0

    class Stop(Exception):
        pass

    while True:
        left, stop = stop, stop + 1
        with monkeypatch.context() as patch:

            def counted(real: Any) -> Any:
                def step(*arguments: Any, **options: Any) -> Any:
                    nonlocal left
                    if left == 0:
                        raise Stop
                    left -= 1
                    return real(*arguments, **options)

                return step

            if call_of == "write":
                patch.setattr(Store, "write", counted(Store.write))
            else:
                patch.setattr(type(store.fs), "rm_file", counted(type(store.fs).rm_file))
            try:
                compact(store)
                break
            except Stop:
                pass
        assert not [f for f in check(store).findings if f.serious]
        photos = set(rows(store)["photos"]["uri"].to_pylist())
        assert photos == set(before["photos"]["uri"].to_pylist()) == set(rows(store)["files"]["uri"].to_pylist())
        assert "Ada" in call("people", store.url).output
        if not retried:
            stop = stop + 3  # not each: it goes on from there
    assert rows(store) == before and not store.exists(COMPACTING) and stop > 3
    assert len(store.shards("photos")) == 1


def test_a_plan_that_is_none_is_made_anew(store: Store) -> None:
    before = rows(store)
    outside = {"shards": ["00000"], "into": "00009", "rows": {"../x": 3}}
    unknown = {"shards": ["7"], "into": "7", "rows": {"a": 1}}
    for text in ("", "[]", "{}", '{"merges": [3]}', json.dumps({"merges": [outside]}), json.dumps({"merges": [unknown]})):
        store.write_bytes(text.encode(), COMPACTING)
        assert "finish it with 'facecluster compact" in refused("forget", store.url, "Ada", "--yes")
        compact(store)
        assert rows(store) == before and not store.exists(COMPACTING)


def test_old_runs_go_only_when_they_are_to(store: Store) -> None:
    for _ in range(4):
        call("cluster", store.url, "--full", "--margin", "1.5")
        call("cluster", store.url, "--full")
    runs = sorted(int(p.name) for p in Path(store.url, "runs").iterdir() if p.name.isdecimal())
    assert len(runs) > 4
    call("cluster", store.url, "--return-to", str(runs[0]))
    call("compact", store.url)
    assert sorted(int(p.name) for p in Path(store.url, "runs").iterdir() if p.name.isdecimal()) == runs
    call("compact", store.url, "--keep-runs", "2")
    assert sorted(int(p.name) for p in Path(store.url, "runs").iterdir() if p.name.isdecimal()) == [runs[0], *runs[-2:]]
    assert "Ada" in call("people", store.url).output and not check(store).findings
    assert "expected" in refused("cluster", store.url, "--return-to", str(runs[1]))
    call("cluster", store.url, "--full")


def test_vectors_stay_bits(store: Store) -> None:
    def vectors(shard: str) -> bytes:
        return np.asarray(store.read("embeddings/bundled", shard)["embedding"].combine_chunks().flatten()).tobytes()

    before = b"".join(map(vectors, store.shards("photos")))
    compact(store)
    assert len(store.shards("photos")) == 1 and vectors(store.shards("photos")[0]) == before
