"""Measure what it costs to run again when nothing is new: 100,000 known photos with a face each.

    python workflows/benchmarks/rerun.py --work FOLDER -o results/rerun.json

The folder gets tiny photos, all different, and a store that knows them: their rows and vectors are generated, not searched for, so that it
takes minutes. The first `facecluster run` groups them and writes the report; it is not measured. Then `embed` and `run` run again, each in
a process of its own: wall and processor seconds, starting up included. Beside them is what `ls -lR` of the same folder takes, and loading
the libraries: on a busy machine all of them take longer.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facecluster.faces.detect import DetectConfig
from facecluster.faces.embed import EmbedConfig
from facecluster.models.registry import card_of
from facecluster.photos.images import encode_crop
from facecluster.store import FACES, FILES, PHOTOS, Store, embeddings_schema, table_of

FOLDER, SHARD = 500, 128  # photos in a folder, photos in a shard


def make_photos(folder: Path, n: int) -> list[str]:
    """Write n different tiny photos; gives their paths, sorted."""
    for i in range(n):
        if i % FOLDER == 0:
            (folder / f"{i // FOLDER:04d}").mkdir(parents=True)
        pixels = np.frombuffer(i.to_bytes(12, "big") * 4, np.uint8).reshape(4, 4, 3)
        Image.fromarray(pixels).save(folder / f"{i // FOLDER:04d}" / f"IMG_{i:06d}.png")
    return sorted(str(p) for p in folder.rglob("*.png"))


def make_vectors(n: int, dim: int) -> NDArray[np.float16]:
    """Vectors (n, dim) of people with 1, 2, 3... faces; most have few."""
    rng = np.random.default_rng(0)
    counts = np.minimum(300, np.ceil(rng.pareto(1.05, n))).astype(int)
    person = rng.permutation(np.repeat(np.arange(n), counts)[:n])
    centres = rng.normal(size=(n, dim))
    found = centres[person] + 0.7 * rng.normal(size=(n, dim))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float16)


def make_store(store: Store, paths: list[str]) -> None:
    """Write the tables that a search of these photos would have written."""
    detect, embed = DetectConfig().stamp(), EmbedConfig()
    dim = card_of("bundled").dim
    vectors, rng = make_vectors(len(paths), dim), np.random.default_rng(1)
    crops = [encode_crop(np.kron(rng.integers(0, 255, (14, 14, 3)), np.ones((8, 8, 1))).astype(np.uint8)) for _ in range(100)]
    for start in range(0, len(paths), SHARD):
        part, shard = paths[start : start + SHARD], f"{start // SHARD:05d}"
        n, rows = len(part), range(start, start + len(paths[start : start + SHARD]))
        status = [os.stat(p) for p in part]
        ids = [hashlib.sha256(Path(p).read_bytes()).hexdigest() for p in part]
        files = {"uri": part, "size": [s.st_size for s in status], "mtime_ns": [s.st_mtime_ns for s in status]}
        none: list[list[str]] = [[]] * n
        known = dict.fromkeys(("known", "known_faces", "known_photos", "known_pictures"), none)
        store.write("files", shard, table_of(FILES, files | known), {"table": "files"})
        faces = [f"{i[:24]}-0000" for i in ids]
        ones = np.ones(n, np.float32)
        columns = {
            "face_id": faces, "photo_id": ids, "box": np.tile(np.float32([500, 400, 160, 200]), (n, 1)),
            "landmarks": np.zeros((n, 10), np.float32), "score": 0.9 * ones, "sharpness": 9 * ones, "yaw": 0 * ones, "quality": 0.9 * ones,
            "crop": [crops[i % len(crops)] for i in rows],
        }  # fmt: skip
        store.write("faces", shard, table_of(FACES, columns), detect)
        photos = files | {"photo_id": ids, "content": ids, "picture": [i[:32] for i in ids], "format": ["PNG"] * n, "faces": [1] * n}
        photos |= {"width": [4000] * n, "height": [3000] * n, "phash": [int(i[:16], 16) for i in ids]}
        store.write("photos", shard, table_of(PHOTOS, photos), {**detect, "table": "photos"})
        columns = {"face_id": faces, "embedding": vectors[rows.start : rows.stop]}
        store.write(embed.table(), shard, table_of(embeddings_schema(dim), columns), embed.stamp())


def measure(command: list[str]) -> dict[str, float]:
    """Wall and processor seconds of a command."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    said = process.stdout.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(said)
    wall = time.perf_counter() - began
    return {"wall s": round(wall, 2), "processor s": round(used.ru_utime + used.ru_stime, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the photos and the store; used again if it is there")
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    photos, store = options.work / "photos", Store(str(options.work / "store"))
    tool = [str(Path(sys.executable).with_name("facecluster"))]
    runs = {
        "ls -lR": ["ls", "-lR", str(photos)],
        "loading libraries": [sys.executable, "-c", "import torch, faiss, pyarrow.parquet, pyarrow.compute, scipy.optimize"],
        "embed": [*tool, "embed", str(photos), "-o", store.url],
        "run": [*tool, "run", str(photos), "-o", store.url],
    }
    if not photos.exists():
        store.create()
        make_store(store, make_photos(photos, options.photos))
    print("first run:", measure(runs["run"]))  # noqa: T201  of this version of the package on this store
    found: dict[str, list[dict[str, float]]] = {name: [measure(command) for _ in range(options.rounds)] for name, command in runs.items()}
    middle = {name: {k: statistics.median(m[k] for m in rounds) for k in rounds[0]} for name, rounds in found.items()}
    machine = {"python": platform.python_version(), "cores used": len(os.sched_getaffinity(0))}
    result = {"photos": options.photos, "nothing new": middle, "machine": machine}
    print(json.dumps(result, indent=1))  # noqa: T201
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
