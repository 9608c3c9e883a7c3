"""How good a grouping is, against known answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facecluster.errors import ArgumentError
from facecluster.evaluation import Scores, score
from facecluster.language.english import plural


@dataclass(frozen=True, slots=True, repr=False)
class GroupingScores:
    """Figures of a grouping, each 0 to 1 and 1 for a perfect one; `ari` is 0 for labels drawn at random, and may lie below."""

    faces: int
    people: int  # by the truth
    groups: int  # by the labels
    nobody: int  # faces with the label -1
    pairwise: Scores  # of all pairs of faces: precision, recall, f
    bcubed: Scores  # mean over the faces: precision, recall, f (Bagga & Baldwin 1998)
    nmi: float  # normalized mutual information
    ari: float  # adjusted Rand index

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts and numbers, for JSON."""
        return asdict(self)

    def __repr__(self) -> str:
        of = f"{plural(self.faces, 'face')} of {plural(self.people, 'person', 'people')}"
        counts = f"{of} in {plural(self.groups, 'group')}, {self.nobody:,} without a group"
        rows = [f"{name:<9} {s.precision:>9.4f} {s.recall:>9.4f} {s.f:>9.4f}" for name, s in self._rows()]
        return "\n".join([counts, f"{'':<9} {'precision':>9} {'recall':>9} {'F':>9}", *rows, f"NMI {self.nmi:.4f}, ARI {self.ari:.4f}"])

    def _rows(self) -> list[tuple[str, Scores]]:
        return [("pairwise", self.pairwise), ("BCubed", self.bcubed)]


def evaluate(labels: ArrayLike, truth: ArrayLike) -> GroupingScores:
    """Measure a grouping against known answers.

    Args:
        labels: (n,) whole numbers or text, the group of each face; -1 or '' is nobody: a group of its own.
        truth: (n,) whole numbers or text, who each face is; -1 or '' is somebody who is on no other face.

    Raises:
        ArgumentError: lengths that differ, or labels that are neither whole numbers nor text.
    """
    found, known = _column(labels, "labels"), _column(truth, "truth")
    if len(found) != len(known):
        raise ArgumentError(f"expected as many labels as answers, found {len(found)} labels and {len(known)} answers: give each face both")
    grouping = score(known, found).grouping
    assert grouping is not None
    return GroupingScores(
        grouping.faces, grouping.people, grouping.groups, grouping.nobody, grouping.pairwise, grouping.bcubed, grouping.nmi, grouping.ari
    )


def _column(values: ArrayLike, name: str) -> NDArray[Any]:
    expected = f"whole numbers or text (n,) as {name}"
    try:
        array = np.asarray(values)
    except ValueError:
        raise ArgumentError(f"expected {expected}, found lists of different lengths: give each face one") from None
    if array.ndim != 1:
        raise ArgumentError(f"expected {expected}, found {type(values).__name__} {array.shape}: give each face one")
    if not len(array):
        return np.zeros(0, np.int64)
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.rint(array)).all():
        return array.astype(np.int64)  # pandas makes floats of whole numbers where a column once had a gap
    kinds = {type(v).__name__ for v in array[:100_000]} if array.dtype.kind == "O" else {str(array.dtype)}
    if array.dtype.kind in "iuU" or kinds == {"str"}:
        return array
    what = "NaN or infinity" if array.dtype.kind == "f" and not np.isfinite(array).all() else " and ".join(sorted(kinds))
    raise ArgumentError(f"expected {expected}, found {what}: -1, or '' among text, stands for a face whose person is not known")
