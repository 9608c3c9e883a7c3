"""A face whose box the user drew: a look of the detector inside the box says where its landmarks are, else the usual places in a box do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facecluster.errors import InputError
from facecluster.faces.detect import DetectConfig, Faces, face_rows
from facecluster.geometry import iou
from facecluster.language.said import say
from facecluster.models.on_demand import best_device, load_detector
from facecluster.photos.drawn import DRAWN, LEAST_SIDE
from facecluster.photos.images import Photo, open_photo, read_file

# Places of the landmarks in a box, as shares of its sides: medians over 249 faces that the bundled detector found, both halves made alike
USUAL = np.array([[0.27, 0.395], [0.73, 0.395], [0.5, 0.6], [0.31, 0.74], [0.69, 0.74]], np.float64)
_AROUND = 2.0  # side of the part of the photo that the detector sees, in sides of the box
_FACE = 128  # px, longer side of the box in what the detector sees
_MAX_ZOOM = 8.0
_FAINT = 0.1  # score from which a face counts where the user has drawn one
_SAME = 0.3  # intersection over union from which what the detector sees is what the user drew


def face_in_box(
    photo: Mapping[str, Any], box: Sequence[float], face_id: str, config: DetectConfig, *, device: str = "auto"
) -> dict[str, Any]:  # fmt: skip
    """The row of `faces` of a face that the user drew; its box is the detector's if that sees a face there.

    Args:
        photo: row of `photos` with photo_id, uri, orientation and turn.
        box: x, y, w, h in px of the upright photo.
        face_id: of the face.
        config: the detector.
        device: where it runs.

    Raises:
        PhotoError: the photo can't be read.
        InputError: the box is too small, or outside the photo.
    """
    size = config.max_side
    opened = open_photo(read_file(photo["uri"]), max_side=size, min_short=size // 2, exact=False, orientation=photo["orientation"])
    drawn = np.array([box], np.float64) * opened.scale
    low, high = drawn[0, :2], drawn[0, :2] + drawn[0, 2:]
    height, width = opened.pixels.shape[:2]
    low, high = np.maximum(low, 0), np.minimum(high, [width, height])
    if (high - low).min() < LEAST_SIDE * opened.scale:
        raise InputError(say(
            "expected a box of at least %(least)s px in the photo, found a smaller one: draw it around the whole face",
            least=round(LEAST_SIDE),
        ))  # fmt: skip
    drawn = np.r_[low, high - low]
    found = _seen(opened, drawn, (photo["turn"] or 0) // 90, config, device)
    row = face_rows(photo["photo_id"], opened, found)[0]
    return row | {"face_id": face_id, "origin": DRAWN}


def _seen(photo: Photo, box: NDArray[np.float64], turns: int, config: DetectConfig, device: str) -> Faces:
    """The face in a box (4,), px of the pixels, where upright faces are seen after `turns` quarter turns clockwise."""
    height, width = photo.pixels.shape[:2]
    middle, reach = box[:2] + box[2:] / 2, _AROUND * box[2:].max() / 2
    x0, y0 = np.floor(np.maximum(middle - reach, 0)).astype(int)
    x1, y1 = np.ceil(np.minimum(middle + reach, [width, height])).astype(int)
    zoom = min(_FACE / box[2:].max(), _MAX_ZOOM)
    size = [max(1, round(side * zoom)) for side in (x1 - x0, y1 - y0)]
    part = np.asarray(Image.fromarray(photo.pixels[y0:y1, x0:x1]).resize((size[0], size[1]), Image.Resampling.LANCZOS))
    ratio = np.array([size[0] / (x1 - x0), size[1] / (y1 - y0)])
    corners = (np.array([box[:2], box[:2] + box[2:]]) - (x0, y0)) * ratio
    for step in range(turns % 4):
        side = part.shape[0] if step % 2 == 0 else part.shape[1]
        corners = _clockwise(corners, side)
    mine = np.r_[corners.min(axis=0), np.ptp(corners, axis=0)]
    upright = np.ascontiguousarray(np.rot90(part, -turns))
    seen = load_detector(config.detector, best_device(device)).search([upright], threshold=_FAINT)[0].faces
    overlap = iou(mine[None], seen.boxes)[0]
    if overlap.max(initial=0) >= _SAME:
        best = int(overlap.argmax())
        shown, marks = np.asarray(seen.boxes[best], np.float64), np.asarray(seen.landmarks[best], np.float64)
    else:
        shown, marks = mine, mine[:2] + USUAL * mine[2:]
    points = np.concatenate([[shown[:2], shown[:2] + shown[2:]], marks])
    for step in reversed(range(turns % 4)):
        side = part.shape[0] if step % 2 == 0 else part.shape[1]
        points = np.stack([points[:, 1], side - points[:, 0]], axis=1)  # undoes `_clockwise`
    points = points / ratio + (x0, y0)
    corners = points[:2]
    whole = np.r_[corners.min(axis=0), np.ptp(corners, axis=0)]
    return Faces(whole[None].astype(np.float32), points[2:][None].astype(np.float32), np.ones(1, np.float32))


def _clockwise(points: NDArray[np.float64], height: float) -> NDArray[np.float64]:
    """Points (n, 2) of a picture of this height, in the picture turned clockwise by 90 degrees."""
    return np.stack([height - points[:, 1], points[:, 0]], axis=1)
