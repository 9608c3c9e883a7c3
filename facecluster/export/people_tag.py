"""A person that another program tagged in a photo, whatever the format."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from facecluster.export.face_regions import Box, to_box
from facecluster.geometry import iou

SAME_FACE = 0.5  # IoU from which regions of two formats show one face


@dataclass(frozen=True, slots=True)
class PeopleTag:
    """A person in a photo."""

    name: str  # '' if the program knew none
    area: Box | None  # centre x, y and w, h as shares of the stored picture; None: only the photo is known, not the place in it
    ours: bool = False  # this program wrote it, and nobody changed it since
    face_id: str = ""  # of the face that this program wrote it for


def finite_box(area: Box) -> Box | None:
    """The box if its numbers are finite, its size is above 0, and its centre lies in the picture; else None."""
    x, y, w, h = area
    return area if all(math.isfinite(v) and abs(v) < 10 for v in area) and w > 0 and h > 0 and 0 <= x <= 1 and 0 <= y <= 1 else None


def join_tags(tags: list[PeopleTag], *more: list[PeopleTag]) -> list[PeopleTag]:
    """Tags of several formats of one file, the most trusted first. Of those that show one face, the first that others named stays."""
    tags = list(tags)
    for others in more:
        earlier = list(tags)
        for tag in others:
            same = next((t for t in earlier if _show_one_face(t, tag)), None)
            if same is not None and tag.name and (same.ours or not same.name):
                tags.remove(same)
                earlier.remove(same)
                same = None
            if same is None:
                tags.append(tag)
    return tags


def _show_one_face(one: PeopleTag, two: PeopleTag) -> bool:
    if one.area is None or two.area is None:
        return False
    return float(iou(np.array([to_box(one.area, 1, 1)]), np.array([to_box(two.area, 1, 1)]))[0, 0]) >= SAME_FACE
