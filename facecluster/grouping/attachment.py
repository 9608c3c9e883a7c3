"""Attachment: gives small clusters and single faces to the large cluster they belong to.

Average linkage asks that two clusters be more similar than the best of n impostors, n being the number of faces: anybody may be anybody.
A small cluster that is left over is asked an easier question: is it one of the people with many faces? The best of as many impostors as
there are *large clusters* has a lower cosine. The bound falls by that difference, plus `more` sd.

Measured on training faces, faces of one source against clusters of ten and more of other people of that source: at a given number of sd
above that bound, the share of impostors who pass is the same for 10, 20, 40 and 90 clusters (docs/decisions.md).

A cluster of seven to nine faces is large only if it is coherent: the mean cosine of its own faces must lie _COHERENT sd above what joins a
face to it. Clusters of different children, who resemble each other, hardly reach half of that, and would take in all others of their kind.

In a collection that somebody has sorted before, hardly any small cluster is an impostor, and the bound may fall further. Faces of large
clusters show how similar an impostor is: each is compared with the most similar large cluster that is *not* its own. If all small
clusters were impostors, so many of them would be that similar. The bound falls, down to _LEAST, as long as at most a share of _WRONG of
those that it lets in are impostors. (The two-groups model of Efron, 2004, "Large-scale simultaneous hypothesis testing": the null is
drawn from the data, and the share of nulls among the small clusters follows from how many of them are as dissimilar as the less similar
half of the null.)

All small clusters move at once, each to its most similar large cluster. A move does not change what others are compared with, and two
clusters never merge through a third. If two small clusters with a cannot-link would move to one cluster, the less similar one stays.

Odd inputs: without a large cluster nothing changes; with one, the bound stays. Cost: as one round of average linkage, and _DRAWN cosines
to each large cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.average_linkage import AverageLinkage, Ints, compact_labels
from facecluster.grouping.candidate_edges import EdgeShard
from facecluster.grouping.cluster_sums import ClusterSums
from facecluster.grouping.cohort import EXACT
from facecluster.grouping.face_vectors import Vectors
from facecluster.grouping.same_photo import give_to_better_groups, release_twins
from facecluster.grouping.work import load

SMALL = 4  # faces of a small cluster at most
LARGE = 7  # faces of a large cluster at least: enough to know what the person looks like
_PLENTY = 10  # faces from which a cluster is large, coherent or not
_COHERENT = 0.75  # sd by which the faces of a large cluster of fewer lie above what joins a face to it, at least
_LEAST = -0.8  # sd: the lowest value that `more` may fall to
_FROM = 0.3  # sd: small clusters above it are taken for their person's, when the share of impostors below it is estimated
_STEP = 0.1  # sd, of the search for the bound
_WRONG = 0.25  # share of impostors among the clusters that a lower bound lets in, at most
_DRAWN = 2_000  # faces of large clusters that are compared with other clusters, equally many of each, _EACH at most
_EACH = 10
_BLOCK = 256  # of these at a time

Floats = NDArray[np.float64]


def place_leftovers(
    linkage: AverageLinkage, x: Vectors, labels: Ints, edges: Sequence[EdgeShard], more: float,
    stay: NDArray[np.bool_], weak: NDArray[np.bool_] | None, every: Sequence[EdgeShard],
) -> Ints:  # fmt: skip
    """Labels (n,) after all steps that follow average linkage: twins, small clusters and weak faces go where they belong.

    Args:
        linkage: the rule that merged the clusters.
        x: (n, dim), rows of length 1.
        labels: (n,) cluster of each face.
        edges: of the graph.
        more: as for `attach_small`.
        stay: (n,) faces that do not leave their cluster.
        weak: (n,) faces without edges.
        every: all edges, those of weak faces too.
    """
    labels = give_to_better_groups(linkage, x, labels, stay, edges)
    labels = attach_small(linkage, x, labels, edges, more, weak)
    if weak is not None:
        labels = attach_weak(linkage, x, labels, weak, every)
    return release_twins(linkage, x, labels, stay, "last twins")[0]


def attach_small(
    linkage: AverageLinkage, x: Vectors, labels: Ints, edges: Sequence[EdgeShard], more: float,
    weak: NDArray[np.bool_] | None = None,
) -> Ints:  # fmt: skip
    """Labels (n,) after clusters of up to SMALL faces moved to the cluster of LARGE or more faces that they belong to.

    Args:
        linkage: the rule that merges two clusters.
        x: (n, dim), rows of length 1.
        labels: (n,) cluster of each face.
        edges: of the graph.
        more: sd above the bound that a small cluster needs; less where hardly any small cluster is an impostor.
        weak: (n,) faces without edges; clusters of nothing else are not counted among the impostors.
    """
    group = compact_labels(labels)
    sizes = np.bincount(group)
    small, large = sizes <= SMALL, sizes >= LARGE
    if not large.any():
        return labels
    own = linkage.sums(x, group.astype(np.int32), "attachment/sums")
    large &= (sizes >= _PLENTY) | (_coherence(linkage, own) >= _COHERENT)
    if not large.any():
        return labels
    low, sd = min(more, _LEAST), linkage.cohort.sd  # measured from the lowest bound: below the bound a shared photo costs nothing
    among = replace(linkage, cohort=linkage.cohort.with_impostors(int(large.sum())), merge=linkage.merge + low)
    own = own.with_reach(group, among.cohort)
    one, other, likeness = _nearest(among, x, group, small, large, edges, "attachment", own)
    likeness = likeness + low * sd
    if more > _LEAST:
        others = _to_others(among, own, group, large) + low * sd
        free = small & ~linkage.held(group, len(sizes))
        if weak is not None:
            free &= np.bincount(group, ~weak) > 0
        more = min(more, _bound(likeness[free[one]] / sd, int(free.sum()), others / sd, int(large.sum()), max(more, _FROM)))
    enough = likeness >= more * sd
    return _move_clusters(linkage, group, one[enough], other[enough], likeness[enough], own.contents)


def attach_weak(linkage: AverageLinkage, x: Vectors, labels: Ints, weak: NDArray[np.bool_], edges: Sequence[EdgeShard]) -> Ints:
    """Labels (n,) after each single face of `weak` (n,) moved to the cluster it belongs to, if any.

    Weak faces do not change what a cluster is compared by, so two clusters never merge through them.
    """
    group = compact_labels(labels)
    sizes = np.bincount(group)
    loose = (sizes == 1) & (np.bincount(group, weak) > 0)
    own = linkage.sums(x, group.astype(np.int32), "weak/sums")
    one, other, likeness = _nearest(linkage, x, group, loose, sizes > 1, edges, "weak", own)
    enough = likeness >= 0
    return _move_clusters(linkage, group, one[enough], other[enough], likeness[enough], own.contents)


def _coherence(linkage: AverageLinkage, own: ClusterSums) -> Floats:
    """(g,) mean over the faces of a cluster: by how many sd a face's mean cosine to the others lies above what joins it to them.

    As in probability.py, but with the mean of all faces of the cluster in place of that of the others in the bound.
    """
    sizes, cohort = load(own.sizes), linkage.cohort
    base, reach = load(own.base) / sizes, load(own.reach) / sizes
    asked = base + linkage.merge * cohort.sd + linkage.impostor_weight * reach * load(own.length)
    return np.asarray((own.within(np.arange(len(sizes), dtype=np.int32)) - asked) / cohort.sd)


def _nearest(
    linkage: AverageLinkage, x: Vectors, group: Ints, loose: NDArray[np.bool_], takes: NDArray[np.bool_], edges: Sequence[EdgeShard],
    name: str, own: ClusterSums,
) -> tuple[Ints, Ints, Floats]:  # fmt: skip
    """Clusters of `loose` (g,), for each the most similar of `takes` (g,), and the excess of the pair over the bound; `own`: their sums."""
    a, b, likeness, _ = linkage.measured(x, group.astype(np.int32), edges, name, loose, takes, own)
    goes, to = np.where(loose[a], a, b), np.where(loose[a], b, a)
    order = np.lexsort((to, own.contents[to], -likeness, goes))
    first = order[np.unique(goes[order], return_index=True)[1]]
    return goes[first].astype(np.int64), to[first].astype(np.int64), likeness[first]


def _to_others(linkage: AverageLinkage, own: ClusterSums, group: Ints, large: NDArray[np.bool_]) -> Floats:
    """By how much faces of large clusters exceed the bound towards the most similar large cluster that is not their own.

    The faces are chosen by their content keys, equally many of each cluster. Cosines are exact, as in cohort.py.
    """
    cohort, groups = linkage.cohort, np.flatnonzero(large)
    if len(groups) < 2:
        return np.zeros(0)
    rows = np.flatnonzero(large[group])
    rows = rows[np.argsort(linkage.content_keys_of(own.x)[rows], kind="stable")]
    first = np.argsort(group[rows], kind="stable")
    place = np.arange(len(rows)) - np.searchsorted(group[rows][first], group[rows][first])
    rows = rows[np.sort(first[place < min(_EACH, max(1, _DRAWN // len(groups)))])][:_DRAWN]
    length, sizes = load(own.length)[groups], load(own.sizes)[groups]
    means = np.rint(own.vectors(groups) / (sizes * length)[:, None] * EXACT).astype(np.float32).T
    base, reach = load(own.base)[groups] / sizes, load(own.reach)[groups] / sizes
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


def _bound(likeness: Floats, small: int, impostors: Floats, people: int, most: float) -> float:
    """The bound in sd, `most` or less, above which small clusters move.

    Args:
        likeness: (m,) excess of the small clusters that have an edge to a large one, in sd.
        small: number of all small clusters.
        impostors: (s,) excess of faces towards a large cluster that is not their own, in sd; empty = not known.
        people: number of large clusters that they were taken from.
        most: the bound to start from.
    """
    if not len(impostors):
        return most
    middle = np.quantile(impostors, 0.5)
    nulls = min(1.0, (small - (likeness >= middle).sum()) / (small / 2)) * small if small else 0.0
    bounds = np.arange(most - _STEP, _LEAST - _STEP / 2, -_STEP)
    alike = np.array([((impostors >= b) & (impostors < most)).mean() for b in bounds])
    wrong = nulls * (alike * people + 2) / (people + 2) + 1
    new = np.array([((likeness >= b) & (likeness < most)).sum() for b in bounds])
    good = np.flatnonzero(wrong <= _WRONG * new)
    return float(bounds[good[-1]]) if len(good) else most


def _move_clusters(linkage: AverageLinkage, group: Ints, goes: Ints, to: Ints, likeness: Floats, contents: NDArray[np.uint64]) -> Ints:
    """Labels (n,) after clusters `goes` moved to clusters `to`; no cluster is in both."""
    if linkage.fixed_faces is not None:  # two earlier clusters would become one inside a third
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
        lost = _blocked_by_cannot_link(group[linkage.cannot], into, alike, contents)
        into[lost] = lost
    return np.asarray(into[group], dtype=np.int64)


def _blocked_by_cannot_link(barred: Ints, into: Ints, likeness: Floats, contents: NDArray[np.uint64]) -> Ints:
    """Clusters that must stay because of a cannot-link: of two that would move to one cluster the less similar, of equals both."""
    a, b = barred.T
    met = (a != b) & (into[a] == into[b]) & (into[a] != a) & (into[b] != b)
    a, b = a[met], b[met]
    behind = (likeness[a] < likeness[b]) | ((likeness[a] == likeness[b]) & (contents[a] <= contents[b]))
    ahead = (likeness[a] > likeness[b]) | ((likeness[a] == likeness[b]) & (contents[a] >= contents[b]))
    return np.asarray(np.r_[a[behind], b[ahead]])
