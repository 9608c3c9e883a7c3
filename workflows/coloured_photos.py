"""Photos whose faces are coloured squares, and a detector and an embedder of a few lines for them: for `random_history.py`."""

from __future__ import annotations

import colorsys
import hashlib
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from facecluster.geometry import TEMPLATE
from facecluster.models.card import card_of
from facecluster.models.search import Found
from facecluster.models.views import Candidates

HUES = 6  # true people
WIDTH, HEIGHT, SIDE = 320, 240, 52  # px of a photo and of a face
Key = tuple[int, int]  # a face: number of its picture, and of the face in it


@dataclass(frozen=True)
class Picture:
    """What a photo shows, in however many files: true people, and where their faces are (x and y, 0 to 1)."""

    number: int
    hues: tuple[int, ...]
    places: tuple[tuple[float, float], ...]

    def keys(self) -> list[Key]:
        return [(self.number, i) for i in range(len(self.hues))]


class Detector:
    """Finds saturated squares."""

    threshold, fingerprint = 0.5, "squares"

    def search(self, images: Sequence[NDArray[np.uint8]], *, threshold: float | None = None) -> list[Found]:
        return [Found(self.faces(image), 0) for image in images]

    def faces(self, image: NDArray[np.uint8]) -> Candidates:
        labels, _ = ndimage.label(np.ptp(image, axis=2) > 100)
        found = [part for part in ndimage.find_objects(labels) if all(s.stop - s.start > SIDE // 3 for s in part)]
        boxes = np.array([[x.start, y.start, x.stop - x.start, y.stop - y.start] for y, x in found], np.float32).reshape(-1, 4)
        marks = boxes[:, None, :2] + TEMPLATE[None] / 112 * boxes[:, None, 2:]
        return Candidates(boxes, marks.astype(np.float32), np.full(len(boxes), 0.99, np.float32))


class Embedder:
    """Tells hues apart; what else differs between two crops moves the vector a little."""

    def __init__(self, model: str = "bundled") -> None:
        self.card = card_of(model)
        seed = 0 if self.card.name == "bundled" else zlib.crc32(self.card.name.encode())
        self.axes = np.random.default_rng(seed).normal(size=(HUES, self.card.dim))

    def embed(self, crops: NDArray[np.uint8], *, mirror: bool = True) -> NDArray[np.float32]:
        rows = []
        for crop in crops:
            r, g, b = (float(v) / 255 for v in crop[40:72, 40:72].mean(axis=(0, 1)))
            seed = int.from_bytes(hashlib.blake2b(crop.tobytes(), digest_size=8).digest())
            rows.append(self.axes[round(colorsys.rgb_to_hsv(r, g, b)[0] * HUES) % HUES])
            rows[-1] = rows[-1] + 0.5 * np.random.default_rng(seed).normal(size=self.card.dim)
        vectors = np.array(rows, np.float32).reshape(-1, self.card.dim)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def draw(picture: Picture, rng: np.random.Generator) -> Image.Image:
    """Squares of saturated colours on a grey picture."""
    grey = ndimage.zoom(rng.uniform(60, 200, (9, 12)), (HEIGHT / 9, WIDTH / 12), order=1) + rng.normal(0, 4, (HEIGHT, WIDTH))
    pixels = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    for hue, (x, y) in zip(picture.hues, picture.places, strict=True):
        left, top = round(x * WIDTH - SIDE / 2), round(y * HEIGHT - SIDE / 2)
        colour = np.array(colorsys.hsv_to_rgb(hue / HUES, 1, 0.9)) * 255
        pixels[top : top + SIDE, left : left + SIDE] = colour * rng.uniform(0.9, 1.1)
    return Image.fromarray(pixels)


def write_comment(data: bytes, text: bytes) -> bytes:
    """A JPEG or PNG with a text before its pixels, as programs write metadata."""
    if data[:2] == b"\xff\xd8":
        return data[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + data[2:]
    body = b"tEXt" + b"Comment\0" + text
    return data[:33] + (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big") + data[33:]


def edit(path: Path, picture: Picture, what: str, rng: np.random.Generator) -> tuple[Path, Picture]:
    """Write a comment, save again, turn, crop a little, or pack as PNG; gives the path and what the photo shows now."""
    data = path.read_bytes()
    if what == "write":
        path.write_bytes(write_comment(data, b"comment %d" % rng.integers(1 << 30)))
        return path, picture
    with Image.open(io.BytesIO(data)) as image:
        image.load()
    places, w, h = picture.places, image.width, image.height
    if what == "turn":
        image, places = image.transpose(Image.Transpose.ROTATE_270), tuple((1 - y, x) for x, y in places)
    elif what == "crop":
        left, top = w // 25, h // 25
        image = image.crop((left, top, w, h))
        places = tuple(((x * w - left) / (w - left), (y * h - top) / (h - top)) for x, y in places)
    new = path.with_suffix(".png") if what == "pack" else path
    path.unlink()
    image.save(new, **({} if new.suffix == ".png" else {"quality": int(rng.integers(85, 96))}))
    return new, replace(picture, places=places)
