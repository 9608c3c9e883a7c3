"""Verification of listed pairs by subgroups: the values of the list's own columns (ethnicity, age band, or other attributes of a pair).

As `pair_subgroups`, but for the pairs of a list. A list does not name people, so faces that are connected by pairs of one person count as
one person.

Odd inputs: a pair with the value '' (not stated) is in no subgroup of that column; a value without pairs of both kinds is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from facecluster.evaluation.error_rates import Pairs
from facecluster.evaluation.pair_subgroups import GroupPairs, Sample, judged
from facecluster.evaluation.subgroups import as_text
from facecluster.evaluation.verify import Roc, roc


def listed_by_group(
    first: NDArray[np.integer], second: NDArray[np.integer], same: NDArray[np.bool_], similarity: NDArray[np.floating],
    columns: Mapping[str, ArrayLike], overall: Roc,
) -> list[GroupPairs]:  # fmt: skip
    """Break listed pairs down by each column (n,) of text, '' = not stated; values in sorted order. Warnings are as in `pairs_by_group`.

    Args:
        first: (n,) number of the first face.
        second: (n,) number of the second face.
        same: (n,) whether the two are one person.
        similarity: (n,) of the two.
        columns: of n values each.
        overall: the ROC of all pairs.

    Raises:
        ValueError: a column whose length differs from the number of pairs.
    """
    faces = int(max(first.max(initial=-1), second.max(initial=-1))) + 1
    links = coo_matrix((np.ones(same.sum()), (first[same], second[same])), shape=(faces, faces))
    person = connected_components(links, directed=False)[1].astype(np.int64)
    values = np.asarray(similarity, np.float64)
    samples: dict[str, list[Sample]] = {}
    for name, column in as_text(columns, len(same)).items():
        samples[name] = []
        for value in np.unique(column[column != ""]):
            of = [np.flatnonzero((column == value) & kind) for kind in (same, ~same)]
            if not (len(of[0]) and len(of[1])):
                continue
            one, two = (Pairs(person[first[rows]], person[second[rows]]) for rows in of)
            rows = np.concatenate(of)
            people = len(np.unique(person[np.r_[first[rows], second[rows]]]))
            curve = roc(values[rows], same[rows])
            samples[name].append(Sample(str(value), people, curve, one, two, values[of[0]], values[of[1]], (len(of[0]), len(of[1]))))
    return judged(samples, overall)
