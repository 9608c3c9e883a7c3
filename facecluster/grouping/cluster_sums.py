"""Sums over the faces of clusters, exact in any order of addition, and the number of photos that two clusters share.

Vectors and impostor levels are summed in steps of 2^-28 (cohort.to_grid), so a sum does not depend on the order in which faces and clusters
were added. Most clusters of a large collection are single faces: these keep no sum, their vector is read where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.cohort import CohortStats, to_grid
from facecluster.grouping.face_vectors import Vectors
from facecluster.grouping.work import Crew, LocalCrew, MemoryShelf, Shelf, Stored, kept, load

Rows = NDArray[np.int32]
_BLOCK = 1 << 14  # vectors at a time: 16 MB
_TABLE = 1 << 17  # faces or groups that are summed by one task


@dataclass(slots=True)
class ClusterSums:
    """Struct of arrays over g clusters. A cluster that was merged into another keeps its number, but its entries are void.

    The sums of vectors stand in tables, each made in one pass; a cluster that grows gets a row in a new one.
    """

    x: Vectors  # (n, dim) vectors of the faces
    first: Stored  # (g,) int32, one face of each cluster
    row: Stored  # (g,) int64, row of its sum in the tables, one after the other; -1 = a single face
    tables: list[Stored]  # (rows, dim) float64 each
    starts: list[int]  # first row of each table, and the number of all rows
    sizes: Stored  # (g,) float64
    base: Stored  # (g,) float64, sum over its faces of CohortStats.base
    reach: Stored  # (g,) float64, the same of CohortStats.reach
    contents: NDArray[np.uint64]  # (g,) sum of its faces' content keys (cohort.content_keys)
    length: Stored  # (g,) float64, of the mean vector: 1 for a single face

    @classmethod
    def of(
        cls, x: Vectors, group: Rows, cohort: CohortStats, contents: NDArray[np.uint64], crew: Crew | None = None, name: str = "sums"
    ) -> ClusterSums:
        """Sums of the clusters `group` (n,), 0, 1, ... without gaps, of the faces `x` (n, dim)."""
        crew = LocalCrew() if crew is None else crew
        count = int(group.max(initial=-1)) + 1
        sizes = np.bincount(group, minlength=count)
        first = np.empty(count, dtype=np.int32)
        first[group] = np.arange(len(group), dtype=np.int32)
        key = np.zeros(count, dtype=np.uint64)
        np.add.at(key, group, contents)
        base, reach = (np.bincount(group, values, minlength=count).astype(np.float64) for values in (cohort.base, cohort.reach))
        own = cls(
            x, first, np.full(count, -1, dtype=np.int64), [], [0], sizes.astype(np.float64), base, reach, key, np.ones(count)
        )  # fmt: skip
        faces = np.flatnonzero(sizes[group] > 1).astype(np.int32)
        faces = faces[np.argsort(group[faces], kind="stable")]
        own._add_table(crew, name, group[faces], faces, None)
        return own

    def with_reach(self, group: NDArray[np.integer], cohort: CohortStats) -> ClusterSums:
        """The same with `reach` by another cohort, for the clusters `group` (n,) of the faces."""
        return replace(self, reach=np.bincount(group, cohort.reach, minlength=len(load(self.sizes))))

    def shelved(self, shelf: Shelf, name: str) -> ClusterSums:
        """The same for tasks, without content keys: its arrays are on a shelf."""
        if isinstance(shelf, MemoryShelf):
            return self
        arrays: dict[str, Any] = {part: shelf.keep(f"{name}/{part}", load(getattr(self, part))) for part in _OF_TASKS}
        return replace(self, contents=np.zeros(0, dtype=np.uint64), **arrays)

    def dropped(self) -> list[Stored]:
        """What `shelved` has put on the shelf."""
        return [getattr(self, part) for part in _OF_TASKS]

    def loaded(self) -> ClusterSums:
        """The same with all its arrays at hand."""
        arrays: dict[str, Any] = {part: load(getattr(self, part)) for part in _OF_TASKS}
        return replace(self, **arrays)

    def vectors(self, groups: NDArray[np.integer]) -> NDArray[np.float64]:
        """Sums of the vectors of `groups` (m,): (m, dim)."""
        row = load(self.row)[groups]
        if len(self.tables) == 1 and (row >= 0).all():
            return np.asarray(load(self.tables[0])[row])
        out = np.empty((len(row), self.x.shape[1]))
        table = np.searchsorted(self.starts, row, "right") - 1
        for t in np.unique(table).tolist():
            mine = np.flatnonzero(table == t)
            out[mine] = to_grid(self.x[load(self.first)[groups[mine]]]) if t < 0 else load(self.tables[t])[row[mine] - self.starts[t]]
        return out

    def dots(self, a: Rows, b: Rows) -> NDArray[np.float64]:
        """Dot products of the sums of groups a[i] and b[i]."""
        return np.asarray(np.einsum("ij,ij->i", self.vectors(a), self.vectors(b)))

    def within(self, groups: Rows) -> NDArray[np.float64]:
        """Mean cosine (m,) of two different faces of each of `groups` (m,); 1 for a single face."""
        sizes = load(self.sizes)[groups]
        return np.asarray((sizes * load(self.length)[groups] ** 2 - 1 + (sizes == 1)) / np.maximum(sizes - 1, 1))

    def merge(self, into: Rows, gone: Rows, view: ClusterSums, crew: Crew, name: str) -> None:
        """Merge clusters `gone` (m,), each once, into clusters `into` (m,), none of which is in `gone`. `view` is what tasks see before."""
        order = np.argsort(into, kind="stable")
        into, gone = into[order], gone[order]
        for values in (self.sizes, self.base, self.reach, self.contents):
            np.add.at(load(values), into, load(values)[gone])
        grown = np.unique(into)
        group, parts = np.concatenate([grown, into]), np.concatenate([grown, gone])  # a new sum is of the cluster and what it takes
        order = np.argsort(group, kind="stable")
        self._add_table(crew, name, group[order], parts[order], view)

    def _add_table(self, crew: Crew, name: str, group: Rows, parts: Rows, view: ClusterSums | None) -> None:
        """Add tables with the sums of `parts` (m,) by their `group` (m,), which rises, and measure these groups.

        Parts are clusters of `view`, or faces if it is None.
        """
        if not len(group):
            return
        begins = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
        cuts = _chunks(begins, len(group))
        shared = crew.shelf.keep(f"{name}/parts", parts), crew.shelf.keep(f"{name}/begins", np.append(begins, len(group)))
        calls = [(crew.shelf, f"{name}/{i}", self.x if view is None else view, *shared, part) for i, part in enumerate(cuts)]
        made = crew.map(_sum, calls)
        groups = group[begins]
        row, length, sizes = load(self.row), load(self.length), load(self.sizes)
        row[groups] = self.starts[-1] + np.arange(len(groups))
        length[groups] = np.concatenate([load(lengths) for _, lengths in made]) / sizes[groups]
        self.tables += [table for table, _ in made]
        self.starts += [self.starts[-1] + part[1] for part in cuts]
        crew.shelf.drop(shared)


_OF_TASKS = ("first", "row", "sizes", "base", "reach", "length")


def _chunks(begins: NDArray[np.int64], count: int) -> list[tuple[int, int]]:
    """First and last group of pieces of about _TABLE members each; a group is not divided."""
    cuts = np.unique(np.r_[np.searchsorted(begins, np.arange(0, count, _TABLE)), len(begins)]).tolist()
    return list(zip(cuts[:-1], cuts[1:], strict=True))


def _sum(shelf: Shelf, name: str, of: ClusterSums | Vectors, parts: Stored, begins: Stored, groups: tuple[int, int]) -> tuple[Stored, ...]:
    """The sums (rows, dim) of some groups, and their lengths (rows,); their parts are clusters or faces of `of`."""

    def make() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        members, starts = load(parts), load(begins)[groups[0] : groups[1] + 1]
        own, x = (of.loaded(), of.x) if isinstance(of, ClusterSums) else (None, of)
        sums = np.zeros((len(starts) - 1, x.shape[1]))
        number = np.repeat(np.arange(len(sums)), np.diff(starts))
        for i in range(starts[0], starts[-1], _BLOCK):
            some = members[i : min(i + _BLOCK, starts[-1])]
            mine = number[i - starts[0] : i - starts[0] + len(some)]
            edges = np.flatnonzero(np.r_[True, mine[1:] != mine[:-1]])
            rows = to_grid(x[some]) if own is None else own.vectors(some)
            sums[mine[edges]] += np.add.reduceat(rows, edges, axis=0)
        return sums, np.linalg.norm(sums, axis=1)

    return kept(shelf, name, ("sums", "lengths"), make)


def shared_photos(photos: NDArray[np.int64], group: Rows, a: Rows, b: Rows) -> NDArray[np.float64]:
    """Number of photos (m,) that clusters a[i] and b[i] are both in; `photos` and `group` (n,) are of the faces.

    Each photo of the smaller cluster is looked up, so the cost of a large cluster does not grow with the number of its small neighbours.
    """
    out = np.zeros(len(a))
    if not len(a):
        return out
    asked = np.zeros(int(group.max()) + 1, dtype=bool)
    asked[a] = asked[b] = True
    rows = np.flatnonzero(asked[group])
    kinds = int(photos.max()) + 1
    keys = np.unique(group[rows].astype(np.int64) * kinds + photos[rows])  # each photo of each group once
    starts = np.searchsorted(keys, np.arange(len(asked) + 1) * kinds)
    count = np.diff(starts)
    small, large = np.where(count[a] <= count[b], a, b), np.where(count[a] <= count[b], b, a).astype(np.int64)
    for at in np.array_split(np.arange(len(a)), max(1, int(count[small].sum()) >> 20)):
        each = count[small[at]]
        pair = np.repeat(np.arange(len(at)), each)
        within = np.arange(len(pair)) - np.repeat(np.cumsum(each) - each, each)
        wanted = large[at][pair] * kinds + keys[starts[small[at]][pair] + within] % kinds
        found = keys[np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)] == wanted
        out[at] = np.bincount(pair, found, minlength=len(at))
    return out
