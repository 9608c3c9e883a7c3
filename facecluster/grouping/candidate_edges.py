"""Candidate edges: the links of a kNN graph that are worth a comparison, each pair once, with its margin over the expected best impostor.

Links come in shards: rows start, start + 1, ... of the graph. An edge belongs to the shard of its lower row. It may stand in the links of
either face, so there are two passes: each shard picks its links and hands those that lead to a lower row on to the shard of that row;
then each shard joins what it has with what it was handed.

Odd inputs: a missing neighbour (-1) is no edge. If both faces have the link, with cosines that were rounded differently, the larger counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from facecluster.grouping.cohort import NEAR_COPY, CohortStats
from facecluster.grouping.work import Crew, LocalCrew, Shelf, Stored, kept, load, load_rows

_ROWS = 1 << 15  # faces at a time
_SHIFT = 4.0  # added to margins while they are in a sparse matrix, which takes a zero for a missing edge
FLOOR = -0.5  # sd above the expected best impostor; edges down to this decide which clusters are compared (docs/decisions.md)

Edges = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]


class EdgeShard(NamedTuple):
    """Edges source[i] < target[i], each pair once, by rising source and target; `above` is the margin of their cosine."""

    source: Stored  # (m,) int32
    target: Stored  # (m,) int32
    above: Stored  # (m,) float32

    def arrays(self) -> Edges:
        return load(self.source), load(self.target), load(self.above)


class Links(Protocol):
    """The links of rows start, start + 1, ... of a graph. Sent to workers, so it must pickle."""

    @property
    def start(self) -> int: ...

    def arrays(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Rows of the most similar faces (rows, k), -1 = none, and their cosines (rows, k)."""
        ...


@dataclass(frozen=True, slots=True)
class LinkShard:
    """Links in arrays."""

    start: int
    neighbours: Stored  # (rows, k)
    similarity: Stored  # (rows, k)

    def arrays(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        return load(self.neighbours), load(self.similarity)


@dataclass(frozen=True, slots=True)
class KeptLinks:
    """The links among some of the faces, as if the others were not there."""

    start: int  # the first kept row
    links: Links
    numbers: Stored  # (n + 1,) row of each face among the kept ones, -1 = left out; the last is that of a missing neighbour

    def arrays(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        (neighbours, similarity), numbers = self.links.arrays(), load(self.numbers)
        keep = numbers[self.links.start : self.links.start + len(neighbours)] >= 0
        return numbers[neighbours[keep]], similarity[keep]


def candidate_edges(
    neighbours: NDArray[np.integer], similarity: NDArray[np.floating], cohort: CohortStats, photos: NDArray[np.integer] | None,
    same_photo_penalty: float, *, floor: float = FLOOR,
) -> Edges:  # fmt: skip
    """Edges as rows source < target, each pair once, and the margin of their cosine over the expected best impostor of the two faces.

    Args:
        neighbours: (n, k) rows of the most similar faces; -1 = none.
        similarity: (n, k) cosines.
        cohort: of the n faces.
        photos: (n,) number of each face's photo, or None.
        same_photo_penalty: sd by which two faces of one photo must be more similar.
        floor: sd above the expected best impostor that an edge must reach.
    """
    links = [LinkShard(0, neighbours, similarity)]
    return edge_shards(LocalCrew(), "edges", links, cohort, photos, same_photo_penalty, floor=floor)[0].arrays()


def edge_shards(
    crew: Crew, name: str, links: Sequence[Links], cohort: CohortStats, photos: NDArray[np.integer] | None, same_photo_penalty: float,
    *, floor: float = FLOOR,
) -> list[EdgeShard]:  # fmt: skip
    """The edges of `candidate_edges`, one shard for each shard of links; `name` is their place on the crew's shelf."""
    shelf = crew.shelf
    level = shelf.keep(f"{name}/level", cohort.level)
    photo = None if photos is None else shelf.keep(f"{name}/photos", photos)
    starts = [shard.start for shard in links]
    rule = _Rule(level, photo, same_photo_penalty * cohort.sd, floor * cohort.sd, np.array(starts))
    picked = crew.map(_pick, [(shelf, f"{name}/picked/{i}", shard, rule) for i, shard in enumerate(links)])
    found = crew.map(_join, [(shelf, f"{name}/{i}", i, starts, len(cohort.base), picked) for i in range(len(links))])
    shelf.drop(part for parts in picked for part in parts)
    return [EdgeShard(*parts) for parts in found]


@dataclass(frozen=True, slots=True)
class _Rule:
    """Which links are edges."""

    level: Stored  # (n,) expected cosine of the best impostor
    photos: Stored | None  # (n,)
    penalty: float  # cosine by which two faces of one photo must be more similar
    floor: float  # lowest margin
    starts: NDArray[np.int64]  # (shards,) first row of each


_PICKED = ("counts", "ends", "above", "lower", "upper", "lower_above", "bounds")


def _pick(shelf: Shelf, name: str, shard: Links, rule: _Rule) -> tuple[Stored, ...]:
    """The links of a shard that are edges: those to higher rows row by row; those to lower rows by rising lower row, then upper row."""
    return kept(shelf, name, _PICKED, lambda: _picked(shard, rule))


def _picked(shard: Links, rule: _Rule) -> tuple[NDArray[np.generic], ...]:
    (neighbours, similarity), level = shard.arrays(), load(rule.level)
    photos = None if rule.photos is None else load(rule.photos)
    onward, back = _Links(), _Links()
    for i in range(0, max(1, len(neighbours)), _ROWS):
        near, cosine = neighbours[i : i + _ROWS], similarity[i : i + _ROWS].astype(np.float64)
        rows = np.arange(shard.start + i, shard.start + i + len(near))[:, None]
        above = cosine - (level[rows] + level[near]) / 2
        if photos is not None:
            above -= np.where((photos[rows] == photos[near]) & (cosine < NEAR_COPY), rule.penalty, 0.0)
        keep = (near >= 0) & (above >= rule.floor)
        for side, some in ((onward, near > rows), (back, near < rows)):
            side.add(near, above, keep & some)
    counts, lower, back_above = back.parts()
    upper = np.repeat(np.arange(shard.start, shard.start + len(counts), dtype=np.int32), counts)
    order = np.argsort(lower, kind="stable")
    lower = lower[order]
    bounds = np.append(np.searchsorted(lower, rule.starts), len(lower))  # where the edges of each shard begin
    counts, ends, forward = onward.parts()
    found = _matrix(counts, ends, forward, len(level))
    found.sort_indices()
    return counts, found.indices, found.data, lower, upper[order], back_above[order], bounds


def _join(shelf: Shelf, name: str, number: int, links: Sequence[int], n: int, picked: Sequence[tuple[Stored, ...]]) -> tuple[Stored, ...]:
    """The edges of shard `number`: its own and those that it was handed. One seen from both ends has the larger of its two weights."""
    return kept(shelf, name, ("source", "target", "above"), lambda: _joined(number, links[number], n, picked))


def _joined(number: int, start: int, n: int, picked: Sequence[tuple[Stored, ...]]) -> Edges:
    counts, ends, above = (load(part) for part in picked[number][:3])
    found = _matrix(counts, ends, above, n)
    for parts in picked[number:]:  # a lower row is in this shard or an earlier one than the row it was seen from
        first, last = (int(bound) for bound in load(parts[6])[number : number + 2])
        if last > first:
            lower, upper, back = (load_rows(part, first, last) for part in parts[3:6])
            found = found.maximum(_matrix(np.bincount(lower - start, minlength=len(counts)), upper, back, n))
    source = np.repeat(np.arange(start, start + len(counts), dtype=np.int32), np.diff(found.indptr))
    return source, found.indices.astype(np.int32, copy=False), found.data - np.float32(_SHIFT)


def edges_at(crew: Crew, name: str, edges: Sequence[EdgeShard], faces: NDArray[np.bool_], *, both: bool = False) -> list[EdgeShard]:
    """The edges with one end, or with `both` ends, among the faces (n,), shard by shard."""
    mask = crew.shelf.keep(f"{name}/faces", faces)
    found = crew.map(_select, [(crew.shelf, f"{name}/{i}", shard, mask, both) for i, shard in enumerate(edges)])
    return [EdgeShard(*parts) for parts in found]


def _select(shelf: Shelf, name: str, shard: EdgeShard, faces: Stored, both: bool) -> tuple[Stored, ...]:
    def make() -> Edges:
        source, target, above = shard.arrays()
        mask = load(faces)
        use = mask[source] & mask[target] if both else mask[source] | mask[target]
        return source[use], target[use], above[use]

    return kept(shelf, name, ("source", "target", "above"), make)


class _Links:
    """Edges of rows to others, collected block by block."""

    def __init__(self) -> None:
        self.counts: list[NDArray[np.int32]] = []  # of each row
        self.ends: list[NDArray[np.int32]] = []
        self.weights: list[NDArray[np.float32]] = []

    def add(self, near: NDArray[np.integer], above: NDArray[np.float64], keep: NDArray[np.bool_]) -> None:
        """Add the links `keep` of some rows: (rows, k) each."""
        self.counts.append(keep.sum(axis=1, dtype=np.int32))
        self.ends.append(near[keep].astype(np.int32))
        self.weights.append((above[keep] + _SHIFT).astype(np.float32))

    def parts(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
        """How many edges each row has, their other ends and weights; frees the blocks."""
        found = np.concatenate(self.counts), np.concatenate(self.ends), np.concatenate(self.weights)
        del self.counts, self.ends, self.weights
        return found


def _matrix(counts: NDArray[np.integer], ends: NDArray[np.int32], weights: NDArray[np.float32], n: int) -> csr_matrix:
    """Edges as a matrix (rows, n): row by row, `counts` (rows,) of each."""
    return csr_matrix((weights, ends, np.r_[0, np.cumsum(counts, dtype=np.int64)]), shape=(len(counts), n))
