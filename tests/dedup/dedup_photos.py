"""Drawn photos, and stores of them without faces, for the tests of duplicates."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from facecluster.dedup.files import uri_of
from facecluster.photos.images import content_id, open_photo
from facecluster.photos.picture_hashes import phash
from facecluster.store import FACES, PHOTOS, Store, table_of


def scene(seed: int, width: int = 480, height: int = 360) -> Image.Image:
    """Coloured ellipses and lines on a gradient, with grain, in place of a photo."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    slope = rng.uniform(-90, 90, (2, 3))
    pixels = np.clip(128 + x[..., None] * slope[0] + y[..., None] * slope[1], 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    for _ in range(30):
        cx, cy, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.03, 0.22) * width
        colour = tuple(int(c) for c in rng.integers(0, 255, 3))
        if rng.random() < 0.7:
            draw.ellipse((cx - r, cy - r * rng.uniform(0.4, 1), cx + r, cy + r), fill=colour)
        else:
            draw.line((cx, cy, cx + rng.uniform(-3, 3) * r, cy + rng.uniform(-3, 3) * r), fill=colour, width=int(rng.integers(3, 12)))
    image = image.filter(ImageFilter.GaussianBlur(1.2))
    grain = rng.normal(0, 2, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def coded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **({"quality": 90} | options if kind in ("JPEG", "WEBP") else options))
    return out.getvalue()


def scaled(image: Image.Image, share: float) -> Image.Image:
    return image.resize((round(image.width * share), round(image.height * share)), Image.Resampling.LANCZOS)


def cut(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    w, h = image.size
    return image.crop((round(left * w), round(top * h), round(right * w), round(bottom * h)))


def captioned(image: Image.Image) -> Image.Image:
    """White letters with a black outline over the lower part."""
    out = image.copy()
    size = image.height * 0.09
    font = ImageFont.load_default(size=size)
    at = 10, image.height - 1.5 * size
    ImageDraw.Draw(out).text(at, "what a lovely day it was", "white", font, stroke_width=2, stroke_fill="black")
    return out


def barred(image: Image.Image) -> Image.Image:
    """A white bar below with a line of text."""
    bar = round(image.height * 0.13)
    out = Image.new("RGB", (image.width, image.height + bar), "white")
    out.paste(image)
    ImageDraw.Draw(out).text((10, image.height + bar * 0.2), "Lisbon, 2019", "black", ImageFont.load_default(size=bar * 0.6))
    return out


def moved(image: Image.Image, by: float = 0.05) -> Image.Image:
    """Something in the middle has moved by a share of the width."""
    w, h = image.size
    part = cut(image, 0.35, 0.3, 0.65, 0.7)
    out = image.copy()
    out.paste(part, (round(0.35 * w + by * w), round(0.3 * h)))
    return out


def write_store(folder: Path, files: Sequence[str | Path], taken: dict[str, datetime] | None = None, shard_size: int = 8) -> Store:
    """A store of these files, as `facecluster embed` makes it, but without faces. `taken`: times by file name."""
    store = Store(str(folder))
    store.create()
    paths = [os.fspath(f) for f in files]
    first = max((int(s) for s in store.shards("photos")), default=-1) + 1
    for number, start in enumerate(range(0, len(paths), shard_size), start=first):
        rows = [_row(path, (taken or {}).get(os.path.basename(path))) for path in paths[start : start + shard_size]]
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        store.write("photos", f"{number:05d}", table_of(PHOTOS, columns), {"table": "photos"})
        store.write("faces", f"{number:05d}", FACES.empty_table(), {"table": "faces"})
    return store


def _row(path: str, taken: datetime | None) -> dict[str, Any]:
    with open(path, "rb") as f:
        data = f.read()
    status, photo = os.stat(path), open_photo(data)
    return {
        "photo_id": content_id(data), "uri": uri_of(path), "size": len(data), "mtime_ns": status.st_mtime_ns, "format": photo.format,
        "width": photo.width, "height": photo.height, "orientation": photo.orientation, "turn": 0, "taken_at": taken or photo.taken_at,
        "phash": phash(photo.pixels), "faces": 0, "error": None,
    }  # fmt: skip


@contextmanager
def silent(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar that shows nothing."""
    yield lambda n: None
