"""What a photo takes from its bytes to vectors: processor time to decode, detect and embed, memory, disk; by megapixels and by faces.

    python workflows/benchmarks/growth_photos.py --work FOLDER

Writes into the table that `facecluster plan` is fitted to, beside growth.py. Photos are drawn: people of the demo's face space, enlarged
to a camera's size, with the noise of a sensor. `demo` is the collection of `facecluster demo`, which the fit does not see. Each kind runs
through the product in a process of its own, with models loaded before the clock starts. Set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from growth import TABLE, measure_apart, peak, silent, size_of, status
from PIL import Image

from facecluster import pipeline
from facecluster.demo.collection import make_collection, make_people
from facecluster.demo.face_space import FaceSpace
from facecluster.demo.photo import take_photo
from facecluster.faces import detect
from facecluster.faces.detect import DetectConfig, detect_faces
from facecluster.faces.embed import EmbedConfig, embed_faces
from facecluster.store import Store

SIZES = {0.5: (816, 612), 2: (1632, 1224), 12: (4000, 3000), 24: (6000, 4000)}  # px by megapixels
KINDS = {  # megapixels, people a photo
    "0.5 MP, 2 people": (0.5, 2), "2 MP, nobody": (2, 0), "2 MP, 2 people": (2, 2), "12 MP, 2 people": (12, 2), "24 MP, 2 people": (24, 2),
    "12 MP, 5 people": (12, 5),
}  # fmt: skip
COUNT = 8  # photos a kind


def draw(folder: Path, megapixels: float, people: int) -> None:
    """Photos of a kind as JPEG files."""
    rng, space = np.random.default_rng(int(megapixels) + people), FaceSpace.load()
    cast = make_people(space, 6, 1)
    folder.mkdir(parents=True)
    for i in range(COUNT):
        some = [cast[p] for p in rng.choice(6, people, replace=False)]
        picture = take_photo(space, some, SIZES[2], rng)[0].resize(SIZES[megapixels], Image.Resampling.BICUBIC)
        pixels = np.asarray(picture, np.int16)
        noisy = pixels + rng.normal(0, 3, (*pixels.shape[:2], 1)).round().astype(np.int16)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{i:03d}.jpg", quality=92)


def measure(folder: Path) -> list[dict[str, Any]]:
    """Photos to vectors, here."""
    used = {"decode": 0.0, "detect": 0.0, "embed": 0.0}

    def timed(stage: str, clock: Callable[[], float], function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **more: Any) -> Any:
            began = clock()
            try:
                return function(*given, **more)
            finally:
                used[stage] += clock() - began

        return run

    detect_faces(np.zeros((64, 64, 3), np.uint8))
    embed_faces(np.zeros((1, 112, 112, 3), np.uint8))
    detect._decode = timed("decode", time.thread_time, detect._decode)
    pipeline.detect_shard = timed("detect", time.process_time, pipeline.detect_shard)
    pipeline.embed_shard = timed("embed", time.process_time, pipeline.embed_shard)
    store = Store(str(folder.with_suffix(".store")))
    store.create()
    base = status("VmRSS")
    peak()
    done = pipeline.embed_photos([str(folder)], store, DetectConfig(), EmbedConfig(), bars=silent)
    top, photos = peak(), store.read("photos", "00000", ["size", "width", "height"])
    used["detect"] -= used["decode"]  # its threads decode
    pixels = sum(w * h for w, h in zip(photos["width"].to_pylist(), photos["height"].to_pylist(), strict=True) if w)
    row = {"photo": folder.name, "way": "photos", "photos": done.photos, "faces": done.faces}
    row |= {"megapixels": round(pixels / 1e6 / done.photos, 2), "photo_bytes": sum(photos["size"].to_pylist()), "base": base, "peak": top}
    row |= {"kept_photos": size_of(store, ["files", "photos", "dedup"]), "kept_faces": size_of(store, ["faces", "embeddings"])}
    if folder.name not in KINDS:
        row["held_out"] = True
    return [{"stage": stage, **row, "processor": round(seconds, 3)} for stage, seconds in used.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder for photos and stores")
    parser.add_argument("--kinds", nargs="*", choices=[*KINDS, "demo"], default=[*KINDS, "demo"])
    parser.add_argument("--held-out", type=Path, nargs="*", default=[], help="folders of photos that the fit does not see either")
    parser.add_argument("-o", "--out", type=Path, default=TABLE)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure)))
        return
    work = args.work / "growth-photos"
    for name in (*args.kinds, *args.held_out):
        shutil.rmtree(work, ignore_errors=True)
        if isinstance(name, Path):
            made = Path(shutil.copytree(name, work / name.name))
        elif name == "demo":
            made = Path(make_collection(str(work)).photos)
            made = made.rename(made.with_name("demo"))
        else:
            made = work / name
            draw(made, *KINDS[name])
        command = [sys.executable, __file__, "--measure", str(made)]
        measure_apart(command, args.out)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
