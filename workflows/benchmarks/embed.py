"""Processor time a photo of photos -> faces -> vectors, against a hand-written chain of two public models, on the same photos in one run.

    python workflows/benchmarks/embed.py --photos FOLDER --detector yunet_n.onnx --embedder mobilefacenet.onnx [--before CHECKOUT]

The chain is what anybody writes in an hour: OpenCV reads a photo, reduces it to 1280 px, YuNet finds faces (score .7), a similarity
transform aligns them, MobileFaceNet embeds them one by one (its file takes no batches); nothing is stored.
Ours is the whole stage: listing, hashing, decoding, search, crops, vectors of each face and its mirror image, Parquet. `--before` is
another checkout of this repository, to be compared with. Each runs in a process of its own with one thread, in turns, `--rounds` times;
medians. Starting up and loading models do not count.
Needs opencv and onnxruntime (the `train` dependency group).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

OURS = """
import sys, time, tempfile
from contextlib import contextmanager
from facecluster.faces.detect import DetectConfig, detect_faces
from facecluster.faces.embed import EmbedConfig, embed_faces
from facecluster.pipeline import embed_photos
from facecluster.store import Store
import numpy as np, torch
torch.set_num_threads(1)
@contextmanager
def silent(what, total):
    yield lambda n: None
detect_faces(np.zeros((64, 64, 3), np.uint8), device="cpu")
embed_faces(np.zeros((1, 112, 112, 3), np.uint8), EmbedConfig(), device="cpu")
store = Store(tempfile.mkdtemp())
store.create()
began = time.process_time()
embed_photos([sys.argv[1]], store, DetectConfig(), EmbedConfig(), bars=silent)
print(time.process_time() - began, sum(store.read("faces", s).num_rows for s in store.shards("faces")))
"""
CHAIN = """
import os, sys, time
from pathlib import Path
import cv2, numpy as np, onnxruntime
threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
cv2.setNumThreads(threads)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
embedder = onnxruntime.InferenceSession(sys.argv[3], options, providers=["CPUExecutionProvider"])
detector = cv2.FaceDetectorYN.create(sys.argv[2], "", (320, 320), 0.7)
template = np.float32([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
mean, sd = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
name = embedder.get_inputs()[0].name
def read(path):
    if path.suffix != ".heic":
        return cv2.imread(str(path))
    import pillow_heif
    return np.asarray(pillow_heif.open_heif(path).to_pillow())[:, :, ::-1]
faces, began, start = 0, time.process_time(), time.perf_counter()
for path in sorted(Path(sys.argv[1]).iterdir()):
    image = read(path)
    scale = min(1, 1280 / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    detector.setInputSize(small.shape[1::-1])
    found = detector.detect(small)[1]
    for row in () if found is None else found:
        matrix = cv2.estimateAffinePartial2D(row[4:14].reshape(5, 2), template, method=cv2.LMEDS)[0]
        if matrix is not None:
            crop = (cv2.warpAffine(small, matrix, (112, 112))[:, :, ::-1].astype(np.float32) / 255 - mean) / sd
            vector = embedder.run(None, {name: np.ascontiguousarray(crop.transpose(2, 0, 1)[None])})[0]
            faces += len(vector / np.linalg.norm(vector))
print(time.perf_counter() - start, time.process_time() - began, faces)
"""


def measure(code: str, arguments: list[str], source: Path) -> tuple[float, int]:
    """Processor seconds and faces that a script prints."""
    variables = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=variables, check=True, capture_output=True, text=True, cwd=source
    )  # which is imported
    seconds, faces = done.stdout.split()[-2:]
    return float(seconds), int(faces)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("photos", "detector", "embedder"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--before", type=Path, help="another checkout")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    photos, here = str(options.photos.resolve()), Path(__file__).resolve().parents[2]
    runs = {
        "ours": (OURS, [photos], here),
        "chain": (CHAIN, [photos, str(options.detector.resolve()), str(options.embedder.resolve())], here),
    }
    if options.before:
        runs["before"] = (OURS, [photos], options.before.resolve())
    times: dict[str, list[float]] = {name: [] for name in runs}
    faces = {}
    for _ in range(options.rounds):
        for name, run in runs.items():
            seconds, faces[name] = measure(*run)
            times[name].append(seconds)
    count = len(list(options.photos.iterdir()))
    ms = {name: round(1000 * statistics.median(t) / count, 1) for name, t in times.items()}
    result = {
        "photos": count, "faces": faces, "processor ms a photo": ms,
        "ours to": {name: round(ms["ours"] / value, 3) for name, value in ms.items() if name != "ours"},
    }  # fmt: skip
    print(json.dumps(result, indent=1))  # noqa: T201
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
