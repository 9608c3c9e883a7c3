"""How good a grouping is for the faces of each kind (sex, age band, whatever the truth states), and whether a kind fares worse.

Odd inputs: a face whose value is '' (not stated) is in no group of that column; a column with one value has no rest to compare with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facecluster.evaluation.clusters import Contingency, Floats, Scores, by_face, scores
from facecluster.evaluation.rates import effective, wilson

SURE = 0.95  # of intervals; and of a warning, over all groups together
FAR_OFF = 1.5  # a group's error is far from the rest's if it is this many times as large...
LEAST = 0.01  # ...and more by this


@dataclass(frozen=True, slots=True)
class GroupScore:
    """How the faces of one kind fare, among all faces."""

    column: str
    value: str
    faces: int
    people: int
    pairwise: Scores  # over the pairs (ordered) that start from a face of the kind
    bcubed: Scores  # mean over the faces of the kind
    low: float  # interval of bcubed.f at 95 %
    high: float
    rest: float | None  # bcubed.f of all other faces with a value in the column; None if there are none
    warning: str | None = None  # if the error, 1 - bcubed.f, is far from the rest's and beyond chance


def by_group(table: Contingency, columns: Mapping[str, ArrayLike]) -> list[GroupScore]:
    """Break the figures down by each column (n,) of text, '' = not stated; values in sorted order.

    A group is warned about if its error is at least 1.5 times that of the rest and .01 more, and zero is outside the interval of the
    difference (Newcombe 1998, method 10) at a level of 95 % for all groups together (Bonferroni).
    """
    precision, recall = by_face(table)
    person = table.person[table.cell]
    found = []
    values = as_text(columns, len(person))
    kinds = {name: np.unique(column[column != ""]) for name, column in values.items()}
    tests = sum(len(kind) for kind in kinds.values() if len(kind) > 1)
    for name, column in values.items():
        for kind in kinds[name]:
            here = column == kind
            own = _Sample.of(person, precision, recall, here)
            rest = _Sample.of(person, precision, recall, (column != "") & ~here)
            score = GroupScore(
                name, str(kind), own.faces, own.people, _pairwise(table, here), own.scores, *own.interval(SURE),
                rest.scores.f if rest.faces else None,
            )  # fmt: skip
            found.append(replace(score, warning=_warning(score, own, rest, 1 - (1 - SURE) / max(tests, 1))))
    return found


def as_text(columns: Mapping[str, ArrayLike], n: int) -> dict[str, NDArray[np.str_]]:
    """Columns of text, (n,) each. Raises ValueError if one is longer or shorter."""
    values = {name: np.asarray(list(map(str, np.asarray(column).ravel().tolist())), dtype=str) for name, column in columns.items()}
    for name, column in values.items():
        if len(column) != n:
            raise ValueError(f"expected as many values of {name!r} as faces, found {len(column)} and {n}")
    return values


@dataclass(frozen=True, slots=True)
class _Sample:
    """BCubed of some of the faces, and how much it would vary with other people."""

    faces: int
    people: int
    scores: Scores
    variance: float  # of scores.f

    @classmethod
    def of(cls, person: NDArray[np.int64], precision: Floats, recall: Floats, rows: NDArray[np.bool_]) -> _Sample:
        """Variance by linearisation, with people as the units drawn: the faces of one person go right or wrong together."""
        who = np.unique(person[rows], return_inverse=True)[1].reshape(-1)
        n, people = len(who), int(who.max(initial=-1)) + 1
        if not n:
            return cls(0, 0, scores(1.0, 1.0), 0.0)
        p, r = float(precision[rows].mean()), float(recall[rows].mean())
        off_p = np.bincount(who, weights=precision[rows] - p) / n
        off_r = np.bincount(who, weights=recall[rows] - r) / n
        off = 2 * (r**2 * off_p + p**2 * off_r) / (p + r) ** 2  # the differential of 2 p r / (p + r)
        return cls(n, people, scores(p, r), float((off**2).sum()) * people / max(people - 1, 1))

    def interval(self, level: float) -> tuple[float, float]:
        """Wilson's interval with the effective number of faces (Korn & Graubard 1998): that of a binomial of this variance.

        Where all people fare alike the variance says nothing, and the number of people is taken: nobody of 20 wrong is no proof of 0.
        """
        if not self.faces:
            return 0.0, 1.0
        n = float(self.people)
        if self.people > 1 and self.variance > 1e-12:
            n = min(effective(self.scores.f, self.variance, self.people, level), float(self.faces))
        return wilson(self.scores.f, n, level)


def _pairwise(table: Contingency, here: NDArray[np.bool_]) -> Scores:
    cell = table.cell[here]
    right = float((table.cells[cell] - 1).sum())
    together = float((table.groups[table.group[cell]] - 1).sum())
    belong = float((table.people[table.person[cell]] - 1).sum())
    return scores(right / together if together else 1.0, right / belong if belong else 1.0)


def _warning(score: GroupScore, own: _Sample, rest: _Sample, level: float) -> str | None:
    if min(own.people, rest.people) < 2:  # one person says nothing about others
        return None
    error, other = 1 - own.scores.f, 1 - rest.scores.f
    if error < FAR_OFF * other or error - other < LEAST:
        return None
    upper, lower = own.interval(level)[1] - own.scores.f, rest.scores.f - rest.interval(level)[0]
    if error - other <= np.hypot(upper, lower):
        return None
    return (
        f"{score.column} = {score.value}: BCubed F {own.scores.f:.3f} ({score.low:.3f} to {score.high:.3f}) "
        f"against {rest.scores.f:.3f} for the rest, beyond chance ({own.people} and {rest.people} people)"
    )
