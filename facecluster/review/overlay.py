"""Decisions laid over the groups of a run, so that an act shows at once. Pure.

Grouping anew looks at vectors; this does not. In each group, sets of faces that decisions tie together are dealt out so that no two
that must be apart are in one part; faces of which nothing was said stay with the part that was not split off. Then parts that hold faces
of one tied set become one; where that would bring together what must be apart, the smaller set goes its own way.

Odd inputs: a part of a single face is nobody; a decision about faces that are not in the run has no effect.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facecluster.decisions import ResolvedDecisions

Ints = NDArray[np.int64]


@dataclass(slots=True)
class _Part:
    """Tied sets that may be one person."""

    roots: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    weight: int = 0  # faces of its sets
    staying: int = 0  # of these, faces that were not split off
    into: int = -1  # the part that it became part of; -1 = it stands


def regroup(identity: Ints, rows: Mapping[str, int], verdict: ResolvedDecisions, left: Collection[str]) -> Ints:
    """The groups (n,) as decisions leave them, 0, 1, ... by falling number of faces; -1 = nobody.

    Args:
        identity: (n,) group of each face in the run; -1 = nobody.
        rows: row of each face_id.
        verdict: what decisions come to.
        left: faces that were split off.
    """
    dealing = _Dealing(verdict)
    tied = [(row, verdict.links.root(face), face in left) for face in sorted(verdict.links.parent) if (row := rows.get(face, -1)) >= 0]
    inside: dict[int, dict[str, tuple[int, int]]] = {}  # of a group: of each set, faces and those of them that stay
    for row, root, gone in tied:
        counts = inside.setdefault(int(identity[row]), {})
        faces, stay = counts.get(root, (0, 0))
        counts[root] = (faces + 1, stay + (not gone))
    home = {group: dealing.deal(group, sets) for group, sets in sorted(inside.items())}
    dealing.join()
    # groups keep their numbers; parts are numbered above them
    base = int(identity.max(initial=-1)) + 1
    out = identity.astype(np.int64).copy()
    into = np.arange(base)
    for group, part in home.items():
        if group >= 0:
            into[group] = base + dealing.top(part)
    out[identity >= 0] = into[identity[identity >= 0]]
    for row, root, _ in tied:
        out[row] = base + dealing.top(dealing.place[int(identity[row]), root])
    return _numbered(out)


def _numbered(groups: Ints) -> Ints:
    """Groups from 0 by falling number of faces, ties by their first row; single faces are nobody."""
    out: Ints = np.full(len(groups), -1, dtype=np.int64)
    some = np.flatnonzero(groups >= 0)
    if not len(some):
        return out
    _, first, label, sizes = np.unique(groups[some], return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    number: Ints = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order))
    number[sizes < 2] = -1
    out[some] = number[label]
    return out


class _Dealing:
    """Deals tied sets into parts, and joins parts."""

    def __init__(self, verdict: ResolvedDecisions) -> None:
        self.ties = verdict.links
        self.parts: list[_Part] = []
        self.place: dict[tuple[int, str], int] = {}  # (group, set) -> part
        self.groups: dict[str, list[int]] = {}  # of a set

    def top(self, part: int) -> int:
        """The part that it has become."""
        while self.parts[part].into >= 0:
            part = self.parts[part].into
        return part

    def deal(self, group: int, sets: Mapping[str, tuple[int, int]]) -> int:
        """Deal the sets of a group, the largest first, each into the first part where it may be; the part that others stay with."""
        mine: list[int] = []
        for root, (faces, stay) in sorted(sets.items(), key=lambda item: (-item[1][0], item[0])):
            # nobody's faces have nothing in common
            at = next((p for p in mine if group >= 0 and not self._clash(root, self.parts[p])), -1)
            if at < 0:
                at = len(self.parts)
                self.parts.append(_Part())
                mine.append(at)
            self._put(group, root, faces, stay, at)
        return max(mine, key=lambda p: self.parts[p].staying)

    def join(self) -> None:
        """Make one of all parts that hold faces of one set."""
        for group, root in self.place:
            self.groups.setdefault(root, []).append(group)
        for root, groups in sorted(self.groups.items()):
            for group in groups[1:]:
                one, two = (self.top(self.place[g, root]) for g in (groups[0], group))
                if one != two:
                    first, second = sorted((one, two), key=lambda p: -self.parts[p].weight)
                    self._evict(root, second, self.parts[first])
                    self._unite(first, second)

    def _clash(self, root: str, part: _Part) -> bool:
        name = self.ties.name.get(root)
        others = part.names - {name}
        return not part.roots.isdisjoint(self.ties.cannot_link.get(root, ())) or (name is not None and bool(others))

    def _put(self, group: int, root: str, faces: int, stay: int, at: int) -> None:
        part = self.parts[at]
        part.roots.add(root)
        part.names.update(filter(None, (self.ties.name.get(root),)))
        part.weight, part.staying = part.weight + faces, part.staying + stay
        self.place[group, root] = at

    def _evict(self, link: str, part: int, other: _Part) -> None:
        """Take the sets out of a part that must not be with those of the other."""
        for root in sorted(r for r in self.parts[part].roots if r != link and self._clash(r, other)):
            self.parts[part].roots.discard(root)
            self.parts[part].names.discard(self.ties.name.get(root, ""))
            self.parts.append(_Part({root}, set(filter(None, (self.ties.name.get(root),))), 1))
            for group in self.groups[root]:
                if self.top(self.place[group, root]) == part:
                    self.place[group, root] = len(self.parts) - 1

    def _unite(self, first: int, second: int) -> None:
        one, two = self.parts[first], self.parts[second]
        one.roots |= two.roots
        one.names |= two.names
        one.weight += two.weight
        two.into = first
