"""Put heads into a photo and make it look taken: place, turn, light, blur, noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from facecluster.demo.scene import HEIGHT, LEFT, TOP, WIDTH, Style, background, clothing, head
from facecluster.demo.space import FaceSpace, Floats

VARIATION = 0.4  # share of a real person's own variation between photos that the demo's people show
FINEST = 1.4  # px a unit that heads are drawn at: a face has 0.86 of its own
# the face in units of an aligned crop: from the hairline to the chin, as detectors frame it
FACE_CENTRE, FACE_RADII = (56.0, 60.0), (41.0, 53.0)


@dataclass(frozen=True, slots=True)
class Person:
    """A synthetic person: coefficients in the face space, and what else stays."""

    even: Floats
    style: Style


@dataclass(frozen=True, slots=True)
class Place:
    """Where a head goes: the face's middle in px, px a unit of the crop, turn in radians."""

    x: float
    y: float
    scale: float
    turn: float


def take(
    space: FaceSpace, people: Sequence[Person], size: tuple[int, int], rng: np.random.Generator
) -> tuple[Image.Image, NDArray[np.float64]]:
    """Take a photo of people (or of nobody): the picture, and their faces' boxes (n, 4) [x, y, w, h] inside it, in px."""
    picture = background(rng, *size)
    places = [_alone(size, rng)] if len(people) == 1 else _group(len(people), size, rng)
    light = rng.uniform(-1, 1)
    boxes = []
    for i in np.argsort([p.y for p in places], kind="stable"):  # who stands further up stands behind
        even, odd = space.look(rng, VARIATION)
        face = _crisp(space.render(people[i].even + even, odd))
        clothes = clothing(rng)
        drawn = head(face, people[i].style, clothes, light, float(np.clip(places[i].scale * 1.1, 0.25, FINEST)), rng)
        boxes.append((i, _paste(picture, drawn, clothes, places[i], rng)))
    ordered = [box for _, box in sorted(boxes, key=lambda b: b[0])]
    return _develop(picture, rng), np.array(ordered, np.float64).reshape(-1, 4)


def _crisp(face: Floats) -> Floats:
    """Undo some of the softness that comes of adding few components."""
    blurred = np.asarray(Image.fromarray(np.clip(face, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.5)), np.float32)
    return face + 0.6 * (face - blurred)


def _alone(size: tuple[int, int], rng: np.random.Generator) -> Place:
    w, h = size
    scale = min(w, h) * rng.uniform(0.18, 0.48) / 112
    x = w * rng.uniform(0.36, 0.64)
    return Place(x, np.clip(h * rng.uniform(0.3, 0.5), 100 * scale, h - 75 * scale), scale, rng.normal(0, 0.13))


def _group(n: int, size: tuple[int, int], rng: np.random.Generator) -> list[Place]:
    """Two to six people side by side; from four on in two rows."""
    if not n:
        return []
    w, h = size
    rows = [n] if n < 4 else [n // 2, n - n // 2]
    slot = w / (max(rows) + 0.4)
    scale = min(slot * rng.uniform(0.45, 0.62) / 112, h / (1.7 * len(rows) + 0.6) / 150)
    places = []
    for r, count in enumerate(rows):
        y = h * (0.42 if len(rows) == 1 else (0.27, 0.64)[r])
        for i in range(count):
            x = w / 2 + (i - (count - 1) / 2) * slot + rng.normal(0, 0.03) * slot
            places.append(Place(x, y + rng.normal(0, 0.08) * 112 * scale, scale * rng.uniform(0.9, 1.1), rng.normal(0, 0.09)))
    return places


def _paste(picture: Image.Image, drawn: NDArray[np.uint8], clothes: Floats, place: Place, rng: np.random.Generator) -> NDArray[np.float64]:
    """Paste a head with a turn, a little shear and perspective, one time in two mirrored; returns the face's box in the photo."""
    flip = -1.0 if rng.random() < 0.5 else 1.0
    cos, sin = np.cos(place.turn), np.sin(place.turn)
    turn = np.array([[cos, -sin], [sin, cos]]) @ np.array([[flip, rng.normal(0, 0.04)], [0, rng.uniform(0.95, 1.05)]])
    forward = np.eye(3)
    forward[:2, :2] = turn * place.scale
    forward[2, :2] = rng.normal(0, 2.5e-4, 2)  # perspective: a tenth of a head's size across it at most
    forward = np.array([[1, 0, place.x], [0, 1, place.y], [0, 0, 1]]) @ forward @ np.array([[1, 0, -56], [0, 1, -66], [0, 0, 1.0]])

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


def _develop(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Exposure, colour of the light, blur, the sensor's noise; one photo in twelve in black and white."""
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
