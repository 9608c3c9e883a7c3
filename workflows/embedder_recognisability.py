"""Fit the recognisability of an embedder and write it into its card.

    python workflows/embedder_recognisability.py --card facecluster/models/weights/embedder.toml --faces faces_more.parquet \
        --photos photos_more.parquet

A face counts as recognisable if its vector is nearer to the vector of its own clean crop than to those of a thousand others. Clean crops
are degraded in the ways of real photos (models/unclear_crops.py). Patches of photos without faces are what a detector takes for a face by
mistake; they are never recognisable. A third each are clean, degraded, and patches. Half of the faces and photos are fitted on, the other
half is measured. Photos of things that benchmarks hold out (one row in five) are not used.

With --generated the fit is that of a store whose model's card has none (faces/fit_recognisability.py): to a few of the same faces and
generated pictures of no face. It is measured on the same half; the card stays as it is.
"""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import rankdata

from facecluster.faces.fit_recognisability import fit_to_faces
from facecluster.geometry import CROP
from facecluster.models.recognisability import Recognisability, fit, told_apart
from facecluster.models.registry import Embedder, load_embedder
from facecluster.models.unclear_crops import Crops, Rng, degraded


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


def patches(path: Path, n: int, rng: Rng, *, held_out: bool = False) -> Crops:
    """n square patches of photos without faces, at the size of a crop; of those that benchmarks hold out, or of the others."""
    table = pq.read_table(path, columns=["source", "image"])
    rows = [i for i, source in enumerate(table["source"].to_pylist()) if source.startswith("negatives") and (i % 5 == 0) == held_out]
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
    told = told_apart(of_worse, of_clean, -model.card.intercept / model.card.slope)
    vectors = np.concatenate([of_clean, of_worse, model.embed(things)])
    right = np.r_[np.ones(len(clean), bool), told, np.zeros(len(things), bool)]
    return vectors, right, np.repeat(np.arange(3, dtype=np.int8), [len(clean), len(clean), len(things)])


def fit_recognisability(
    model: Embedder, faces: Path, photos: Path, n: int, *, seed: int = 0, generated: int = 0
) -> tuple[Recognisability, dict[str, float]]:  # fmt: skip
    """The regression, and figures on the half that it was not fitted on.

    `generated`: fit to this many of the crops as a model without a regression is fitted in a store; 0: to half of all crops and patches.
    """
    rng = np.random.default_rng(seed)
    crops = clean_crops(faces, n, rng)
    vectors, right, kind = measure(model, crops, patches(photos, n, rng), rng)
    half = np.tile(np.arange(n) % 2 == 0, 3)
    fitted = fit_to_faces(model, crops[::2][:generated], vectors[:n:2][:generated]) if generated else fit(vectors[half], right[half])
    if fitted is None:
        raise SystemExit("expected a model that tells clear faces from unclear ones, found one that does not")
    return fitted, figures(fitted.of(vectors[~half]), right[~half], kind[~half])


def figures(p: NDArray[np.float32], y: NDArray[np.bool_], kind: NDArray[np.int8]) -> dict[str, float]:
    """How well probabilities `p` (m,) tell the faces `y` (m,) that can be recognised; kinds are those of `measure`."""
    bins = np.clip((p * 10).astype(int), 0, 9)
    error = sum(abs(p[bins == b].mean() - y[bins == b].mean()) * (bins == b).mean() for b in range(10) if (bins == b).any())
    ranks = rankdata(np.r_[p[kind == 0], p[kind == 2]])
    clean, patch = int((kind == 0).sum()), int((kind == 2).sum())
    found = {
        "clean below .5": (p[kind == 0] < 0.5).mean(), "patches above .5": (p[kind == 2] >= 0.5).mean(),
        "area under the curve, clean and patches": (ranks[:clean].sum() - clean * (clean + 1) / 2) / (clean * patch),
        "degraded that can be recognised, below .5": (p[(kind == 1) & y] < 0.5).mean(),
        "degraded that can not, above .5": (p[(kind == 1) & ~y] >= 0.5).mean(),
        "degraded that can be recognised": y[kind == 1].mean(), "calibration error": error,
    }  # fmt: skip
    return {name: round(float(v), 4) for name, v in found.items()}


def section(found: Recognisability, measured: dict[str, float]) -> str:
    """The section of a card."""
    numbers = [f"{w:g}" for w in found.weights]
    lines = [", ".join(numbers[i : i + 16]) for i in range(0, len(numbers), 16)]
    said = "; ".join(f"{name} {value:g}" for name, value in measured.items())
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
    parser.add_argument("--generated", type=int, default=0, metavar="FACES", help="measure the fit of a store with so many clear faces")
    options = parser.parse_args()
    model = load_embedder(str(options.card))
    found, said = fit_recognisability(model, options.faces, options.photos, options.n, generated=options.generated)
    for name, value in said.items():
        print(f"{name}: {value:g}")
    if not options.generated:
        write_section(options.card, section(found, said))


if __name__ == "__main__":
    main()
