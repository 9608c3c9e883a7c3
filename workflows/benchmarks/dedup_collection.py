"""A collection of photos with known duplicates, made from real photos: copies of every kind, and similar pictures that are not copies.

Used by dedup.py. All random choices follow from a seed. COPIES and DIFFERENT list the cases.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import map_coordinates

Rng = np.random.Generator
WORDS = ("the day the lake froze over", "Who forgot the keys again?", "Grandma, 80 years", "2019 - Lisbon", "MONDAY MORNING", "diet")
# Rows of the photos that are duplicates in the source itself: all pairs that any method found at a loose threshold were checked by eye.
# From (1332, 1968) and from (299, 429) on, one of the two has boxes or words drawn into it.
SAME = (
    (44, 120, 212, 1500, 1622, 1886), (758, 934), (888, 1682), (1026, 1962), (1472, 1714), (1578, 1752), (1332, 1968), (1072, 1974),
    (217, 1211), (297, 1915), (333, 1069), (771, 1421, 1949), (923, 1345, 1651), (1555, 1667), (299, 429), (593, 949), (627, 1823),
    (777, 1217), (1079, 1691),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Original:
    """A source photo."""

    name: str
    image: Image.Image
    boxes: list[list[float]]  # faces: x, y, w, h in px
    landmarks: list[list[float]]  # of the faces: x, y of right eye, left eye, ...
    scores: list[float]  # of the faces, .5 to 1


@dataclass(frozen=True, slots=True)
class File:
    """A file of the collection: it shows the picture `picture`, and was made as `case` from `original`."""

    name: str
    original: str
    case: str
    picture: str  # two files are duplicates if and only if this is equal


def originals(photos: Path, album: Path, half: int) -> Iterator[Original]:
    """The source photos of one half: rows and files with even or odd numbers."""
    table = pq.read_table(photos, columns=["image", "boxes", "landmarks", "scores"])
    for row in range(half, table.num_rows, 2):
        image = Image.open(io.BytesIO(table["image"][row].as_py())).convert("RGB")
        landmarks = np.array(table["landmarks"][row].as_py(), np.float64).reshape(-1, 10).tolist()
        yield Original(f"row{row:05d}", image, table["boxes"][row].as_py(), landmarks, table["scores"][row].as_py())
    files = sorted(p for p in album.rglob("*") if p.suffix in {".jpg", ".png"})
    for path in files[half::2]:
        yield Original("-".join(path.relative_to(album).with_suffix("").parts), Image.open(path).convert("RGB"), [], [], [])


def jpeg(image: Image.Image, quality: int) -> tuple[bytes, str]:
    return coded(image, "JPEG", quality=quality), "jpg"


def coded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def scaled(image: Image.Image, share: float, how: Image.Resampling = Image.Resampling.LANCZOS) -> Image.Image:
    return image.resize((max(1, round(image.width * share)), max(1, round(image.height * share))), how)


def cut(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    w, h = image.size
    return image.crop((round(left * w), round(top * h), round(right * w), round(bottom * h)))


def cut_side(image: Image.Image, rng: Rng) -> Image.Image:
    """5 % off one side."""
    box = [0.0, 0.0, 1.0, 1.0]
    side = int(rng.integers(4))
    box[side] += 0.05 if side < 2 else -0.05
    return cut(image, *box)


def cut_anywhere(image: Image.Image, rng: Rng, share: float) -> Image.Image:
    x, y = rng.uniform(0, 1 - share, 2)
    return cut(image, x, y, x + share, y + share)


def font(px: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=max(7.0, px))


def with_bar(image: Image.Image, rng: Rng) -> Image.Image:
    """A bar of 8 to 18 % of the height with a line of text, below or above."""
    w, h = image.size
    bar = round(h * rng.uniform(0.08, 0.18))
    paper, ink = [("white", "black"), ("black", "white"), ((40, 60, 120), (250, 240, 200))][int(rng.integers(3))]
    above = rng.random() < 0.3
    out = Image.new("RGB", (w, h + bar), paper)
    out.paste(image, (0, bar if above else 0))
    ImageDraw.Draw(out).text((w * 0.04, bar * 0.2 + (0 if above else h)), str(rng.choice(WORDS)), fill=ink, font=font(bar * 0.55))
    return out


def with_text(image: Image.Image, rng: Rng) -> Image.Image:
    """A line of text over the lower or upper part, with an outline or on a half-transparent band."""
    w, h = image.size
    size = h * rng.uniform(0.05, 0.09)
    y = h * (0.03 if rng.random() < 0.3 else 0.95)
    y = y if y < h / 2 else y - size * 1.4
    out = image.copy()
    if rng.random() < 0.5:
        band = Image.new("RGB", (w, round(size * 1.7)), "black")
        out.paste(Image.blend(cropped := out.crop((0, round(y), w, round(y) + band.height)), band.resize(cropped.size), 0.5), (0, round(y)))
        ImageDraw.Draw(out).text((w * 0.05, y), str(rng.choice(WORDS)), fill="white", font=font(size))
    else:
        stroke = max(1, round(size / 12))
        words = str(rng.choice(WORDS))
        ImageDraw.Draw(out).text((w * 0.05, y), words, fill="white", font=font(size), stroke_width=stroke, stroke_fill="black")
    return out


def with_two_texts(image: Image.Image, rng: Rng) -> Image.Image:
    """Large text at the top and at the bottom."""
    w, h = image.size
    out, size = image.copy(), h * 0.1
    for y, words in ((0.02, "WHEN YOU SEE IT"), (0.86, str(rng.choice(WORDS)).upper())):
        line = {"fill": "white", "font": font(size), "stroke_width": max(1, round(size / 14)), "stroke_fill": "black"}
        ImageDraw.Draw(out).text((w * 0.04, y * h), words, **line)
    return out


def moved(original: Original, rng: Rng) -> Image.Image:
    """Someone moves: the part around a face (or anywhere) shifts by 2 to 5 % of the photo's longer side, the rest stays."""
    pixels = np.asarray(original.image, np.float64)
    h, w = pixels.shape[:2]
    boxes = original.boxes or [[rng.uniform(0.1, 0.7) * w, rng.uniform(0.1, 0.7) * h, 0.2 * w, 0.2 * h]]
    x, y, bw, bh = boxes[int(rng.integers(len(boxes)))]
    radius = max(bw, bh, 0.15 * max(w, h))
    shift, angle = rng.uniform(0.02, 0.05) * max(w, h), rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0:h, 0:w].astype(np.float64)
    near = np.exp(-((columns - x - bw / 2) ** 2 + (rows - y - bh / 2) ** 2) / radius**2)
    at = [rows + shift * np.sin(angle) * near, columns + shift * np.cos(angle) * near]
    return noisy(np.stack([map_coordinates(pixels[..., c], at, order=1, mode="nearest") for c in range(3)], axis=-1), rng)


def noisy(pixels: NDArray[np.float64], rng: Rng) -> Image.Image:
    return Image.fromarray(np.clip(pixels + rng.normal(0, 2, pixels.shape), 0, 255).astype(np.uint8))


def by_hand(original: Original, rng: Rng) -> Image.Image:
    """The scene a moment later with a hand-held camera: rotated by 0.7 to 2 degrees, shifted, and someone moves."""
    image = moved(original, rng).rotate(float(rng.choice([-1, 1]) * rng.uniform(0.7, 2)), resample=Image.Resampling.BICUBIC)
    x, y = rng.uniform(0.02, 0.06, 2)
    return cut(image, x, y, x + 0.92, y + 0.92)


def blinks(original: Original, rng: Rng) -> Image.Image | None:
    """Someone shuts the eyes (skin from above and below over them, and a line); None if no sure face is 36 px high.

    Boxes of low score are left out: some of them are flowers and patterns, where a "blink" changes nothing that anyone would see.
    """
    eyes = [np.array(points).reshape(-1, 2)[:2] for points in original.landmarks]
    apart_of = [float(np.linalg.norm(right - left)) for right, left in eyes]
    sizes = zip(original.boxes, original.scores, apart_of, strict=True)
    large = [i for i, (box, score, apart) in enumerate(sizes) if box[3] >= 36 and score >= 0.8 and apart >= 10]
    if not large:
        return None
    pixels = np.array(original.image, np.float64)
    face = large[int(rng.integers(len(large)))]
    (right, left), apart = eyes[face], apart_of[face]
    for x, y in (right, left):
        top, bottom = max(1, round(y - 0.18 * apart)), min(len(pixels) - 1, round(y + 0.18 * apart))
        columns = slice(max(0, round(x - 0.3 * apart)), max(1, round(x + 0.3 * apart)))
        if bottom - top < 2:
            return None
        share = np.linspace(0, 1, bottom - top)[:, None, None]
        pixels[top:bottom, columns] = (1 - share) * pixels[top - 1, columns] + share * pixels[bottom, columns]
        pixels[(top + bottom) // 2, columns] *= 0.6
    return noisy(pixels, rng)


Copy = Callable[[Image.Image, Rng], tuple[bytes, str]]
STRICT: dict[str, Copy] = {
    "resize 25 %": lambda i, r: jpeg(scaled(i, 0.25), 90),
    "resize 50 %, JPEG 60": lambda i, r: jpeg(scaled(i, 0.5, Image.Resampling.BICUBIC), 60),
    "JPEG 40": lambda i, r: jpeg(i, 40),
    "JPEG 60": lambda i, r: jpeg(i, 60),
    "JPEG 80": lambda i, r: jpeg(i, 80),
    "JPEG 95": lambda i, r: jpeg(i, 95),
    "WebP 75": lambda i, r: (coded(i, "WEBP", quality=75), "webp"),
    "grey": lambda i, r: jpeg(i.convert("L"), 85),
    "rotate 90": lambda i, r: jpeg(i.transpose((Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)[int(r.integers(2))]), 85),
    "rotate 180": lambda i, r: jpeg(i.transpose(Image.Transpose.ROTATE_180), 85),
    "mirror": lambda i, r: jpeg(i.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 85),
    "rotate 90, resize 50 %, JPEG 70": lambda i, r: jpeg(scaled(i.transpose(Image.Transpose.ROTATE_90), 0.5), 70),
}
LOOSE: dict[str, Copy] = {
    "crop 5 % of each side": lambda i, r: jpeg(cut(i, 0.05, 0.05, 0.95, 0.95), 85),
    "crop 5 % of one side": lambda i, r: jpeg(cut_side(i, r), 85),
    "crop to 95 % anywhere": lambda i, r: jpeg(cut_anywhere(i, r, 0.95), 85),
    "crop 5 %, resize 50 %, JPEG 70": lambda i, r: jpeg(scaled(cut_anywhere(i, r, 0.95), 0.5), 70),
    "caption beside": lambda i, r: jpeg(with_bar(i, r), 85),
    "caption over": lambda i, r: jpeg(with_text(i, r), 85),
    "two captions over": lambda i, r: jpeg(with_two_texts(i, r), 85),
}
BEYOND: dict[str, Copy] = {"crop to 90 % anywhere": lambda i, r: jpeg(cut_anywhere(i, r, 0.9), 85)}  # not part of the recall bars
COPIES = STRICT | LOOSE | BEYOND
DIFFERENT: dict[str, Callable[[Original, Rng], Image.Image | None]] = {
    "upper left": lambda o, r: cut(o.image, 0, 0, 0.62, 0.62),
    "lower right": lambda o, r: cut(o.image, 0.38, 0.38, 1, 1),
    "someone moves": moved,
    "by hand": by_hand,
    "someone blinks": blinks,
}


def make(folder: Path, photos: Path, album: Path, half: int, seed: int, with_copies: int) -> list[File]:
    """Write the collection of one half and its list, files.csv.

    All photos of the half are in it. `with_copies` of them, evenly chosen, have a copy of each case and a different picture of each.
    The list is written last: if it exists, the collection is complete and is not made again.
    """
    if (folder / "files.csv").exists():
        with open(folder / "files.csv", newline="", encoding="utf-8") as f:
            return [File(**row) for row in csv.DictReader(f)]
    folder.mkdir(parents=True, exist_ok=True)
    every = list(originals(photos, album, half))
    chosen = set(np.linspace(0, len(every) - 1, min(with_copies, len(every))).round().astype(int).tolist())
    same = {f"row{row:05d}": f"row{rows[0]:05d}" for rows in SAME for row in rows}
    files = []
    for number, original in enumerate(every):
        rng = np.random.default_rng([seed, half, number])
        made = {"original": (coded(original.image, "JPEG", quality=97, subsampling=0), "jpg")}
        if number in chosen:
            made |= {case: copy(original.image, rng) for case, copy in COPIES.items()}
            others = {case: other(original, rng) for case, other in DIFFERENT.items()}
            made |= {case: jpeg(other, 92) for case, other in others.items() if other is not None}
        for case, (data, extension) in made.items():
            name = f"{original.name}.{''.join(c if c.isalnum() else '_' for c in case)}.{extension}"
            (folder / name).write_bytes(data)
            picture = same.get(original.name, original.name)
            files.append(File(name, original.name, case, picture if case not in DIFFERENT else f"{picture}/{case}"))
    with open(folder / "files.csv", "w", newline="", encoding="utf-8") as f:
        csv.writer(f).writerows([("name", "original", "case", "picture"), *((x.name, x.original, x.case, x.picture) for x in files)])
    return files
