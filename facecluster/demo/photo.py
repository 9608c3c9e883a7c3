"""Compose a photo of heads with camera effects: position, rotation, light, blur, noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from facecluster.demo.face_space import FaceSpace, Floats
from facecluster.demo.scene import HEIGHT, LEFT, TOP, WIDTH, Style, background, clothing, head

VARIATION = 0.4  # of a person between photos, as a share of that of real people
MAX_DENSITY = 1.4  # px a unit at which heads are drawn; a face itself has 0.86
# the face in units of an aligned crop: from the hairline to the chin, as detectors frame it
FACE_CENTRE, FACE_RADII = (56.0, 60.0), (41.0, 53.0)


@dataclass(frozen=True, slots=True)
class Person:
    """A synthetic person: coefficients in the face space, and the other constant features."""

    even: Floats
    style: Style


@dataclass(frozen=True, slots=True)
class HeadPose:
    """Position and size of a head: centre of the face in px, px a unit of the crop, rotation in radians."""

    x: float
    y: float
    scale: float
    turn: float


def take_photo(
    space: FaceSpace, people: Sequence[Person], size: tuple[int, int], rng: np.random.Generator
) -> tuple[Image.Image, NDArray[np.float64]]:
    """Draw a photo of any number of people: the picture, and the boxes (n, 4) [x, y, w, h] of their faces in it, in px."""
    picture = background(rng, *size)
    poses = [_place_one(size, rng)] if len(people) == 1 else _place_group(len(people), size, rng)
    light = rng.uniform(-1, 1)
    boxes = []
    for i in np.argsort([p.y for p in poses], kind="stable"):  # higher in the picture is further back
        even, odd = space.draw_appearance(rng, VARIATION)
        face = _sharpen(space.render(people[i].even + even, odd))
        clothes = clothing(rng)
        drawn = head(face, people[i].style, clothes, light, float(np.clip(poses[i].scale * 1.1, 0.25, MAX_DENSITY)), rng)
        boxes.append((i, _paste(picture, drawn, clothes, poses[i], rng)))
    ordered = [box for _, box in sorted(boxes, key=lambda b: b[0])]
    return _add_camera_effects(picture, rng), np.array(ordered, np.float64).reshape(-1, 4)


def _sharpen(face: Floats) -> Floats:
    """Sharpen a face: a sum of few components is too soft."""
    blurred = np.asarray(Image.fromarray(np.clip(face, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.5)), np.float32)
    return face + 0.6 * (face - blurred)


def _place_one(size: tuple[int, int], rng: np.random.Generator) -> HeadPose:
    w, h = size
    scale = min(w, h) * rng.uniform(0.18, 0.48) / 112
    x = w * rng.uniform(0.36, 0.64)
    return HeadPose(x, np.clip(h * rng.uniform(0.3, 0.5), 100 * scale, h - 75 * scale), scale, rng.normal(0, 0.13))


def _place_group(n: int, size: tuple[int, int], rng: np.random.Generator) -> list[HeadPose]:
    """Two to six people side by side; four and more in two rows."""
    if not n:
        return []
    w, h = size
    rows = [n] if n < 4 else [n // 2, n - n // 2]
    slot = w / (max(rows) + 0.4)
    scale = min(slot * rng.uniform(0.45, 0.62) / 112, h / (1.7 * len(rows) + 0.6) / 150)
    poses = []
    for r, count in enumerate(rows):
        y = h * (0.42 if len(rows) == 1 else (0.27, 0.64)[r])
        for i in range(count):
            x = w / 2 + (i - (count - 1) / 2) * slot + rng.normal(0, 0.03) * slot
            poses.append(HeadPose(x, y + rng.normal(0, 0.08) * 112 * scale, scale * rng.uniform(0.9, 1.1), rng.normal(0, 0.09)))
    return poses


def _paste(
    picture: Image.Image, drawn: NDArray[np.uint8], clothes: Floats, pose: HeadPose, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Paste a head rotated, with a little shear and perspective, half of the time mirrored; returns the face's box in the photo."""
    flip = -1.0 if rng.random() < 0.5 else 1.0
    cos, sin = np.cos(pose.turn), np.sin(pose.turn)
    turn = np.array([[cos, -sin], [sin, cos]]) @ np.array([[flip, rng.normal(0, 0.04)], [0, rng.uniform(0.95, 1.05)]])
    forward = np.eye(3)
    forward[:2, :2] = turn * pose.scale
    forward[2, :2] = rng.normal(0, 2.5e-4, 2)  # perspective: the size changes by at most a tenth across a head
    forward = np.array([[1, 0, pose.x], [0, 1, pose.y], [0, 0, 1]]) @ forward @ np.array([[1, 0, -56], [0, 1, -66], [0, 0, 1.0]])

    def seen(points: NDArray[np.float64]) -> NDArray[np.float64]:
        p = np.c_[points, np.ones(len(points))] @ forward.T
        return np.asarray(p[:, :2] / p[:, 2:])

    corners = seen(np.array([[LEFT, TOP], [LEFT + WIDTH, TOP], [LEFT, TOP + HEIGHT], [LEFT + WIDTH, TOP + HEIGHT]], np.float64))
    waist = seen(np.array([[-74.0, TOP + HEIGHT - 4], [186.0, TOP + HEIGHT - 4]]))
    below = [tuple(p) for p in (*waist, *(waist[::-1] + np.array([0, picture.size[1]])))]
    ImageDraw.Draw(picture).polygon(below, fill=tuple(int(c) for c in clothes))  # the head's picture ends at the chest
    x0, y0 = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(corners.max(axis=0)), picture.size).astype(int)
    density = np.array([drawn.shape[1] / WIDTH, drawn.shape[0] / HEIGHT])
    to_px = np.array([[density[0], 0, -LEFT * density[0]], [0, density[1], -TOP * density[1]], [0, 0, 1]])
    back = to_px @ np.linalg.inv(forward) @ np.array([[1, 0, x0], [0, 1, y0], [0, 0, 1.0]])
    back /= back[2, 2]
    layer = Image.fromarray(drawn).transform(
        (int(x1 - x0), int(y1 - y0)), Image.Transform.PERSPECTIVE, tuple(back.ravel()[:8]), Image.Resampling.BILINEAR
    )
    picture.paste(layer, (int(x0), int(y0)), layer.getchannel("A"))
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    rim = seen(np.c_[FACE_CENTRE[0] + FACE_RADII[0] * np.cos(angle), FACE_CENTRE[1] + FACE_RADII[1] * np.sin(angle)])
    low, high = np.clip(rim.min(axis=0), 0, picture.size), np.clip(rim.max(axis=0), 0, picture.size)
    return np.concatenate((low, high - low))


def _add_camera_effects(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Exposure, colour of the light, blur and sensor noise; one photo in twelve is black and white."""
    gain = rng.uniform(0.75, 1.25) * np.exp(rng.normal(0, 0.05, 3))
    gamma = rng.uniform(0.85, 1.2)
    level = np.arange(256) / 255
    picture = picture.point(np.concatenate([np.clip(255 * (g * level) ** gamma + 0.5, 0, 255) for g in gain]).astype(int).tolist())
    if rng.random() < 0.4:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, max(picture.size) / 900)))
    tile = rng.normal(0, rng.uniform(1, 5), (256, 256, 1)).astype(np.float32)
    w, h = picture.size
    grain = np.tile(tile, (h // 256 + 1, w // 256 + 1, 1))[:h, :w].astype(np.int16)
    picture = Image.fromarray(np.clip(np.asarray(picture, np.int16) + grain, 0, 255).astype(np.uint8))
    return picture.convert("L").convert("RGB") if rng.random() < 1 / 12 else picture
