"""Build the face space of `facecluster demo`: a low-rank description of upright faces, learnt from thousands of aligned crops.

    python workflows/build_face_space.py --faces faces_train.parquet --out facecluster/data/face_space.npz

Every crop and its mirror image are taken apart into a symmetric half (who it is) and an antisymmetric half (where the light comes
from, how the head is turned); each has its own principal components, stored as one half of a picture. Turned, masked, dim and
blurred faces are left out: a turned face and its mirror image overlaid would show four eyes.

The file says how each component varies, how much of that is within one person (from the people with a name), and nothing of anyone:
the mean and each component are sums over all faces. `--check TEACHER.onnx` measures that a sample is none of the people it was
learnt from: its cosine to the nearest of all faces by a face-recognition network (whose vectors of them stand in the file), beside
the cosine of a real person's face to the nearest face of somebody else.
"""

from __future__ import annotations

import argparse
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from facecluster.demo.face_space import CHROMA, SIDE, SYMMETRIC, FaceSpace, halves, mask
from facecluster.geometry import CROP, sharpness

Floats = NDArray[np.float32]
KEPT_SYMMETRIC = 0.5  # share of the faces that are kept: the most frontal, evenly lit ones
KEPT_SHARP = 0.8  # and of those the sharpest
ANTISYMMETRIC = 40
LIGHT, TINT = 0.4, 0.7  # share of a photo's own exposure and colour cast that is taken out: else people come out blue and green


def load(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
    """Unmasked crops (n, 112, 112, 3) and the people's names (n,), "" where nobody knows."""
    table = pq.read_table(path, columns=["source", "subject", "crop"]).to_pydict()
    rows = [i for i, source in enumerate(table["source"]) if "mask" not in source]
    with ThreadPoolExecutor(2) as pool:
        crops = np.stack(list(pool.map(lambda i: np.asarray(Image.open(io.BytesIO(table["crop"][i])).convert("RGB")), rows)))
    return crops, np.array([table["subject"][i] or "" for i in rows])


def planes(crops: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Luma (n, SIDE, SIDE) and chroma (n, 2, CHROMA, CHROMA) of crops, in grey levels; chroma is 0 for grey."""
    luma, chroma = [], []
    for crop in crops:
        picture = Image.fromarray(crop).convert("YCbCr")
        bands = picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS).split()
        luma.append(np.asarray(bands[0], np.float32))
        chroma.append([np.asarray(c.resize((CHROMA, CHROMA), Image.Resampling.BOX), np.float32) - 128 for c in bands[1:]])
    light, colour = np.stack(luma), np.array(chroma, np.float32)
    for plane, share in ((light, LIGHT), (colour, TINT)):
        level = plane[..., plane.shape[-1] // 4 : -(plane.shape[-1] // 4), :].mean(axis=(-1, -2), keepdims=True)
        plane -= share * (level - level.mean(axis=0))
    return light, colour


def frontal(crops: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Rows of the crops to learn from."""
    small = crops.reshape(len(crops), 28, 4, 28, 4, 3).mean(axis=(2, 4, 5)).astype(np.float32)
    centred = small - small.mean(axis=(1, 2), keepdims=True)
    odd = ((centred - centred[:, :, ::-1]) ** 2).mean(axis=(1, 2)) / (centred**2).mean(axis=(1, 2))
    bright = small[:, 6:24, 6:22].mean(axis=(1, 2))
    rows = np.flatnonzero((odd <= np.quantile(odd, KEPT_SYMMETRIC)) & (bright > 70) & (bright < 215))
    crisp = sharpness(crops[rows])
    return rows[crisp >= np.quantile(crisp, 1 - KEPT_SHARP)]


def principal(x: Floats, rank: int, rng: np.random.Generator) -> Floats:
    """Leading directions (rank, d) of centred rows (n, d): randomised subspace iteration (Halko et al., 2011)."""
    basis = rng.standard_normal((x.shape[1], rank + 20)).astype(np.float32)
    for _ in range(6):
        basis, _ = np.linalg.qr(x.T @ (x @ basis))
    _, _, vt = np.linalg.svd(x @ basis, full_matrices=False)
    return np.asarray((vt @ basis.T)[:rank], np.float32)


def within(scores: Floats, names: NDArray[np.str_]) -> Floats:
    """Share (k,) of each component's variance that lies within one person, from the people with a name; 0 to 1."""
    known = names != ""
    scores, (_, person) = scores[known], np.unique(names[known], return_inverse=True)
    count = np.bincount(person)
    mean = np.stack([np.bincount(person, s) / count for s in scores.T], axis=1)
    residual = scores - mean[person]
    inside = (residual**2).sum(axis=0) / (len(scores) - len(count))
    between = np.clip(mean.var(axis=0) - (inside[None] / count[:, None]).mean(axis=0), 0, None)
    return np.asarray(inside / (inside + between), np.float32)


def quantise(components: Floats, std: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Components as int8 and the step (k,) of each: a sixth of a grey level at one standard deviation, or coarser to fit int8."""
    step = np.maximum(np.abs(components).max(axis=1) / 127, 1 / (6 * std))
    return np.round(components / step[:, None]).astype(np.int8), step.astype(np.float32)


def build(crops: NDArray[np.uint8], names: NDArray[np.str_]) -> tuple[dict[str, NDArray[np.generic]], dict[str, float]]:
    """The arrays of the file, and figures about them."""
    rng = np.random.default_rng(0)
    rows = frontal(crops)
    even, odd = halves(*planes(crops[rows]))
    # chroma is stored at a quarter of the luma's side, yet counts by the area that it covers
    weight = np.where(mask()[1], SIDE / CHROMA, 1).astype(np.float32)
    mean = even.mean(axis=0)
    arrays: dict[str, NDArray[np.generic]] = {"mean": np.clip(np.round(mean), -128, 255).astype(np.int16)}
    figures: dict[str, float] = {"faces": len(rows)}
    for key, x, rank in (("even", (even - mean) * weight, SYMMETRIC), ("odd", odd * weight, ANTISYMMETRIC)):
        directions = principal(x, rank, rng)
        scores = x @ directions.T
        std = np.asarray(scores.std(axis=0), np.float32)
        arrays[f"{key}_components"], arrays[f"{key}_step"] = quantise(directions / weight, std)
        arrays[f"{key}_std"] = std.astype(np.float32)
        arrays[f"{key}_within"] = within(np.asarray(scores, np.float32), names[rows])
        figures[f"{key}_variance_kept"] = round(float((scores**2).sum() / (x**2).sum()), 4)
    return arrays, figures


def nearest(faces: Path, teacher: Path, space: FaceSpace, samples: int = 500) -> dict[str, dict[str, float]]:
    """Quantiles of the cosine to the nearest real face: of samples, and of faces with a name to anybody else's."""
    table = pq.read_table(faces, columns=["subject", "teacher"])
    real = np.array(table["teacher"].to_pylist(), np.float32)
    real /= np.linalg.norm(real, axis=1, keepdims=True)
    names = np.array([name or "" for name in table["subject"].to_pylist()])
    rng = np.random.default_rng(0)
    session = onnxruntime.InferenceSession(str(teacher), providers=["CPUExecutionProvider"])
    level, spread = np.array([0.485, 0.456, 0.406]) * 255, np.array([0.229, 0.224, 0.225]) * 255
    vectors = []
    for _ in range(samples):
        face = space.render(space.draw_person(rng), np.zeros(len(space.odd_std), np.float32))
        crop = Image.fromarray(np.clip(face, 0, 255).astype(np.uint8)).resize((CROP, CROP), Image.Resampling.BICUBIC)
        x = ((np.asarray(crop) - level) / spread).astype(np.float32).transpose(2, 0, 1)[None]
        both = [session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(v)})[0][0] for v in (x, x[..., ::-1])]
        vectors.append(both[0] + both[1])
    drawn = np.stack(vectors)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    rows = rng.choice(np.flatnonzero(names != ""), samples, replace=False)
    others = np.where(names[rows][:, None] == names[None], -1, real[rows] @ real.T)
    best = {"sample to a real face": (drawn @ real.T).max(axis=1), "real face to another person's": others.max(axis=1)}
    return {key: {f"{q:.0%}": round(float(np.quantile(v, q)), 3) for q in (0.5, 0.95, 0.99, 1)} for key, v in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="Parquet file with columns source, subject and crop")
    parser.add_argument("--out", type=Path, default=Path("facecluster/data/face_space.npz"))
    parser.add_argument(
        "--check", type=Path, metavar="TEACHER", help="ONNX face-recognition network: check the file that is there, build none"
    )
    options = parser.parse_args()
    if options.check:
        print(json.dumps(nearest(options.faces, options.check, FaceSpace.load(options.out))))
        return
    arrays, figures = build(*load(options.faces))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(options.out, **arrays)  # type: ignore[arg-type]
    space = FaceSpace.load(options.out)
    print(json.dumps({**figures, "components": len(space.even_std) + len(space.odd_std), "bytes": options.out.stat().st_size}))


if __name__ == "__main__":
    main()
