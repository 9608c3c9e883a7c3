"""What the user's own answers say that a calibration can rest on.

What counts, and why:
- Faces that come to a name (`named_faces`: given, or tied to it by `merge` and `same`) are one person if the name is one, two if not.
  For the reading of pairs nothing else counts. Pairs of two names are ordinary strangers: nobody chose them for being alike.
- `not-same` and `split` are about faces that the tool took for one person. As pairs they would stand for strangers in general, and teach
  that strangers are alike; so they don't count there, unless the faces have names.
- For a face's place in its group they count: there it is just the tool's mistakes that are asked about. The groups are made anew without
  the decisions, or every mistake that was put right would be gone. A group counts if nearly all of its faces have an answer: where only the
  surest have names and only the wrong were picked out, the rest would be missing.

What that can't mend: the named people are those whom the grouping found, so hard pairs of one person are too rare among them; and of a
wrong face that the user did not notice, the name says that it is right. So the fit holds on to the line before it (see `fit`), has to
be clearly better (see `cross`), and a place in the group is not fitted to people of whom nothing was ever said to be wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.decisions import Verdict
from facecluster.people import named_faces

COVERED = 0.8  # share of a group's faces that must have an answer
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Known:
    """Answers about n faces."""

    names: list[str]  # of the people, sorted
    person: Ints  # (n,) number of the name; -1 = none
    apart: dict[int, set[int]]  # for a name, rows of faces without one that are somebody else's
    nameless: int  # faces of decisions that come to no name


def known(verdict: Verdict, ids: Sequence[str]) -> Known:
    """What decisions say of the faces `ids` (n,)."""
    people = named_faces(verdict)
    rows = {face: i for i, face in enumerate(ids)}
    there = {face: name for face, name in people.items() if face in rows}
    names = sorted(set(there.values()))
    number = {name: i for i, name in enumerate(names)}
    person = np.full(len(ids), -1, np.int64)
    for face, name in there.items():
        person[rows[face]] = number[name]
    ties = verdict.ties
    tied = sorted(ties.parent)  # reading a root shortens the way to it
    sets: dict[str, list[int]] = {}
    for face in tied:
        if face in rows and face not in people:
            sets.setdefault(ties.root(face), []).append(rows[face])
    apart: dict[int, set[int]] = {}
    for face in tied:
        if face in there:
            for enemy in ties.enemies.get(ties.root(face), ()):
                apart.setdefault(number[there[face]], set()).update(sets.get(enemy, ()))
    return Known(names, person, apart, sum(map(len, sets.values())))


def places(said: Known, labels: NDArray[np.integer]) -> tuple[Ints, NDArray[np.float64], Ints]:
    """Which faces are known to be in the right group of labels (n,), -1 = nobody, that were made without the decisions.

    A group is of the name that most of its faces have; where two have as many, it tells nothing, as where fewer than two have it.

    Returns:
        rows (m,), whether each is right (m,) 0 or 1, and the number of its group's name (m,).
    """
    rows: list[int] = []
    right: list[float] = []
    leader: list[int] = []
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-2))
    for members in np.split(order, starts[1:]):
        if labels[members[0]] < 0:
            continue
        who = said.person[members]
        names, counts = np.unique(who[who >= 0], return_counts=True)
        if not len(names) or counts.max() < 2 or (counts == counts.max()).sum() > 1:
            continue
        name = int(names[counts.argmax()])
        wrong = (who >= 0) & (who != name) | np.isin(members, list(said.apart.get(name, ())))
        judged = (who == name) | wrong
        if judged.mean() >= COVERED:
            rows += members[judged].tolist()
            right += (~wrong[judged]).astype(float).tolist()
            leader += [name] * int(judged.sum())
    return np.array(rows, np.int64), np.array(right, np.float64), np.array(leader, np.int64)
