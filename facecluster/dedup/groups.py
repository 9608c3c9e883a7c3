"""Groups of copies, each around the photo that is kept (the keeper); and groups of photos taken in bursts.

Every photo of a group was compared with its keeper itself, so a chain of small differences never joins two photos that differ much. A photo
that matches a member but not the keeper forms a group of its own with others that are left, or stays alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from facecluster.dedup.copy_check import CopyCheck, Relation
from facecluster.dedup.keeper import BURST_RULES, COPY_RULES, choose_keeper
from facecluster.dedup.photo_facts import PhotoFacts
from facecluster.language.said import say

COPY, PIXELS, NEAR_COPY, IN_BURST = "copy", "pixels", "near", "burst"
KINDS = (COPY, PIXELS, NEAR_COPY, IN_BURST)  # by falling certainty
_SAME_PIXELS = 0.3  # photos of the same pixels have equal thumbnails: above this difference their pixels need not be compared


@dataclass(frozen=True, slots=True)
class Member:
    """A photo of a group that is not kept."""

    photo: int
    kind: str  # PIXELS, NEAR_COPY or IN_BURST
    reason: str  # why it is not the keeper, in words
    relation: Relation | None  # to the keeper; None in a burst


@dataclass(frozen=True, slots=True)
class Group:
    """Copies of one photo, or one burst."""

    keeper: int
    members: list[Member] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PhotoChecks:
    """Checks of two photos that seem to be copies, which open the photos themselves."""

    same_pixels: Callable[[int, int], bool]
    same_faces: Callable[[int, int, Relation], bool]


def find_copies(
    pairs: NDArray[np.int64], copy_check: CopyCheck, facts: PhotoFacts, checks: PhotoChecks, tick: Callable[[int], None]
) -> list[Group]:
    """Groups of copies, from candidate pairs (m, 2). `tick` is called with 1 after each pair."""
    same, root = [], list(range(len(copy_check.photos)))
    for a, b in pairs.tolist():
        one, two = _root(root, a), _root(root, b)
        if one != two and copy_check.relation(a, b) is not None:  # of a hundred copies of a photo, few pairs must be compared
            same.append((a, b))
            root[max(one, two)] = min(one, two)
        tick(1)
    groups = []
    for nodes in _joined(len(copy_check.photos), same):
        left = set(nodes)
        while len(left) > 1:
            group = _take_group(left, copy_check, facts, checks)
            left -= {group.keeper, *(m.photo for m in group.members)}
            if group.members:
                groups.append(group)
    return groups


def _root(root: list[int], node: int) -> int:
    """The lowest node that is joined to this one (union-find with path halving)."""
    while root[node] != node:
        root[node] = root[root[node]]
        node = root[node]
    return node


def _take_group(left: set[int], copy_check: CopyCheck, facts: PhotoFacts, checks: PhotoChecks) -> Group:
    """One group from among photos that pairs join, starting with the photo of most pixels."""
    pixels = {p: int(copy_check.photos.width[p]) * int(copy_check.photos.height[p]) for p in left}
    centre = min(left, key=lambda p: (-pixels[p], p))
    seen, last = [centre], False
    while True:
        relations = _relations(copy_check, checks, centre, left - {centre})
        among = sorted([centre, *relations])
        keeper, reasons = choose_keeper(among, COPY_RULES, replace(facts, relation=relations, group=among))
        if keeper == centre or last:
            break
        # compared with another photo, another may be best (some have a border of one colour cut off): then the one of most bytes is kept
        last = keeper in seen
        centre = max(seen, key=lambda p: int(copy_check.photos.size[p])) if last else keeper
        seen.append(centre)
    members = []
    for photo, relation in sorted(relations.items()):
        exact = relation.difference < _SAME_PIXELS and relation.turn[0] == relation.turn[1] and checks.same_pixels(centre, photo)
        members.append(Member(photo, PIXELS if exact else NEAR_COPY, reasons.get(photo, say("another is nearer to the rest")), relation))
    return Group(centre, members)


def _relations(copy_check: CopyCheck, checks: PhotoChecks, centre: int, others: Iterable[int]) -> dict[int, Relation]:
    found = {photo: copy_check.relation(centre, photo) for photo in others}
    return {photo: relation for photo, relation in found.items() if relation and checks.same_faces(centre, photo, relation)}


def find_bursts(pairs: NDArray[np.int64], copies: Sequence[Group], alike: Callable[[int, int], bool], facts: PhotoFacts) -> list[Group]:
    """Groups of photos taken one after the other that show the same people or scene. Of a group of copies only the keeper is in a burst.

    Args:
        pairs: (m, 2) photos taken shortly after each other.
        copies: groups of copies.
        alike: whether two photos show the same people or scene.
        facts: with `eyes`.
    """
    stands_for = {m.photo: g.keeper for g in copies for m in g.members}
    ends = {(stands_for.get(a, a), stands_for.get(b, b)) for a, b in pairs.tolist()}
    joined = [(a, b) for a, b in sorted(ends) if a != b and alike(a, b)]
    groups = []
    for nodes in _joined(len(facts.photos), joined):
        keeper, reasons = choose_keeper(nodes, BURST_RULES, facts)
        groups.append(Group(keeper, [Member(p, IN_BURST, why, None) for p, why in sorted(reasons.items())]))
    return groups


def _joined(n: int, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Connected sets of two or more numbers below `n`, each sorted, in order of their first."""
    if not pairs:
        return []
    a, b = np.array(pairs).T
    nodes, at = np.unique(np.concatenate([a, b]), return_inverse=True)
    graph = coo_array((np.ones(len(a), bool), (at[: len(a)], at[len(a) :])), shape=(len(nodes), len(nodes)))
    label = connected_components(graph, directed=False)[1]
    order = np.argsort(label, kind="stable")
    parts = np.split(nodes[order], np.flatnonzero(np.diff(label[order])) + 1)
    return sorted((p.tolist() for p in parts), key=lambda part: part[0])
