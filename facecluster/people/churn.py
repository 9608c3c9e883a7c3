"""The changes from one run to the next. Pure.

Faces are followed one by one; a person continues where their lasting id does. A person of the old run whose id is gone was *merged* if most
of their grouped faces are now in one group, else they are *gone*. A person of the new run with a new id was *split off* if most of their
earlier grouped faces came from one person, else they are *new*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from facecluster.language.english import plural
from facecluster.people.assign_ids import shared_faces
from facecluster.people.claims import Ints
from facecluster.people.runs import People

MAX_LISTED = 10  # people listed in a line


@dataclass(slots=True)
class Churn:
    """Counts, and labels of the people concerned. run.json keeps the fields by name."""

    before: int = 0  # number of the previous run; 0 = this is the first
    faces: int = 0  # faces that are in both runs
    moved: int = 0  # of these, faces that went from one person to another
    joined: int = 0  # faces that had no person and now have one
    left: int = 0  # faces that had a person and now have none
    added: int = 0  # faces that are only in the new run
    removed: int = 0  # faces that are only in the previous run
    new: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    split: list[tuple[str, str]] = field(default_factory=list)  # (person, the person that they were split off)
    merged: list[tuple[str, str]] = field(default_factory=list)  # (person, the person that they are now part of)
    lost_names: list[str] = field(default_factory=list)  # names that nobody has any more, renamed people left out
    new_names: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return any(v for k, v in asdict(self).items() if k not in ("before", "faces"))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The changes as lines of text."""
        if not self.before:
            return [f"the first run: {plural(len(self.new), 'person', 'people')}"]
        if not self:
            return [f"against run {self.before}: nothing changed"]
        share = f" ({self.moved / self.faces:.1%})" if self.faces else ""
        lines = [
            f"against run {self.before}: people {len(self.new):,} new, {len(self.gone):,} gone, {len(self.split):,} split off, "
            f"{len(self.merged):,} merged",
            f"faces: {self.added:,} added, {self.removed:,} removed; of {self.faces:,} others {self.moved:,} moved to another person"
            f"{share}, {self.joined:,} joined a person, {self.left:,} left theirs",
        ]
        lines += _listed("split off", [f"{b} off {a}" for b, a in self.split])
        lines += _listed("merged", [f"{a} into {b}" for a, b in self.merged])
        lines += _listed("gone", self.gone)
        lines += _listed("names that belong to no person now", self.lost_names)
        return lines


def _listed(what: str, items: Sequence[str]) -> list[str]:
    more = f", and {len(items) - MAX_LISTED:,} more" if len(items) > MAX_LISTED else ""
    return [f"  {what}: {', '.join(items[:MAX_LISTED])}{more}"] if items else []


def compare_runs(number: int, before: People, old: Ints, people: People, new: Ints, at: Ints) -> Churn:
    """Compare two runs.

    Args:
        number: number of the previous run.
        before: its people.
        old: (m,) index in `before` of each of its faces; -1 = no person.
        people: the people of the new run.
        new: (n,) index in `people` of each of its faces; -1 = no person.
        at: (m,) row in `new` of each face of `old`; -1 = gone.
    """
    remaining = at >= 0
    was, now = old[remaining], new[at[remaining]]
    index = {person: i for i, person in enumerate(people.person_ids)}
    successor = np.array([index.get(person, -1) for person in before.person_ids], dtype=np.int64)
    expected = np.where(was >= 0, successor[was] if len(successor) else -1, -1)
    churn = Churn(
        before=number,
        faces=len(was),
        moved=int(((was >= 0) & (now >= 0) & (expected != now)).sum()),
        joined=int(((was < 0) & (now >= 0)).sum()),
        left=int(((was >= 0) & (now < 0)).sum()),
        added=len(new) - int(remaining.sum()),
        removed=int((~remaining).sum()),
    )
    destination, origin = _majority(was, now, len(before.faces)), _majority(now, was, len(people.faces))
    for i in np.flatnonzero(successor < 0).tolist():
        if destination[i] >= 0:
            churn.merged.append((before.label(i), people.label(destination[i])))
        else:
            churn.gone.append(before.label(i))
    known = set(before.person_ids)
    for j, person in enumerate(people.person_ids):
        if person not in known:
            if origin[j] >= 0:
                churn.split.append((people.label(j), before.label(origin[j])))
            else:
                churn.new.append(people.label(j))
    old_names, new_names = ({name for name in p.names if name} for p in (before, people))
    renamed = {before.names[i] for i, j in enumerate(successor.tolist()) if j >= 0 and people.names[j]}
    written = {name.casefold() for name in new_names}  # of one name in two cases the later one counts
    churn.lost_names = sorted(name for name in old_names - renamed if name.casefold() not in written)
    churn.new_names = sorted(new_names - old_names)
    return churn


def _majority(a: Ints, b: Ints, count: int) -> list[int]:
    """For each group of `a` the group of `b` that has more than half of its faces that `b` groups; -1 if none has."""
    sizes = np.bincount(a[(a >= 0) & (b >= 0)], minlength=count)
    found = [-1] * count
    for i, j, n in zip(*(x.tolist() for x in shared_faces(a, b)), strict=True):
        if 2 * n > sizes[i]:
            found[i] = j
    return found
