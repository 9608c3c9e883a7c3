"""Who does the parts of a grouping, and where the arrays between them lie.

A grouping is a sequence of passes over shards of the graph. A pass is one task a shard; between two passes one process decides, with
arrays of one entry a face or a group. A `Crew` runs the tasks, its `Shelf` keeps their arrays: in memory, or as files in a folder that
all workers see. A task gets and gives arrays of any size by way of the shelf alone, so no vector passes through a scheduler.

Resuming: a task on a folder first looks whether its results are there. The names of results follow from the place of the task in the
grouping, and the folder belongs to one grouping (its inputs and settings), so what is there is what would be made again.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import fsspec
import numpy as np
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray

from facecluster.grouping.mapped_files import FILES
from facecluster.grouping.sealed_arrays import open_rows, seal_array

T = TypeVar("T")
Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Filed:
    """An array in a file of a shelf."""

    url: str


Stored: TypeAlias = "Array | Filed"  # an array, or where it is
GONE = Filed("")  # what stood on a shelf and was dropped


def load(stored: Stored) -> Array:
    """The array itself. One in a file is mapped, not read; one in a file of another machine is copied to this one first."""
    return FILES.open(stored.url) if isinstance(stored, Filed) else stored


def load_rows(stored: Stored, start: int, stop: int) -> Array:
    """Rows start to stop of an array; of one in a file of another machine no more than these are read."""
    if not isinstance(stored, Filed):
        return stored[start:stop]
    fs, path = fsspec.core.url_to_fs(stored.url)
    if (rows := open_rows(partial(fs.cat_file, path), fs.size(path), stored.url, start, stop)) is not None:
        return rows
    if isinstance(fs, LocalFileSystem):
        return load(stored)[start:stop]
    with fs.open(path, "rb", block_size=1 << 16) as file:
        version = np.lib.format.read_magic(file)
        shape, _, dtype = getattr(np.lib.format, f"read_array_header_{version[0]}_0")(file)
        size = dtype.itemsize * int(np.prod(shape[1:]))
        first = file.tell() + start * size
    data = fs.cat_file(path, start=first, end=first + (stop - start) * size) if stop > start else b""
    return np.frombuffer(data, dtype=dtype).reshape(-1, *shape[1:])


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

    def within(self, name: str) -> Shelf:
        """A part of the shelf, for the work of this name."""
        ...


class MemoryShelf:
    """Arrays stay in memory, and nothing is found again."""

    def keep(self, name: str, array: Array) -> Stored:
        return array

    def find(self, name: str) -> Stored | None:
        return None

    def drop(self, stored: Iterable[Stored]) -> None:
        pass

    def within(self, name: str) -> Shelf:
        return self


@dataclass(frozen=True, slots=True)
class FolderShelf:
    """Arrays are .npy files in a folder (a path or an fsspec URL) that all workers see. A file is whole or absent.

    With the id of a key they are encrypted; the key itself each worker looks for.
    """

    folder: str
    key_id: str = ""

    def keep(self, name: str, array: Array) -> Stored:
        url = self._url(name)
        fs, path = fsspec.core.url_to_fs(url)
        if isinstance(fs, LocalFileSystem):
            target = Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            beside = target.with_name(f".{uuid.uuid4().hex}")
            with beside.open("wb") as file:
                self._save(file, array)
            beside.replace(target)
        else:
            with fs.open(path, "wb") as file:
                self._save(file, array)
        FILES.forget(url)
        return Filed(url)

    def _save(self, file: Any, array: Array) -> None:
        if self.key_id:
            file.write(seal_array(array, self.key_id, self.folder))
        else:
            np.save(file, array)

    def find(self, name: str) -> Stored | None:
        url = self._url(name)
        fs, path = fsspec.core.url_to_fs(url)
        if not isinstance(fs, LocalFileSystem):
            fs.invalidate_cache()
        return Filed(url) if fs.exists(path) else None

    def drop(self, stored: Iterable[Stored]) -> None:
        for one in stored:
            if isinstance(one, Filed) and one != GONE:
                FILES.forget(one.url)
                fs, path = fsspec.core.url_to_fs(one.url)
                with suppress(FileNotFoundError):
                    fs.rm_file(path)

    def within(self, name: str) -> Shelf:
        return FolderShelf(f"{self.folder.rstrip('/')}/{name}", self.key_id)

    def clear(self, *, but: str = "") -> None:
        """Delete the folder, or all in it but the part of a name."""
        fs, path = fsspec.core.url_to_fs(self.folder)
        if not fs.isdir(path):
            return
        for found in fs.ls(path, detail=False):
            if str(found).rstrip("/").rsplit("/", 1)[-1] != but:
                fs.rm(found, recursive=True)
        fs.invalidate_cache()
        if not but and fs.isdir(path):  # object stores have no empty folders
            fs.rm(path, recursive=True)

    def _url(self, name: str) -> str:
        return f"{self.folder.rstrip('/')}/{name}.npy"


@contextmanager
def temporary_shelf(key_id: str = "") -> Iterator[FolderShelf]:
    """A shelf in a folder of this machine that is deleted at the end, with all that stands there. `key_id`: of an encrypted store."""
    with tempfile.TemporaryDirectory(prefix="facecluster-") as folder:
        try:
            yield FolderShelf(folder, key_id)
        finally:
            FILES.forget_within(folder)


class Crew(Protocol):
    """Runs tasks, and has a shelf."""

    @property
    def shelf(self) -> Shelf: ...

    def map(self, task: Callable[..., T], calls: Iterable[tuple[Any, ...]]) -> Sequence[T]:
        """The results of task(*call) for each call, in order."""
        ...

    def within(self, name: str) -> Crew:
        """The same crew, on a part of its shelf."""
        ...


@dataclass(frozen=True, slots=True)
class LocalCrew:
    """This process, on as many threads as there are processors (4 at most), each with a task at a time."""

    shelf: Shelf = field(default_factory=MemoryShelf)
    threads: int = field(default_factory=lambda: min(4, os.cpu_count() or 1))

    def map(self, task: Callable[..., T], calls: Iterable[tuple[Any, ...]]) -> Sequence[T]:
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(lambda call: task(*call), calls))

    def within(self, name: str) -> Crew:
        return replace(self, shelf=self.shelf.within(name))


def kept(shelf: Shelf, name: str, names: Sequence[str], make: Callable[[], Sequence[Array]]) -> tuple[Stored, ...]:
    """The arrays that `make` gives, kept under name/names[i]; those of an earlier try where all are there."""
    there = [shelf.find(f"{name}/{part}") for part in names]
    found = tuple(one for one in there if one is not None)
    if len(found) == len(names):
        return found
    return tuple(shelf.keep(f"{name}/{part}", array) for part, array in zip(names, make(), strict=True))
