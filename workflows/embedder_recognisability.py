"""Fit the recognisability of an embedder and write it into its card.

    python workflows/embedder_recognisability.py --card facecluster/models/weights/embedder.toml --faces faces_more.parquet \
        --photos photos_more.parquet

A face counts as recognisable if its vector is nearer to the vector of its own clean crop than to the clean crops of OTHERS other faces.
Clean crops are degraded in the ways of real photos: few pixels, blur, motion, darkness, noise, JPEG. Patches of photos without faces are
what a detector takes for a face by mistake; they are never recognisable. A third each are clean, degraded, and patches. Half of the faces
and photos are fitted on, the other half is measured. Photos of things that benchmarks hold out (one row in five) are not used.
"""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from facecluster.models.embedder import CROP
from facecluster.models.recognisability import Recognisability, fit
from facecluster.models.registry import Embedder, load_embedder

OTHERS = 1_000
Crops = NDArray[np.uint8]
Rng = np.random.Generator


def degraded(crop: Crops, rng: Rng) -> Crops:
    """A worse picture of an aligned face: at 4 to 56 px, and for some blurred by motion, dark, noisy, or saved as a poor JPEG."""
    side = int(np.exp(rng.uniform(np.log(4), np.log(56))))
    way = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS)[int(rng.integers(3))]
    image = Image.fromarray(crop).resize((side, side), way)
    if rng.random() < 0.3:
        data = io.BytesIO()
        image.save(data, "JPEG", quality=int(rng.integers(20, 70)))
        image = Image.open(io.BytesIO(data.getvalue())).convert("RGB")
    image = image.resize((CROP, CROP), Image.Resampling.BICUBIC)
    if rng.random() < 0.25:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(1, 5))))
    pixels = np.asarray(image, np.float32)
    if rng.random() < 0.25:  # motion: the mean of shifted copies
        shifts = np.linspace(0, rng.uniform(4, 24), 9).round().astype(int)
        pixels = np.mean([np.roll(pixels, s, axis=int(rng.integers(2))) for s in shifts], axis=0)
    if rng.random() < 0.3:
        pixels = pixels * rng.uniform(0.08, 0.5)
    if rng.random() < 0.3:
        pixels = pixels + rng.normal(0, rng.uniform(3, 20), pixels.shape)
    return pixels.clip(0, 255).astype(np.uint8)


def clean_crops(path: Path, n: int, rng: Rng) -> Crops:
    """n crops drawn from a file of faces."""
    file = pq.ParquetFile(path)
    rows = np.sort(rng.choice(file.metadata.num_rows, n, replace=False))
    found, start = [], 0
    for batch in file.iter_batches(4096, columns=["crop"]):
        for row in rows[(rows >= start) & (rows < start + batch.num_rows)]:
            data = batch["crop"][int(row) - start].as_py()
            found.append(np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((CROP, CROP))))
        start += batch.num_rows
    return np.stack(found)


def patches(path: Path, n: int, rng: Rng) -> Crops:
    """n square patches of photos without faces, at the size of a crop."""
    table = pq.read_table(path, columns=["source", "image"])
    rows = [i for i, source in enumerate(table["source"].to_pylist()) if source.startswith("negatives") and i % 5]
    found = []
    for row in rng.choice(rows, n):
        image = Image.open(io.BytesIO(table["image"][int(row)].as_py())).convert("RGB")
        side = int(rng.uniform(16, min(image.size)))
        x, y = (int(rng.integers(0, length - side + 1)) for length in image.size)
        found.append(np.asarray(image.crop((x, y, x + side, y + side)).resize((CROP, CROP), Image.Resampling.BICUBIC)))
    return np.stack(found)


def measure(model: Embedder, clean: Crops, things: Crops, rng: Rng) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int8]]:
    """Vectors (m, dim), whether each can be recognised, and its kind: 0 clean, 1 degraded, 2 patch."""
    of_clean = model.embed(clean)
    of_worse = model.embed(np.stack([degraded(c, rng) for c in clean]))
    own = np.einsum("ij,ij->i", of_worse, of_clean)
    best = np.empty(len(clean))
    for i in range(len(clean)):
        others = rng.choice(np.delete(np.arange(len(clean)), i), min(OTHERS, len(clean) - 1), replace=False)
        best[i] = (of_clean[others] @ of_worse[i]).max()
    vectors = np.concatenate([of_clean, of_worse, model.embed(things)])
    right = np.r_[np.ones(len(clean), bool), own > best, np.zeros(len(things), bool)]
    return vectors, right, np.repeat(np.arange(3, dtype=np.int8), [len(clean), len(clean), len(things)])


def fit_recognisability(model: Embedder, faces: Path, photos: Path, n: int, seed: int = 0) -> tuple[Recognisability, dict[str, float]]:
    """The regression, and figures on the half that it was not fitted on."""
    rng = np.random.default_rng(seed)
    vectors, right, kind = measure(model, clean_crops(faces, n, rng), patches(photos, n, rng), rng)
    half = np.tile(np.arange(n) % 2 == 0, 3)
    found = fit(vectors[half], right[half])
    p, y, kind = found.of(vectors[~half]), right[~half], kind[~half]
    bins = np.clip((p * 10).astype(int), 0, 9)
    error = sum(abs(p[bins == b].mean() - y[bins == b].mean()) * (bins == b).mean() for b in range(10) if (bins == b).any())
    figures = {
        "clean below .5": float((p[kind == 0] < 0.5).mean()), "patches above .5": float((p[kind == 2] >= 0.5).mean()),
        "degraded that can be recognised, below .5": float((p[(kind == 1) & y] < 0.5).mean()),
        "degraded that can not, above .5": float((p[(kind == 1) & ~y] >= 0.5).mean()),
        "degraded that can be recognised": float(y[kind == 1].mean()), "calibration error": float(error),
    }  # fmt: skip
    return found, {name: round(v, 4) for name, v in figures.items()}


def section(found: Recognisability, figures: dict[str, float]) -> str:
    """The section of a card."""
    numbers = [f"{w:g}" for w in found.weights]
    lines = [", ".join(numbers[i : i + 16]) for i in range(0, len(numbers), 16)]
    said = "; ".join(f"{name} {value:g}" for name, value in figures.items())
    return (
        "[recognisability]  # of a face by its vector v: 1 / (1 + exp(-(weights . v + intercept))); workflows/embedder_recognisability.py\n"
        f"# on faces and photos that it was not fitted on: {said}\n"
        f"intercept = {found.intercept:g}\nweights = [\n  " + ",\n  ".join(lines) + ",\n]\n"
    )


def write_section(card: Path, text: str) -> None:
    """Put the section into a card, in place of an older one."""
    old = re.sub(r"\[recognisability\].*?(?=^\[|\Z)", "", card.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    before, ranges, after = old.partition("[ranges]")
    card.write_text(f"{before}{text}\n{ranges}{after}" if ranges else f"{old.rstrip()}\n\n{text}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--card", type=Path, required=True, help="TOML card of the model; its weights lie beside it")
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True, help="photos, those without faces under sources negatives/...")
    parser.add_argument("--n", type=int, default=4_000, help="of clean crops, of degraded ones, and of patches")
    options = parser.parse_args()
    found, figures = fit_recognisability(load_embedder(str(options.card)), options.faces, options.photos, options.n)
    for name, value in figures.items():
        print(f"{name}: {value:g}")
    write_section(options.card, section(found, figures))


if __name__ == "__main__":
    main()
