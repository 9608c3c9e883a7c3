"""The best of some candidates, by falling cosine; of equal ones, by row. Copies of a face are taken in after the search."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int32]
Floats = NDArray[np.float32]
_NONE = np.iinfo(np.int64).max


class Copies:
    """Faces with the same vector as another one that stands for them in the lists."""

    def __init__(self, copies: Rows, firsts: Rows) -> None:
        """`copies` (m,) and `firsts` (m,): the rows, and those that stand for them."""
        order = np.lexsort((copies, firsts))
        self._copies, self._firsts = copies[order], firsts[order]

    def concerned(self, rows: Rows) -> NDArray[np.intp]:
        """Which lines of `rows` (n, w) hold a row that has copies."""
        return np.flatnonzero(np.isin(rows, self._firsts).any(axis=1)) if len(self._firsts) else np.zeros(0, dtype=np.intp)

    def of(self, row: int) -> Rows:
        """The copies of a row."""
        start, end = np.searchsorted(self._firsts, [row, row + 1])
        return self._copies[start:end]


def _keys(rows: Rows, values: Floats) -> NDArray[np.int64]:
    """Numbers whose order is that of falling values, then rising rows; those of row -1 come last."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.int32)
    rising = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
    return np.where(rows < 0, _NONE, (-rising << 32) | rows)


def best(rows: Rows, values: Floats, count: int, *, distinct: bool = False) -> tuple[Rows, Floats]:
    """The first `count` of candidates (n, w) by falling value, then row: rows and values (n, count); -1 and -inf where there are fewer.

    With `distinct`, a candidate that is there twice, with one value, counts once.
    """
    keys = _keys(rows, values)
    if distinct:
        keys.sort(axis=1)
        keys[:, 1:][keys[:, 1:] == keys[:, :-1]] = _NONE
    if count < keys.shape[1]:
        keys = np.partition(keys, count - 1, axis=1)[:, :count]
    keys = np.sort(keys, axis=1)
    rising = (-(keys >> 32)).astype(np.int32)
    found = np.where(rising < 0, rising ^ np.int32(0x7FFFFFFF), rising).view(np.float32)
    none = keys == _NONE
    out = np.where(none, -1, keys & 0xFFFFFFFF).astype(np.int32), np.where(none, -np.inf, found).astype(np.float32)
    short = count - keys.shape[1]
    return (np.pad(out[0], ((0, 0), (0, short)), constant_values=-1), np.pad(out[1], ((0, 0), (0, short)), constant_values=-np.inf)) if (
        short > 0
    ) else out


def merged(a: tuple[Rows, Floats], b: tuple[Rows, Floats]) -> tuple[Rows, Floats]:
    """The best of two lots of candidates (n, w), as many as in one."""
    return best(np.concatenate([a[0], b[0]], axis=1), np.concatenate([a[1], b[1]], axis=1), a[0].shape[1])


def expand(rows: Rows, values: Floats, own: NDArray[np.integer], copies: Copies, k: int) -> tuple[Rows, Floats]:
    """Neighbours and cosines (n, k) from the best k + 1 candidates: with copies, without the face itself.

    Args:
        rows: (n, k + 1), falling; -1 = none.
        values: (n, k + 1) cosines.
        own: (n,) row of each face.
        copies: of faces among the candidates.
        k: neighbours a face; -1 and -2 where there are fewer.
    """
    order = np.argsort((rows == own[:, None]) | (rows < 0), axis=1, kind="stable")[:, :k]  # the face itself comes last and is dropped
    found, cosine = np.take_along_axis(rows, order, 1), np.take_along_axis(values, order, 1)
    own_kept = found == own[:, None]
    found, cosine = np.where(own_kept, -1, found), np.where(own_kept | (found < 0), -2, np.clip(cosine, -1, 1))
    for line in copies.concerned(rows):
        lots = [np.append(row, copies.of(row)) for row in rows[line][rows[line] >= 0]]
        some = np.concatenate(lots)[None].astype(np.int32)
        each = np.repeat(values[line][: len(lots)], [len(lot) for lot in lots])[None]
        more, more_values = best(np.where(some == own[line], -1, some), each, k)
        found[line], cosine[line] = more[0], np.where(more[0] < 0, -2, np.clip(more_values[0], -1, 1))
    return found.astype(np.int32), cosine.astype(np.float32)
