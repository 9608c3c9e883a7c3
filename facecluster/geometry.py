"""Boxes, IoU, non-maximum suppression, and the similarity transform that aligns a face: numpy, no state.

Boxes are [x, y, w, h] in px, origin at the top left. Empty inputs (n = 0) give empty outputs. A box without area has IoU 0 with every box.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CROP = 112  # px, side of an aligned face
# ArcFace's positions (Deng et al., 2019) of right eye, left eye, nose, right and left corner of the mouth in a 112x112 crop.
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], dtype=np.float64
)


def iou(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intersection over union of boxes (n, 4) and (m, 4): (n, m), 0 to 1."""
    a, b = np.asarray(a, np.float64).reshape(-1, 4), np.asarray(b, np.float64).reshape(-1, 4)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    inter = np.prod(np.clip(high - low, 0, None), axis=2)
    union = np.prod(np.clip(a[:, 2:], 0, None), axis=1)[:, None] + np.prod(np.clip(b[:, 2:], 0, None), axis=1)[None] - inter
    return np.asarray(np.divide(inter, union, out=np.zeros_like(inter), where=union > 0))


def turn_boxes(boxes: NDArray[np.floating], orientation: int, width: float, height: float) -> NDArray[np.float64]:
    """Boxes (n, 4) of a picture of `width` x `height`, in the picture that `orientation` makes of it.

    `orientation`, 1 to 8, is the operation that EXIF 2.32, section 4.6.4, prescribes for a stored picture; 5 to 8 swap the sides.
    """
    x, y, w, h = np.asarray(boxes, np.float64).reshape(-1, 4).T
    right, below = width - x - w, height - y - h
    left, top = {
        1: (x, y), 2: (right, y), 3: (right, below), 4: (x, below), 5: (y, x), 6: (below, x), 7: (below, right), 8: (y, right),
    }[orientation]  # fmt: skip
    return np.stack([left, top, *((h, w) if orientation >= 5 else (w, h))], axis=1)


def nms(boxes: NDArray[np.floating], scores: NDArray[np.floating], threshold: float) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: indices of the kept boxes, highest score first; of equal scores the earlier box comes first.

    A box is dropped if its IoU with a kept box is above `threshold` (0 to 1).
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)[order]
    (x0, y0), (w, h) = boxes[:, :2].T, np.clip(boxes[:, 2:], 0, None).T
    x1, y1, areas = x0 + w, y0 + h, w * h
    alive = np.ones(len(order), dtype=bool)
    kept = []
    for i in range(len(order)):
        if alive[i]:
            kept.append(i)
            rest = slice(i + 1, None)
            across = np.minimum(x1[i], x1[rest]) - np.maximum(x0[i], x0[rest])
            down = np.minimum(y1[i], y1[rest]) - np.maximum(y0[i], y0[rest])
            inter = np.maximum(across, 0) * np.maximum(down, 0)
            alive[rest] &= inter <= threshold * (areas[i] + areas[rest] - inter)
    return order[np.array(kept, dtype=np.intp)]


def similarity_transform(source: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float64]:
    """The rotation, uniform scale and translation (no reflection) that best map points (n, 2) `source` to `target`: (2, 3).

    Least squares, Umeyama 1991 (equations 40 to 43). If all points coincide, the scale is 0.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    mean_s, mean_t = source.mean(axis=0), target.mean(axis=0)
    s, t = source - mean_s, target - mean_t
    u, d, vt = np.linalg.svd(t.T @ s / len(s))
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt)) or 1.0])
    rotation = u * sign @ vt
    variance = (s**2).sum() / len(s)
    scale = float(d @ sign / variance) if variance > 0 else 0.0
    return np.asarray(np.c_[scale * rotation, mean_t - scale * rotation @ mean_s])


def align(image: NDArray[np.uint8], landmarks: NDArray[np.floating], size: int = CROP) -> NDArray[np.uint8]:
    """Rotate, scale and crop faces so that their landmarks lie on the ArcFace template.

    Args:
        image: (h, w, 3) RGB, 0 to 255.
        landmarks: (n, 5, 2) x, y in px of `image`: right eye, left eye, nose, right and left corner of the mouth.
        size: side of the crops in px.

    Returns:
        (n, size, size, 3) uint8. Areas outside the photo are black.
    """
    points = np.asarray(landmarks, np.float64).reshape(-1, 5, 2)
    crops = np.zeros((len(points), size, size, 3), dtype=np.uint8)
    for crop, marks in zip(crops, points, strict=True):
        forward = similarity_transform(marks, TEMPLATE * (size / CROP))
        scale = float(np.hypot(*forward[:, 0]))
        if scale > 1e-6:
            crop[:] = _warp(image, forward, scale, size)
    return crops


def _warp(image: NDArray[np.uint8], forward: NDArray[np.float64], scale: float, size: int) -> NDArray[np.uint8]:
    """Crop the region of the face and reduce it with a filter first: bicubic sampling alone would alias for a large face."""
    linear, shift = np.linalg.inv(forward[:, :2]), forward[:, 2]
    corners = (np.array([[0, 0], [size, 0], [0, size], [size, size]]) - shift) @ linear.T
    margin = 4 / scale
    x0, y0 = np.floor(np.maximum(corners.min(axis=0) - margin, 0)).astype(int)
    x1, y1 = np.ceil(np.minimum(corners.max(axis=0) + margin, image.shape[1::-1])).astype(int)
    if x1 <= x0 or y1 <= y0:
        return np.zeros((size, size, 3), dtype=np.uint8)
    region = Image.fromarray(image[y0:y1, x0:x1])
    # px of the region a px of the reduced region, for each axis separately, because sizes are whole numbers
    small = [max(1, round(n * min(1.0, scale))) for n in region.size]
    ratio = np.array([n / m for n, m in zip(region.size, small, strict=True)])
    if small != list(region.size):
        region = region.resize(small, Image.Resampling.LANCZOS, reducing_gap=3.0)
    back = linear / ratio[:, None]
    offset = (linear @ -shift - (x0, y0)) / ratio
    matrix = (*back[0], offset[0], *back[1], offset[1])
    return np.asarray(region.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC))


def yaw(landmarks: NDArray[np.floating]) -> NDArray[np.float32]:
    """Yaw of faces from landmarks (n, 5, 2): (n,) degrees, about -90 to 90, positive to the person's left.

    The offset of the nose from the midpoint of the eyes, along the line through the eyes, is sin(yaw) times the height of the nose above
    that line. A nose is about half as high as the distance of the eyes, so yaw = arcsin(offset / (eye distance / 2)), clipped.
    """
    points = np.asarray(landmarks, np.float64).reshape(-1, 5, 2)
    line = points[:, 1] - points[:, 0]
    length = np.linalg.norm(line, axis=1)
    offset = ((points[:, 2] - points[:, :2].mean(axis=1)) * line).sum(axis=1)
    ratio = np.divide(2 * offset, length**2, out=np.zeros_like(offset), where=length > 0)
    return np.asarray(np.degrees(np.arcsin(np.clip(ratio, -1, 1))), np.float32)


def sharpness(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Sharpness of aligned crops (n, h, w, 3): (n,) from 0 (flat) up; about 2 for a blurred face, 10 and up for a sharp one.

    Root mean square of the Laplacian of the grey central part of the crop (Pech-Pacheco et al., 2000, use its variance).
    """
    grey = crops[:, 16:-16, 16:-16].astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    inner = 4 * grey[:, 1:-1, 1:-1] - grey[:, :-2, 1:-1] - grey[:, 2:, 1:-1] - grey[:, 1:-1, :-2] - grey[:, 1:-1, 2:]
    return np.asarray(np.sqrt((inner**2).mean(axis=(1, 2))), dtype=np.float32)
