"""What a caller gives as vectors, and as columns about them -> arrays. What can't be used is one ArgumentError.

Arrow columns, pandas columns and lists are taken as arrays are. Vectors of another length than 1 are scaled to length 1, since cosines
depend on directions alone; a vector of length 0 has no direction and is refused, and so is NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facecluster.errors import ArgumentError

UNIT = 1e-3  # a length that misses 1 by no more than this is taken for 1: float16 rounds to about 1e-4


def as_vectors(vectors: ArrayLike) -> NDArray[np.floating[Any]]:
    """Vectors (n, dim), rows of length 1.

    Raises:
        ArgumentError: another shape, no numbers, NaN, or a row of zeros.
    """
    expected = "vectors (n, dim), a row a face"
    try:
        array = np.asarray(vectors)
    except ValueError:  # rows of different lengths
        raise ArgumentError(f"expected {expected}, found rows of different lengths: give all faces vectors of one model") from None
    if array.dtype.kind not in "fiu":
        raise ArgumentError(f"expected {expected}, found {type(vectors).__name__} of {array.dtype}: embed_faces makes vectors of crops")
    if array.ndim != 2 or not array.shape[1]:
        hint = "put one vector into a list: [vector]" if array.ndim == 1 and array.size else "embed_faces makes vectors of crops"
        raise ArgumentError(f"expected {expected}, found an array {array.shape}: {hint}")
    floats = array if array.dtype.kind == "f" else array.astype(np.float64)
    wrong = np.flatnonzero(~np.isfinite(floats).all(axis=1))
    if len(wrong):
        raise ArgumentError(f"expected {expected}, found NaN or infinity in {_rows(wrong)}: leave those faces out")
    length = np.sqrt(np.einsum("ij,ij->i", floats, floats, dtype=np.float64))
    wrong = np.flatnonzero(length == 0)
    if len(wrong):
        raise ArgumentError(f"expected {expected}, found only zeros in {_rows(wrong)}: leave those faces out")
    if (np.abs(length - 1) <= UNIT).all():
        return floats
    scaled = np.where(np.abs(length - 1) <= UNIT, 1.0, length)
    return np.asarray((floats / scaled[:, None]).astype(np.float32))


def as_column(values: ArrayLike, n: int, name: str) -> NDArray[np.int64]:
    """Values (n,), whole numbers or text, as whole numbers: equal values get one number. Whole numbers stay as they are.

    Raises:
        ArgumentError: there are more or fewer, or they are something else.
    """
    array = _flat(values, n, name)
    if array.dtype.kind in "iub":
        return array.astype(np.int64)
    if array.dtype.kind == "U" or (array.dtype.kind == "O" and all(isinstance(v, str) for v in array)):
        return np.unique(array.astype(str), return_inverse=True)[1].reshape(-1).astype(np.int64)
    raise ArgumentError(f"expected whole numbers or text as {name}, found {_kind(array)}: give each face one")


def as_labels(values: ArrayLike, n: int, name: str) -> NDArray[np.int64]:
    """Labels (n,): whole numbers, -1 = none.

    Raises:
        ArgumentError: there are more or fewer, or they are something else.
    """
    array = _flat(values, n, name)
    if array.dtype.kind not in "iu" and len(array):
        raise ArgumentError(f"expected whole numbers as {name}, found {_kind(array)}: -1 stands for a face without a person")
    return array.astype(np.int64)


def as_pairs(values: ArrayLike | None, n: int, name: str) -> NDArray[np.int64] | None:
    """Pairs (m, 2) of row numbers.

    Raises:
        ArgumentError: another shape, or numbers that are no rows.
    """
    if values is None:
        return None
    array = np.asarray(values)
    if not array.size:
        return np.zeros((0, 2), np.int64)
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise ArgumentError(f"expected pairs (m, 2) of rows as {name}, found an array {array.shape} {array.dtype}: give two rows each")
    if array.min() < 0 or array.max() >= n:
        raise ArgumentError(f"expected rows from 0 to {n - 1} in {name}, found {array.min()} to {array.max()}: give rows of the vectors")
    return array.astype(np.int64)


def as_count(value: object, name: str) -> int:
    """A whole number from 1 on.

    Raises:
        ArgumentError: it is something else.
    """
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1:
        return int(value)
    raise ArgumentError(f"expected a whole number from 1 on as {name}, found {value!r}: leave it out for the usual one")


def as_number(value: object, name: str) -> float:
    """A finite number.

    Raises:
        ArgumentError: it is something else.
    """
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool) and np.isfinite(value):
        return float(value)
    raise ArgumentError(f"expected a number as {name}, found {value!r}: leave it out for the usual one")


def _flat(values: ArrayLike, n: int, name: str) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim != 1 or len(array) != n:
        found = f"{len(array)} of them" if array.ndim == 1 else f"an array {array.shape}"
        raise ArgumentError(f"expected {name} ({n},), one for each vector, found {found}: give each face one")
    return array


def _kind(array: NDArray[Any]) -> str:
    if array.dtype.kind == "f" and np.isnan(array).any():
        return "NaN"
    others = {type(v).__name__ for v in array.ravel()[:1000] if not isinstance(v, str)} if array.dtype.kind == "O" else set()
    return " and ".join(sorted(others)) or str(array.dtype)


def _rows(rows: NDArray[np.intp]) -> str:
    shown = ", ".join(map(str, rows[:5].tolist())) + (", ..." if len(rows) > 5 else "")
    return f"row{'s' if len(rows) > 1 else ''} {shown}"
