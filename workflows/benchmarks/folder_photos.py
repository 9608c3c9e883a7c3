"""A folder as people have them, put together from real photos: crowds, things, an album, and labelled people pasted into photos.

Used by folder.py. Everything is drawn from a seed. Its photos are those that no training and
no threshold has seen (workflows/held_out.py), if the seed is the default one.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from facecluster.geometry import TEMPLATE

sys.path.insert(0, str(Path(__file__).parents[1]))
from held_out import draw_crowds, held_out_thing, is_thing  # noqa: E402

THINGS = 110
SCENES = ("negatives/sun-scenes", "negatives/caltech101-background", "negatives/imagenette-objects")
PASTED_PHOTOS, FACES_A_PERSON = 150, 14
SIDE = 800  # px of the longer side of a photo with pasted faces

Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Label:
    """A face whose person is known."""

    path: str  # file name in the folder
    person: str
    box: tuple[float, float, float, float]  # x, y, w, h in px of the photo


def build(photos: Path, faces: Path, album: Path, folder: Path, seed: int) -> list[Label]:
    """Write the photos into `folder` and labels.csv beside it; the labels."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    table = pq.read_table(photos, columns=["source", "image"])
    sources = np.array(table["source"].to_pylist())
    rows = draw_crowds(sources, rng)
    things = [r for r in np.flatnonzero(is_thing(sources)) if held_out_thing(int(r))]
    rows += rng.permutation(things)[:THINGS].tolist()
    for row in rows:
        image = Image.open(io.BytesIO(table["image"][int(row)].as_py())).convert("RGB")
        image.save(folder / f"{sources[row].replace('/', '-')}-{row:05d}.jpg", quality=92)
    for path in sorted(p for p in album.rglob("*") if p.suffix in {".jpg", ".png"}):
        name = "-".join(path.relative_to(album).parts).rsplit(".", 1)[0]
        Image.open(path).convert("RGB").save(folder / f"album-{name}.jpg", quality=95)
    labels = list(_album_labels(album, folder))
    backgrounds = [r for r in np.flatnonzero(np.isin(sources, SCENES)) if held_out_thing(int(r))]
    labels += _pasted(table, rng.permutation(backgrounds)[:PASTED_PHOTOS].tolist(), faces, folder, rng)
    with open(folder.parent / "labels.csv", "w", encoding="utf-8", newline="") as f:
        out = csv.writer(f)
        out.writerow(["path", "person", "x", "y", "w", "h"])
        out.writerows([str(folder / x.path), x.person, *(round(v, 1) for v in x.box)] for x in labels)
    return labels


def _album_labels(album: Path, folder: Path) -> Iterator[Label]:
    """The album's close-ups of people: a folder each, one face a photo."""
    for path in sorted(folder.glob("album-bbt-*-*.jpg")):
        with Image.open(path) as image:
            yield Label(path.name, path.name.split("-")[2], (0.0, 0.0, float(image.width), float(image.height)))


def _pasted(table: object, rows: list[int], faces: Path, folder: Path, rng: Rng) -> list[Label]:
    """Photos with one to three labelled people in each, at 40 to 130 px, turned a little, some of them soft or dark."""
    data = pq.read_table(faces, columns=["subject", "crop"])
    subjects = np.array([s or "" for s in data["subject"].to_pylist()])
    draw = [int(r) for p in np.unique(subjects[subjects != ""]) for r in rng.permutation(np.flatnonzero(subjects == p))[:FACES_A_PERSON]]
    queue, labels = rng.permutation(draw).tolist(), []
    for row in rows:
        image = Image.open(io.BytesIO(table["image"][row].as_py())).convert("RGB")  # type: ignore[index]
        scale = SIDE / max(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
        taken: list[tuple[float, float, float]] = []
        people: set[str] = set()
        name = f"pasted-{row:05d}.jpg"
        for _ in range(int(rng.integers(1, 4))):
            at = next((i for i, f in enumerate(queue) if subjects[f] not in people), None)
            if at is None:
                break
            face = queue.pop(at)
            size = float(np.exp(rng.uniform(np.log(40), np.log(130))))
            place = _free(image.size, size, taken, rng)
            if place is None:
                queue.append(face)
                continue
            people.add(str(subjects[face]))
            taken.append((*place, size))
            crop = Image.open(io.BytesIO(data["crop"][face].as_py())).convert("RGB")
            box = _paste(image, crop, place, size, rng)
            labels.append(Label(name, str(subjects[face]), box))
        image.save(folder / name, quality=90)
    return labels


def _free(size: tuple[int, int], face: float, taken: list[tuple[float, float, float]], rng: Rng) -> tuple[float, float] | None:
    """A middle for a face that is clear of the border and of others."""
    for _ in range(40):
        x, y = (float(rng.uniform(face, side - face)) if side > 2 * face else -1.0 for side in size)
        if x > 0 and y > 0 and all(np.hypot(x - a, y - b) > 1.1 * (face + other) for a, b, other in taken):
            return x, y
    return None


def _paste(image: Image.Image, crop: Image.Image, place: tuple[float, float], size: float, rng: Rng) -> tuple[float, float, float, float]:
    """Lay a crop over the photo with a soft oval border; the box x, y, w, h of the face."""
    side = round(size * 1.5)  # a crop is about one and a half times as wide as the face in it
    tile = crop.resize((side, side), Image.Resampling.LANCZOS)
    if rng.random() < 0.15:
        tile = tile.filter(ImageFilter.GaussianBlur(size / 60))
    gain = float(rng.uniform(0.7, 1.15))
    tile = tile.point([min(255, round(v * gain)) for v in range(256)] * 3)
    y, x = np.mgrid[:side, :side] / side - 0.5
    mask = Image.fromarray((255 * np.clip((0.5 - np.hypot(x / 0.98, y)) * 8, 0, 1)).astype(np.uint8))
    angle = float(rng.normal(0, 8))
    tile, mask = tile.rotate(angle, Image.Resampling.BICUBIC), mask.rotate(angle, Image.Resampling.BICUBIC)
    left, top = round(place[0] - side / 2), round(place[1] - side / 2)
    image.paste(tile, (left, top), mask)
    middle: NDArray[np.float64] = TEMPLATE.mean(axis=0) / 112 * side
    return left + middle[0] - size / 2, top + middle[1] - size / 2, size, size
