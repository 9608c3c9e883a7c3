"""The user's must-links and cannot-links on pairs of faces: must-links merge clusters, cannot-links divide them.

A cluster that holds a cannot-link is divided into sides, and every face gets a side. Faces that must-links hold together (an atom) stay
together. The atoms named in cannot-links are assigned first, each to the most similar side that it may join. The other atoms follow, each
to the side with the highest mean similarity. If a side would be merged with the largest one by its vectors alone, the cannot-link means a
few faces, not two persons: then its other atoms go back, and only the atoms that must leave do. (The largest side is the one with most
faces named in cannot-links.)

Odd inputs: a cannot-link between two faces of one atom has no effect. The order of rows does not matter, except among copies of one face.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from facecluster.grouping.average_linkage import AverageLinkage, Ints, Pairs, compact_labels
from facecluster.grouping.face_vectors import Vectors

_HALVES = -0.8  # sd above the bound from which two sides are one person; below 0, since sides are chosen to differ
_STRANGE = -2.5  # sd above the bound; an atom below it is another person than the side. Even poor faces of the person lie above it
_ROUNDS = 10  # of assigning atoms; what still changes after that fits two sides alike
_BLOCK = 1 << 14  # atoms compared at a time


def constrained(labels: Ints, must: Pairs | None, cannot: Pairs | None, x: Vectors, linkage: AverageLinkage) -> Ints:
    """Labels (n,) from 0, -1 = alone, changed so that must-links (m, 2) are together and cannot-links (c, 2) apart.

    Args:
        labels: (n,) clusters.
        must: rows that are one person.
        cannot: rows that are not.
        x: (n, dim) vectors, rows of length 1.
        linkage: the rule that decides whether two sets of faces are one person.
    """
    n = len(labels)
    out = labels.copy()
    out[out < 0] = labels.max(initial=-1) + 1 + np.arange((labels < 0).sum())
    if must is None or not len(must):
        atoms = np.arange(n)
    else:
        atoms = connected_components(coo_matrix((np.ones(len(must)), (must[:, 0], must[:, 1])), shape=(n, n)), directed=False)[1]
    whole = _bridged(out, atoms)
    if cannot is None or not len(cannot):
        return whole
    a, b = cannot[:, 0], cannot[:, 1]
    inside = (whole[a] == whole[b]) & (atoms[a] != atoms[b])
    a, b = a[inside], b[inside]
    # a cluster without a cannot-link stays whole: only its ties to others are in question
    open_groups = np.isin(out, out[np.isin(atoms, atoms[np.r_[a, b]])])
    unit = _bridged(np.where(open_groups, out.max(initial=0) + 1 + np.arange(n), out), atoms)
    divided = whole.copy()
    top = int(whole.max(initial=0)) + 1
    for group in np.unique(whole[a]).tolist():
        rows, here = np.flatnonzero(whole == group), whole[a] == group
        units = np.unique(unit[rows])
        foes = np.searchsorted(units, np.stack([unit[a[here]], unit[b[here]]], axis=1))
        side = _Division(x, rows, np.searchsorted(units, unit[rows]), foes, linkage).sides()
        divided[rows] = top + side
        top += int(side.max()) + 1
    return compact_labels(divided)


def constrained_keys(contents: NDArray[np.uint64], cannot: Pairs | None) -> NDArray[np.uint64]:
    """Content keys (n,) that differ for two copies of a face, if a cannot-link keeps only one of them from somebody."""
    out = contents.copy()
    if cannot is None:
        return out
    for one, other in ((0, 1), (1, 0)):
        np.add.at(out, cannot[:, one], contents[cannot[:, other]] * np.uint64(0x9E3779B97F4A7C15))
    return out


class _Division:
    """Divides one cluster: its rows (m,), the unit (m,) of each row (0, 1, ...), and pairs (f, 2) of units that must be apart."""

    def __init__(self, x: Vectors, rows: Ints, unit: Ints, foes: Ints, linkage: AverageLinkage) -> None:
        self.x, self.rows, self.unit, self.linkage = x, rows, unit, linkage
        self.sizes = np.bincount(unit).astype(np.float64)
        fold = csr_matrix((np.ones(len(unit)), (unit, np.arange(len(unit)))), shape=(len(self.sizes), len(unit)))
        self.sums = np.asarray(fold @ x[rows].astype(np.float64))
        # rank of a unit: its number of faces, then its similarity to the whole cluster, so that the order of rows does not matter
        total = self.sums.sum(axis=0)
        self.weight = self.sizes + (1 + self.sums @ total / (self.sizes * self.sizes.sum())) / 4
        self.foes: dict[int, set[int]] = {}
        for one, two in foes.tolist():
            self.foes.setdefault(one, set()).add(two)
            self.foes.setdefault(two, set()).add(one)

    def sides(self) -> Ints:
        """The side (m,) of each row, 0, 1, ..."""
        side = self._assigned()
        free = np.flatnonzero(side < 0)
        named = np.bincount(side[side >= 0], weights=self.sizes[side >= 0])
        side = self._free_assigned(side, free)
        faces = np.bincount(side, weights=self.sizes)
        # a split names many faces that stay and few that leave; if the numbers are equal, the side with more faces stays
        largest = int(np.lexsort((faces, named))[-1])
        for other in range(len(faces)):
            if other != largest:
                if len(back := free[side[free] == other]) and self._excess(side == other, side == largest) >= _HALVES:
                    side[back] = largest
                self._separate_others(side, other)
        return np.asarray(compact_labels(side)[self.unit])

    def _assigned(self) -> Ints:
        """Sides (u,) of the units with cannot-links, -1 = none. Next is the unit barred from most sides, then the one with most faces."""
        side = np.full(len(self.sizes), -1, dtype=np.int64)
        seen: dict[int, set[int]] = {u: set() for u in self.foes}
        urgent = np.full(len(side), -1.0)
        urgent[list(self.foes)] = self.weight[list(self.foes)]
        more = self.sizes.sum() + 1
        count, sums = np.zeros(0), np.zeros((0, self.x.shape[1]))
        for _ in self.foes:
            unit = int(urgent.argmax())
            likeness = (sums @ self.sums[unit] / np.maximum(count, 1)).round(6)
            likeness[list(seen[unit])] = -np.inf
            if not len(likeness) or not np.isfinite(likeness).any():
                count, sums = np.append(count, 0.0), np.vstack([sums, np.zeros(sums.shape[1])])
                side[unit] = len(count) - 1
            else:
                side[unit] = int(likeness.argmax())
            count[side[unit]] += self.sizes[unit]
            sums[side[unit]] += self.sums[unit]
            urgent[unit] = -1
            for foe in self.foes[unit]:
                if side[foe] < 0 and int(side[unit]) not in seen[foe]:
                    seen[foe].add(int(side[unit]))
                    urgent[foe] += more
        return side

    def _free_assigned(self, assigned: Ints, free: Ints) -> Ints:
        """Sides (u,) of all units: each free unit goes to the side with the highest mean similarity, round after round."""
        side = assigned.copy()
        sides = int(assigned.max()) + 1
        for _ in range(_ROUNDS if len(free) else 0):
            on = np.flatnonzero(side >= 0)
            fold = csr_matrix((np.ones(len(on)), (side[on], on)), shape=(sides, len(side)))
            count, sums = fold @ self.sizes, np.asarray(fold @ self.sums)
            before = side[free].copy()
            for at in range(0, len(free), _BLOCK):
                part = free[at : at + _BLOCK]
                dots, faces = self.sums[part] @ sums.T, np.repeat(count[None], len(part), axis=0)
                mine = np.flatnonzero(before[at : at + _BLOCK] >= 0)  # without the unit itself
                own = before[at : at + _BLOCK][mine]
                dots[mine, own] -= np.einsum("ij,ij->i", self.sums[part[mine]], self.sums[part[mine]])
                faces[mine, own] -= self.sizes[part[mine]]
                side[part] = (dots / np.maximum(faces, 1) / self.sizes[part, None]).round(6).argmax(axis=1)
            if (side[free] == before).all():
                break
        return side

    def _separate_others(self, side: Ints, at: int) -> None:
        """Give units with cannot-links a side of their own if they are another person than the largest unit of side `at`."""
        units = np.flatnonzero(side == at)
        first = units[self.weight[units].argmax()]
        for unit in units.tolist():
            if unit != first and unit in self.foes and self._excess(self._is(unit), self._is(int(first))) < _STRANGE:
                side[unit] = side.max() + 1

    def _is(self, unit: int) -> NDArray[np.bool_]:
        return np.asarray(np.arange(len(self.sizes)) == unit)

    def _excess(self, one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float:
        """By how much two sets of units exceed the bound that merges clusters, in sd."""
        a, b = self.rows[one[self.unit]], self.rows[two[self.unit]]
        return self.linkage.excess_of(self.x, a, b) / self.linkage.cohort.sd


def _bridged(labels: Ints, atoms: Ints) -> Ints:
    """Clusters merged wherever one atom has faces in several."""
    labels = compact_labels(labels)
    groups, kinds = int(labels.max(initial=-1)) + 1, int(atoms.max(initial=-1)) + 1
    graph = coo_matrix((np.ones(len(labels)), (labels, groups + atoms)), shape=(groups + kinds,) * 2)
    return np.asarray(connected_components(graph, directed=False)[1][labels], dtype=np.int64)
