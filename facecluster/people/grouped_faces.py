"""The groups of a run's faces at one moment with the sums of their vectors; what did not change since is not added up anew. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.face_vectors import Vectors

Ints = NDArray[np.int64]

_BLOCK = 1 << 16  # vectors at a time: 32 MB
_RADIX = np.iinfo(np.uint16).max  # numpy sorts integers of 16 bits in linear time


@dataclass(frozen=True, slots=True, eq=False)
class Grouped:
    """The groups at one moment: p groups of the n faces of an index."""

    identity: Ints  # (n,) -1 = nobody; -2 = nobody, and never suggested
    order: Ints  # rows with a vector by group, those of one group by falling probability
    start: Ints  # (p + 1,) where each group begins in `order`
    sums: NDArray[np.float32]  # (p, dim) of the vectors
    was: Ints  # (p,) number of the group at the moment before, if it had the same faces; else -1
    before: object  # `token` of the groups at that moment
    token: object = field(default_factory=object)

    @property
    def sizes(self) -> Ints:
        """Faces with a vector (p,)."""
        return np.diff(self.start)

    def rows_of(self, group: int) -> Ints:
        """Rows of a group's faces with a vector, by falling probability."""
        return self.order[self.start[group] : self.start[group + 1]]


def group_faces(vectors: Vectors, usable: NDArray[np.bool_], identity: Ints, surest: Ints, before: Grouped | None = None) -> Grouped:
    """The groups of faces; only those that are not groups of `before` are added up.

    Args:
        vectors: (n, dim).
        usable: (n,) faces that have a vector.
        identity: (n,) group of each face; -1 and less = nobody.
        surest: (n,) all rows by falling probability.
        before: the groups of the same faces at the moment before.
    """
    count = int(identity.max(initial=-1)) + 1
    order = by_group(surest, identity, count)
    order = order[usable[order]]
    group = identity[order]
    start = np.searchsorted(group, np.arange(count + 1))
    sums, was = np.zeros((count, vectors.shape[1]), np.float32), np.full(count, -1, np.int64)
    if before is not None:
        earlier, sizes = before.identity[order], np.diff(start)
        first = np.append(earlier, -1)[start[:-1]]
        strays = np.bincount(group, earlier != first[group], minlength=count)
        changed = (sizes == 0) | (strays > 0) | (first < 0) | (sizes != np.append(before.sizes, [-1, -1])[first])  # -1, -2: nobody
        was = np.where(changed, -1, first)
        sums[~changed] = before.sums[was[~changed]]
    rows = order[was[group] < 0]
    for part in blocks(len(rows)):
        mine = identity[rows[part]]
        edges = np.flatnonzero(np.r_[True, np.diff(mine) != 0])
        sums[mine[edges]] += np.add.reduceat(vectors[rows[part]], edges, axis=0)
    return Grouped(identity, order.astype(np.int64), start.astype(np.int64), sums, was, before.token if before else None)


def by_group(order: Ints, identity: Ints, groups: int) -> Ints:
    """The rows of `order` that are in a group, by group, and in each group in that order.

    Args:
        order: (m,) rows.
        identity: (n,) group of each row from 0 to `groups` - 1; less = none.
        groups: how many there are.
    """
    mine = identity[order]
    inside = mine >= 0
    order, mine = order[inside], mine[inside]
    return order[np.argsort(mine.astype(np.uint16) if groups <= _RADIX else mine, kind="stable")]


def blocks(n: int) -> list[slice]:
    """Slices of n rows, so many vectors at a time."""
    return [slice(i, i + _BLOCK) for i in range(0, n, _BLOCK)]
