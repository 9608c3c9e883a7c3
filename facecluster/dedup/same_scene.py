"""Whether two photos show one scene at two moments, as the photos of a burst do, by their thumbnails.

The thumbnails are laid over each other, and blocks of the second are looked for near their place in the first. Of a burst nearly all are
found, also if the camera moved and someone turned; of unrelated photos, also of two portraits, few. Laying them over each other alone is
no verdict: it succeeds for 4 to 32 of 100 unrelated pairs.

Odd input: pictures that don't fit over each other, or without contrast, are of no one scene.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facecluster.photos.registration import Grey, register_pictures

SIDE = 96  # px
BLOCK, REACH = 12, 3  # px: of a block, and how far from its place it is looked for
MIN_CORRELATION = 0.8  # from which a block is found
# Share of the blocks that are found. Measured (workflows/benchmarks/bursts.py): bursts .67 and up in 99 of 100, 2,100 unrelated pairs .56
# and below
SAME = 0.6
SAME_WITH_PEOPLE = 0.45  # if the same people are on both: they may have moved more
_MIN_CONTRAST = 6.0  # grey values, root mean square: a block with less is not looked for


def found_share(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Share, 0 to 1, of the blocks of a grey picture (h, w) that are found in another, near their place."""
    laid = register_pictures(first, second, (0, 1, 0, 1), side=SIDE)
    if laid is None:
        return 0.0
    height, width = laid.second.shape
    found = []
    for y in range(0, height - BLOCK + 1, BLOCK):
        for x in range(0, width - BLOCK + 1, BLOCK):
            block = laid.second[y : y + BLOCK, x : x + BLOCK]
            if block.std() >= _MIN_CONTRAST:
                top, left = max(0, y - REACH), max(0, x - REACH)
                around = laid.first[top : y + REACH + BLOCK, left : x + REACH + BLOCK]
                found.append(_best_correlation(block, around) >= MIN_CORRELATION)
    return float(np.mean(found)) if found else 0.0


def _best_correlation(block: Grey, around: Grey) -> float:
    """The highest correlation of a block with a part of `around`; -1 if that has no contrast."""
    parts = np.lib.stride_tricks.sliding_window_view(around, block.shape).reshape(-1, block.size)
    parts = parts - parts.mean(axis=1, keepdims=True)
    size = np.sqrt(np.square(parts).sum(axis=1))
    good = size > _MIN_CONTRAST / 2 * BLOCK
    wanted = (block - block.mean()).ravel()
    return float((parts[good] @ wanted / size[good]).max() / np.sqrt(wanted @ wanted)) if good.any() else -1.0
