"""How the links of a large collection are made: the way of searching, and how much a task holds at a time.

The way of searching follows from the number of faces, the length of a vector and whether there is a GPU, never from the memory: the
links of a collection are the same whatever a worker may hold. Memory decides only how large the parts are.

Cost for n faces: of the search n times the faces in the lists that are looked at, 16 sqrt(n) to 64 sqrt(n); of the quantiser n sqrt(n);
of sorting n log n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from facecluster.errors import InputError
from facecluster.store import ShardResult, Stamp

FAST_SCAN, FLAT_LISTS, EXACT_SEARCH = "IVF fast scan", "IVF flat", "exact"
PROBES = 20, 128  # lists that a query is searched in, fewest and most; 20 for a million faces (docs/decisions.md)
HOPS = 10, 32  # neighbours of a face whose neighbours it looks at, and how many of theirs
SPARE = 64  # more candidates than neighbours: the cosines of all are computed from the full vectors, and the best are kept
SHORTEST = 32  # numbers of a vector from which a code of two numbers in four bits is sharp enough
SAMPLED = 32  # faces a list that the quantiser is trained on
BLOCK = 4_096  # queries of one search, between two updates of the progress bar
AUDITED = 2_000  # faces that are compared with all others, to see how many neighbours were found
MEMORY = 4 * 10**9  # bytes of a worker, unless the user says otherwise
_LEAST_MEMORY = 10**9
WORK = 2  # version of the tables of the work: what an older one left half done is begun anew
_BASE = 400 * 2**20  # what a process takes before it has any vectors

Tick = Callable[[int], None]
Task = Callable[..., ShardResult]


class Run(Protocol):
    """Has a task done for each of `names`."""

    def __call__(self, what: str, total: int, names: Sequence[str], task: Task, *, gpu: bool = False) -> list[ShardResult]:
        """`what` is counted, `total` of it; `gpu`: by workers that have a GPU, where there are some."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPlan:
    """What the tasks of a large collection's links need to know; small, and sent to every worker."""

    embeddings: str  # table of the vectors
    links: str  # table to write
    sources: str  # hash of the tables that the links are made from
    faces: int
    dim: int
    k: int  # neighbours a face
    rows: int  # a shard of links
    method: str  # FAST_SCAN or FLAT_LISTS
    lists: int  # of the inverted file
    probes: int
    same_person: float  # cosine from which a neighbour counts in the audit
    # how much is held at a time; without effect on the links
    span: int  # shards of links of one task
    parts: int  # parts that the inverted lists are in; searched one after another
    held: int  # full vectors in memory at a time
    gpu: bool = False  # whether lists are searched by workers that have a GPU, where there are some

    @property
    def whole(self) -> bool:
        """Whether all full vectors may be in memory at a time."""
        return self.held >= self.faces

    @property
    def candidates(self) -> int:
        """Faces whose cosines are computed for a query."""
        return self.k + SPARE

    @property
    def tasks(self) -> list[str]:
        """Names of the parts of the faces that one task does at a time."""
        return [f"{i:05d}" for i in range(-(-self.faces // (self.rows * self.span)))]

    @property
    def list_parts(self) -> list[str]:
        return [f"{i:05d}" for i in range(self.parts)]

    def shards(self, task: str | None = None) -> list[str]:
        """Shards of links, of vectors in order: of a task, or all."""
        first = 0 if task is None else int(task) * self.span
        last = -(-self.faces // self.rows)
        return [f"{i:05d}" for i in range(first, last if task is None else min(last, first + self.span))]

    def work(self, name: str) -> str:
        """Name of a table that is deleted when the links are there."""
        return f"{work_folder(self.links)}/{name}"

    def stamp(self, name: str) -> Stamp:
        """Of a table of the work."""
        sizes = {"rows": self.rows, "span": self.span, "parts": self.parts}
        return {"table": name, "work": WORK, "sources": self.sources, "faces": self.faces, **self.decides, **sizes}

    @property
    def decides(self) -> dict[str, str | int]:
        """The settings that decide the links."""
        hops = f"{HOPS[0]} x {HOPS[1]}"
        return {"k": self.k, "method": self.method, "lists": self.lists, "probes": self.probes, "hops": hops}


def work_folder(links: str) -> str:
    """The folder of the tables from which a table of links is made."""
    return links.replace("links/", "linking/", 1)


def chosen_method(faces: int, dim: int, *, exact: int, gpus: int) -> str:
    """The way of searching: every pair up to `exact` faces; above, lists of full vectors on a GPU or where vectors are short, or codes."""
    if faces <= exact:
        return EXACT_SEARCH
    return FLAT_LISTS if gpus or dim < SHORTEST or dim % 2 else FAST_SCAN


def chosen_lists(faces: int) -> tuple[int, int]:
    """How many lists there are, and how many a query is searched in: the more faces, the further apart in the lists are near ones."""
    lists, (fewest, most) = int(2 * faces**0.5), PROBES
    return lists, min(lists, most, max(fewest, round(0.01 * lists)))


def sizes(faces: int, dim: int, k: int, rows: int, method: str, memory: int) -> dict[str, int]:
    """`span`, `parts` and `held` of a plan whose tasks take at most `memory` bytes. Raises InputError if that is too little for any."""
    if memory < _LEAST_MEMORY:
        raise InputError(f"expected --memory 1GB or more, found {memory / 1e9:.2f} GB: give a worker more, and use fewer of them")
    room, vectors = memory - _BASE, 4 * dim * faces
    all_fit = vectors <= room // 2
    share = room // (6 if all_fit else 4)  # of the queries, of the lists, and of whom others are near; the rest is for full vectors
    entry = (dim // 4 + 24 if method == FAST_SCAN else 4 * dim + 16) * 3  # while lists are packed: the table, its order, the result
    query = max(12 * (k + SPARE) + 4 * PROBES[1], 8 * k + 8 * HOPS[0] * HOPS[1]) + 8 * dim
    return {
        "span": max(1, min(share // (query * rows), faces // 1_000_000)),
        "parts": max(1, min(int(2 * faces**0.5), -(-faces * entry // share))),
        "held": (-(-faces // rows) if all_fit else max(1, share // (4 * dim * rows))) * rows,
    }


def blocks(n: int, size: int) -> Iterator[slice]:
    """Slices of `size` that make up n things."""
    yield from (slice(start, min(n, start + size)) for start in range(0, n, size))
