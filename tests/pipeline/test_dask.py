"""The main job on real Dask clusters: processes started here, and a running scheduler with a CPU worker and one that has a GPU."""

from __future__ import annotations

import gc
import json
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import distributed
import jobs
import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from dask import config as dask_config
from dask.system import CPU_COUNT

from facecluster import dask_engine
from facecluster.cli import main
from facecluster.dask_engine import DaskEngine
from facecluster.engine import LocalEngine, Step
from facecluster.errors import EngineError, InputError, StampError
from facecluster.store import ShardResult, Store


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> str:
    return jobs.small_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def whole(photos: str, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What the local engine makes of the photos."""
    store = Store(str(tmp_path_factory.mktemp("whole") / "store"))
    jobs.run("run", photos, "-o", store.url)
    assert len(store.shards("photos")) == 10
    return store


class Cluster:
    """`dask scheduler` and two `dask worker`s, one of them with --resources GPU=1."""

    def __init__(self, folder: Path, *, workers: bool = True, path: str | None = None) -> None:
        self.folder, self.processes = folder, list[subprocess.Popen[bytes]]()
        self.start("scheduler", "--port", "0", "--scheduler-file", str(folder / "scheduler.json"))
        self.address = ""
        jobs.wait_for(self.found)
        for name, resources in (("cpu", []), ("gpu", ["--resources", "GPU=1"])) if workers else ():
            options = ["--nthreads", "1", "--no-nanny", "--local-directory", str(folder), "--name", name, *resources]
            self.start("worker", self.address, *options, path=path)

    def found(self) -> bool:
        try:
            self.address = json.loads((self.folder / "scheduler.json").read_bytes())["address"]
        except (OSError, ValueError):
            return False
        return True

    def start(self, what: str, *options: str, path: str | None = None) -> None:
        settings = os.environ | jobs.SETTINGS | ({"PYTHONPATH": path} if path else {})
        command = [sys.executable, "-m", "dask", what, *options, "--host", "127.0.0.1", "--no-dashboard"]
        with open(self.folder / f"{what}{len(self.processes)}.log", "wb") as log:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=settings, cwd=self.folder))

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.stop()


def test_a_running_cluster_gives_the_same_tables_and_embeds_where_the_gpu_is(
    cluster: Cluster, whole: Store, photos: str, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "store"))
    said = jobs.run("run", photos, "-o", store.url, "--scheduler", cluster.address)
    assert "30 photos looked at" in said
    jobs.same_tables(whole, store)

    def loaded() -> tuple[bool, bool]:
        """Whether this worker ever had the detector and the embedder at work."""
        import facecluster.faces.detect
        import facecluster.models.registry

        caches = facecluster.faces.detect._detector, facecluster.models.registry.load_embedder
        return bool(caches[0].cache_info().hits), bool(caches[1].cache_info().misses)

    with distributed.Client(cluster.address) as client:  # type: ignore[no-untyped-call]
        workers = {w["id"]: address for address, w in client.scheduler_info()["workers"].items()}
        found = client.run(loaded)
    assert found[workers["gpu"]][1] and found[workers["cpu"]] == (True, False)


def test_a_cluster_that_goes_away_is_one_clear_line(cluster: Cluster, photos: str, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    process = jobs.start("embed", photos, "-o", store.url, "--scheduler", cluster.address)
    jobs.wait_for(lambda: len(store.shards("photos")) >= 2 or process.poll() is not None)
    cluster.processes[0].kill()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    said = jobs.lines(err)
    assert len(said) == 1 and "expected the Dask cluster" in said[0] and "run the same command again" in said[0]
    assert 2 <= len(store.shards("photos")) < 10


def test_workers_with_another_facecluster_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "other" / "facecluster").mkdir(parents=True)
    (tmp_path / "other" / "facecluster" / "__init__.py").write_text("__version__ = '0.0.1'")
    cluster = Cluster(tmp_path, path=str(tmp_path / "other"))
    try:
        with pytest.raises(EngineError, match=r"expected facecluster .* on every worker of tcp.*, found 0.0.1 on tcp://127"):
            DaskEngine(scheduler=cluster.address)
    finally:
        cluster.stop()


def test_ctrl_c_ends_all_and_a_second_run_completes(whole: Store, photos: str, tmp_path: Path) -> None:
    """As a terminal sends it: to all processes of the group."""
    store = Store(str(tmp_path / "store"))
    command = ("run", photos, "-o", store.url, "--workers", "2")
    process = jobs.start(*command)
    jobs.wait_for(lambda: len(store.shards("photos")) >= 2 or process.poll() is not None)
    os.killpg(process.pid, signal.SIGINT)
    stopped(process)
    assert 2 <= len(store.shards("photos")) and not store.shards("identities/bundled")
    jobs.run(*command)
    jobs.same_tables(whole, store)


def stopped(process: subprocess.Popen[str]) -> None:
    """Fail unless the program ends as one that was stopped by the user, with all its processes."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert jobs.lines(err) == ["facecluster: stopped. What is done is kept: run the same command again to go on."] and not out
    jobs.wait_for(lambda: not jobs.alive(process.pid), 10)


def test_ctrl_c_while_the_workers_start(photos: str, tmp_path: Path) -> None:
    process = jobs.start("embed", photos, "-o", str(tmp_path / "store"), "--workers", "2")
    jobs.wait_for(lambda: len(jobs.alive(process.pid)) > 2 or process.poll() is not None)
    os.killpg(process.pid, signal.SIGINT)
    stopped(process)


def test_killed_processes_leave_no_orphans_and_a_second_run_completes(whole: Store, photos: str, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    process = jobs.start("run", photos, "-o", store.url, "--workers", "2")
    jobs.wait_for(lambda: len(store.shards("embeddings/bundled")) >= 2 or process.poll() is not None)
    process.kill()
    process.communicate(timeout=60)
    jobs.wait_for(lambda: not jobs.alive(process.pid), 20)
    assert len(store.shards("embeddings/bundled")) < 10
    jobs.run("run", photos, "-o", store.url)
    jobs.same_tables(whole, store)


WRONG = ["tcp://127.0.0.1:9", "127.0.0.1:9", "nonsense", "tcp://no-such-host.invalid:8786", "nosuch://127.0.0.1:9", "tcp://"]


@pytest.mark.parametrize("address", WRONG)
def test_a_wrong_address_is_one_clear_line(address: str, photos: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_engine, "CONNECT", 0.5)
    result = CliRunner().invoke(main, ["embed", photos, "-o", str(tmp_path / "store"), "--scheduler", address])
    assert result.exit_code == 1, result.exception
    assert result.stderr.count("\n") == 1 and f"expected a Dask scheduler at {address}, found none" in result.stderr


def test_wrong_addresses_leave_nothing_to_the_garbage_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that fails while it is made and is then collected while another one starts stopped the program for ever."""
    monkeypatch.setattr(dask_engine, "CONNECT", 0.2)
    before, threads = gc.get_threshold(), threading.active_count()
    gc.set_threshold(1)  # the collector runs at almost every object that is made
    try:
        for address in WRONG * 3:
            with pytest.raises(InputError, match="expected a Dask scheduler"):
                DaskEngine(scheduler=address)
    finally:
        gc.set_threshold(*before)
    assert not [c for c in gc.get_objects() if type(c) is distributed.Client and c.status != "closed"]
    jobs.wait_for(lambda: threading.active_count() <= threads + 2, 20)  # name look-ups keep a thread or two


def test_a_listener_that_is_no_scheduler_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and says nothing."""
    monkeypatch.setattr(dask_engine, "CONNECT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match="expected a Dask scheduler at .*, found none"):
            DaskEngine(scheduler=address)


def test_a_scheduler_that_goes_while_it_is_joined_is_one_clear_line() -> None:
    engine = object.__new__(DaskEngine)
    engine._where = "at tcp://x:1"
    with pytest.raises(EngineError, match="expected the Dask cluster at tcp://x:1 to stay, found it gone: in <TCP .*What is done is kept"):
        with engine._staying():
            raise distributed.comm.CommClosedError("in <TCP (closed)>: reset by peer")
    with pytest.raises(InputError, match="no workers"), engine._staying():
        raise InputError("no workers")


def test_a_scheduler_without_workers_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_engine, "FIRST_WORKER", 0.5)
    cluster = Cluster(tmp_path, workers=False)
    try:
        result = CliRunner().invoke(main, ["embed", "x", "-o", str(tmp_path / "store"), "--scheduler", cluster.address])
    finally:
        cluster.stop()
    assert result.exit_code == 1, result.exception
    assert f"expected workers at {cluster.address}, found none" in result.stderr and result.stderr.count("\n") == 1


def test_a_greeting_that_goes_wrong_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Distributed's client asserts that the scheduler's greeting comes alone; now and then more comes with it."""
    cluster, client, tried = Cluster(tmp_path), distributed.Client, list[str]()

    def stumbling(address: str, **options: Any) -> Any:
        tried.append(address)
        if len(tried) == 1:
            raise AssertionError
        return client(address, **options)

    monkeypatch.setattr(distributed, "Client", stumbling)
    try:
        with DaskEngine(scheduler=cluster.address):
            assert tried == [cluster.address] * 2
    finally:
        cluster.stop()


# -- the engine alone -----------------------------------------------------------------------------------------------------------------


def note(shard: str, tick: Any = None, *, stage: str, folder: str) -> ShardResult:
    """A step that leaves a file, and fails if the step before it did not."""
    assert stage == "one" or os.path.exists(f"{folder}/one-{shard}")
    Path(folder, f"{stage}-{shard}").touch()
    return ShardResult(stage=stage, shard=shard, photos=stage == "one")


def fail(shard: str, tick: Any = None, *, how: str) -> ShardResult:
    """A step that ends badly."""
    if how == "dies":
        os._exit(1)
    raise StampError("expected this, found that") if how == "says" else ZeroDivisionError("ours")


def start_environment() -> dict[str, str]:
    """The variables that this process was started with, as the kernel keeps them."""
    return dict(line.split("=", 1) for line in Path("/proc/self/environ").read_text().split("\0") if "=" in line)


@pytest.mark.parametrize(("workers", "cores", "threads"), [(1, 1, "1"), (1, 8, "8"), (2, 8, "4"), (3, 8, "2"), (8, 8, "1"), (9, 8, "1")])
def test_workers_share_the_cores(workers: int, cores: int, threads: str) -> None:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    assert dask_engine.worker_environment(workers, cores) == dict.fromkeys(names, threads)


def test_every_engine_does_every_step_of_every_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = [f"{i:05d}" for i in range(23)]
    results = []
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")  # what the user says holds
    before = dict(os.environ)
    with DaskEngine(workers=2) as dask:
        assert dict(os.environ) == before  # Dask changes it
        expected = {"OMP_NUM_THREADS": str(max(1, CPU_COUNT // 2)), "OPENBLAS_NUM_THREADS": "7"}
        for started in dask._client.run(start_environment).values() if Path("/proc/self/environ").exists() else ():
            assert {name: started.get(name) for name in expected} == expected
        assert list(dask._client.run(partial(dask_config.get, "distributed.worker.profile.enabled")).values()) == [False, False]
        for name, at_work in (("local", LocalEngine()), ("dask", dask)):
            (tmp_path / name).mkdir()
            steps = [Step(partial(note, stage=stage, folder=str(tmp_path / name)), gpu=stage == "two") for stage in ("one", "two", "three")]
            ticks: list[int] = []
            results.append(sorted((r.shard, r.stage) for r in at_work.run(shards, steps, ticks.append)))
            assert list(at_work.run([], steps)) == []
            if name == "dask":
                assert sum(ticks) == len(shards)
    assert results[0] == results[1] and len(results[0]) == 3 * len(shards)
    assert sorted(os.listdir(tmp_path / "local")) == sorted(os.listdir(tmp_path / "dask"))


def fill(shard: str, tick: Any = None) -> ShardResult:
    """A step that fills 24 MB ten times; its number of faces is that of the pages that the kernel had to give."""
    np.ones(24 << 20, np.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(24 << 20, np.uint8)
    return ShardResult(stage="one", shard=shard, faces=resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries keep memory in their own way")
def test_workers_keep_memory() -> None:
    """Also those that Dask has told to give it back: ten times 24 MB are 61,440 pages of 4 KiB."""
    with DaskEngine(workers=1) as dask:
        (result,) = dask.run(["00000"], [Step(fill)])
    assert result.faces < 6_144


def test_two_clusters_on_one_machine(tmp_path: Path) -> None:
    """Each takes ports of its own, on this machine alone (a warning would be an error here)."""
    steps = [Step(partial(note, stage="one", folder=str(tmp_path)))]
    with DaskEngine(workers=1) as one, DaskEngine(workers=1) as other:
        assert len(list(one.run(["a"], steps))) == len(list(other.run(["b"], steps))) == 1
        family = [psutil.Process(), *psutil.Process().children(recursive=True)]
        hosts = {c.laddr.ip for p in family for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        assert hosts and hosts <= {"127.0.0.1", "::1"}


def test_what_goes_wrong_on_a_worker_arrives() -> None:
    """One after the other, the last of which ends the worker: those before do no harm to the engine."""
    errors: list[tuple[str, type[Exception]]] = [("says", StampError), ("ours", ZeroDivisionError), ("dies", EngineError)]
    with DaskEngine(workers=1) as dask:
        for how, error in errors:
            with pytest.raises(error) as caught:
                list(dask.run(["00000", "00001"], [Step(partial(fail, how=how))]))
            assert "\n" not in str(caught.value), how
