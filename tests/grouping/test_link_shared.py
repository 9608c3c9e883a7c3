"""One file of full vectors for all workers of a machine: the same links, nothing left, nothing where it may not be."""

from __future__ import annotations

import errno
import shutil
import stat
from pathlib import Path
from typing import Any

import numpy as np
import people_store
import pytest
from test_link_large import EMBEDDINGS, LINK, LINKS, SPLIT, WHOLE, faces, make, same, store_of

from facecluster.grouping import link_held, link_large, link_shared
from facecluster.store import Store
from facecluster.store.keys import FILE_VARIABLE, VARIABLE

FILE, PARTS_FILE = (f"linking/m/{link_shared.FILES[whole][0]}" for whole in (True, False))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LINK, "EXACT", 100)
    monkeypatch.setattr(LINK, "ROWS", 250)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The vectors that tasks held, as arrays."""
    found = list[Any]()

    class Watched(link_held.Held):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            found.append(self._buffer)

    monkeypatch.setattr(link_held, "Held", Watched)
    return found


def test_tasks_map_one_file_and_the_links_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: list[Any]) -> None:
    x = faces(1_100)
    one, own, parts = (store_of(tmp_path / name, x) for name in ("one", "own", "parts"))
    modes, shared = list[int](), link_held.shared_vectors

    def watched(store: Store, plan: Any) -> Any:
        modes.append(stat.S_IMODE((tmp_path / "one" / FILE).stat().st_mode))
        return shared(store, plan)

    with monkeypatch.context() as m:
        m.setattr(link_held, "shared_vectors", watched)
        make(one, m, WHOLE)
    assert held and all(isinstance(array, np.memmap) and np.array_equal(array, x.astype(np.float32)) for array in held)
    assert modes and set(modes) == {0o600} and not one.exists(FILE)
    with monkeypatch.context() as m:
        m.setattr(link_held, "can_share", lambda *given: False)
        held.clear()
        make(own, m, WHOLE)
    assert held and not any(isinstance(array, np.memmap) for array in held)
    held.clear()
    read, sizes_read = link_held.read_shared, list[int]()

    def counted(store: Store, plan: Any, rows: slice, into: Any) -> None:
        with monkeypatch.context() as m:
            m.setattr(link_shared, "read_vectors", lambda *given: pytest.fail("read from tables beside the file"))
            read(store, plan, rows, into)
        sizes_read.append((tmp_path / "parts" / PARTS_FILE).stat().st_size)

    monkeypatch.setattr(link_held, "read_shared", counted)
    make(parts, monkeypatch, SPLIT)
    assert held and not any(isinstance(array, np.memmap) for array in held)
    assert len(sizes_read) > 2 and set(sizes_read) == {2 * x.size} and not parts.exists(PARTS_FILE)
    same(one, own)
    same(one, parts)


def test_a_full_disk_costs_memory_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: list[Any]) -> None:
    x = faces(1_100)
    store, other = store_of(tmp_path / "s", x), store_of(tmp_path / "other", x)
    read_vectors = link_shared.read_vectors

    def full(store: Store, plan: Any, rows: slice, into: Any) -> None:
        if rows.start:
            raise OSError(errno.ENOSPC, "no space left on device")
        read_vectors(store, plan, rows, into)

    with monkeypatch.context() as m:
        m.setattr(link_shared, "read_vectors", full)
        make(store, m, WHOLE)
    assert held and not any(isinstance(array, np.memmap) for array in held)
    assert not list((tmp_path / "s/linking/m").glob("*.f32")) and not list((tmp_path / "s/linking/m").glob(".*"))
    make(other, monkeypatch, WHOLE)
    same(store, other)


def test_a_disk_with_little_room_keeps_it_for_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: list[Any]) -> None:
    """A file that fits, and leaves too little for what comes after it, would end the run."""
    x = faces(1_100)
    store = store_of(tmp_path / "s", x)
    path = tmp_path / "s" / FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(x.astype(np.float32).tobytes())  # of a run that was killed when there was room
    free = [4 * x.size + 1_000 * len(x)]
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as m:
        m.setattr("shutil.disk_usage", lambda place: usage._replace(free=free[0]))
        make(store, m, WHOLE)
        assert held and not any(isinstance(array, np.memmap) for array in held) and not path.exists()
        held.clear()
        store.remove(LINKS)
        free[0] = 4 * x.size + 3_000 * len(x)
        make(store, m, WHOLE)
    assert held and all(isinstance(array, np.memmap) for array in held)


def test_what_a_killed_run_left_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a run that was cut off, of other faces or half of them, or of the same with other bytes after a power cut."""
    x = faces(1_100)
    store, other = store_of(tmp_path / "s", x), store_of(tmp_path / "other", x)
    make(other, monkeypatch, WHOLE)

    def stop(*given: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(link_large, "closer_links", stop)
        with pytest.raises(KeyboardInterrupt):
            make(store, m, WHOLE)
    path = tmp_path / "s" / FILE
    assert path.stat().st_size == 4 * x.size
    path.write_bytes(bytes(4 * x.size))
    make(store, monkeypatch, WHOLE)
    same(store, other)
    assert not path.exists()
    for left in (bytes(4 * x.size), bytes(400), b"123", b""):
        path.write_bytes(left)
        store.remove(LINKS)
        make(store, monkeypatch, WHOLE)
        same(store, other)
        assert not path.exists()
    path.write_bytes(bytes(400))
    parts = tmp_path / "s" / PARTS_FILE
    parts.write_bytes(bytes(2 * x.size))
    for grown in (store, other):
        grown.write(EMBEDDINGS, "99999", store.read(EMBEDDINGS, "00000").slice(0, 1), {"table": "embeddings"})
    make(other, monkeypatch, SPLIT)
    make(store, monkeypatch, SPLIT)  # begun anew
    same(store, other)
    assert not path.exists() and not parts.exists()


def test_an_encrypted_store_gets_no_plain_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: list[Any]) -> None:
    """Nor keeps those that a killed run left before it was encrypted."""
    for name in (VARIABLE, FILE_VARIABLE):
        monkeypatch.setenv(name, "")
    x = faces(1_100)
    store, plain = store_of(tmp_path / "s", x), store_of(tmp_path / "plain", x)
    path, parts = tmp_path / "s" / FILE, tmp_path / "s" / PARTS_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(x.astype(np.float32).tobytes())
    parts.write_bytes(x.tobytes())
    people_store.call("encrypt", store.url, "--new-key", str(tmp_path / "key"))
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "key"))
    assert store.cipher is not None and not path.exists() and not parts.exists()
    make(store, monkeypatch, WHOLE)
    assert held and not any(isinstance(array, np.memmap) for array in held)
    make(plain, monkeypatch, WHOLE)
    for shard in plain.shards(LINKS):
        assert plain.read(LINKS, shard).equals(store.read(LINKS, shard))
