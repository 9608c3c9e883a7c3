"""Who does the parts of a grouping, and where the arrays between them lie.

A grouping is a sequence of passes over shards of the graph. A pass is one task a shard; between two passes one process decides, with
arrays of one entry a face or a group. A `Crew` runs the tasks, its `Shelf` keeps their arrays: in memory, or as files in a folder that
all workers see. A task gets and gives arrays of any size by way of the shelf alone, so no vector passes through a scheduler.

Resuming: a task on a folder first looks whether its results are there. The names of results follow from the place of the task in the
grouping, and the folder belongs to one grouping (its inputs and settings), so what is there is what would be made again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Filed:
    """An array in a file of a shelf."""

    path: str


Stored: TypeAlias = "Array | Filed"  # an array, or where it is


def load(stored: Stored) -> Array:
    """The array itself; one in a file is mapped, not read."""
    return _mapped(stored.path) if isinstance(stored, Filed) else stored


@lru_cache(maxsize=256)
def _mapped(path: str) -> Array:
    found: Array = np.load(path, mmap_mode="r")
    return found


class Shelf(Protocol):
    """Keeps arrays under names. It is sent to workers, so it must pickle."""

    def keep(self, name: str, array: Array) -> Stored:
        """Keep an array; replaces one of this name."""
        ...

    def find(self, name: str) -> Stored | None:
        """What is kept under a name, or None."""
        ...

    def drop(self, stored: Iterable[Stored]) -> None:
        """Forget arrays that no task needs any more."""
        ...


class MemoryShelf:
    """Arrays stay in memory, and nothing is found again."""

    def keep(self, name: str, array: Array) -> Stored:
        return array

    def find(self, name: str) -> Stored | None:
        return None

    def drop(self, stored: Iterable[Stored]) -> None:
        pass


@dataclass(frozen=True, slots=True)
class FolderShelf:
    """Arrays are .npy files in a folder of a file system that all workers share. A file is whole or absent."""

    folder: str

    def keep(self, name: str, array: Array) -> Stored:
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}.{id(array):x}")
        with beside.open("wb") as file:
            np.save(file, array)
        beside.replace(path)
        _mapped.cache_clear()
        return Filed(str(path))

    def find(self, name: str) -> Stored | None:
        path = self._path(name)
        return Filed(str(path)) if path.exists() else None

    def drop(self, stored: Iterable[Stored]) -> None:
        _mapped.cache_clear()
        for one in stored:
            if isinstance(one, Filed):
                Path(one.path).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return Path(self.folder) / f"{name}.npy"


class Crew(Protocol):
    """Runs tasks, and has a shelf."""

    @property
    def shelf(self) -> Shelf: ...

    def map(self, task: Callable[..., T], calls: Iterable[tuple[Any, ...]]) -> Sequence[T]:
        """The results of task(*call) for each call, in order."""
        ...


@dataclass(frozen=True, slots=True)
class LocalCrew:
    """This process, on as many threads as there are processors (4 at most), each with a task at a time."""

    shelf: Shelf = field(default_factory=MemoryShelf)
    threads: int = field(default_factory=lambda: min(4, os.cpu_count() or 1))

    def map(self, task: Callable[..., T], calls: Iterable[tuple[Any, ...]]) -> Sequence[T]:
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(lambda call: task(*call), calls))


def kept(shelf: Shelf, name: str, names: Sequence[str], make: Callable[[], Sequence[Array]]) -> tuple[Stored, ...]:
    """The arrays that `make` gives, kept under name/names[i]; those of an earlier try where all are there."""
    there = [shelf.find(f"{name}/{part}") for part in names]
    found = tuple(one for one in there if one is not None)
    if len(found) == len(names):
        return found
    return tuple(shelf.keep(f"{name}/{part}", array) for part, array in zip(names, make(), strict=True))
