"""Which of the user's decisions are labels that a calibration can be fitted to.

What counts, and why:
- Two faces with names (`named_faces`: named, or linked to a named face by `merge` and `same`) are one person if the names are equal, and
  two people if not. Only these pairs are used for pair probabilities. Pairs of two names are ordinary impostor pairs: nobody chose them
  for being similar.
- `not-same` and `split` are about faces that the tool took for one person. Used as impostor pairs, they would make impostors in general
  look similar. So they don't count as pairs, unless the faces have names.
- For a face's place in its group, `not-same` and `split` count, because they show the tool's mistakes. The groups are made again without
  the decisions: with them, every corrected mistake would be gone. A group counts only if nearly all of its faces have a label. If
  only the surest faces have names and only the wrong ones were taken out, the others would be missing.

What this can't correct: named people are those whom the grouping found, so difficult pairs of one person are too rare. And a wrong face
that the user did not notice has the label "right". So the fit stays close to the old line (see `logistic`), is used only if it is
clearly better (see `cross_validation`), and is not made for membership if no face was ever said to be wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.decisions import ResolvedDecisions
from facecluster.people import named_faces

MIN_LABELLED = 0.8  # share of a group's faces that must have a label
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LabelledFaces:
    """The user's labels of n faces."""

    names: list[str]  # of the people, sorted
    person: Ints  # (n,) index into names; -1 = no name
    rejected: dict[int, set[int]]  # for a name, rows of nameless faces that are somebody else
    unnamed: int  # faces of decisions that have no name


def labelled_faces(resolved: ResolvedDecisions, ids: Sequence[str]) -> LabelledFaces:
    """The labels that decisions give to the faces `ids` (n,)."""
    people = named_faces(resolved)
    rows = {face: i for i, face in enumerate(ids)}
    present = {face: name for face, name in people.items() if face in rows}
    names = sorted(set(present.values()))
    number = {name: i for i, name in enumerate(names)}
    person = np.full(len(ids), -1, np.int64)
    for face, name in present.items():
        person[rows[face]] = number[name]
    links = resolved.links
    linked = sorted(links.parent)  # a copy: links.root() changes `parent`
    unnamed: dict[str, list[int]] = {}
    for face in linked:
        if face in rows and face not in people:
            unnamed.setdefault(links.root(face), []).append(rows[face])
    rejected: dict[int, set[int]] = {}
    for face in linked:
        if face in present:
            for other in links.cannot_link.get(links.root(face), ()):
                rejected.setdefault(number[present[face]], set()).update(unnamed.get(other, ()))
    return LabelledFaces(names, person, rejected, sum(map(len, unnamed.values())))


def judge_members(labelled: LabelledFaces, labels: NDArray[np.integer]) -> tuple[Ints, NDArray[np.float64], Ints]:
    """Which faces are known to be right or wrong members of their group, by groups `labels` (n,), -1 = nobody, made without the decisions.

    A group belongs to the name that most of its faces have. It is left out if two names are equally frequent, or if fewer than two faces
    have the name.

    Returns:
        rows (m,), whether each is right (m,) 0 or 1, and the index of the group's name (m,).
    """
    rows: list[int] = []
    right: list[float] = []
    group_name: list[int] = []
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-2))
    for members in np.split(order, starts[1:]):
        if labels[members[0]] < 0:
            continue
        who = labelled.person[members]
        names, counts = np.unique(who[who >= 0], return_counts=True)
        if not len(names) or counts.max() < 2 or (counts == counts.max()).sum() > 1:
            continue
        name = int(names[counts.argmax()])
        wrong = (who >= 0) & (who != name) | np.isin(members, list(labelled.rejected.get(name, ())))
        judged = (who == name) | wrong
        if judged.mean() >= MIN_LABELLED:
            rows += members[judged].tolist()
            right += (~wrong[judged]).astype(float).tolist()
            group_name += [name] * int(judged.sum())
    return np.array(rows, np.int64), np.array(right, np.float64), np.array(group_name, np.int64)
