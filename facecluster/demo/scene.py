"""Draw the surroundings of a demo face: a head with hair, neck and shoulders, and backgrounds. All are shapes and noise, not photos.

Lengths on a head are in units of an aligned crop (112 across the face: geometry.TEMPLATE); colours are RGB, 0 to 255.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facecluster.demo.face_space import SIDE
from facecluster.geometry import CROP

Floats = NDArray[np.float32]
LEFT, TOP, WIDTH, HEIGHT = -94, -74, 300, 330  # the head's picture: x from -94 to 206, y from -74 to 256
HAIR = np.array([[28, 22, 20], [52, 34, 24], [88, 56, 34], [134, 92, 52], [190, 152, 96], [128, 58, 32], [150, 148, 146]], np.float32)


@dataclass(frozen=True, slots=True)
class Style:
    """Features of a person, besides the face, that are the same in all photos."""

    hair: Floats  # RGB
    long: bool  # hair down to the shoulders
    bald: bool
    hairline: float  # y of the hair over the forehead
    width: float  # of the head, 1 = average

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Style:
        hair = HAIR[rng.integers(len(HAIR))] * rng.uniform(0.8, 1.15)
        return cls(np.asarray(hair, np.float32), rng.random() < 0.5, rng.random() < 0.12, rng.uniform(-8, 6), rng.uniform(0.95, 1.05))


def noise(rng: np.random.Generator, height: int, width: int, cells: tuple[int, int]) -> Floats:
    """Smooth noise (height, width) of standard deviation about 1 with `cells` (rows, columns) independent values."""
    grid = rng.standard_normal((max(cells[0], 1), max(cells[1], 1))).astype(np.float32)
    return np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC), np.float32)


def _ellipse(x: Floats, y: Floats, centre: tuple[float, float], radii: tuple[float, float], soft: float) -> Floats:
    """1 inside, 0 outside, with a soft edge of `soft` units."""
    distance = np.sqrt(((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2)
    return np.asarray(np.clip((1 - distance) * min(radii) / soft + 0.5, 0, 1), np.float32)


def head(face: Floats, style: Style, clothes: Floats, light: float, density: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a head with this face: RGBA (h, w, 4) of the region LEFT, TOP, WIDTH, HEIGHT.

    Args:
        face: (SIDE, SIDE, 3) from FaceSpace.render.
        clothes: RGB.
        light: brightness of the left side over the right, -1 to 1.
        density: px a unit.
    """
    w, h = round(WIDTH * density), round(HEIGHT * density)
    x = 56 + (LEFT - 56 + (np.arange(w, dtype=np.float32)[None] + 0.5) / density) / style.width
    y = TOP + (np.arange(h, dtype=np.float32)[:, None] + 0.5) / density
    oval = partial(_ellipse, x, y)
    patch, blend, skin = _patch(face, density, (h, w))
    hair = style.hair[:, None, None] * (1 + 0.16 * noise(rng, h, w, (8, 70)))
    skin, cloth = skin[:, None, None], clothes[:, None, None]
    rgb = np.empty((3, h, w), np.float32)  # separate colour planes: three times as fast as interleaved ones
    rgb[:] = cloth
    alpha = np.zeros((h, w), np.float32)

    def paint(cover: NDArray[np.floating], colour: NDArray[np.floating]) -> None:
        np.add(rgb, cover * (colour - rgb), out=rgb)
        np.maximum(alpha, cover, out=alpha)

    if style.long and not style.bald:
        paint(oval((56, 66), (70, 110), 5), hair * 0.75)
    paint(oval((56, 136), (31, 48), 4), skin * (0.72 + 0.14 * np.clip((y - 118) / 40, 0, 1)))
    paint(oval((56, 262), (132, 108), 3), cloth)
    for ear in (2, 110):
        paint(oval((ear, 64), (8, 17), 3), skin * 0.85)
    paint(oval((56, 51), (54, 73), 3), skin * (0.8 + 0.2 * oval((56, 50), (53, 73), 40)))
    rgb += blend * (patch - rgb)
    if not style.bald:
        cap = oval((56, 36), (61, 74), 4) * (1 - oval((56, 72), (51, 72 - style.hairline), 7))
        paint(cap * (1 - np.clip((y - 20) / 60, 0, 1) * (0.3 if style.long else 0.9)), hair)
    # no difference of light at the lower edge, where the body continues
    rgb *= 1 + np.clip(light * 0.25 * (56 - x) / 56, -0.4, 0.4) * np.clip((190 - y) / 60, 0, 1)
    rgb += 2 * noise(rng, h, w, (h // 3, w // 3))
    layers = np.concatenate((rgb, alpha[None] * 255)) + np.float32(0.5)
    return np.ascontiguousarray(np.clip(layers, 0, 255, out=layers).astype(np.uint8).transpose(1, 2, 0))


def _patch(face: Floats, density: float, shape: tuple[int, int]) -> tuple[Floats, Floats, Floats]:
    """The face enlarged to the head's picture (3, h, w), its opacity (h, w) as a soft oval, and the colour of the skin."""
    y, x = (np.mgrid[:SIDE, :SIDE].astype(np.float32) + 0.5) * (CROP / SIDE)
    cover = _ellipse(x, y, (56.0, 56.0), (43.0, 57.0), 16)
    cheeks = (abs(abs(x - 56) - 25) < 8) & (y > 66) & (y < 88)
    skin = np.median(face[cheeks], axis=0).clip(25, 245).astype(np.float32)
    size = round(CROP * density)
    left, top = round(-LEFT * density), round(-TOP * density)
    out = np.zeros((4, *shape), np.float32)
    for full, plane in zip(out, (*face.transpose(2, 0, 1), cover), strict=True):
        grown = Image.fromarray(np.ascontiguousarray(plane)).resize((size, size), Image.Resampling.BICUBIC)
        full[top : top + size, left : left + size] = np.asarray(grown)
    return out[:3], np.clip(out[3], 0, 1), skin


def background(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """A background without people, drawn at a quarter of the size as if out of focus."""
    w, h = width // 4, height // 4
    y = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
    x = np.linspace(0, 1, w, dtype=np.float32)[None, :, None]
    base, other = (_colour(rng) for _ in range(2))
    rgb = base + (other - base) * y + np.zeros((h, w, 3), np.float32)
    kind = rng.integers(5)
    if kind == 0:  # a room: a wall, its floor, frames on it
        rgb = np.where(y > rng.uniform(0.7, 0.9), other * 0.7, base * 1.1) + 0 * rgb
        for _ in range(rng.integers(1, 5)):
            a, b = rng.uniform(0, 0.9, 2)
            inside = (abs(x - a) < rng.uniform(0.03, 0.15)) & (abs(y - b * 0.6) < rng.uniform(0.03, 0.15))
            rgb = np.where(inside, _colour(rng), rgb)
    elif kind == 1:  # hills under a sky
        sky = np.array([rng.uniform(120, 190), rng.uniform(160, 210), rng.uniform(200, 250)], np.float32)
        rgb = sky + 40 * y + 0 * rgb
        for k in range(3):
            line = 0.45 + 0.15 * k + 0.06 * np.sin(x * rng.uniform(4, 14) + rng.uniform(0, 6))
            ground = np.array([60, rng.uniform(80, 130), 50], np.float32) * (1.1 - 0.2 * k)
            rgb = np.where(y > line, ground, rgb)
    elif kind == 2:  # leaves
        green = np.array([rng.uniform(40, 90), rng.uniform(80, 130), rng.uniform(30, 60)], np.float32)
        rgb = green + 0 * rgb + 22 * sum(noise(rng, h, w, (c, c)) for c in (9, 24, 60))[..., None]  # type: ignore[index]
    elif kind == 3:  # lights at night
        rgb = rgb * 0.35
        for _ in range(rng.integers(15, 40)):
            a, b, r = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.01, 0.05)
            rgb = rgb + 0.6 * _colour(rng) * np.clip(2 - 2 * np.sqrt((x - a) ** 2 + ((y - b) * h / w) ** 2) / r, 0, 1)
    rgb = rgb + 6 * noise(rng, h, w, (8, 8))[..., None] + 3 * noise(rng, h, w, (h // 3, w // 3))[..., None]
    small = Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def _colour(rng: np.random.Generator) -> Floats:
    """A colour for walls and clothes: any hue, rarely saturated."""
    grey = rng.uniform(40, 215)
    return np.asarray(np.clip(grey + rng.normal(0, 28, 3), 5, 250), np.float32)


clothing = _colour
