"""Incremental grouping: adds a few new faces to the clusters of an earlier run, which stay as they are.

A new face joins an earlier cluster, founds a new one, or belongs to nobody. Two earlier clusters never merge and none is divided, except by
the user's decisions.

Why: any grouping has a threshold, and a face near it may change sides when anything else moves. With 1 % more faces and everything grouped
from the start, up to 5 % of the faces of a small collection changed their person without a reason that a user could see. So everything is
grouped from the start only when more than MAX_NEW_SHARE of the faces are new, edited or gone, or when asked for.

Odd inputs: an earlier cluster of which one face is left is a single face, which may join another cluster.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.average_linkage import Ints, compact_labels

MAX_NEW_SHARE = 0.1  # of the faces; if more are new, edited or gone, all are grouped from the start


def keep_previous(dense: Ints, before: Ints) -> Ints:
    """Labels (n,), -1 = none, to start from: the earlier clusters `before`, extended by HDBSCAN's clusters `dense` of the new faces.

    New faces of a dense cluster join the one earlier cluster in it. If it holds several, they stay single for average linkage to place.
    """
    old, taken = before >= 0, dense >= 0
    out = before.copy()
    # lowest and highest number of the earlier clusters in each dense cluster
    count = int(dense.max(initial=-1)) + 1
    low, high = np.full(count, np.iinfo(np.int64).max), np.full(count, -1)
    both = old & taken
    np.minimum.at(low, dense[both], before[both])
    np.maximum.at(high, dense[both], before[both])
    new = np.flatnonzero(taken & ~old)
    mine = dense[new]
    fresh = int(before.max(initial=-1)) + 1 + mine
    out[new] = np.where(high[mine] < 0, fresh, np.where(low[mine] == high[mine], high[mine], -1))
    return out


def core_faces(before: Ints, labels: Ints) -> NDArray[np.bool_]:
    """Which faces (n,) stand for an earlier cluster of `before` in `labels` (n,): its largest part, or all largest parts of equal size.

    Faces that decisions have taken out of a cluster are free to join another.
    """
    rows = np.flatnonzero(before >= 0)
    part = compact_labels(before[rows] * (int(labels.max(initial=0)) + 1) + labels[rows])
    size = np.bincount(part, minlength=1)
    most = np.zeros(int(before.max(initial=-1)) + 1, dtype=np.int64)
    np.maximum.at(most, before[rows], size[part])
    out = np.zeros(len(before), dtype=bool)
    out[rows] = (size[part] == most[before[rows]]) & (most[before[rows]] > 1)
    return out
