"""Training pictures of the detector: mosaics of photos, with faces from 9 px to larger than the picture.

A mosaic is a grid of cells, each with a photo that was turned, scaled so that one of its faces gets a size drawn from a log-uniform
range, and moved anywhere in the cell; then light, noise, blur, night, compression and masks. Boxes and landmarks go along.
"""

from __future__ import annotations

import cv2
import numpy as np
from detector_photos import Photo
from numpy.typing import NDArray

SIDE = 320  # px, side of a mosaic
FLIP = [1, 0, 2, 4, 3]  # landmarks of the mirrored face
SMALLEST = 7.0  # px, shorter side of a box under which a face is neither right nor wrong
SEEN = 0.5  # share of a box that must be inside its cell to be a face to find
SURE = 0.6  # teacher's score under which a face is neither right nor wrong


def _scale(photo: Photo, cell: int, rng: np.random.Generator) -> tuple[float, NDArray[np.float64]]:
    """A scale and the point of the photo to put into the cell: a face of a drawn size, or anywhere."""
    height, width = photo.image.shape[:2]
    if len(photo.boxes) == 0 or rng.random() < 0.05:
        low = cell / max(height, width)
        return float(np.exp(rng.uniform(np.log(low * 0.7), np.log(low * 3)))), rng.uniform(0.2, 0.8, 2) * (width, height)
    sizes = photo.boxes[:, 2:].max(axis=1)
    pick = rng.choice(len(sizes), p=np.sqrt(sizes) / np.sqrt(sizes).sum())
    size = np.exp(rng.uniform(np.log(10), np.log(cell * 1.15)))
    scale = np.clip(size / sizes[pick], 0.08, 3.0)
    return float(scale), photo.boxes[pick, :2] + photo.boxes[pick, 2:] / 2


def _background(width: int, height: int, photo: Photo, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A cell (height, width, 3) of one colour, or of a piece of a photo without a face."""
    if len(photo.boxes) or rng.random() < 0.3:
        colour = rng.integers(0, 256, 3) if rng.random() < 0.5 else np.full(3, 127)
        return np.full((height, width, 3), colour, np.uint8)
    cover = max(width / photo.image.shape[1], height / photo.image.shape[0])
    scale = cover * np.exp(rng.uniform(0, 1))
    spare = np.array([photo.image.shape[1] * scale - width, photo.image.shape[0] * scale - height])
    shift = -rng.random(2) * spare
    return cv2.warpAffine(
        photo.image, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), (width, height), borderMode=cv2.BORDER_REFLECT
    )  # type: ignore[return-value]


def _place(
    canvas: NDArray[np.uint8], x0: int, y0: int, w: int, h: int, photo: Photo, behind: Photo, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw a photo into a cell of the canvas; rows (n, 16): box, landmarks, sure (1) or to be ignored (0), teacher's score."""
    scale, centre = _scale(photo, min(w, h), rng)
    image = photo.image
    if scale < 0.7:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    shrink = np.array([image.shape[1] / photo.image.shape[1], image.shape[0] / photo.image.shape[0]]) if scale < 0.7 else np.ones(2)
    rest = scale / float(shrink.mean())
    kind = rng.random()
    turn = rng.normal(0, 12) if kind < 0.7 else rng.uniform(-60, 60) if kind < 0.78 else rng.choice((90, 180, 270)) + rng.normal(0, 12)
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    matrix = rest * np.array([[cos, -sin], [sin, cos]]) @ np.diag([mirror, 1.0])
    target = rng.uniform(0.2, 0.8, 2) * (w, h)
    offset = target - matrix @ (centre * shrink)
    cell = _background(w, h, behind, rng)
    border = cv2.BORDER_REPLICATE if rng.random() < 0.15 else cv2.BORDER_TRANSPARENT
    interpolation = cv2.INTER_CUBIC if rest > 1 and rng.random() < 0.5 else cv2.INTER_LINEAR
    canvas[y0 : y0 + h, x0 : x0 + w] = cv2.warpAffine(image, np.c_[matrix, offset], (w, h), cell, interpolation, border)

    whole = matrix @ np.diag(shrink)
    middle = (photo.boxes[:, :2] + photo.boxes[:, 2:] / 2) @ whole.T + offset
    marks = photo.landmarks @ whole.T + offset
    if mirror < 0:
        marks = marks[:, FLIP]
    half = np.abs(photo.boxes[:, 2:] / 2 * scale)  # the upright box of the turned ellipse
    half = np.stack((np.hypot(half[:, 0] * cos, half[:, 1] * sin), np.hypot(half[:, 0] * sin, half[:, 1] * cos)), axis=1)
    low, high = middle - half, middle + half
    seen = np.clip(np.minimum(high, (w, h)) - np.maximum(low, 0), 0, None).prod(axis=1) / (4 * half.prod(axis=1))
    sure = (seen >= SEEN) & (photo.scores >= SURE) & (2 * half.min(axis=1) >= SMALLEST)
    rows = np.concatenate((low + (x0, y0), 2 * half, (marks + (x0, y0)).reshape(-1, 10), sure[:, None], photo.scores[:, None]), axis=1)
    return rows[seen > 0.1].astype(np.float32)


def _cover(canvas: NDArray[np.uint8], row: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Draw a mask over mouth and nose, or dark glasses over the eyes."""
    eyes, nose, mouth = row[4:8].reshape(2, 2), row[8:10], row[10:14].reshape(2, 2)
    across, down = eyes[1] - eyes[0], mouth.mean(axis=0) - eyes.mean(axis=0)
    colour = tuple(int(v) for v in rng.integers(0, 256, 3))
    if rng.random() < 0.7:
        top = nose - down * rng.uniform(0.0, 0.35)
        points = [top - across * 0.85, top - down * 0.15, top + across * 0.85, mouth.mean(axis=0) + across * 0.6 + down * 0.6]
        points.append(mouth.mean(axis=0) - across * 0.6 + down * 0.6)
        cv2.fillPoly(canvas, [np.round(np.array(points)).astype(np.int32)], colour, lineType=cv2.LINE_AA)
    else:
        for eye in eyes:
            axes = (max(int(np.linalg.norm(across) * 0.4), 1), max(int(np.linalg.norm(across) * 0.27), 1))
            angle = float(np.rad2deg(np.arctan2(across[1], across[0])))
            cv2.ellipse(canvas, (int(eye[0]), int(eye[1])), axes, angle, 0, 360, (10, 10, 10), -1, cv2.LINE_AA)


def _light(canvas: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Colour, contrast, night, blur, noise and compression of a whole mosaic, each now and then."""
    if rng.random() < 0.25:
        size = float(rng.uniform(0.4, 2.2))
        canvas = cv2.GaussianBlur(canvas, (0, 0), size) if rng.random() < 0.6 else _motion(canvas, rng)
    night = rng.random() < 0.12
    gain = rng.uniform(0.08, 0.35) if night else rng.uniform(0.65, 1.35)
    gamma = np.exp(rng.normal(0, 0.2))
    lift = 0.0 if night else rng.uniform(-25, 25)
    cast = np.exp(rng.normal(0, 0.08, 3))
    levels = np.arange(256)[:, None] / 255
    table = np.clip(255 * gain * cast * levels**gamma + lift, 0, 255).astype(np.uint8)
    canvas = cv2.LUT(canvas, table.reshape(1, 256, 3))
    if rng.random() < 0.08:
        canvas = np.repeat(cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    if night or rng.random() < 0.2:
        noise = np.empty(canvas.shape, np.int16)
        cv2.randn(noise, 0, float(rng.uniform(2, 14)))
        canvas = np.clip(canvas + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        _, data = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        canvas = cv2.imdecode(data, cv2.IMREAD_COLOR)  # type: ignore[assignment]
    return canvas


def _motion(canvas: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    size = int(rng.integers(3, 8))
    kernel = np.zeros((size, size), np.float32)
    angle = rng.uniform(0, np.pi)
    step = np.array([np.cos(angle), np.sin(angle)]) * size / 2
    middle = np.array([size // 2, size // 2])
    cv2.line(kernel, tuple(np.round(middle - step).astype(int).tolist()), tuple(np.round(middle + step).astype(int).tolist()), 1.0)
    return cv2.filter2D(canvas, -1, kernel / kernel.sum())  # type: ignore[return-value]


def mosaic(
    photos: list[Photo], empty: list[Photo], weights: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """One training picture (SIDE, SIDE, 3) RGB and its faces (n, 16).

    `weights` (photos,) is the cumulated chance of each photo; `empty` are photos without a face, for what lies behind small photos.
    """
    canvas = np.empty((SIDE, SIDE, 3), np.uint8)
    grid = int(rng.choice([1, 2, 3, 4], p=[0.45, 0.36, 0.13, 0.06]))
    columns, rows = (
        np.round(np.linspace(0, SIDE, grid + 1) + np.r_[0, rng.uniform(-0.15, 0.15, grid - 1) * SIDE / grid, 0]).astype(int)
        for _ in range(2)
    )
    faces = []
    for y0, y1 in zip(rows[:-1], rows[1:], strict=True):
        for x0, x1 in zip(columns[:-1], columns[1:], strict=True):
            photo, behind = (photos[min(int(np.searchsorted(weights, rng.random())), len(photos) - 1)], empty[rng.integers(len(empty))])
            faces.append(_place(canvas, int(x0), int(y0), int(x1 - x0), int(y1 - y0), photo, behind, rng))
    found = np.concatenate(faces)
    for row in found:
        if row[14] and row[2] > 12 and rng.random() < 0.07:
            _cover(canvas, row, rng)
    return _light(canvas, rng), found


def chances(photos: list[Photo], alarms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cumulated chance (photos,) of each photo.

    A group photo counts three times, sports twice, masks twice, a portrait once. A photo without a face counts .4 and up to 4 more, by its
    highest score of a face (photos,): hard negatives.
    """
    kinds = {"negatives": 0.4, "groups": 3.0, "sports": 2.0, "masked": 2.0}
    weight = np.array([next((w for kind, w in kinds.items() if kind in p.source), 1.0) for p in photos]) + 4 * alarms
    return np.cumsum(weight / weight.sum())
