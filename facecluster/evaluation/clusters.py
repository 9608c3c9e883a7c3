"""Measures of a grouping: pairwise and BCubed precision and recall, NMI, ARI, all from one contingency table, in O(N log N).

Odd inputs: without faces, or without a pair to judge, every figure is 1 (nothing is wrong). A face with the label -1 (nobody; '' if labels
are text) is a group of its own, in `truth` and in `labels`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

NOBODY = -1
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scores:
    """Precision, recall and their harmonic mean, each 0 to 1."""

    precision: float
    recall: float
    f: float


@dataclass(frozen=True, slots=True, eq=False)
class Contingency:
    """Numbers of faces by person and group: the non-empty cells only."""

    cells: Ints  # (c,) faces in each cell
    person: Ints  # (c,) person of each cell
    group: Ints  # (c,) group of each cell
    people: Ints  # (p,) faces of each person
    groups: Ints  # (g,) faces of each group
    cell: Ints  # (n,) cell of each face


def contingency(truth: ArrayLike, labels: ArrayLike) -> Contingency:
    """Count faces by person and group.

    Args:
        truth: (n,) int or str, the person of each face.
        labels: (n,) int or str, the group of each face.

    Raises:
        ValueError: different lengths, or labels that are neither integers nor text.
    """
    a, b = codes(truth), codes(labels)
    if len(a) != len(b):
        raise ValueError(f"expected as many labels as faces, found {len(b)} and {len(a)}")
    columns = int(b.max()) + 1 if len(b) else 1
    keys, cell, cells = np.unique(a * columns + b, return_inverse=True, return_counts=True)
    person, group = keys // columns, keys % columns
    return Contingency(
        cells.astype(np.int64), person, group, np.bincount(a).astype(np.int64), np.bincount(b).astype(np.int64), cell.reshape(-1)
    )


def pairwise(truth: ArrayLike, labels: ArrayLike) -> Scores:
    """Pairwise precision (share of the pairs in one group that are one person) and recall (share of the pairs of one person in one group).

    Args:
        truth: (n,) int or str, the person of each face.
        labels: (n,) int or str, the group of each face.
    """
    return pairwise_of(contingency(truth, labels))


def pairwise_of(table: Contingency) -> Scores:
    """`pairwise` from a contingency table."""
    right = _pairs(table.cells)
    return scores(_ratio(right, _pairs(table.groups)), _ratio(right, _pairs(table.people)))


def bcubed(truth: ArrayLike, labels: ArrayLike) -> Scores:
    """BCubed precision and recall: means over faces (Bagga & Baldwin 1998; Amigo et al. 2009, section 3).

    The precision of a face is the share of its group, including itself, that is the same person. Its recall is the share of its person,
    including itself, that is in its group.

    Args:
        truth: (n,) int or str, the person of each face.
        labels: (n,) int or str, the group of each face.
    """
    return bcubed_of(contingency(truth, labels))


def bcubed_of(table: Contingency) -> Scores:
    """`bcubed` from a contingency table."""
    n = float(table.cells.sum())
    if not n:
        return scores(1.0, 1.0)
    square = table.cells.astype(np.float64) ** 2
    return scores(float((square / table.groups[table.group]).sum()) / n, float((square / table.people[table.person]).sum()) / n)


def nmi(truth: ArrayLike, labels: ArrayLike) -> float:
    """Normalized mutual information, 0 to 1: 2 I(truth; labels) / (H(truth) + H(labels)) (Vinh et al. 2010, table 2, NMI_sum).

    With many small groups it is high by chance. ARI is corrected for that; NMI is given because papers quote it.

    Args:
        truth: (n,) int or str, the person of each face.
        labels: (n,) int or str, the group of each face.
    """
    return nmi_of(contingency(truth, labels))


def nmi_of(table: Contingency) -> float:
    """`nmi` from a contingency table."""
    n = float(table.cells.sum())
    entropy = _entropy(table.people, n) + _entropy(table.groups, n)
    if not entropy:
        return 1.0
    # mutual information: H(truth) + H(labels) - H(both); rounding can take the result below 0 or above 1
    shared = entropy - _entropy(table.cells, n)
    return float(np.clip(2 * shared / entropy, 0, 1))


def ari(truth: ArrayLike, labels: ArrayLike) -> float:
    """Rand index adjusted for chance, at most 1 (all pairs right), 0 for labels drawn at random (Hubert & Arabie 1985, equation 5).

    Args:
        truth: (n,) int or str, the person of each face.
        labels: (n,) int or str, the group of each face.
    """
    return ari_of(contingency(truth, labels))


def ari_of(table: Contingency) -> float:
    """`ari` from a contingency table."""
    n = int(table.cells.sum())
    both, people, groups, every = _pairs(table.cells), _pairs(table.people), _pairs(table.groups), n * (n - 1) // 2
    # whole numbers of any size: the products pass 64 bits at 100,000 faces of few people
    most = (people + groups) * every - 2 * people * groups
    return 2 * (both * every - people * groups) / most if most else 1.0


def by_face(table: Contingency) -> tuple[Floats, Floats]:
    """BCubed precision and recall of each face, (n,) each, 0 to 1."""
    cells = table.cells.astype(np.float64)
    return (cells / table.groups[table.group])[table.cell], (cells / table.people[table.person])[table.cell]


def codes(labels: ArrayLike) -> Ints:
    """Labels (n,) as 0, 1, ...; each -1 (or '') gets a number of its own. Raises ValueError unless labels are integers or text."""
    values = np.asarray(labels).ravel()
    if values.dtype.kind == "O" and all(isinstance(v, str) for v in values):
        values = values.astype(str)
    if len(values) and values.dtype.kind not in "iuU":
        raise ValueError(f"expected whole numbers or text as labels, found {values.dtype}")
    alone = np.flatnonzero(values == ("" if values.dtype.kind == "U" else NOBODY))
    found = np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)
    if not len(alone):
        return found
    found[alone] = len(values) + np.arange(len(alone))
    return np.unique(found, return_inverse=True)[1].reshape(-1).astype(np.int64)


def scores(precision: float, recall: float) -> Scores:
    """Scores with F, which is 0 if both are 0."""
    total = precision + recall
    return Scores(precision, recall, 2 * precision * recall / total if total else 0.0)


def _pairs(counts: Ints) -> int:
    return int((counts * (counts - 1) // 2).sum())


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _entropy(counts: Ints, n: float) -> float:
    """Entropy in nats of a partition of n faces (no part empty); exactly 0 for a single part."""
    share = counts / n if n else np.zeros(0)
    return float(-(share * np.log(share)).sum()) if len(counts) > 1 else 0.0
