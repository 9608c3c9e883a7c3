"""Workers that come during a run, and connections that are encrypted."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any

import dask
import distributed
import pytest
from click.testing import CliRunner
from conftest import needs

from facecluster import dask_engine
from facecluster.cli import main
from facecluster.dask_engine import DaskEngine
from facecluster.engine import Step
from facecluster.store import ShardResult

TOGETHER = threading.Barrier(6)  # in the workers' process, which is this one


def meet(shard: str, tick: Any = None, *, first: str) -> ShardResult:
    """A step that ends when six of its kind are at work; those of the first shards end at once."""
    if shard > first:
        TOGETHER.wait(30)
    return ShardResult(stage="one", shard=shard, photos=1)


def nothing(shard: str, tick: Any = None) -> ShardResult:
    return ShardResult(stage="one", shard=shard, photos=1)


def cluster(**options: Any) -> Any:
    kit: Any = distributed
    return kit.LocalCluster(processes=False, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, **options)


def test_workers_that_come_later_get_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that begins with one worker keeps six busy once they are there."""
    monkeypatch.setattr(dask_engine, "LOOK", 0.0)
    with cluster(n_workers=1, protocol="tcp") as made, DaskEngine(scheduler=made.scheduler_address) as at_work:
        results = at_work.run([f"{i:02d}" for i in range(22)], [Step(partial(meet, first="03"))])
        found = [next(results).shard]
        made.scale(6)
        made.wait_for_workers(6, 30)
        found += [result.shard for result in results]
    assert sorted(found) == [f"{i:02d}" for i in range(22)]


def test_memory_goes_back_when_another_kind_of_task_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at each change: the rounds of a grouping change between two kinds many times a second."""
    given, now = list[float](), [100.0]
    monkeypatch.setattr(dask_engine.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(dask_engine, "give_memory_back", lambda: given.append(now[0]))
    monkeypatch.setattr(dask_engine._Last, "task", None)
    monkeypatch.setattr(dask_engine._Last, "given", 0.0)
    for later, task, times in ((0, len, 1), (3, len, 1), (0, sum, 2), (1, len, 2), (1.5, len, 2), (0, sum, 3)):
        now[0] += later
        assert dask_engine._mapped(task, [1]) == 1 and len(given) == times  # type: ignore[arg-type]
    dask_engine._after(nothing, "00000", None)
    dask_engine._mapped(len, [1])
    assert len(given) == 4


@pytest.fixture
def certificates(tmp_path: Path) -> dict[str, str]:
    """Settings of Dask that name files with a certificate and its key."""
    needs("cryptography")
    made = distributed.Security.temporary()
    (tmp_path / "cert.pem").write_text(made.tls_ca_file)
    (tmp_path / "key.pem").write_text(made.tls_client_key)
    files = {name: str(tmp_path / f"{name}.pem") for name in ("cert", "key")}
    roles = {f"{role}.{name}": path for role in ("scheduler", "worker", "client") for name, path in files.items()}
    return {f"distributed.comm.tls.{name}": path for name, path in ({"ca-file": files["cert"]} | roles).items()}


def test_an_encrypted_cluster(certificates: dict[str, str], tmp_path: Path) -> None:
    with dask.config.set(certificates):
        with cluster(n_workers=1, protocol="tls", security=distributed.Security()) as made:
            assert made.scheduler_address.startswith("tls://")
            with DaskEngine(scheduler=made.scheduler_address) as at_work:
                assert [r.shard for r in at_work.run(["a"], [Step(nothing)])] == ["a"]
            with dask.config.set(dict.fromkeys(certificates)):
                result = CliRunner().invoke(main, ["embed", "x", "-o", str(tmp_path / "s"), "--scheduler", made.scheduler_address])
    assert result.exit_code == 1, result.exception
    assert result.stderr.count("\n") == 1 and "expected a Dask scheduler at tls://" in result.stderr
