"""Grouping of a large collection (the limit is lowered): equal tables wherever it is done, and nothing is left lying about."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import people_store as syn
import pytest
from store.test_s3 import s3  # noqa: F401

from facecluster.dask_engine import DaskEngine
from facecluster.engine import Engine
from facecluster.faces.embed import EmbedConfig
from facecluster.grouping.face_vectors import FaceVectors
from facecluster.grouping.group import group_kept
from facecluster.grouping.identify import IdentifyConfig, read_links
from facecluster.grouping.link import LinkConfig, load_vectors
from facecluster.grouping.subset import recognisable
from facecluster.models.registry import card_of
from facecluster.pipeline import LocalEngine, cluster_faces
from facecluster.store import IDENTITIES, Store

LINK: Any = importlib.import_module("facecluster.grouping.link")
SHELVED: Any = importlib.import_module("facecluster.grouping.shelved_vectors")
SIZES = [9] * 30 + [3] * 20 + [1] * 170


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as m:
        for module, name, value in ((LINK, "EXACT", 100), (SHELVED, "EXACT", 100), (LINK, "ROWS", 90), (SHELVED, "PART", 110)):
            m.setattr(module, name, value)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with 500 faces in four shards, not grouped."""
    store = Store(str(tmp_path_factory.mktemp("made") / "store"))
    store.create()
    x, _ = syn.people(SIZES, 0.8)
    probe = card_of("bundled").recognisability
    assert probe is not None
    x[::25] -= 2 * np.asarray(probe.weights) / np.linalg.norm(probe.weights)  # unclear faces
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    order = np.random.default_rng(0).permutation(len(x))
    for i, rows in enumerate(np.array_split(order, 4)):
        syn.add(store, f"{i:05d}", x[rows], start=int(sum(len(part) for part in np.array_split(order, 4)[:i])))
    return store


def bars(what: str, total: int) -> Any:
    return nullcontext(lambda n: None)


def grouped(store: Store, engine: Engine | None = None) -> Any:
    """The identities once the store is grouped."""
    cluster_faces(store, EmbedConfig(), LinkConfig(k=16), None, bars=bars, engine=engine)
    assert not store.fs.isdir(store.path("grouping", "bundled"))
    return store.read_all("identities/bundled", IDENTITIES)


@pytest.fixture(scope="module")
def processes(s3: Any) -> Iterator[DaskEngine]:  # noqa: F811
    """Two processes that know the bucket's server; both tests with processes take them."""
    with DaskEngine(workers=2) as engine:
        yield engine


@pytest.fixture(scope="module")
def plain(made: Store, tmp_path_factory: pytest.TempPathFactory, small: None) -> tuple[Store, Any]:
    """The store, grouped in this process."""
    store = copy(made, tmp_path_factory.mktemp("plain"))
    return store, grouped(store)


def copy(store: Store, folder: Path) -> Store:
    shutil.copytree(store.root, folder / "store")
    return Store(str(folder / "store"))


def test_the_groups_are_those_of_arrays_in_memory(plain: tuple[Store, Any]) -> None:
    store, table = plain
    ids, vectors = load_vectors(store, "embeddings/bundled")
    assert table["face_id"].to_pylist() == ids and len(store.shards("links/bundled")) == 6
    card = card_of("bundled")
    config = IdentifyConfig(**card.grouping_settings())
    assert card.recognisability is not None
    clear = card.recognisability.of(vectors)
    keep = recognisable(clear, None, config.min_recognisability, len(ids))
    _, *links = read_links(store, "links/bundled")
    found = group_kept(keep, vectors, *links, config, photos=np.arange(len(ids)), recognisability=clear)
    assert found.labels.max() > 25 and not keep.all()
    for name, values in (("identity", found.labels), ("probability", found.probabilities), ("outlier_score", found.outlier_scores)):
        assert np.array_equal(table[name].to_numpy(), values)


def test_processes_give_the_same_table(made: Store, plain: tuple[Store, Any], processes: DaskEngine, tmp_path: Path) -> None:
    assert grouped(copy(made, tmp_path), processes).equals(plain[1])


def test_the_first_process_reads_no_vectors_but_a_sample(made: Store, plain: tuple[Store, Any], tmp_path: Path, monkeypatch: Any) -> None:
    """So they need not come to the machine that runs the command."""
    read, in_task = FaceVectors.__getitem__, False
    readers: set[str] = set()

    def noted(self: FaceVectors, rows: Any) -> Any:
        if not in_task:
            caller = sys._getframe(1)
            if caller.f_code is not read.__code__:
                readers.add(caller.f_code.co_name)
        return read(self, rows)

    def do(self: LocalEngine, task: Any, calls: Any) -> Any:
        nonlocal in_task
        in_task = True
        try:
            return [task(*call) for call in calls]
        finally:
            in_task = False

    monkeypatch.setattr(FaceVectors, "__getitem__", noted)
    monkeypatch.setattr(LocalEngine, "map", do)
    assert grouped(copy(made, tmp_path)).equals(plain[1])
    assert readers <= {"cohort_stats", "_to_others"} and readers  # its cohort, and 2,000 faces of large groups at most


@pytest.mark.parametrize("workers", [1, 4])
def test_the_number_of_processes_changes_no_table(made: Store, plain: tuple[Store, Any], workers: int, tmp_path: Path) -> None:
    store = copy(made, tmp_path)
    with DaskEngine(workers=workers) as engine:
        assert len(engine._client.scheduler_info(n_workers=-1)["workers"]) == workers
        assert grouped(store, engine).equals(plain[1])
    for shard in plain[0].shards("links/bundled"):
        assert store.read("links/bundled", shard).equals(plain[0].read("links/bundled", shard), check_metadata=True), shard


def test_an_object_store_gives_the_same_table(
    made: Store, plain: tuple[Store, Any], s3: Any, processes: DaskEngine, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    monkeypatch.setattr(LINK, "ROWS", 260)  # fewer and larger shards: every request costs milliseconds
    monkeypatch.setattr(SHELVED, "PART", 400)
    s3.put(made.root, "bucket/large", recursive=True)
    assert grouped(Store("s3://bucket/large"), processes).equals(plain[1])


def test_a_stopped_grouping_goes_on(made: Store, plain: tuple[Store, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, tasks = copy(made, tmp_path), []
    do = LocalEngine.map

    def stop(self: LocalEngine, task: Any, calls: Any) -> Any:
        tasks.append(task)
        if len(tasks) == 20:
            raise KeyboardInterrupt
        return do(self, task, calls)

    monkeypatch.setattr(LocalEngine, "map", stop)
    with pytest.raises(KeyboardInterrupt):
        grouped(store)
    there = [p for p in Path(store.path("grouping", "bundled")).rglob("*.npy") if p.parent.parent.name == "vectors"]
    times = [p.stat().st_mtime_ns for p in there]
    Path(store.path("grouping", "bundled", "older")).mkdir()  # of other vectors
    seen = []
    clear = SHELVED.shelve_vectors
    monkeypatch.setattr(
        "facecluster.pipeline.shelve_vectors", lambda *a: (clear(*a), seen.append([p.stat().st_mtime_ns for p in there]))[0]
    )
    assert grouped(store).equals(plain[1])
    assert there and seen == [times]  # the vectors were not put in order again
