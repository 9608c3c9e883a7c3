"""Which photos of photos_more.parquet no training and no choice of a threshold may see; benchmarks measure on them.

Photos of things (sources `negatives/...`): every fifth row. Photos with faces: those that benchmarks/folder.py draws with its default seed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CROWDS = {"sports": 330, "street-fashion-ccp": 60, "india-groups": 38}  # photos of each source, at most
SEED = 0


def is_thing(sources: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Which photos (n,) show no face, by their sources (n,)."""
    return np.char.startswith(sources, "negatives")


def held_out_thing(row: int) -> bool:
    """Whether a photo of things, by its row in the file, is held out: one in five."""
    return row % 5 == 0


def tuning_thing(row: int) -> bool:
    """Whether a photo of things is kept from training to choose a threshold on: one in 25, none of which is held out."""
    return row % 25 == 1


def draw_crowds(sources: NDArray[np.str_], rng: np.random.Generator) -> list[int]:
    """Rows of the photos with faces that make up a benchmark's folder."""
    return [int(r) for source, n in CROWDS.items() for r in rng.permutation(np.flatnonzero(sources == source))[:n]]


def held_out_rows(sources: NDArray[np.str_]) -> set[int]:
    """Rows of all photos that are held out, by the sources (n,) of the whole file in order."""
    things = {int(r) for r in np.flatnonzero(is_thing(sources)) if held_out_thing(int(r))}
    return things | set(draw_crowds(sources, np.random.default_rng(SEED)))
