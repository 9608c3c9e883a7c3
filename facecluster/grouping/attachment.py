"""Giving small groups of faces, single faces among them, to large ones.

`joining` asks of two groups that they be more alike than the best of as many strangers as there are faces: anybody may be anybody. A few
faces that it left alone are asked less: whether they are one of the people whom many faces show. The best of as many strangers as there
are *large groups* has a lower cosine, and by that much less is asked, but for `more` sd on top.

Measured, faces of one source against groups of ten and more of others of that source (training faces): at a given number of sd above that,
the share of strangers who pass is the same for 10, 20, 40 and 90 groups (docs/decisions.md).

Where hardly anybody is a stranger, as in a collection that somebody has sorted before, still less is asked. How alike a face is to the most
similar large group that is *not* its own is known: faces of large groups show it. If all the small groups were strangers, so many of them
would be that alike. As long as of those that lie below the usual bound at most _WRONG would be strangers, the bound falls, down to _LEAST
(the two-groups model of Efron, 2004, "Large-scale simultaneous hypothesis testing": a null drawn from the data, and the share of nulls
among the small groups from how many of them are as unlike as the less alike half of it).

Each goes to the group that it is most like, all at once: what is given does not change what others are compared with, and two groups
never meet through a third. Of two with a cannot-link between them that would go to one group, the less alike stays.

Odd inputs: without a large group nothing changes; with one, the bound stays. Cost: as one round of `joining`, and _DRAWN cosines to each
large group.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.average_linkage import AverageLinkage, Ints, compact_labels
from facecluster.grouping.cluster_sums import ClusterSums, Rows
from facecluster.grouping.cohort import EXACT

SMALL = 4  # faces at most
LARGE = 10  # faces at least: so many say what somebody looks like
_LEAST = -0.8  # sd: how far `more` falls at most
_STEP = 0.1  # sd
_WRONG = 0.25  # share of strangers among those who go because the bound fell
_DRAWN = 2_000  # faces of large groups, as many of each
_BLOCK = 256  # of them at a time

Floats = NDArray[np.float64]


def attach_small(
    linkage: AverageLinkage, x: NDArray[np.float32], labels: Ints, source: Rows, target: Rows, more: float,
    weak: NDArray[np.bool_] | None = None,
) -> Ints:  # fmt: skip
    """Groups (n,) after groups of up to SMALL faces went to those of LARGE and more that they belong to, along the graph's edges.

    Args:
        linkage: what decides that two groups are one.
        x: (n, dim), rows of length 1.
        labels: (n,) group of each face.
        source: (m,) rows.
        target: (m,) rows.
        more: sd that a small group must have besides, or less where hardly anybody is a stranger.
        weak: (n,) faces without edges: groups of nothing else say nothing of how many strangers there are.
    """
    group = compact_labels(labels)
    sizes = np.bincount(group)
    small, large = sizes <= SMALL, sizes >= LARGE
    if not large.any():
        return labels
    low, sd = min(more, _LEAST), linkage.cohort.sd  # measured from the lowest bound: sharing a photo costs nothing below what is asked
    among = replace(linkage, cohort=linkage.cohort.with_impostors(int(large.sum())), merge=linkage.merge + low)
    one, other, likeness, own = _nearest(among, x, group, small, large, source, target)
    likeness = likeness + low * sd
    if more > _LEAST:
        others = _to_others(among, own, group, large) + low * sd
        free = small & ~linkage.held(group, len(sizes))
        if weak is not None:
            free &= np.bincount(group, ~weak) > 0
        more = _bound(likeness[free[one]] / sd, int(free.sum()), others / sd, int(large.sum()), more)
    enough = likeness >= more * sd
    return _given(linkage, group, one[enough], other[enough], likeness[enough], own.contents)


def attach_weak(linkage: AverageLinkage, x: NDArray[np.float32], labels: Ints, weak: NDArray[np.bool_], source: Rows, target: Rows) -> Ints:
    """Groups (n,) after each of the faces `weak` (n,) that is alone went to the group it belongs to, if to any.

    They don't count in what the groups are: two groups never meet through them.
    """
    group = compact_labels(labels)
    sizes = np.bincount(group)
    loose = (sizes == 1) & (np.bincount(group, weak) > 0)
    one, other, likeness, own = _nearest(linkage, x, group, loose, sizes > 1, source, target)
    enough = likeness >= 0
    return _given(linkage, group, one[enough], other[enough], likeness[enough], own.contents)


def _nearest(
    linkage: AverageLinkage, x: NDArray[np.float32], group: Ints, loose: NDArray[np.bool_], takes: NDArray[np.bool_],
    source: Rows, target: Rows,
) -> tuple[Ints, Ints, Floats, ClusterSums]:
    """Groups of `loose` (g,) and the one of `takes` (g,) that each is most like, how far that lies above what is asked, and all groups."""
    mine = group.astype(np.int32)
    one, other = mine[source], mine[target]
    use = (loose[one] & takes[other]) | (takes[one] & loose[other])
    a, b, likeness, own = linkage.measured(x, mine, one[use], other[use])
    goes, to = np.where(loose[a], a, b), np.where(loose[a], b, a)
    order = np.lexsort((to, own.contents[to], -likeness, goes))
    first = order[np.unique(goes[order], return_index=True)[1]]
    return goes[first].astype(np.int64), to[first].astype(np.int64), likeness[first], own


def _to_others(linkage: AverageLinkage, own: ClusterSums, group: Ints, large: NDArray[np.bool_]) -> Floats:
    """How alike faces of large groups are to the most similar large group that is not theirs, above what is asked: as many of each group.

    Which faces follows from their contents. Cosines are exact, as in `strangers`: they don't depend on what is computed beside them.
    """
    cohort, groups = linkage.cohort, np.flatnonzero(large)
    if len(groups) < 2:
        return np.zeros(0)
    rows = np.flatnonzero(large[group])
    rows = rows[np.argsort(linkage.numbers(own.x)[rows], kind="stable")]
    first = np.argsort(group[rows], kind="stable")
    place = np.arange(len(rows)) - np.searchsorted(group[rows][first], group[rows][first])
    rows = rows[np.sort(first[place < min(LARGE, max(1, _DRAWN // len(groups)))])][:_DRAWN]
    length, sizes = own.length[groups], own.sizes[groups]
    means = np.rint(own.vectors(groups) / (sizes * length)[:, None] * EXACT).astype(np.float32).T
    base, reach = own.base[groups] / sizes, own.reach[groups] / sizes
    column = np.full(len(large), -1)
    column[groups] = np.arange(len(groups))
    best = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        some = rows[start : start + _BLOCK]
        cosine = (np.rint(own.x[some] * np.float32(EXACT)) @ means) / EXACT**2 * length
        asked = (cohort.base[some][:, None] + base) / 2 + linkage.merge * cohort.sd
        asked += linkage.impostor_weight * (cohort.reach[some][:, None] + reach) / 2 * length
        above = cosine - asked
        above[np.arange(len(some)), column[group[some]]] = -np.inf
        best[start : start + _BLOCK] = above.max(axis=1)
    return best


def _bound(likeness: Floats, small: int, strangers: Floats, people: int, most: float) -> float:
    """The bound (sd) down from `most` to which groups may go to others.

    Args:
        likeness: (m,) of those small groups that are linked to a large one, in sd.
        small: number of all small groups.
        strangers: (s,) how alike strangers are, in sd; none = not known.
        people: number of those that they were taken from.
        most: to start from.
    """
    if not len(strangers):
        return most
    middle = np.quantile(strangers, 0.5)
    nulls = min(1.0, (small - (likeness >= middle).sum()) / (small / 2)) * small if small else 0.0
    bounds = np.arange(most - _STEP, _LEAST - _STEP / 2, -_STEP)
    alike = np.array([((strangers >= b) & (strangers < most)).mean() for b in bounds])
    wrong = nulls * (alike * people + 2) / (people + 2) + 1
    new = np.array([((likeness >= b) & (likeness < most)).sum() for b in bounds])
    good = np.flatnonzero(wrong <= _WRONG * new)
    return float(bounds[good[-1]]) if len(good) else most


def _given(linkage: AverageLinkage, group: Ints, goes: Ints, to: Ints, likeness: Floats, contents: NDArray[np.uint64]) -> Ints:
    """Groups (n,) after groups `goes` went to groups `to`; no group is in both."""
    if linkage.fixed_faces is not None:  # two that were there would become one in a third
        held = linkage.held(group, len(contents))[goes]
        rows = np.flatnonzero(held)
        rows = rows[np.lexsort((contents[goes[rows]], -likeness[rows], to[rows]))]
        again = np.flatnonzero(to[rows[1:]] == to[rows[:-1]]) + 1
        stays = np.zeros(len(goes), dtype=bool)
        stays[rows[again]] = True
        goes, to, likeness = goes[~stays], to[~stays], likeness[~stays]
    into = np.arange(len(contents))
    into[goes] = to
    if linkage.cannot is not None and len(linkage.cannot):
        alike = np.zeros(len(contents))
        alike[goes] = likeness
        lost = _lost(group[linkage.cannot], into, alike, contents)
        into[lost] = lost
    return np.asarray(into[group], dtype=np.int64)


def _lost(barred: Ints, into: Ints, likeness: Floats, contents: NDArray[np.uint64]) -> Ints:
    """Groups that can't go with another to where both would: the less alike of the two, or both of those alike in everything."""
    a, b = barred.T
    met = (a != b) & (into[a] == into[b]) & (into[a] != a) & (into[b] != b)
    a, b = a[met], b[met]
    behind = (likeness[a] < likeness[b]) | ((likeness[a] == likeness[b]) & (contents[a] <= contents[b]))
    ahead = (likeness[a] > likeness[b]) | ((likeness[a] == likeness[b]) & (contents[a] >= contents[b]))
    return np.asarray(np.r_[a[behind], b[ahead]])
