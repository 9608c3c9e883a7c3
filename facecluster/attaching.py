"""Giving small groups of faces, single faces among them, to large ones.

`joining` asks of two groups that they be more alike than the best of as many strangers as there are faces: anybody may be anybody. A few
faces that it left alone are asked less: whether they are one of the people whom many faces show. The best of as many strangers as there
are *large groups* has a lower cosine, and by that much less is asked, but for `more` sd on top.

Measured, faces of one source against groups of ten and more of others of that source (training faces): at a given number of sd above that,
the share of strangers who pass is the same for 10, 20, 40 and 90 groups (docs/decisions.md).

Each goes to the group that it is most like, all at once: what is given does not change what others are compared with, and two groups
never meet through a third. Of two with a cannot-link between them that would go to one group, the less alike stays. Cost: as one round of `joining`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facecluster.gathered import Rows
from facecluster.joining import Ints, Joiner, numbered

SMALL = 4  # faces at most
LARGE = 10  # faces at least: so many say what somebody looks like


def attach_small(joiner: Joiner, x: NDArray[np.float32], labels: Ints, source: Rows, target: Rows, more: float) -> Ints:
    """Groups (n,) after groups of up to SMALL faces went to those of LARGE and more that they belong to, along the graph's edges.

    Args:
        joiner: what decides that two groups are one.
        x: (n, dim), rows of length 1.
        labels: (n,) group of each face.
        source: (m,) rows.
        target: (m,) rows.
        more: sd that a small group must have besides.
    """
    group = numbered(labels)
    sizes = np.bincount(group)
    large = sizes >= LARGE
    if not large.any():
        return labels
    among = replace(joiner, around=joiner.around.among(int(large.sum())), merge=joiner.merge + more)
    return _attach(among, x, group, sizes <= SMALL, large, source, target)


def attach_weak(joiner: Joiner, x: NDArray[np.float32], labels: Ints, weak: NDArray[np.bool_], source: Rows, target: Rows) -> Ints:
    """Groups (n,) after each of the faces `weak` (n,) that is alone went to the group it belongs to, if to any.

    They don't count in what the groups are: two groups never meet through them.
    """
    group = numbered(labels)
    sizes = np.bincount(group)
    loose = (sizes == 1) & (np.bincount(group, weak) > 0)
    return _attach(joiner, x, group, loose, sizes > 1, source, target)


def _attach(
    joiner: Joiner, x: NDArray[np.float32], group: Ints, loose: NDArray[np.bool_], takes: NDArray[np.bool_], source: Rows, target: Rows
) -> Ints:
    """Groups after those of `loose` (g,) went to those of `takes` (g,); none is both."""
    mine = group.astype(np.int32)
    one, other = mine[source], mine[target]
    use = (loose[one] & takes[other]) | (takes[one] & loose[other])
    if not use.any():
        return group
    a, b, excess, contents = joiner.measured(x, mine, one[use], other[use])
    enough = excess >= 0
    a, b, excess = a[enough], b[enough], excess[enough]
    goes, to = np.where(loose[a], a, b), np.where(loose[a], b, a)
    order = np.lexsort((to, contents[to], -excess, goes))
    first = order[np.unique(goes[order], return_index=True)[1]]
    into = np.arange(len(loose))
    into[goes[first]] = to[first]
    if joiner.cannot is not None and len(joiner.cannot):
        likeness = np.zeros(len(loose), dtype=np.int64)
        likeness[goes[first]] = excess[first]
        into[_lost(group[joiner.cannot], into, likeness, contents)] = -1
        into = np.where(into < 0, np.arange(len(into)), into)
    return np.asarray(into[group], dtype=np.int64)


def _lost(barred: Ints, into: Ints, likeness: Ints, contents: NDArray[np.uint64]) -> Ints:
    """Groups that can't go with another to where both would: the less alike of the two, or both of those alike in everything."""
    a, b = barred.T
    met = (into[a] == into[b]) & (into[a] != a) & (into[b] != b)
    a, b = a[met], b[met]
    behind = (likeness[a] < likeness[b]) | ((likeness[a] == likeness[b]) & (contents[a] <= contents[b]))
    ahead = (likeness[a] > likeness[b]) | ((likeness[a] == likeness[b]) & (contents[a] >= contents[b]))
    return np.r_[a[behind], b[ahead]]
