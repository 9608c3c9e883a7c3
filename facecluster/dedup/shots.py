"""RAW and developed photo of one shot: they are never copies or a burst of each other, and are moved together as parts of a burst."""

from __future__ import annotations

import os
from collections import defaultdict
from itertools import permutations

from facecluster.dedup.store_photos import Photos
from facecluster.photos.companions import one_shot
from facecluster.photos.extras import RAW
from facecluster.photos.passed_over import extension_of


def find_shots(photos: Photos) -> dict[int, int]:
    """For each developed photo that has a RAW of its stem beside it, that RAW."""
    stems: defaultdict[str, set[tuple[int, str]]] = defaultdict(set)
    for photo, files in enumerate(photos.files):
        for file in files:
            stems[os.path.splitext(file.uri)[0].casefold()].add((photo, file.uri))
    found: dict[int, int] = {}
    for members in stems.values():
        for (a, one), (b, other) in permutations(sorted(members), 2):
            if one_shot(one, other) and extension_of(other) in RAW.extensions:
                found.setdefault(a, b)
    return found
