"""The vectors of many faces, some rows at a time: an array, or parts of float16 that lie in files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.work import Stored, load


@dataclass(frozen=True, slots=True)
class FaceVectors:
    """Rows (n, dim) in parts, one after the other; every access gives float32 in memory. Rows have length 1."""

    parts: tuple[Stored, ...]  # (rows of the part, dim)
    starts: tuple[int, ...]  # first row of each part, and n
    dim: int
    rows: Stored | None = None  # (n,) rows of the parts that these vectors are, if not all

    def __len__(self) -> int:
        return self.starts[-1] if self.rows is None else len(load(self.rows))

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), self.dim

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        """Rows by a slice without a step, or by an array of row numbers or of booleans: (m, dim); one row by its number: (dim,)."""
        if self.rows is not None:
            return replace(self, rows=None)[load(self.rows)[rows]]
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            if start >= stop:
                return np.zeros((0, self.dim), np.float32)
            first, last = np.searchsorted(self.starts, [start, stop - 1], "right") - 1
            pieces = [load(self.parts[p])[max(start - self.starts[p], 0) : max(stop - self.starts[p], 0)] for p in range(first, last + 1)]
            return np.concatenate(pieces).astype(np.float32) if pieces else np.zeros((0, self.dim), np.float32)
        index = np.atleast_1d(np.asarray(rows))
        if index.dtype == bool:
            index = np.flatnonzero(index)
        out = np.empty((len(index), self.dim), dtype=np.float32)
        part = np.searchsorted(self.starts, index, "right") - 1
        for p in np.unique(part).tolist():
            mine = part == p
            out[mine] = load(self.parts[p])[index[mine] - self.starts[p]]
        return out if np.ndim(rows) else out[0]


Vectors: TypeAlias = "NDArray[np.float32] | FaceVectors"


def as_vectors(vectors: NDArray[np.floating] | FaceVectors) -> Vectors:
    """Vectors that give float32: an array of another type is copied."""
    return vectors if isinstance(vectors, FaceVectors) else np.ascontiguousarray(vectors, dtype=np.float32)
