"""Photos to vectors from end to end, beside its limits and a hand-written loop, on photos of 2, 12 and 24 megapixels, JPEG and HEIC.

    python workflows/benchmarks/end_to_end.py --photos photos_detect.parquet --detector yunet_n.onnx --embedder mobilefacenet.onnx \
        --work FOLDER -o results/end_to_end.json

The photos are those with faces of the file, enlarged and with noise, so that they have the bytes of a camera's. On each kind, in processes
of their own with models loaded before the clock starts:

    decoding    the limit of any reader: Pillow alone, at the smallest scale of the decoder from 1,280 px
    models      the limit of the models: search and vectors, of photos that are decoded outside the clock
    loop        what people write by hand (embed.py): OpenCV, YuNet at 1,280 px, MobileFaceNet in onnxruntime, a face at a time
    here        the product in this process
    n workers   the product on n processes of Dask
    n workers on n cores   the same with the command, the scheduler and the workers on so many cores

Processor seconds a photo hold on a busy machine, but for those of workers: Dask takes .05 s of them a second of wall time here and .02 in
each worker, however much is done. Photos a second hold only on a quiet machine. Memory: the peaks of all processes, summed.
Needs opencv, onnxruntime and pillow-heif.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from embed import CHAIN
from PIL import Image

HERE = Path(__file__).resolve()
SIZES = {"jpeg 2 MP": (1632, 1224), "jpeg 12 MP": (4000, 3000), "jpeg 24 MP": (6000, 4000), "heic 12 MP": (4000, 3000)}
START = """
import resource, sys, tempfile, time
from contextlib import contextmanager
from pathlib import Path
import numpy as np
from facecluster.dask_engine import DaskEngine
from facecluster.faces.detect import DetectConfig, detect_faces, open_for_search
from facecluster.faces.embed import EmbedConfig, embed_faces
from facecluster.geometry import align
from facecluster.pipeline import embed_photos
from facecluster.store import Store
def warm():
    detect_faces(np.zeros((64, 64, 3), np.uint8))
    embed_faces(np.zeros((1, 112, 112, 3), np.uint8))
def used():
    return time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
@contextmanager
def silent(what, total):
    yield lambda n: None
files = sorted(Path(sys.argv[1]).iterdir())
"""
PRODUCT = (
    START
    + """
def main(workers):
    store = Store(tempfile.mkdtemp())
    store.create()
    engine = DaskEngine(workers=workers) if workers else None
    def all_used():
        found = [used(), *(engine._client.run(used).values() if engine else ())]
        return sum(seconds for seconds, _ in found), sum(mb for _, mb in found)
    engine._client.run(warm) if engine else warm()
    before, start = all_used()[0], time.perf_counter()
    embed_photos([sys.argv[1]], store, DetectConfig(), EmbedConfig(), bars=silent, engine=engine, shard_size=max(1, len(files) // 8))
    wall, (after, memory) = time.perf_counter() - start, all_used()
    print(wall, after - before, memory, sum(store.read("faces", s).num_rows for s in store.shards("faces")))
    if engine:
        engine.__exit__(None)
if __name__ == "__main__":
    main(int(sys.argv[2]))
"""
)
MODELS = (
    START
    + """
warm()
seconds = wall = faces = 0
for path in files:
    photo = open_for_search(path.read_bytes(), str(path), DetectConfig())
    began, start = time.process_time(), time.perf_counter()
    found = detect_faces(photo.pixels, scale=photo.scale)
    if len(found.scores):
        embed_faces(align(photo.pixels, found.landmarks))
    seconds, wall, faces = seconds + time.process_time() - began, wall + time.perf_counter() - start, faces + len(found.scores)
print(wall, seconds, used()[1], faces)
"""
)
DECODING = (
    START
    + """
import pillow_heif
from PIL import Image
pillow_heif.register_heif_opener(thumbnails=False)
began, start = time.process_time(), time.perf_counter()
for path in files:
    with Image.open(path) as image:
        image.draft(None, tuple(max(1, 1280 * side // max(image.size)) for side in image.size))
        image.load()
print(time.perf_counter() - start, time.process_time() - began, used()[1], 0)
"""
)
LOOP = CHAIN.replace("began, faces)", "began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, faces)").replace(
    "import os,", "import os, resource,"
)


def make_photos(source: Path, folder: Path, kind: str, count: int) -> None:
    """Write `count` photos of a kind: pictures with faces, enlarged, with the noise of a sensor."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    table, rng = pq.read_table(source, columns=["image", "boxes"]), np.random.default_rng(0)
    rows = [i for i, boxes in enumerate(table["boxes"].to_pylist()) if boxes]
    beside = folder.with_suffix(".partial")
    beside.mkdir(parents=True, exist_ok=True)
    for i in rng.permutation(rows)[:count].tolist():
        picture = Image.open(io.BytesIO(table["image"][i].as_py())).convert("RGB")
        long, short = SIZES[kind]
        size = (long, short) if picture.width >= picture.height else (short, long)
        pixels = np.asarray(picture.resize(size, Image.Resampling.BICUBIC), np.int16)
        noisy = Image.fromarray((pixels + rng.normal(0, 3, (*pixels.shape[:2], 1)).round().astype(np.int16)).clip(0, 255).astype(np.uint8))
        suffix = kind.split()[0].replace("jpeg", "jpg")
        noisy.save(beside / f"{i:05d}.{suffix}", quality=92 if suffix == "jpg" else 60)
    beside.rename(folder)  # a folder that is there is whole


def measure(code: str, arguments: list[str], threads: int, script: Path, cores: int = 0) -> dict[str, float]:
    """What one run of a script says: wall and processor seconds, MB, faces. `cores`: it and what it starts run on so many; 0 = all."""
    variables = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    script.write_text(code, encoding="utf-8")  # a file: Dask's workers import it
    pinned = ["taskset", "--cpu-list", ",".join(map(str, sorted(os.sched_getaffinity(0))[:cores]))] if cores else []
    command = [*pinned, sys.executable, str(script), *arguments]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, cwd=HERE.parents[2])
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(zip(("wall", "processor", "MB", "faces"), map(float, done.stdout.split()[-4:]), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("photos", "detector", "embedder", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--count", type=int, default=32, help="photos of each kind")
    parser.add_argument("--kinds", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    models = [str(options.detector.resolve()), str(options.embedder.resolve())]
    result: dict[str, object] = {}
    for kind in options.kinds:
        folder = options.work / kind.replace(" ", "-")
        if not folder.exists():
            make_photos(options.photos, folder, kind, options.count)
        count = len(list(folder.iterdir()))
        runs = {"decoding": (DECODING, [], 0), "models": (MODELS, [], 0), "loop": (LOOP, models, 0), "here": (PRODUCT, ["0"], 0)}
        runs |= {f"{n} workers": (PRODUCT, [str(n)], 0) for n in options.workers}
        runs |= {f"{n} workers on {n} cores": (PRODUCT, [str(n)], n) for n in options.workers}
        found: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
        for _ in range(options.rounds):
            for name, (code, arguments, cores) in runs.items():
                script = options.work / "script.py"
                found[name].append(measure(code, [str(folder.resolve()), *arguments], options.threads, script, cores))
        middle = {name: {key: statistics.median(run[key] for run in rounds) for key in rounds[0]} for name, rounds in found.items()}
        result[kind] = {"photos": count, "KB a photo": sum(p.stat().st_size for p in folder.iterdir()) // count // 1000} | {
            name: {
                "processor s a photo": round(run["processor"] / count, 3), "photos/s": round(count / run["wall"], 2),
                "MB": round(run["MB"]), "faces": round(run["faces"]),
            }
            for name, run in middle.items()
        }  # fmt: skip
        print(json.dumps({kind: result[kind]}, indent=1), flush=True)  # noqa: T201
    machine = {"python": platform.python_version(), "cores used": len(os.sched_getaffinity(0)), "threads": options.threads}
    if options.out:
        options.out.write_text(json.dumps(result | {"machine": machine}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
