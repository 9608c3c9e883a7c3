"""What a task needs of all faces (full vectors, or the nearest of each): in parts that fit into memory, in one buffer.

The part that was read last stays, so where one part holds all, it is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from facecluster.grouping.link_plan import LinkPlan, blocks
from facecluster.grouping.link_shuffle import read_vectors
from facecluster.store import Store

Read = Callable[[slice, NDArray[Any]], None]


class Held:
    """A row of numbers for each of all faces."""

    def __init__(self, faces: int, size: int, width: int, dtype: DTypeLike, read: Read) -> None:
        """`size` rows are in memory at a time; `read` puts the rows of a slice, `width` numbers each, into an array."""
        self._faces, self._size, self._read = faces, size, read
        self._buffer: NDArray[Any] = np.empty((min(size, faces), width), dtype=dtype)
        self._there: slice | None = None

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


def held_vectors(store: Store, plan: LinkPlan) -> Held:
    """The full vectors."""
    return Held(plan.faces, plan.held, plan.dim, np.float32, lambda rows, into: read_vectors(store, plan, rows, into))
