"""Splits by person: no person, and no near-duplicate of a face, is in two splits. The splits follow from seed, names and numbers of faces.

People who share a near-duplicate (a photo filed under two names), or seem to be one, form a unit and go to the same split. In a random
order that follows from the seed and the names, each unit goes to the split that is furthest below its share of faces.

Odd inputs: a split with a share of 0 gets nobody; with fewer units than splits the later splits stay empty.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from facecluster.errors import InputError

SPLITS = ("train", "val", "test")


def parse_shares(text: str) -> dict[str, float]:
    """Parse shares: "0.8,0.1,0.1" or "80,10,10" gives {"train": .8, "val": .1, "test": .1}.

    Raises:
        InputError: the text is not one to three numbers, none below 0, with a sum above 0.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= len(SPLITS) or min(numbers) < 0 or not 0 < sum(numbers) < float("inf"):
        raise InputError(f"expected shares of train, val and test like 0.8,0.1,0.1, found {text!r}: give one to three numbers")
    return {name: number / sum(numbers) for name, number in zip(SPLITS, numbers, strict=False)}


def split_people(
    names: Sequence[str], faces: NDArray[np.integer], shares: Mapping[str, float], seed: int, together: NDArray[np.integer] | None = None
) -> list[str]:
    """The split of each person.

    Args:
        names: (p,) names of the people, each once.
        faces: (p,) number of faces of each.
        shares: share of the faces by split; they sum to 1.
        seed: of the random order.
        together: (m, 2) pairs of people who must be in one split.
    """
    p = len(names)
    pairs = np.zeros((0, 2), np.int64) if together is None else np.asarray(together, np.int64).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(p, p))
    unit = connected_components(graph, directed=False)[1] if p else np.zeros(0, np.int64)
    sizes = np.bincount(unit, np.asarray(faces, np.float64), minlength=int(unit.max(initial=-1)) + 1)
    draws = [_draw(seed, name) for name in names]
    first = ["~"] * len(sizes)  # "~" comes after every hex digit
    for u, draw in zip(unit.tolist(), draws, strict=True):
        first[u] = min(first[u], draw)
    used = [name for name in shares if shares[name] > 0]
    filled = dict.fromkeys(used, 0.0)
    total = max(float(sizes.sum()), 1.0)
    split_of: dict[int, str] = {}
    for u in sorted(range(len(sizes)), key=lambda u: first[u]):
        empty = [name for name in used if filled[name] == 0]
        left = len(sizes) - len(split_of)
        choices = empty if empty and left <= len(empty) else used
        split_of[u] = max(choices, key=lambda name: shares[name] - filled[name] / total)  # ties: the earlier split
        filled[split_of[u]] += max(float(sizes[u]), 1e-9)
    return [split_of[u] for u in unit.tolist()]


def _draw(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}\0{name}".encode("utf-8", "surrogatepass")).hexdigest()
