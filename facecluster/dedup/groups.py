"""Photos that are one picture, as groups around the photo that is kept; and bursts, which are groups of another kind.

Every photo of a group was compared with its keeper itself, so a chain of small differences joins no two that differ much. A photo that is
like a member but not like the keeper forms a group of its own with others that are left, or stays alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from facecluster.dedup.judge import Judge, Relation
from facecluster.dedup.keeper import BURST, NEAR, Facts, choose

COPY, PIXELS, NEAR_COPY, IN_BURST = "copy", "pixels", "near", "burst"
KINDS = (COPY, PIXELS, NEAR_COPY, IN_BURST)  # by falling certainty
_SAME_PIXELS = 0.3  # thumbnails of the same pixels are the same: a difference above this can't be of such


@dataclass(frozen=True, slots=True)
class Member:
    """A photo that is not kept."""

    photo: int
    kind: str  # PIXELS, NEAR_COPY or IN_BURST
    dropped: str  # why it is not the one that is kept, in words
    relation: Relation | None  # how it relates to the keeper; None in a burst


@dataclass(frozen=True, slots=True)
class Group:
    """Photos of one picture, or one burst."""

    keeper: int
    members: list[Member] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Proofs:
    """What is asked about two photos that seem to be one picture: it takes the photos themselves."""

    same_pixels: Callable[[int, int], bool]
    same_faces: Callable[[int, int, Relation], bool]


def find_copies(
    pairs: NDArray[np.int64], judge: Judge, facts: Facts, proofs: Proofs, tick: Callable[[int], None]
) -> list[Group]:
    """Groups of photos that are one picture, from pairs (m, 2) to look at. `tick` is called with the number of pairs compared."""
    same, root = [], list(range(len(judge.photos)))
    for a, b in pairs.tolist():
        one, two = _root(root, a), _root(root, b)
        if one != two and judge.relation(a, b) is not None:  # of a hundred copies of a photo, few pairs need a look
            same.append((a, b))
            root[max(one, two)] = min(one, two)
        tick(1)
    groups = []
    for nodes in _joined(len(judge.photos), same):
        left = set(nodes)
        while len(left) > 1:
            group = _around(left, judge, facts, proofs)
            left -= {group.keeper, *(m.photo for m in group.members)}
            if group.members:
                groups.append(group)
    return groups


def _root(root: list[int], node: int) -> int:
    """The lowest node that is joined to this one; the way there is made shorter."""
    while root[node] != node:
        root[node] = root[root[node]]
        node = root[node]
    return node


def _around(left: set[int], judge: Judge, facts: Facts, proofs: Proofs) -> Group:
    """A group from among photos that hang together somehow."""
    pixels = {p: int(judge.photos.width[p]) * int(judge.photos.height[p]) for p in left}
    centre = min(left, key=lambda p: (-pixels[p], p))
    seen, last = [centre], False
    while True:
        relations = _relations(judge, proofs, centre, left - {centre})
        keeper, dropped = choose(sorted([centre, *relations]), NEAR, replace(facts, relation=relations))
        if keeper == centre or last:
            break
        # compared with another, another may seem best (a border of one colour, cut off by some): then the one of most bytes is
        last = keeper in seen
        centre = max(seen, key=lambda p: int(judge.photos.size[p])) if last else keeper
        seen.append(centre)
    members = []
    for photo, relation in sorted(relations.items()):
        exact = relation.difference < _SAME_PIXELS and relation.turn[0] == relation.turn[1] and proofs.same_pixels(centre, photo)
        members.append(Member(photo, PIXELS if exact else NEAR_COPY, dropped.get(photo, "another is nearer to the rest"), relation))
    return Group(centre, members)


def _relations(judge: Judge, proofs: Proofs, centre: int, others: Iterable[int]) -> dict[int, Relation]:
    found = {photo: judge.relation(centre, photo) for photo in others}
    return {photo: relation for photo, relation in found.items() if relation and proofs.same_faces(centre, photo, relation)}


def find_bursts(pairs: NDArray[np.int64], copies: Sequence[Group], alike: Callable[[int, int], bool], facts: Facts) -> list[Group]:
    """Groups of photos taken one after the other that show the same people or scene. Copies of a photo are not in them again.

    Args:
        pairs: (m, 2) photos near in time.
        copies: groups of copies: their keepers stand for them.
        alike: whether two photos show the same.
        facts: with `eyes`.
    """
    stands_for = {m.photo: g.keeper for g in copies for m in g.members}
    ends = {(stands_for.get(a, a), stands_for.get(b, b)) for a, b in pairs.tolist()}
    joined = [(a, b) for a, b in sorted(ends) if a != b and alike(a, b)]
    groups = []
    for nodes in _joined(len(facts.photos), joined):
        keeper, dropped = choose(nodes, BURST, facts)
        groups.append(Group(keeper, [Member(p, IN_BURST, why, None) for p, why in sorted(dropped.items())]))
    return groups


def _joined(n: int, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Sets of 2 and more numbers below `n` that pairs join, each sorted, in order of their first."""
    if not pairs:
        return []
    a, b = np.array(pairs).T
    nodes, at = np.unique(np.concatenate([a, b]), return_inverse=True)
    graph = coo_array((np.ones(len(a), bool), (at[: len(a)], at[len(a) :])), shape=(len(nodes), len(nodes)))
    label = connected_components(graph, directed=False)[1]
    order = np.argsort(label, kind="stable")
    parts = np.split(nodes[order], np.flatnonzero(np.diff(label[order])) + 1)
    return sorted((p.tolist() for p in parts), key=lambda part: part[0])
