"""Which coding of aligned faces moves their vectors least for its bytes? Measures formats and settings; results/crops.json holds a run.

The faces must not have been coded at 112 px before: they are cut from whole photos here. Every crop is coded and decoded with each
setting and embedded (crop + mirror image, ImageNet mean and deviation) before and after; what counts is the cosine between the two.
Times are wall-clock, of one thread.

    python workflows/benchmarks/crops.py --photos PHOTOS --detector yunet_n.onnx --embedder mobilefacenet.onnx

PHOTOS: folders of photos, or Parquet files with the columns image, landmarks, boxes, scores. Needs opencv-python-headless (to find the
faces of folders), onnxruntime, and imagecodecs if JPEG XL is to be measured.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import platform
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, features

from facecluster.errors import PhotoError
from facecluster.geometry import align
from facecluster.photos.images import open_photo

Crop = NDArray[np.uint8]
Vectors = NDArray[np.float32]
RESULTS = Path(__file__).parent / "results" / "crops.json"
BAR = 0.995


def faces_of_folder(folder: Path, detector: str, min_side: float) -> Iterator[NDArray[np.uint8]]:
    """Aligned faces (n, 112, 112, 3) of every photo in a folder."""
    yunet = cv2.FaceDetectorYN.create(detector, "", (320, 320), 0.8, 0.3, 5000)
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"}):
        try:
            pixels = open_photo(path.read_bytes()).pixels
        except PhotoError:
            continue
        yunet.setInputSize((pixels.shape[1], pixels.shape[0]))
        found = yunet.detect(np.ascontiguousarray(pixels[:, :, ::-1]))[1]
        if found is not None:
            large = found[found[:, 2:4].min(axis=1) >= min_side]
            yield align(pixels, large[:, 4:14].reshape(-1, 5, 2))


def faces_of_table(path: Path, min_side: float) -> Iterator[NDArray[np.uint8]]:
    """Aligned faces of the photos in a Parquet file."""
    for row in pq.read_table(path, columns=["image", "landmarks", "boxes", "scores"]).to_pylist():
        large = [i for i, box in enumerate(row["boxes"]) if row["scores"][i] > 0.8 and min(box[2:]) >= min_side]
        if large:
            yield align(open_photo(row["image"]).pixels, np.array([row["landmarks"][i] for i in large], np.float64))


def embedder(path: str, threads: int) -> Callable[[Crop], tuple[Vectors, Vectors]]:
    """A function from crops (n, 112, 112, 3) to vectors (n, dim) of length 1: of crop + mirror image, and of the crop alone."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def embed(crops: Crop) -> tuple[Vectors, Vectors]:
        scaled = (crops.astype(np.float32) / 255 - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
        planes = np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
        alone = np.stack([session.run(None, {name: x[None]})[0][0] for x in planes])
        both = alone + np.stack([session.run(None, {name: x[None, :, :, ::-1].copy()})[0][0] for x in planes])
        return both / np.linalg.norm(both, axis=1, keepdims=True), alone / np.linalg.norm(alone, axis=1, keepdims=True)

    return embed


def pillow(kind: str, **settings: Any) -> tuple[Callable[[Crop], bytes], Callable[[bytes], Crop]]:
    """Coder and decoder of one of Pillow's formats."""

    def encode(crop: Crop) -> bytes:
        out = io.BytesIO()
        Image.fromarray(crop).save(out, kind, **settings)
        return out.getvalue()

    def decode(data: bytes) -> Crop:
        with Image.open(io.BytesIO(data)) as image:
            return np.array(image.convert("RGB"))

    return encode, decode


def codings() -> dict[str, tuple[Callable[[Crop], bytes], Callable[[bytes], Crop]]]:
    """All that is tried, by name."""
    tried = {"PNG": pillow("PNG", optimize=True), "WebP lossless": pillow("WEBP", lossless=True, quality=80, method=4)}
    for q in (70, 80, 85, 87, 88, 89, 90, 92, 95, 98, 100):
        tried[f"WebP q{q}, method 6"] = pillow("WEBP", quality=q, method=6)
    for q in (88, 90):
        tried[f"WebP q{q}, method 4"] = pillow("WEBP", quality=q, method=4)
    tried["WebP q90, method 2"] = pillow("WEBP", quality=90, method=2)
    for q in (80, 85, 90, 95):
        tried[f"JPEG 4:4:4 q{q}"] = pillow("JPEG", quality=q, subsampling=0, optimize=True)
    for q in (80, 85, 90):
        tried[f"JPEG 4:2:0 q{q}"] = pillow("JPEG", quality=q, subsampling=2, optimize=True)
    for chroma in ("4:4:4", "4:2:0"):
        for q in (74, 76, 78, 80):
            tried[f"AVIF {chroma} q{q}, speed 6"] = pillow("AVIF", quality=q, subsampling=chroma, speed=6, max_threads=1)
    tried["AVIF 4:2:0 q78, speed 8"] = pillow("AVIF", quality=78, subsampling="4:2:0", speed=8, max_threads=1)
    if importlib.util.find_spec("imagecodecs"):
        import imagecodecs

        for distance in (0.75, 1.0, 1.25):
            tried[f"JPEG XL distance {distance}"] = (
                lambda crop, d=distance: imagecodecs.jpegxl_encode(crop, distance=d, effort=7, usecontainer=False, numthreads=1),
                lambda data: imagecodecs.jpegxl_decode(data, numthreads=1),
            )
    return tried


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", nargs="+", type=Path, required=True)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--embedder", required=True)
    parser.add_argument("--min-side", type=float, nargs=2, default=(40, 120), help="px of the smallest face: in folders, in Parquet files")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()

    parts = []
    for path in options.photos:
        found = faces_of_folder(path, options.detector, options.min_side[0]) if path.is_dir() else faces_of_table(path, options.min_side[1])
        parts.append(np.concatenate(list(found)))
    crops = np.concatenate(parts)
    embed = embedder(options.embedder, options.threads)
    truth, truth_alone = embed(crops)
    rows = []
    for name, (encode, decode) in codings().items():
        start = time.perf_counter()
        coded = [encode(c) for c in crops]
        between = time.perf_counter()
        back = np.stack([decode(d) for d in coded])
        end = time.perf_counter()
        vectors, alone = embed(back)
        cosine = (vectors * truth).sum(axis=1)
        rows.append(
            {
                "coding": name,
                "bytes": round(float(np.mean([len(d) for d in coded])), 1),
                "cosine_mean": round(float(cosine.mean()), 5),
                "cosine_1st_percentile": round(float(np.percentile(cosine, 1)), 5),
                "cosine_min": round(float(cosine.min()), 5),
                "cosine_mean_without_mirror_image": round(float((alone * truth_alone).sum(axis=1).mean()), 5),
                "encode_ms": round((between - start) / len(crops) * 1000, 3),
                "decode_ms": round((end - between) / len(crops) * 1000, 3),
            }
        )
        print(rows[-1], flush=True)
    rows.sort(key=lambda r: r["bytes"])
    good = [r["coding"] for r in rows if r["cosine_mean"] >= BAR]
    libraries = {n: features.version(n) for n in ("webp", "libjpeg_turbo", "avif")}
    result = {
        "what": "coding of aligned 112x112 faces: bytes, and cosine of the face's vector to that of the uncoded face",
        "faces": {p.name: len(c) for p, c in zip(options.photos, parts, strict=True)},
        "bar": BAR,
        "smallest_above_bar": good[:3],
        "rows": rows,
        "machine": {"cpu": cpu(), "threads": options.threads, "system": platform.system(), "python": platform.python_version()},
        "versions": {n: version(n) for n in ("pillow", "numpy", "onnxruntime", "opencv-python-headless")} | libraries,
        "date": time.strftime("%Y-%m-%d"),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print("smallest above the bar:", good[:3])


def cpu() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
