"""Measure how fast small photos are read from archives, against the same photos in folders.

    python workflows/benchmarks/archives.py --work FOLDER -o results/archives.json

The folder gets the same JPEGs of 112 px in folders of 1,000 and in archives of 10,000, of each kind. A round searches and reads each of
them, one after the other. Three things are measured: the bytes alone (the search, and each photo read in the order of a run, not decoded);
from the search to the rows of photos in a new store, with a detector that finds nothing at once; and that with the bundled detector, on
fewer photos. A ratio is the middle of the rounds' ratios; of each round both numbers come from the same minute.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import shutil
import statistics
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageFilter

from facecluster.faces import detect as stage
from facecluster.faces.detect import DetectConfig, Faces, detect_shard
from facecluster.photos.archives.uris import Range, file_of
from facecluster.photos.collect import collect
from facecluster.photos.images import read_file
from facecluster.photos.listing import find_files
from facecluster.store import Store

IN_FOLDER, IN_ARCHIVE, SHARD = 1_000, 10_000, 128
KINDS = ("folders", "tar", "zip", "parquet")
NOBODY = Faces(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32))


def photos(n: int) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of n soft pictures, about 4 kB each."""
    rng = np.random.default_rng(0)
    for i in range(n):
        out = io.BytesIO()
        noise = Image.fromarray(rng.integers(0, 256, (112, 112, 3), np.uint8))
        noise.filter(ImageFilter.GaussianBlur(1.5)).save(out, "JPEG", quality=90)
        yield f"{i:08d}.jpg", out.getvalue()


def make(work: Path, n: int) -> None:
    """Write the photos in each form."""
    found = list(photos(n))
    for start in range(0, n, IN_FOLDER):
        folder = work / "folders" / f"{start // IN_FOLDER:05d}"
        folder.mkdir(parents=True)
        for name, data in found[start : start + IN_FOLDER]:
            (folder / name).write_bytes(data)
    for kind in KINDS[1:]:
        (work / kind).mkdir()
    for start in range(0, n, IN_ARCHIVE):
        part, name = found[start : start + IN_ARCHIVE], f"{start // IN_ARCHIVE:05d}"
        with tarfile.open(work / "tar" / f"{name}.tar", "w") as tar, zipfile.ZipFile(work / "zip" / f"{name}.zip", "w") as packed:
            for key, data in part:
                info = tarfile.TarInfo(key)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
                packed.writestr(key, data)
        images = pa.array([{"bytes": data, "path": key} for key, data in part], pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
        pq.write_table(pa.table({"image": images}), work / "parquet" / f"{name}.parquet", row_group_size=1000)


def measure(source: Path, work: Path) -> tuple[float, float, int]:
    """Processor and wall seconds from a search to the rows of photos, and their number."""
    store = Store(str(work / "store"))
    store.create()
    wall, processor = time.perf_counter(), time.process_time()
    new = collect([str(source)], store, shard_size=SHARD).new
    failed = sum(detect_shard(shard, store=store, config=DetectConfig(), device="cpu").failed for shard in store.shards("files"))
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    shutil.rmtree(work / "store")
    if failed:
        raise SystemExit(f"expected photos that can be read, found {failed} that can't")
    return processor, wall, new


def read_bytes(source: Path, work: Path) -> tuple[float, float, int]:
    """Processor and wall seconds of searching and reading, nothing else, and the number of photos."""
    wall, processor = time.perf_counter(), time.process_time()
    found = sorted(find_files([str(source)]), key=lambda f: (file_of(f.uri), f.offset, f.uri))
    for f in found:
        read_file(f.uri, Range(f.offset, f.size, f.mtime_ns) if f.offset >= 0 else None)
    return time.process_time() - processor, time.perf_counter() - wall, len(found)


def compare(work: Path, kinds: tuple[str, ...], rounds: int, measure: Callable[[Path, Path], tuple[float, float, int]]) -> dict[str, Any]:
    """Photos a second of each kind, and the ratio to folders."""
    rates: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        for kind in kinds if number % 2 else reversed(kinds):
            processor, wall, n = measure(work / kind, work)
            rates[kind].append((n / processor, n / wall))
            print(number, kind, n, f"{n / processor:.0f} a processor second, {n / wall:.0f} a second", flush=True)
    found = {}
    for kind, measured in rates.items():
        ratios = [[a[i] / b[i] for a, b in zip(measured, rates["folders"], strict=True)] for i in (0, 1)]
        found[kind] = {
            "photos a processor second": round(statistics.median(m[0] for m in measured)),
            "of folders, processor": round(statistics.median(ratios[0]), 3), "of folders, clock": round(statistics.median(ratios[1]), 3),
        }  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="empty folder for the photos and the stores")
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--searched", type=int, default=300, help="photos for the bundled detector")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    many, few = options.work / "many", options.work / "few"
    make(many, options.photos)
    make(few, options.searched)
    for kind in KINDS:
        read_bytes(many / kind, many)  # so that all lie in memory
    alone = compare(many, KINDS, options.rounds, read_bytes)
    really = compare(few, ("folders", "tar"), options.rounds, measure)
    stage.__dict__["_detect"] = lambda images, config, scales, device: [NOBODY] * len(images)
    to_rows = compare(many, ("folders", "tar"), options.rounds, measure)
    machine = {"python": platform.python_version(), "cores used": len(os.sched_getaffinity(0))}
    result = {
        "photos": options.photos, "bytes alone": alone, "to rows of photos, no detector": to_rows, "photos searched": options.searched,
        "with the bundled detector": really, "machine": machine,
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
