"""Which picture the regions of a file lie in: the stored one, the upright one, or one that was turned since.

The size that a file states for its regions (AppliedToDimensions) tells the frame, unless several have the same shape (turned by 180
degrees, mirrored, square) or it states none: then the frame counts in which the regions overlap the faces that were found. A stated size
may also be wrong: some programs write the upright size beside regions of the stored picture, and a photo that was turned by a quarter has
the old size in its sidecar. So frames of the other shape are tried too, and count only where they clearly put the regions on faces.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.dom.minidom import Document

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from facecluster.export.face_regions import Box, dimensions, read_regions, stored_orientation, stored_size, to_box, to_upright
from facecluster.export.photo_library import Photo
from facecluster.geometry import iou

_SHAPE_TOLERANCE = 0.02  # of log(width / height): sizes are rounded when a picture is reduced
_CLEAR = 0.5  # IoU from which one region lies on a face by more than chance; of two or more _SURE will do
_SURE = 0.3  # mean IoU from which a frame of another shape than the stated one counts; it must be twice that of the others, too


class Frames(NamedTuple):
    """Orientations that may turn regions upright, as EXIF numbers them, the likeliest first."""

    fit: tuple[int, ...]  # the picture has the shape that the file states, or it states none
    doubtful: tuple[int, ...] = ()  # it has the shape turned by a quarter


def region_orientation(document: Document, photo: Photo, faces: Sequence[Box] = ()) -> int | None:
    """The orientation that turns the sidecar's regions upright; None if they belong to a picture with another aspect ratio.

    Args:
        document: the sidecar.
        photo: that it belongs to.
        faces: x, y, w, h of the faces that were found, px of the upright photo.
    """
    areas = [r.area for r in read_regions(document, stored_size(photo)) if r.is_face]
    return best_frame(frames_of(document, photo), areas, photo, faces)


def frames_of(document: Document, photo: Photo) -> Frames:
    """The orientations that may turn the sidecar's regions upright, by its AppliedToDimensions."""
    frames = tuple(dict.fromkeys((stored_orientation(photo), 1)))
    applied = dimensions(document)
    if applied is None or not photo.width or not photo.height:
        return Frames(frames)
    fit = tuple(f for f in frames if _same_shape(applied, (photo.height, photo.width) if f >= 5 else (photo.width, photo.height)))
    if not fit and not _same_shape(applied, (photo.height, photo.width)):
        return Frames(())
    return Frames(fit, tuple(f for f in dict.fromkeys((*frames, 6, 8)) if f not in fit))


def best_frame(frames: Frames, areas: Sequence[Box], photo: Photo, faces: Sequence[Box]) -> int | None:
    """Of orientations that may turn normalised regions upright, the one that puts them on the faces that were found (px); None for none."""
    likeliest = frames.fit[0] if frames.fit else None
    if not areas or not len(faces):
        return likeliest
    found = {
        f: _overlaps([to_box(to_upright(a, f), photo.width, photo.height) for a in areas], faces) for f in (*frames.fit, *frames.doubtful)
    }
    clear = {f for f, each in found.items() if _is_clear(each, len(areas), len(faces))}
    overlap = {f: round(float(each.sum()), 6) for f, each in found.items()}  # rounded: equal sums must not differ, the first frame wins
    best = max(frames.fit, key=lambda f: overlap[f], default=None)
    if best not in clear:
        best = likeliest
    other = max(frames.doubtful, key=lambda f: overlap[f], default=None)
    if other in clear and overlap[other] >= max(_SURE * min(len(areas), len(faces)), 2 * overlap.get(best or 0, 0.0)):
        return other
    return best


def _overlaps(regions: Sequence[Box], faces: Sequence[Box]) -> NDArray[np.float64]:
    """IoU of each pair of the best matching of regions and faces."""
    found = iou(np.array(regions), np.array(faces))
    return np.asarray(found[linear_sum_assignment(-found)], np.float64)


def _is_clear(overlaps: NDArray[np.float64], regions: int, faces: int) -> bool:
    """Whether regions lie on faces by more than chance: the face of a single region may have been missed, and another one lie there."""
    several = int((overlaps >= _SURE).sum()) >= min(2, max(regions, faces))
    return several or bool(overlaps.max(initial=0) >= _CLEAR)


def _same_shape(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return abs(math.log(a[0] * b[1] / (a[1] * b[0]))) < _SHAPE_TOLERANCE
