"""Links of large collections, at small sizes: against brute force, whatever the parts, engine and workers; stopped and gone on with."""

from __future__ import annotations

import functools
import importlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import people_store
import pyarrow as pa
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from facecluster.cli import main
from facecluster.dask_engine import DaskEngine
from facecluster.engine import Engine, LocalEngine, Step
from facecluster.errors import InputError
from facecluster.grouping import link_held, link_hops, link_large, link_lists, link_plan
from facecluster.grouping.link import LinkConfig, link, load_vectors
from facecluster.grouping.link_large import Linked
from facecluster.grouping.stale_work import remove_stale_work, state_of_faces
from facecluster.models.registry import card_of
from facecluster.people import OverlayStore
from facecluster.pipeline import run_tasks
from facecluster.store import ShardResult, Store, embeddings_schema, table_of

LINK: Any = importlib.import_module("facecluster.grouping.link")
EMBEDDINGS, LINKS = "embeddings/m", "links/m"
N, DIM, K = 3_000, 32, 8
WHOLE = {"span": 100, "parts": 1, "held": 100_000}
SPLIT = {"span": 2, "parts": 3, "held": 500}


def faces(n: int = N, dim: int = DIM, seed: int = 0) -> NDArray[np.float16]:
    """People of six faces; every tenth face is alone."""
    rng = np.random.default_rng(seed)
    person = np.where(np.arange(n) % 10 == 0, n + np.arange(n), np.arange(n) // 6)
    centres = rng.normal(size=(2 * n, dim))
    x = centres[person] + 0.5 * rng.normal(size=(n, dim))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16)


def store_of(folder: Path, x: NDArray[np.float16], shard: int = 130, seed: int = 1) -> Store:
    """A store with the vectors, face i under the i-th face_id, in shards in no order."""
    store = Store(str(folder))
    store.create()
    ids = np.array([f"{i:024x}-0000" for i in range(len(x))])
    order = np.random.default_rng(seed).permutation(len(x))
    for number, start in enumerate(range(0, len(x), shard)):
        some = order[start : start + shard]
        columns = {"face_id": ids[some].tolist(), "embedding": x[some]}
        store.write(EMBEDDINGS, f"{number:05d}", table_of(embeddings_schema(x.shape[1]), columns), {"table": "embeddings"})
    return store


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LINK, "EXACT", 100)
    monkeypatch.setattr(LINK, "ROWS", 250)


def make(store: Store, monkeypatch: pytest.MonkeyPatch, sizes: dict[str, int], engine: Engine | None = None, same: float = 0.5) -> Linked:
    monkeypatch.setattr(LINK, "sizes", lambda *a: sizes)
    run = functools.partial(run_tasks, engine or LocalEngine(), None)
    return link(store, EMBEDDINGS, LINKS, LinkConfig(k=K), run=run, same_person=same)


def read(store: Store) -> tuple[NDArray[np.int32], NDArray[np.float32], list[str]]:
    tables = [store.read(LINKS, shard) for shard in store.shards(LINKS)]
    lists = [np.concatenate([np.stack(t[c].to_numpy()) for t in tables]) for c in ("neighbours", "similarity")]
    return lists[0], lists[1], [i for t in tables for i in t["face_id"].to_pylist()]


def same(a: Store, b: Store) -> None:
    assert a.shards(LINKS) == b.shards(LINKS) and a.shards(LINKS)
    for shard in a.shards(LINKS):
        assert a.read(LINKS, shard).equals(b.read(LINKS, shard), check_metadata=True), shard


def brute(x: NDArray[np.float16], k: int = K) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    cosines = x.astype(np.float64) @ x.astype(np.float64).T
    np.fill_diagonal(cosines, -9)
    best = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return best, np.take_along_axis(cosines, best, 1)


def test_links_are_those_of_brute_force_and_the_audit_tells_how_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = faces()
    store = store_of(tmp_path / "s", x)
    done = make(store, monkeypatch, SPLIT)
    neighbours, similarity, ids = read(store)
    assert ids == sorted(ids) == load_vectors(store, EMBEDDINGS)[0] and len(store.shards(LINKS)) == N / 250
    true, cosines = brute(x)
    assert not (neighbours == np.arange(N)[:, None]).any() and (np.diff(similarity, axis=1) <= 0).all()
    given = np.einsum("nd,nkd->nk", x.astype(np.float64), x[neighbours].astype(np.float64))
    assert np.abs(given - similarity).max() < 1e-6
    near = cosines >= 0.5
    found = np.array([np.isin(t, f) for t, f in zip(true, neighbours, strict=True)])[near].mean()
    assert done.method == link_plan.FAST_SCAN and done.sample == 2_000 and found > 0.9
    assert done.found is not None and abs(done.found - found) < 0.01
    share = f"{done.found:.3f}".removeprefix("0")
    assert done.lines()[1] == f"links: {share} of the exact neighbours from a cosine of .50 on found, on a sample of 2,000"
    left = [table.name for table in (tmp_path / "s/linking/m").iterdir() if store.shards(f"linking/m/{table.name}")]
    assert sorted(left) == ["done", "quantiser"]


@pytest.mark.parametrize("dim, method", [(DIM, link_plan.FAST_SCAN), (33, link_plan.FLAT_LISTS)])
def test_links_do_not_depend_on_parts_shards_or_threads(dim: int, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = faces(dim=dim)
    x[1_000:1_400] = x[1_000]  # more copies than candidates
    x[7], x[2_900] = x[70], x[70]
    whole = store_of(tmp_path / "whole", x)
    assert make(whole, monkeypatch, WHOLE).method == method
    for number, (sizes, shard, threads) in enumerate([(SPLIT, 77, 3), ({"span": 5, "parts": 40, "held": 250}, 3_000, 1)]):
        store = store_of(tmp_path / f"{number}", x, shard, seed=number)
        before = link_lists.faiss.omp_get_max_threads()
        link_lists.faiss.omp_set_num_threads(threads)
        try:
            make(store, monkeypatch, sizes)
        finally:
            link_lists.faiss.omp_set_num_threads(before)
        same(whole, store)
    neighbours, similarity, _ = read(whole)
    copies = np.arange(1_000, 1_400)
    assert (similarity[copies] > 0.999).all() and np.isin(neighbours[copies], copies).all()
    assert neighbours[1_399].tolist() == list(range(1_000, 1_008)) and neighbours[1_000].tolist() == list(range(1_001, 1_009))
    assert set(neighbours[7][:2]) == {70, 2_900} and set(neighbours[2_900][:2]) == {7, 70} and set(neighbours[70][:2]) == {7, 2_900}


def test_dask_gives_the_same_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = faces()
    here, there = store_of(tmp_path / "here", x), store_of(tmp_path / "there", x)
    one = make(here, monkeypatch, WHOLE)
    with DaskEngine(workers=2) as engine:
        two = make(there, monkeypatch, SPLIT, engine)
    same(here, there)
    assert one == two


def test_a_face_in_two_shards_counts_once_and_new_vectors_are_linked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = faces(1_000)
    store = store_of(tmp_path / "s", x)
    store.write(EMBEDDINGS, "99999", store.read(EMBEDDINGS, "00003"), {"table": "embeddings"})
    alone = store_of(tmp_path / "alone", x)
    make(store, monkeypatch, SPLIT)
    make(alone, monkeypatch, SPLIT)
    same(alone, store)
    assert make(store, monkeypatch, SPLIT).skipped and make(store, monkeypatch, WHOLE).lines() == []
    more = table_of(embeddings_schema(DIM), {"face_id": ["f" * 24 + "-0000"], "embedding": x[:1]})
    store.write(EMBEDDINGS, "99999", more, {"table": "embeddings"})
    assert not make(store, monkeypatch, SPLIT).skipped
    neighbours, _, ids = read(store)
    assert len(ids) == 1_001 and neighbours[0][0] == 1_000 and neighbours[1_000][0] == 0


def test_a_neighbour_stands_once_with_a_cosine_of_1_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of float16 are a little shorter or longer than 1, so the cosine of two copies may come out above 1."""
    x = faces(1_000)
    x[900:] = x[:100]
    assert (np.einsum("nd,nd->n", *[x[:100].astype(np.float32)] * 2) > 1).sum() > 20
    store = store_of(tmp_path / "s", x)
    make(store, monkeypatch, SPLIT)
    neighbours, similarity, _ = read(store)
    assert (np.diff(np.sort(neighbours, axis=1), axis=1) > 0).all() and similarity.max() <= 1
    assert (neighbours[900:, 0] == np.arange(100)).all() and (neighbours[:100, 0] == np.arange(900, 1_000)).all()


def test_vectors_stay_for_the_next_task_and_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_vectors, parts = link_held.read_vectors, list[slice]()

    def watched(store: Store, plan: link_plan.LinkPlan, rows: slice, into: NDArray[Any]) -> None:
        parts.append(rows)
        read_vectors(store, plan, rows, into)

    monkeypatch.setattr(link_held, "read_vectors", watched)
    monkeypatch.setattr(link_held, "can_share", lambda *given: False)
    make(store_of(tmp_path / "s", faces(1_000)), monkeypatch, {"span": 1, "parts": 1, "held": 100_000})
    assert len(parts) == 2  # for four tasks of each of two steps
    keeper = link_held._Keeper()
    held = link_held.Held(10, 10, 2, np.float32, lambda rows, into: None)
    keeper.put("a", held)
    assert keeper.take("a") is held and keeper.take("a") is None
    keeper.put("a", held)
    assert keeper.take("b") is None and keeper.take("a") is None
    monkeypatch.setattr(link_held, "KEPT", 0.05)
    keeper.put("a", held)
    end = time.monotonic() + 20
    while keeper._held is not None:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_neighbours_of_neighbours_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = faces(6_000)
    monkeypatch.setattr(LINK, "chosen_lists", lambda n: (150, 4))
    true, cosines = brute(x)
    shares = []
    for hops in ((1, 1), (4, 4)):
        monkeypatch.setattr(link_hops, "HOPS", hops)
        store = store_of(tmp_path / f"{hops[0]}", x)
        make(store, monkeypatch, SPLIT)
        neighbours, similarity, _ = read(store)
        given = np.einsum("nd,nkd->nk", x.astype(np.float64), x[neighbours].astype(np.float64))
        assert np.abs(given - similarity).max() < 1e-6 and (np.diff(np.sort(neighbours, axis=1), axis=1) > 0).all()
        shares.append(np.array([np.isin(t, f) for t, f in zip(true, neighbours, strict=True)])[cosines >= 0.5].mean())
    assert shares[1] > shares[0] + 0.02, shares


STEPS = ["scatter", "gather", "train_quantiser", "encode_vectors", "pack_lists", "search_lists", "turn_links", "merge_links",
    "closer_links", "compare_sample"]  # fmt: skip


def test_a_run_that_is_stopped_in_each_step_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = faces(1_000)
    whole, store = store_of(tmp_path / "whole", x), store_of(tmp_path / "s", x)
    make(whole, monkeypatch, SPLIT)
    calls: dict[str, list[str]] = {name: [] for name in STEPS}
    deadly = ""

    def watched(name: str, task: Any) -> Any:
        def act(shard: str, *a: Any, **more: Any) -> Any:
            calls[name].append(shard)
            done = task(shard, *a, **more)
            if name == deadly:
                raise KeyboardInterrupt
            return done

        return act

    for name in STEPS:
        monkeypatch.setattr(link_large, name, watched(name, getattr(link_large, name)))
    times: dict[Path, int] = {}
    for name in STEPS:
        deadly = name
        with pytest.raises(KeyboardInterrupt):
            make(store, monkeypatch, SPLIT)
        times |= {path: path.stat().st_mtime_ns for path in (tmp_path / "s" / LINKS).glob("part-*") if path not in times}
    deadly = ""
    make(store, monkeypatch, SPLIT)
    assert all(shards and len(set(shards)) == len(shards) for shards in calls.values()), f"done twice, or never: {calls}"
    same(whole, store)
    assert len(times) == 4 and all(path.stat().st_mtime_ns == written for path, written in times.items())


def test_parts_of_lists_and_of_vectors_follow_from_the_memory() -> None:
    def parts(n: int, memory: int, dim: int = 128) -> dict[str, int]:
        return link_plan.sizes(n, dim, 64, 100_000, link_plan.FAST_SCAN, memory)

    small, large = parts(10_000_000, 2 * 2**30), parts(10_000_000, 16 * 2**30)
    assert small["parts"] > large["parts"] and small["held"] < large["held"] and small["span"] < large["span"]
    assert all(held["held"] % 100_000 == 0 for held in (small, large))
    for memory in (1, 2, 4, 8, 12, 40):
        of = parts(10_000_000, memory * 10**9)
        assert 4 * 128 * of["held"] < memory * 10**9 / (2 if of["held"] < 10_000_000 else 1.9)
    assert parts(3_000_000, 4 * 10**9)["held"] == 3_000_000  # half of what is left of 4 GB
    with pytest.raises(InputError, match="--memory 1GB or more, found 0.50 GB"):
        parts(10_000_000, 500_000_000)


@pytest.mark.parametrize("faces, dim, gpus, method", [
    (200_000, 128, 1, "exact"), (200_001, 128, 0, "IVF fast scan"), (200_001, 128, 1, "IVF flat"), (10**7, 512, 0, "IVF fast scan"),
    (10**6, 15, 0, "IVF flat"),
])  # fmt: skip
def test_the_way_of_searching(faces: int, dim: int, gpus: int, method: str) -> None:
    assert link_plan.chosen_method(faces, dim, exact=200_000, gpus=gpus) == method


@pytest.mark.parametrize("faces, lists, probes", [(1_000, 63, 20), (300, 34, 20), (10**6, 2_000, 20), (10**8, 20_000, 128)])
def test_lists_and_probes(faces: int, lists: int, probes: int) -> None:
    assert link_plan.chosen_lists(faces) == (lists, probes)


@pytest.mark.skipif(not link_lists.gpus(), reason="needs a GPU and faiss-gpu")
def test_gpus_find_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = faces()
    store = store_of(tmp_path / "s", x)
    assert make(store, monkeypatch, SPLIT).method == link_plan.FLAT_LISTS
    true, cosines = brute(x)
    near = cosines >= 0.5
    assert np.array([np.isin(t, f) for t, f in zip(true, read(store)[0], strict=True)])[near].mean() > 0.97


class Noting(LocalEngine):
    """Notes which tasks are to go to workers that have a GPU."""

    def __init__(self) -> None:
        self.sent: dict[str, bool] = {}

    def run(self, shards: Iterable[str], steps: Sequence[Step], tick: Any = None) -> Iterator[ShardResult]:
        for step in steps:
            task: Any = step.run
            while isinstance(task, functools.partial):
                task = task.func
            self.sent[task.__name__] = step.gpu
        return super().run(shards, steps, tick)


@pytest.mark.parametrize("exact, gpus, sent", [
    (100, 1, ["search_lists"]), (100, 0, []), (10_000, 1, ["link_all"]), (10_000, 0, []),
])  # fmt: skip
def test_the_search_goes_to_workers_with_a_gpu(
    exact: int, gpus: int, sent: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """Else most of it goes to workers without one, who are slow in lists of full vectors."""
    engine = Noting()
    monkeypatch.setattr(LINK, "EXACT", exact)
    monkeypatch.setattr(LINK, "gpus", lambda: gpus)
    monkeypatch.setattr(LINK, "nearest", lambda x, k, *a, exact: (np.zeros((len(x), k), np.int32), np.zeros((len(x), k), np.float32)))
    make(store_of(tmp_path / "s", faces(500)), monkeypatch, SPLIT, engine)
    assert [name for name, gpu in engine.sent.items() if gpu] == sent and ("link_all" in engine.sent) == (exact > 500)


def test_a_gpu_without_memory_leaves_the_search_to_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, tried = faces(1_000, 33), []  # lists of full vectors also where there is no GPU
    here, there = store_of(tmp_path / "here", x), store_of(tmp_path / "there", x)
    make(here, monkeypatch, SPLIT)

    def full(index: Any) -> Any:
        tried.append(index)
        raise RuntimeError("Error in virtual void* faiss::gpu::StandardGpuResourcesImpl::allocMemory: cudaMalloc error out of memory")

    monkeypatch.setattr(link_lists, "gpus", lambda: 1)
    monkeypatch.setattr(link_lists.faiss, "index_cpu_to_all_gpus", full, raising=False)
    make(there, monkeypatch, SPLIT)
    assert tried
    same(here, there)


def test_products_with_centroids_are_exact() -> None:
    """So that they do not depend on how many queries are asked at a time."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 512))
    x = link_lists.whole(x / np.linalg.norm(x, axis=1, keepdims=True))
    exact = x.astype(np.int64) @ x.astype(np.int64).T
    assert (exact == x @ x.T).all() and np.abs(exact).max() < 2**24
    assert link_plan.BLOCK > len(x)
    each = np.concatenate([link_lists.probed(x[:90], x[i : i + 1], 20) for i in range(len(x))])
    assert (each == link_lists.probed(x[:90], x, 20)).all()


def killed_at(monkeypatch: pytest.MonkeyPatch, store: Store, step: str) -> None:
    """Begin the links of a large collection, and stop before a step."""

    def run(what: str, total: int, names: Sequence[str], task: Any, *, gpu: bool = False) -> Any:
        if what == step:
            raise KeyboardInterrupt
        return run_tasks(LocalEngine(), None, what, total, names, task, gpu=gpu)

    monkeypatch.setattr(LINK, "sizes", lambda *a: SPLIT)
    with pytest.raises(KeyboardInterrupt):
        link(store, EMBEDDINGS, LINKS, LinkConfig(k=K), run=run)
    assert store.shards("linking/m/vectors") and store.shards("linking/m/lists")


def test_nothing_is_left_of_work_that_was_stopped_when_the_collection_is_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(tmp_path / "s", faces()[:700])

    killed_at(monkeypatch, store, "faces searched for")
    monkeypatch.setattr(LINK, "EXACT", 1_000)
    (tmp_path / "dry").mkdir()
    link(OverlayStore(str(tmp_path / "dry"), store), EMBEDDINGS, LINKS, LinkConfig(k=K))
    assert store.shards("linking/m/lists") and not store.shards(LINKS)  # a dry run leaves the store as it is
    link(store, EMBEDDINGS, LINKS, LinkConfig(k=K))
    assert store.shards(LINKS) and not (tmp_path / "s/linking/m").exists()


@pytest.mark.parametrize("change", ["none", "photos", "version", "damage", "vectors gone"])
def test_work_with_another_model_that_was_stopped_goes_when_nothing_could_go_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:  # fmt: skip
    """A grouping with this model clears its own work; that of another model would stay for ever."""
    store, vectors = store_of(tmp_path / "s", faces()[:700]), store_of(tmp_path / "t", faces()[:700])
    killed_at(monkeypatch, store, "faces searched for")
    state = state_of_faces(store, EMBEDDINGS, "vectors")[:16]
    for name in ("m", "m2"):  # of the second, all that was begun is of other tables
        (tmp_path / "s/grouping" / name / state).mkdir(parents=True)
        (tmp_path / "s/grouping" / name / state / "x.npy").write_bytes(b"1")
    if change == "photos":
        store.write("photos", "00000", pa.table({"uri": ["new.jpg"]}), {})
    elif change == "version":
        monkeypatch.setattr("facecluster.grouping.stale_work.WORK", 99)
    elif change == "damage":
        Path(store.shard_path("linking/m/plan", "00000")).write_bytes(b"PAR1")
    elif change == "vectors gone":
        store.remove(EMBEDDINGS)
    remove_stale_work(store, "m")
    assert store.shards("linking/m/lists")  # that of the model itself is cleared elsewhere
    remove_stale_work(store, "other")
    left = {path.relative_to(tmp_path / "s").as_posix() for path in (tmp_path / "s").glob("*ing/*")}
    assert left == {"none": {"linking/m", "grouping/m"}, "version": {"grouping/m"}, "damage": {"grouping/m"}}.get(change, set())
    if change == "none":
        link(store, EMBEDDINGS, LINKS, LinkConfig(k=K))
        link(vectors, EMBEDDINGS, LINKS, LinkConfig(k=K))
        assert all(store.read(LINKS, shard).equals(vectors.read(LINKS, shard)) for shard in vectors.shards(LINKS))
        remove_stale_work(store, "other")
        assert store.shards("linking/m/done") and store.shards("linking/m/quantiser")  # the note of links that are made stays


def test_the_command_links_a_large_collection_and_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _, _ = people_store.ungrouped_store(tmp_path, [6] * 60)
    dry = people_store.call("cluster", store.url, "--dry-run")
    assert dry.exit_code == 0 and "links: IVF fast scan of 360 faces, 20 of 37 lists for each" in dry.stderr
    assert not store.shards("links/bundled") and not store.exists("linking")
    done = people_store.call("cluster", store.url, "--memory", "2GB", "--json")
    said = json.loads(done.stdout)
    assert done.exit_code == 0 and len(store.shards("links/bundled")) == 2 and said["counts"]["people"] == 60
    assert said["links"]["method"] == link_plan.FAST_SCAN and said["links"]["found"] > 0.99 and not said["links"]["skipped"]
    level = card_of("bundled").best_impostor(360)
    assert f"of the exact neighbours from a cosine of {f'{level:.2f}'.removeprefix('0')} on found, on a sample of 2" in done.stderr
    again = people_store.call("cluster", store.url)
    assert again.exit_code == 0 and "links:" not in again.stderr
    (left := tmp_path / "store/grouping/bundled/another").mkdir(parents=True)  # of a grouping that was killed
    (others := tmp_path / "store/linking/other/lists").mkdir(parents=True)
    with monkeypatch.context() as patch:
        for module in ("link", "shelved_vectors"):
            patch.setattr(importlib.import_module(f"facecluster.grouping.{module}"), "EXACT", 1_000)
        people_store.call("cluster", store.url, "--full")
    assert not left.exists() and not others.exists() and not store.exists("linking", "bundled")
    assert "expected --memory 1GB or more, found 0.01 GB" in people_store.refused("cluster", store.url, "--full", "--memory", "10MB")
    wrong = CliRunner().invoke(main, ["cluster", store.url, "--memory", "much"])
    assert wrong.exit_code == 2 and "expected a size such as 4GB, found 'much'" in wrong.stderr
