"""Where work runs: in this process, or on Dask. The only file that imports distributed. Every engine gives the same tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

from facecluster.errors import InputError
from facecluster.tables import ShardResult

Tick = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of a shard: `run(shard)` gives its result; it is sent to workers, so it must pickle."""

    run: Callable[..., ShardResult]
    gpu: bool = False  # goes to a worker with the resource GPU, where there is one


class Engine(Protocol):
    """Runs the steps of each shard in order; shards in any order."""

    def run(self, shards: Iterable[str], steps: Sequence[Step], tick: Tick | None = None) -> Iterator[ShardResult]: ...


class LocalEngine:
    """In this process, one shard after another; `tick(n)` after every few photos or faces."""

    def run(self, shards: Iterable[str], steps: Sequence[Step], tick: Tick | None = None) -> Iterator[ShardResult]:
        for shard in shards:
            for step in steps:
                yield step.run(shard, tick)


def _after(run: Callable[..., ShardResult], shard: str, before: ShardResult | None) -> ShardResult:
    return run(shard)


class DaskEngine:
    """On a Dask cluster: `workers` processes here, or a running one at `scheduler`. Use it in a with statement.

    Each step is a task of its own that waits for the one before it, so GPU workers embed while CPU workers detect. Few tasks are in
    flight at a time (4 shards a worker), so a million shards do not fill the scheduler.
    """

    def __init__(self, *, workers: int | None = None, scheduler: str | None = None) -> None:
        import dask.distributed as distributed  # half a second that a run in this process need not pay

        self._distributed = distributed
        self._stack = ExitStack()
        try:
            if scheduler:
                self._client = self._stack.enter_context(distributed.Client(scheduler, timeout=20))
            else:
                cluster = distributed.LocalCluster(
                    n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
                )
                self._client = self._stack.enter_context(distributed.Client(self._stack.enter_context(cluster)))
        except (OSError, ValueError) as e:
            self._stack.close()
            raise InputError(f"expected a Dask scheduler at {scheduler}, found none: {str(e).splitlines()[0]}. Start it first") from e

    def __enter__(self) -> DaskEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def run(self, shards: Iterable[str], steps: Sequence[Step], tick: Tick | None = None) -> Iterator[ShardResult]:
        info = self._client.scheduler_info(n_workers=-1)["workers"].values()
        has_gpu = any("GPU" in w.get("resources", {}) for w in info)
        todo = iter(shards)
        running = self._distributed.as_completed()
        room = 4 * max(1, len(info))

        def start() -> int:
            shard = next(todo, None)
            before: Any = None
            if shard is None:
                return 0
            for step in steps:
                resources = {"resources": {"GPU": 1}} if step.gpu and has_gpu else {}
                before = self._client.submit(_after, step.run, shard, before, pure=False, **resources)
                running.add(before)
            return 1

        for _ in range(room):
            start()
        ends = 0
        for future in running:
            result: ShardResult = future.result()
            if tick and result.photos:  # the bar counts photos; a step that embeds has none
                tick(result.photos)
            yield result
            ends += 1
            if ends % len(steps) == 0:
                start()
