"""Pairs of faces with known answers: all pairs if they are few, else drawn at random with a fixed seed.

Odd inputs: fewer than two faces have no pairs; if all faces are one person (or all are different) there are pairs of one kind only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facecluster.evaluation.clusters import Floats, Ints, codes

BLOCK = 1 << 16  # pairs whose vectors are in memory at a time
MOST = 2_000_000  # pairs of each kind: at a false accept rate of 1e-5, 20 of them are accepted


def pairs(truth: ArrayLike, most: int = MOST, seed: int = 0) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Pairs of faces.

    Args:
        truth: (n,) int or str, the person of each face.
        most: maximum number of pairs of one person, and of pairs of two people.
        seed: of the random draw.

    Returns:
        first and second face (m,) of each pair, the lower row first, each pair once; and (m,) bool, whether they are one person.
    """
    person = codes(truth)
    order = np.argsort(person, kind="stable")
    size = np.bincount(person) if len(person) else np.zeros(0, np.int64)
    start = np.cumsum(size) - size
    rng = np.random.default_rng(seed)
    found = [np.sort(order[rows], axis=0) for rows in (_same(size, start, most, rng), _different(size, start, most, rng))]
    first, second = np.concatenate(found, axis=1)
    return first, second, np.repeat([True, False], [found[0].shape[1], found[1].shape[1]])


def count(truth: ArrayLike) -> tuple[int, int]:
    """Numbers of pairs of one person and of two people."""
    size = np.bincount(codes(truth)).tolist()
    same = sum(n * (n - 1) // 2 for n in size)
    return same, sum(size) * (sum(size) - 1) // 2 - same


def cosines(vectors: NDArray[np.floating], first: NDArray[np.integer], second: NDArray[np.integer]) -> Floats:
    """Dot products of rows of vectors (n, dim): (m,) for the pairs of rows first (m,) and second (m,)."""
    out = np.zeros(len(first))
    for at in range(0, len(first), BLOCK):
        a, b = (np.asarray(vectors[rows[at : at + BLOCK]], np.float32) for rows in (first, second))
        out[at : at + BLOCK] = np.einsum("ij,ij->i", a, b)
    return out


def _same(size: Ints, start: Ints, most: int, rng: np.random.Generator) -> Ints:
    """Positions (2, m) of pairs within a person; the faces of a person are adjacent and begin at `start`."""
    ends = np.cumsum(size * (size - 1) // 2)
    rank = _ranks(int(ends[-1]) if len(ends) else 0, most, rng)
    person = np.searchsorted(ends, rank, side="right")
    return start[person] + _unrank(rank - (ends - size * (size - 1) // 2)[person])


def _different(size: Ints, start: Ints, most: int, rng: np.random.Generator) -> Ints:
    """Positions (2, m) of pairs across people: each position is paired with all positions after its person."""
    n = int(size.sum())
    after = np.repeat(n - (start + size), size)
    ends = np.cumsum(after)
    rank = _ranks(int(ends[-1]) if n else 0, most, rng)
    place = np.searchsorted(ends, rank, side="right")
    return np.stack([place, n - 1 - (rank - (ends - after)[place])])


def _ranks(total: int, most: int, rng: np.random.Generator) -> Ints:
    """0 to total - 1, or about `most` of them: a number that is drawn twice counts once."""
    return np.arange(total) if total <= most else np.unique(rng.integers(0, total, most))


def _unrank(rank: Ints) -> Ints:
    """The pair (2, m) of each rank in the order (0, 1), (0, 2), (1, 2), (0, 3), ..."""
    high = ((1 + np.sqrt(1 + 8.0 * rank)) // 2).astype(np.int64)
    high -= high * (high - 1) // 2 > rank  # rounding can take the root of a large rank above the next integer
    high += high * (high + 1) // 2 <= rank
    return np.stack([rank - high * (high - 1) // 2, high])
