"""Measures of a grouping by subgroups (sex, age band, or other columns of the answers), and warnings if a subgroup is much worse.

Odd inputs: a face with the value '' (not stated) is in no subgroup of that column; a column with one value has no rest to compare with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facecluster.evaluation.clusters import Contingency, Floats, Scores, by_face, scores
from facecluster.evaluation.error_rates import effective, wilson

SURE = 0.95  # level of intervals, and of warnings over all subgroups together
FAR_OFF = 1.5  # a subgroup is warned about if its error is at least this many times that of the rest...
LEAST = 0.01  # ...and larger by at least this


@dataclass(frozen=True, slots=True)
class GroupScore:
    """Scores of one subgroup, among all faces."""

    column: str
    value: str
    faces: int
    people: int
    pairwise: Scores  # over the ordered pairs whose first face is in the subgroup
    bcubed: Scores  # mean over the faces of the subgroup
    low: float  # interval of bcubed.f at 95 %
    high: float
    rest: float | None  # bcubed.f of all other faces with a value in the column; None if there are none
    warning: str | None = None  # if the error, 1 - bcubed.f, is much larger than that of the rest, and not by chance


def by_group(table: Contingency, columns: Mapping[str, ArrayLike]) -> list[GroupScore]:
    """Break the scores down by each column (n,) of text, '' = not stated; values in sorted order.

    A subgroup is warned about if its error is at least 1.5 times that of the rest and at least .01 larger, and the interval of the
    difference (Newcombe 1998, method 10) does not contain zero, at a level of 95 % for all subgroups together (Bonferroni).
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
    """Columns as text, (n,) each. Raises ValueError if a column has another length."""
    values = {name: np.asarray(list(map(str, np.asarray(column).ravel().tolist())), dtype=str) for name, column in columns.items()}
    for name, column in values.items():
        if len(column) != n:
            raise ValueError(f"expected as many values of {name!r} as faces, found {len(column)} and {n}")
    return values


@dataclass(frozen=True, slots=True)
class _Sample:
    """BCubed of some of the faces, and its variance over samples of people."""

    faces: int
    people: int
    scores: Scores
    variance: float  # of scores.f

    @classmethod
    def of(cls, person: NDArray[np.int64], precision: Floats, recall: Floats, rows: NDArray[np.bool_]) -> _Sample:
        """Variance by linearisation, with people as the sampling units, because the errors of one person's faces are dependent."""
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
        """Wilson's interval with the effective number of faces (Korn & Graubard 1998): that of a binomial with this variance.

        If all people have the same score, the variance is 0 and tells nothing. Then the number of people is used: no error among 20 people
        does not prove an error rate of 0.
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
    if min(own.people, rest.people) < 2:  # one person gives no variance between people
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
