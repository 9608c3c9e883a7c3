"""The groups of a run after decisions, so that an action takes effect at once. Pure.

Unlike a new grouping, this does not use vectors. In each group, the sets of faces that decisions link are divided into parts, so that no
part holds two sets with a cannot-link. Faces without a decision stay with the part that was not split off. Then parts with faces of one
linked set are merged. If that would join two sets with a cannot-link, the conflicting set of the smaller part becomes a part of its own.

Odd inputs: a part of a single face is nobody, unless the face has a name; a decision about faces that are not in the run has no effect.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facecluster.decisions import ResolvedDecisions

Ints = NDArray[np.int64]
_Linked = tuple[int, str, bool]  # row of a face, the face that stands for its set, whether it was split off


@dataclass(slots=True)
class _Part:
    """Linked sets that may be one person."""

    roots: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    weight: int = 0  # faces of its sets
    staying: int = 0  # of these, faces that were not split off
    merged_into: int = -1  # number of another part; -1 = not merged


def apply_decisions(identity: Ints, rows: Mapping[str, int], resolved: ResolvedDecisions, split_off: Collection[str]) -> Ints:
    """The groups (n,) after decisions: 0, 1, ... by falling number of faces; -1 = nobody.

    Args:
        identity: (n,) group of each face in the run; -1 = nobody.
        rows: row of each face_id.
        resolved: the decisions.
        split_off: faces that were split off.
    """
    regrouping = _Regrouping(resolved)
    identity = identity.copy()
    identity[[row for face in resolved.aside if (row := rows.get(face, -1)) >= 0]] = -1
    linked = unsettled(identity, rows, resolved, split_off)
    inside: dict[int, dict[str, tuple[int, int]]] = {}  # group -> set -> (faces, faces that were not split off)
    for row, root, gone in linked:
        counts = inside.setdefault(int(identity[row]), {})
        faces, stay = counts.get(root, (0, 0))
        counts[root] = (faces + 1, stay + (not gone))
    home = {group: regrouping.assign_sets(group, sets) for group, sets in sorted(inside.items())}
    regrouping.merge_parts()
    # groups keep their numbers; numbers of parts follow those of groups
    base = int(identity.max(initial=-1)) + 1
    out = identity.astype(np.int64).copy()
    into = np.arange(base)
    for group, part in home.items():
        if group >= 0:
            into[group] = base + regrouping.final_part(part)
    out[identity >= 0] = into[identity[identity >= 0]]
    for row, root, _ in linked:
        out[row] = base + regrouping.final_part(regrouping.part_of[int(identity[row]), root])
    return _numbered(out, rows, resolved)


def unsettled(identity: Ints, rows: Mapping[str, int], resolved: ResolvedDecisions, split_off: Collection[str]) -> list[_Linked]:
    """The linked faces whose group may change, by face_id: those of sets in several groups, and of groups with several sets.

    A set that is the only one in the one group of its faces, as after nearly every name, leaves the group as it is.
    """
    root_of = resolved.links.root
    linked = [(face, row, root_of(face)) for face in list(resolved.links.parent) if (row := rows.get(face, -1)) >= 0]
    groups = identity[[row for _, row, _ in linked]].tolist() if linked else []
    set_of: dict[int, str] = {}
    group_of: dict[str, int] = {}
    mixed, spread = {-1}, set[str]()  # groups with several sets (faces of nobody are none), and sets in several groups
    for (_, _, root), group in zip(linked, groups, strict=True):
        if set_of.setdefault(group, root) != root:
            mixed.add(group)
        if group_of.setdefault(root, group) != group:
            spread.add(root)
    open_ = sorted(entry for entry, group in zip(linked, groups, strict=True) if group in mixed or entry[2] in spread)
    return [(row, root, face in split_off) for face, row, root in open_]


def _numbered(groups: Ints, rows: Mapping[str, int], resolved: ResolvedDecisions) -> Ints:
    """Number groups from 0 by falling number of faces, ties by their first row; single faces without a name are nobody."""
    out: Ints = np.full(len(groups), -1, dtype=np.int64)
    grouped = np.flatnonzero(groups >= 0)
    sizes = np.bincount(groups[grouped])
    first: Ints = np.zeros(len(sizes), dtype=np.int64)
    first[groups[grouped[::-1]]] = grouped[::-1]
    kept = sizes >= 2
    single = {int(first[group]): group for group in np.flatnonzero(sizes == 1).tolist()}
    if single:
        links = resolved.links
        for face in list(links.parent):
            if (group := single.get(rows.get(face, -1), -1)) >= 0 and links.name.get(links.root(face)):
                kept[group] = True
    people = np.flatnonzero(kept)
    number: Ints = np.full(len(sizes), -1, dtype=np.int64)
    number[people[np.lexsort((first[people], -sizes[people]))]] = np.arange(len(people))
    out[grouped] = number[groups[grouped]]
    return out


class _Regrouping:
    """Divides linked sets into parts, and merges parts."""

    def __init__(self, resolved: ResolvedDecisions) -> None:
        self.links = resolved.links
        self.parts: list[_Part] = []
        self.part_of: dict[tuple[int, str], int] = {}  # (group, set) -> part
        self.groups_of: dict[str, list[int]] = {}  # of a set

    def final_part(self, part: int) -> int:
        """The part that a part was merged into."""
        while self.parts[part].merged_into >= 0:
            part = self.parts[part].merged_into
        return part

    def assign_sets(self, group: int, sets: Mapping[str, tuple[int, int]]) -> int:
        """Put each set of a group, largest first, into the first part without a conflict. Returns the part for faces without a decision."""
        mine: list[int] = []
        for root, (faces, stay) in sorted(sets.items(), key=lambda item: (-item[1][0], item[0])):
            # faces of nobody are not one group: each set is a part of its own
            at = next((p for p in mine if group >= 0 and not self._conflicts(root, self.parts[p])), -1)
            if at < 0:
                at = len(self.parts)
                self.parts.append(_Part())
                mine.append(at)
            self._add(group, root, faces, stay, at)
        return max(mine, key=lambda p: self.parts[p].staying)

    def merge_parts(self) -> None:
        """Merge all parts that hold faces of one set."""
        for group, root in self.part_of:
            self.groups_of.setdefault(root, []).append(group)
        for root, groups in sorted(self.groups_of.items()):
            for group in groups[1:]:
                one, two = (self.final_part(self.part_of[g, root]) for g in (groups[0], group))
                if one != two:
                    first, second = sorted((one, two), key=lambda p: -self.parts[p].weight)
                    self._move_conflicting(root, second, self.parts[first])
                    self._merge(first, second)

    def _conflicts(self, root: str, part: _Part) -> bool:
        name = self.links.name.get(root)
        others = part.names - {name}
        return not part.roots.isdisjoint(self.links.cannot_link.get(root, ())) or (name is not None and bool(others))

    def _add(self, group: int, root: str, faces: int, stay: int, at: int) -> None:
        part = self.parts[at]
        part.roots.add(root)
        part.names.update(filter(None, (self.links.name.get(root),)))
        part.weight, part.staying = part.weight + faces, part.staying + stay
        self.part_of[group, root] = at

    def _move_conflicting(self, link: str, part: int, other: _Part) -> None:
        """Move the sets that conflict with the other part out of a part."""
        for root in sorted(r for r in self.parts[part].roots if r != link and self._conflicts(r, other)):
            self.parts[part].roots.discard(root)
            self.parts[part].names.discard(self.links.name.get(root, ""))
            self.parts.append(_Part({root}, set(filter(None, (self.links.name.get(root),))), 1))
            for group in self.groups_of[root]:
                if self.final_part(self.part_of[group, root]) == part:
                    self.part_of[group, root] = len(self.parts) - 1

    def _merge(self, first: int, second: int) -> None:
        one, two = self.parts[first], self.parts[second]
        one.roots |= two.roots
        one.names |= two.names
        one.weight += two.weight
        two.merged_into = first
