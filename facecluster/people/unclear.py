"""Faces that are nobody's because they are too unclear to tell: their recognisability was too low to be grouped.

Odd inputs: a grouping of an older version has no recognisability, and a face of unknown recognisability counts as clear.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.store import Store


def read_unclear(store: Store, identities: str, rows: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The recognisability (n,) of faces, 1 if unknown, and which of them (n,) are too unclear to tell.

    Args:
        store: holds the grouping.
        identities: its table; its stamp has the bound.
        rows: (n,) of it, with the columns of IDENTITIES.
    """
    clear = np.nan_to_num(np.asarray(rows["recognisability"], np.float64), nan=1.0)
    nobody = np.nan_to_num(np.asarray(rows["identity"], np.float64), nan=-1) < 0
    return clear, nobody & (clear < least_recognisability(store, identities))


def least_recognisability(store: Store, identities: str) -> float:
    """The recognisability, 0 to 1, below which faces were in no group of a grouping; 0 if it is of an older version."""
    stamp = next((store.stamp(identities, shard) for shard in store.shards(identities)), None) or {}
    return float(stamp.get("min_recognisability", 0.0))
