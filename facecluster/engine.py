"""Where work runs: what every engine does, and the one in this process. `dask_engine` has another. All give the same tables."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeVar

from facecluster.grouping.work import LocalCrew, Shelf
from facecluster.store import ShardResult

KEPT = 2**29  # bytes that are free and not given back to the kernel
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt (malloc.h)

T = TypeVar("T")
Tick = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of a shard: `run(shard)` gives its result; it is sent to workers, so it must pickle."""

    run: Callable[..., ShardResult]
    gpu: bool = False  # goes to a worker with the resource GPU, where there is one
    counts: str = "photos"  # what of its result moves the bar: "photos", "faces", or "" for nothing


class Engine(Protocol):
    """Runs the steps of each shard in order; shards in any order."""

    def run(self, shards: Iterable[str], steps: Sequence[Step], tick: Tick | None = None) -> Iterator[ShardResult]: ...

    def map(self, task: Callable[..., T], calls: Iterable[tuple[Any, ...]]) -> list[T]:
        """The results of task(*call) for each call, in order; calls and results are small, and must pickle."""
        ...


class LocalEngine:
    """In this process, one shard after another; `tick(n)` after every few photos or faces."""

    def run(self, shards: Iterable[str], steps: Sequence[Step], tick: Tick | None = None) -> Iterator[ShardResult]:
        keep_memory()
        for shard in shards:
            for step in steps:
                yield step.run(shard, tick if step.counts else None)

    def map(self, task: Callable[..., T], calls: Iterable[tuple[Any, ...]]) -> list[T]:
        return list(LocalCrew().map(task, calls))


@dataclass(frozen=True, slots=True)
class EngineCrew:
    """Has an engine do the tasks of a grouping."""

    engine: Engine
    shelf: Shelf

    def map(self, task: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Sequence[Any]:
        return self.engine.map(task, calls)

    def within(self, name: str) -> EngineCrew:
        return EngineCrew(self.engine, self.shelf.within(name))


@cache
def keep_memory(most: int = KEPT) -> None:
    """Have glibc keep the memory of arrays for the next ones, up to `most` bytes; elsewhere nothing is done.

    Else it gives them back to the kernel, which clears each page anew when it is used again; Dask even asks for that (docs/decisions.md).
    """
    with suppress(OSError, AttributeError, TypeError):  # no glibc
        libc = ctypes.CDLL(None)
        for parameter, size in (_M_MMAP_THRESHOLD, most // 2), (_M_TRIM_THRESHOLD, most):
            libc.mallopt(parameter, size)
