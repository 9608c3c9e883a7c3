"""What a task needs of all faces (full vectors, or the nearest of each): in parts that fit into memory, in one buffer.

The part that was read last stays, so where one part holds all, it is read once. Full vectors also stay for the next task of this process,
if it comes soon: reading them and getting the memory takes about a second for a million.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from facecluster.grouping.free_memory import give_memory_back
from facecluster.grouping.link_plan import LinkPlan, blocks
from facecluster.grouping.link_shared import can_share, read_shared, shared_vectors
from facecluster.grouping.link_shuffle import read_vectors
from facecluster.store import Store

Read = Callable[[slice, NDArray[Any]], None]
KEPT = 5.0  # seconds that full vectors stay after a task


class Held:
    """A row of numbers for each of all faces."""

    def __init__(self, faces: int, size: int, width: int, dtype: DTypeLike, read: Read, whole: NDArray[Any] | None = None) -> None:
        """`size` rows are in memory at a time; `read` puts the rows of a slice, `width` numbers each, into an array; `whole`: all rows."""
        self._faces, self._size, self._read = faces, size if whole is None else faces, read
        self._buffer: NDArray[Any] = np.empty((min(size, faces), width), dtype=dtype) if whole is None else whole
        self._there = None if whole is None else slice(0, faces)

    @property
    def whole(self) -> bool:
        """Whether one part holds all."""
        return self._size >= self._faces

    def parts(self) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Which rows, and the rows; good until the next part."""
        for rows in blocks(self._faces, self._size):
            part = self._buffer[: rows.stop - rows.start]
            if self._there != rows:
                self._there = None
                self._read(rows, part)
                self._there = rows
            yield rows, part


class _Keeper:
    """Keeps vectors for whoever asks for them next by their key; they are dropped after some seconds, or if others are asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: Hashable = None
        self._held: Held | None = None
        self._turn = 0

    def take(self, key: Hashable) -> Held | None:
        """What was put under this key; it is no longer kept."""
        with self._lock:
            found, self._held = self._held if self._key == key else None, None
        return found

    def put(self, key: Hashable, held: Held) -> None:
        with self._lock:
            self._key, self._held, self._turn = key, held, self._turn + 1
        timer = threading.Timer(KEPT, self._drop, [self._turn])
        timer.daemon = True
        timer.start()

    def _drop(self, turn: int) -> None:
        with self._lock:
            if self._turn == turn:
                self._held = None

    def clear(self) -> bool:
        """Drop what is kept; whether there was something."""
        with self._lock:
            found, self._held = self._held is not None, None
        return found


_KEEPER = _Keeper()


@contextmanager
def held_vectors(store: Store, plan: LinkPlan) -> Iterator[Held]:
    """The full vectors, for a task."""
    key = (store.url, plan)
    held = _KEEPER.take(key)
    if held is None:
        give_memory_back()
        is_shared = can_share(store, plan)
        read = partial(read_shared if is_shared else read_vectors, store, plan)
        held = Held(plan.faces, plan.held, plan.dim, np.float32, read, shared_vectors(store, plan) if is_shared else None)
    yield held
    if held.whole:
        _KEEPER.put(key, held)


def drop_vectors() -> None:
    """Let go of vectors that were kept for the next task: it needs none."""
    if _KEEPER.clear():
        give_memory_back()
