"""A minimum spanning forest of the mutual reachability graph (Campello et al., 2013), from shards of edges.

Distances are integers: steps of 2^-22. The forest of a union of edges is the forest of their forests, so each shard is reduced to its
own forest, and forests are joined, some at a time. Of edges of equal length any may be in the forest: nothing that is made of it differs.

Cost, for n faces and m edges: m log m to sort. Odd inputs: the distance of two copies of one face is 4 steps, not 0: a sparse matrix takes
a zero for a missing edge.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import minimum_spanning_tree

from facecluster.grouping.candidate_edges import EdgeShard
from facecluster.grouping.work import Crew, Shelf, Stored, kept, load

Rows = NDArray[np.int32]
STEPS_PER_UNIT = 2.0**22  # steps of distance in 1
SHORTEST = 4  # steps: the distance of copies
_LONGEST = (1 << 24) - 1  # steps
_NONE = np.iinfo(np.int32).max  # core distance of a face with too few neighbours
_FAN_IN = 16  # forests that are joined at a time
_EDGES = 1 << 15  # at a time
_PARTS = ("source", "target", "length")


def quantise(distance: NDArray[np.float64]) -> Rows:
    """Distances from 0 to 4, in steps."""
    return np.asarray(np.clip(np.rint(distance * STEPS_PER_UNIT), SHORTEST, _LONGEST), dtype=np.int32)


def spanning_forest(n: int, source: Rows, target: Rows, distance: Rows, cut: int, min_samples: int) -> tuple[Rows, Rows, Rows]:
    """The forest of n faces: ends and lengths (in steps) of its edges, shortest first.

    Args:
        n: number of faces.
        source: (m,) rows; each edge stands once.
        target: (m,) rows.
        distance: (m,) in steps, at most `cut`.
        cut: longest edge, in steps.
        min_samples: the core distance of a face is the distance to its min_samples-th nearest neighbour.
    """
    core = _core_distances(n, [_nearest(source, target, distance, min_samples)], min_samples)
    return _by_length(*_reachable_forest(n, source, target, distance, core, cut))


def forest_of_shards(
    crew: Crew, name: str, n: int, edges: Sequence[EdgeShard], mean_level: float, cut: int, min_samples: int
) -> tuple[Rows, Rows, Rows]:
    """The forest of `spanning_forest` for shards of edges between n faces; the distance of an edge is 1 - mean_level - its margin."""
    shelf = crew.shelf
    calls = [(shelf, f"{name}/near/{i}", shard, mean_level, cut, min_samples) for i, shard in enumerate(edges)]
    near = crew.map(_near, calls)
    core = shelf.keep(f"{name}/core", _core_distances(n, [(load(p[3]), load(p[4])) for p in near], min_samples))
    forests = crew.map(_forest, [(shelf, f"{name}/forest/{i}", n, parts[:3], core, cut) for i, parts in enumerate(near)])
    shelf.drop([*(part for parts in near for part in parts), core])
    turn = 0
    while len(forests) > 1:
        some = [forests[i : i + _FAN_IN] for i in range(0, len(forests), _FAN_IN)]
        joined = crew.map(_join, [(shelf, f"{name}/join/{turn}/{i}", n, parts) for i, parts in enumerate(some)])
        forests, turn = joined, turn + 1
    return _by_length(*(load(part) for part in forests[0])) if len(forests) else spanning_forest(n, *_no_edges(), cut, min_samples)


def _no_edges() -> tuple[Rows, Rows, Rows]:
    none = np.zeros(0, dtype=np.int32)
    return none, none, none


def _near(shelf: Shelf, name: str, shard: EdgeShard, mean_level: float, cut: int, min_samples: int) -> tuple[Stored, ...]:
    """Edges that are not longer than the cut, with their distance; and the nearest distances of each face among them."""

    def make() -> list[NDArray[np.int32]]:
        source, target, above = shard.arrays()
        distance = np.empty(len(above), dtype=np.int32)
        for i in range(0, len(above), _EDGES):
            distance[i : i + _EDGES] = quantise(1 - mean_level - above[i : i + _EDGES].astype(np.float64))
        short = distance <= cut  # longer edges change nothing
        source, target, distance = source[short], target[short], distance[short]
        return [source, target, distance, *_nearest(source, target, distance, min_samples)]

    return kept(shelf, name, ("source", "target", "distance", "faces", "nearest"), make)


def _nearest(source: Rows, target: Rows, distance: Rows, count: int) -> tuple[Rows, Rows]:
    """Faces (f,) with an edge, and (f, count) the distances to their nearest neighbours; the largest int32 where there are fewer."""
    m = len(source)
    keys = np.empty(2 * m, dtype=np.int64)  # face and distance in one number: one sort does for both
    for half, end in ((keys[:m], source), (keys[m:], target)):
        half[:] = end
        half <<= 32
        half |= distance
    keys.sort()
    face = (keys >> 32).astype(np.int32)
    starts = np.flatnonzero(np.r_[True, face[1:] != face[:-1]]) if m else np.zeros(0, dtype=np.int64)
    ends = np.append(starts[1:], 2 * m)
    out = np.full((len(starts), count), _NONE, dtype=np.int32)
    for i in range(count):
        enough = starts + i < ends
        out[enough, i] = keys[starts[enough] + i] & 0xFFFFFFFF
    return face[starts], out


def _core_distances(n: int, nearest: Sequence[tuple[Rows, Rows]], min_samples: int) -> Rows:
    """(n,) distance to the min_samples-th nearest neighbour, in steps, from what `_nearest` gives for each shard."""
    best = np.full((n, min_samples), _NONE, dtype=np.int32)
    for faces, distances in nearest:
        best[faces] = np.sort(np.concatenate([best[faces], distances], axis=1), axis=1)[:, :min_samples]
    return best[:, -1]


def _forest(shelf: Shelf, name: str, n: int, near: Sequence[Stored], core: Stored, cut: int) -> tuple[Stored, ...]:
    source, target, distance = (load(part) for part in near)
    return kept(shelf, name, _PARTS, lambda: _reachable_forest(n, source, target, distance, load(core), cut))


def _reachable_forest(n: int, source: Rows, target: Rows, distance: Rows, core: Rows, cut: int) -> tuple[Rows, Rows, Rows]:
    reachability = np.maximum(np.maximum(core[source], core[target]), distance)
    near = reachability <= cut
    return _smallest_forest(n, source[near], target[near], reachability[near])


def _join(shelf: Shelf, name: str, n: int, forests: Sequence[tuple[Stored, ...]]) -> tuple[Stored, ...]:
    def make() -> tuple[Rows, Rows, Rows]:
        source, target, length = (np.concatenate([load(parts[i]) for parts in forests]) for i in range(3))
        return _smallest_forest(n, source, target, length)

    return kept(shelf, name, _PARTS, make)


def _smallest_forest(n: int, source: Rows, target: Rows, length: Rows) -> tuple[Rows, Rows, Rows]:
    """A minimum spanning forest of edges that stand once each."""
    faces = None
    if 4 * len(source) < n:  # few of many faces: those alone are numbered
        faces, ends = np.unique(np.r_[source, target], return_inverse=True)
        n, (source, target) = len(faces), ends.reshape(2, -1).astype(np.int32)
    graph = coo_matrix((length.astype(np.float64), (source, target)), shape=(n, n)).tocsr()
    found = minimum_spanning_tree(graph, overwrite=True).tocoo()
    row, column = (end if faces is None else faces[end] for end in (found.row, found.col))
    return row.astype(np.int32), column.astype(np.int32), found.data.astype(np.int32)


def _by_length(source: Rows, target: Rows, length: Rows) -> tuple[Rows, Rows, Rows]:
    order = np.argsort(length)
    return source[order], target[order], length[order]
