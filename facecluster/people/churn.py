"""What a new grouping changes against the one before it. Pure.

Faces are followed one by one; a person goes on where their lasting id does. Of those that do not go on: if most of their faces that are
someone's are in one group, they were merged into it, else they are gone. Of the new ones: if most of their faces that were someone's
before come from one person, they were split off that person, else they are new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from facecluster.people.assign import Ints, overlaps
from facecluster.people.runs import People

SHOWN = 10  # of a kind, in lines for people


@dataclass(slots=True)
class Churn:
    """Counts and the people concerned, by what they are called; merged and split as (who, into or off whom)."""

    before: int = 0  # number of the run before; 0 = there was none
    faces: int = 0  # that are in both runs
    moved: int = 0  # from one person to another
    joined: int = 0  # were nobody's, are someone's
    left: int = 0  # were someone's, are nobody's
    added: int = 0  # faces that were not there before
    removed: int = 0  # faces that are not there any more
    new: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    split: list[tuple[str, str]] = field(default_factory=list)
    merged: list[tuple[str, str]] = field(default_factory=list)
    lost_names: list[str] = field(default_factory=list)  # but for people who were given another
    new_names: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return any(v for k, v in asdict(self).items() if k not in ("before", "faces"))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        if not self.before:
            return [f"the first run: {len(self.new):,} people"]
        if not self:
            return [f"against run {self.before}: nothing changed"]
        share = f" ({self.moved / self.faces:.1%})" if self.faces else ""
        lines = [
            f"against run {self.before}: people {len(self.new):,} new, {len(self.gone):,} gone, {len(self.split):,} split off, "
            f"{len(self.merged):,} merged",
            f"faces: {self.added:,} added, {self.removed:,} removed; of {self.faces:,} others {self.moved:,} moved to someone else{share}, "
            f"{self.joined:,} were nobody's, {self.left:,} are nobody's now",
        ]
        lines += _some("split off", [f"{b} off {a}" for b, a in self.split])
        lines += _some("merged", [f"{a} into {b}" for a, b in self.merged])
        lines += _some("gone", self.gone)
        lines += _some("names that stand nowhere now", self.lost_names)
        return lines


def _some(what: str, items: Sequence[str]) -> list[str]:
    more = f", and {len(items) - SHOWN:,} more" if len(items) > SHOWN else ""
    return [f"  {what}: {', '.join(items[:SHOWN])}{more}"] if items else []


def compare(number: int, before: People, old: Ints, people: People, new: Ints, at: Ints) -> Churn:
    """Compare two runs.

    Args:
        number: of the run before.
        before: its people.
        old: (m,) index in `before` of each of its faces; -1 = nobody.
        people: of the new run.
        new: (n,) index in `people` of each of its faces.
        at: (m,) row in `new` of each face of `old`; -1 = gone.
    """
    there = at >= 0
    was, now = old[there], new[at[there]]
    place = {person: i for i, person in enumerate(people.person_ids)}
    heir = np.array([place.get(person, -1) for person in before.person_ids], dtype=np.int64)
    meant = np.where(was >= 0, heir[was] if len(heir) else -1, -1)
    churn = Churn(
        before=number,
        faces=len(was),
        moved=int(((was >= 0) & (now >= 0) & (meant != now)).sum()),
        joined=int(((was < 0) & (now >= 0)).sum()),
        left=int(((was >= 0) & (now < 0)).sum()),
        added=len(new) - int(there.sum()),
        removed=int((~there).sum()),
    )
    going, coming = _most(was, now, len(before.faces)), _most(now, was, len(people.faces))
    for i in np.flatnonzero(heir < 0).tolist():
        if going[i] >= 0:
            churn.merged.append((before.label(i), people.label(going[i])))
        else:
            churn.gone.append(before.label(i))
    known = set(before.person_ids)
    for j, person in enumerate(people.person_ids):
        if person not in known:
            if coming[j] >= 0:
                churn.split.append((people.label(j), before.label(coming[j])))
            else:
                churn.new.append(people.label(j))
    then, since = ({name for name in p.names if name} for p in (before, people))
    renamed = {before.names[i] for i, j in enumerate(heir.tolist()) if j >= 0 and people.names[j]}
    churn.lost_names, churn.new_names = sorted(then - since - renamed), sorted(since - then)
    return churn


def _most(a: Ints, b: Ints, count: int) -> list[int]:
    """For each group of `a` the group of `b` that has more than half of its faces that are in any; -1 if none has."""
    sizes = np.bincount(a[(a >= 0) & (b >= 0)], minlength=count)
    found = [-1] * count
    for i, j, n in zip(*(x.tolist() for x in overlaps(a, b)), strict=True):
        if 2 * n > sizes[i]:
            found[i] = j
    return found
