"""Measure how many faces of a photo are still found when it is a small part of a larger one, and what is found on large photos of things.

    python workflows/benchmarks/large_photos.py --photos photos_more.parquet -o results/large_photos.json

A photo of a crowd is laid, pixel by pixel, on an enlarged scene of 12 or 24 megapixels, saved as JPEG and read as `embed` reads it. The
faces that are found in the photo alone with .8 and more must be found again; they are counted by the shorter side of their box, px of the
whole photo. Photos of things that no training saw are laid side by side, up to 25 in 12 megapixels, as crisp as they are.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from folder_photos import SCENES, draw_crowds, held_out_thing, is_thing
from numpy.typing import NDArray
from PIL import Image

from facecluster.faces.detect import DetectConfig, Faces, detect_faces, open_for_search
from facecluster.geometry import iou

SIZES = {"12 MP": (4000, 3000), "24 MP": (6000, 4000)}
BOUNDS = 16, 24, 32, 48, 64, 100, 1000  # px of the whole photo
SURE, SAME = 0.8, 0.4  # score of a face that must be found again; IoU from which it is
A_SHEET, THING = 25, (800, 600)


def looked_at(picture: Image.Image) -> tuple[Faces, NDArray[np.float32], float]:
    """The faces of a picture that was saved as JPEG, their boxes in px of it, and the seconds of processor time of the search."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=92)
    photo = open_for_search(out.getvalue(), "memory://photo.jpg", DetectConfig())
    began = time.process_time()
    found = detect_faces(photo.pixels, scale=photo.scale)
    return found, found.boxes / np.float32(photo.scale), time.process_time() - began


def sheet(pictures: list[Image.Image], size: tuple[int, int]) -> tuple[Image.Image, int]:
    """A picture of that size with as many of these in rows as fit, and how many."""
    out, x, y, below = Image.new("RGB", size, (120, 120, 120)), 0, 0, 0
    for number, picture in enumerate(pictures):
        if x + picture.width > size[0]:
            x, y, below = 0, y + below, 0
        if y + picture.height > size[1]:
            return out, number
        out.paste(picture, (x, y))
        x, below = x + picture.width, max(below, picture.height)
    return out, len(pictures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--crowds", type=int, default=100)
    parser.add_argument("--sheets", type=int, default=20)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    table, rng = pq.read_table(options.photos, columns=["source", "image"]), np.random.default_rng(5)
    sources = np.array(table["source"].to_pylist())

    def picture(row: int) -> Image.Image:
        return Image.open(io.BytesIO(table["image"][row].as_py())).convert("RGB")

    crowds = rng.permutation(draw_crowds(sources, np.random.default_rng(0)))[: options.crowds].tolist()
    scenes = np.flatnonzero(np.isin(sources, SCENES)).tolist()
    alone = [(p := picture(row), detect_faces(np.asarray(p))) for row in crowds]
    result: dict[str, object] = {"crowds": len(crowds)}
    for name, size in SIZES.items():
        counts, seconds = np.zeros((len(BOUNDS) - 1, 2), int), 0.0
        for i, (crowd, faces) in enumerate(alone):
            scene = picture(scenes[i % len(scenes)]).resize(size, Image.Resampling.BICUBIC)
            place = [int(rng.integers(0, size[k] - crowd.size[k])) for k in range(2)]
            scene.paste(crowd, tuple(place))
            _, boxes, spent = looked_at(scene)
            seconds += spent
            wanted = faces.boxes[faces.scores >= SURE] + np.float32([*place, 0, 0])
            again = (iou(wanted, boxes) > SAME).any(axis=1)
            bins = np.digitize(wanted[:, 2:].min(axis=1), BOUNDS) - 1
            np.add.at(counts, bins, np.c_[np.ones(len(bins), int), again])
        found: dict[str, object] = {
            f"{low} to {high} px": {"faces": n, "found": k} for low, high, (n, k) in zip(BOUNDS, BOUNDS[1:], counts.tolist(), strict=False)
        }
        result[name] = found | {"search, ms": round(1000 * seconds / len(alone))}
    things = rng.permutation([r for r in np.flatnonzero(is_thing(sources)) if held_out_thing(int(r))]).tolist()
    shown = alarms = 0
    for first in range(0, A_SHEET * options.sheets, A_SHEET):
        some = [picture(row) for row in things[first : first + A_SHEET]]
        for thing in some:
            thing.thumbnail(THING)
        laid, number = sheet(some, SIZES["12 MP"])
        shown, alarms = shown + number, alarms + len(looked_at(laid)[0].scores)
    result["things"] = {"photos": shown, "sheets": options.sheets, "faces found": alarms}
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
