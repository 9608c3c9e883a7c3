"""Measure how many faces are known again after photos were edited, and how many are mixed up.

    python workflows/benchmarks/edited_photos.py --photos photos_more.parquet --work FOLDER -o results/edited_photos.json

Takes photos with faces, edits each in one way, and lets `run` look at the folder again. Where each face must be is known from the edit, not
from the program: a face counts as known again if its new box overlaps its old one, moved as the photo was (IoU .3). Faces that the detector
does not find in the edited photo count as not found. The edits are made in place, and once more with other file names in another folder.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from facecluster import geometry
from facecluster.api.job import run
from facecluster.people.face_ids import read_face_boxes
from facecluster.photos.followed import read_followed
from facecluster.store import Store

Boxes = NDArray[np.float64]
Edit = tuple[Callable[[Image.Image], Image.Image], Callable[[Boxes, int, int], Boxes], int]


def cropped(share: float) -> Edit:
    """Cut `share` off each side."""

    def picture(image: Image.Image) -> Image.Image:
        w, h = image.size
        return image.crop((round(w * share), round(h * share), round(w * (1 - share)), round(h * (1 - share))))

    def boxes(found: Boxes, w: int, h: int) -> Boxes:
        return found - np.array([round(w * share), round(h * share), 0, 0])

    return picture, boxes, 92


def framed(share: float, above: float, below: float) -> Edit:
    """Put the photo, made smaller by `share`, on white with these shares of its height above and below it."""

    def picture(image: Image.Image) -> Image.Image:
        small = image.resize((round(image.width * share), round(image.height * share)))
        paper = Image.new("RGB", (image.width, round(image.height * (share + above + below))), "white")
        paper.paste(small, ((image.width - small.width) // 2, round(image.height * above)))
        return paper

    def boxes(found: Boxes, w: int, h: int) -> Boxes:
        return found * share + np.array([(w - round(w * share)) // 2, round(h * above), 0, 0])

    return picture, boxes, 92


def same(found: Boxes, w: int, h: int) -> Boxes:
    return found


EDITS: dict[str, Edit] = {
    "saved again at quality 90": (lambda i: i, same, 90),
    "saved again at quality 60": (lambda i: i, same, 60),
    "turned by 90 degrees": (lambda i: i.transpose(Image.Transpose.ROTATE_270), lambda b, w, h: geometry.turn_boxes(b, 6, w, h), 92),
    "mirrored": (lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT), lambda b, w, h: geometry.turn_boxes(b, 2, w, h), 92),
    "half the size": (lambda i: i.resize((i.width // 2, i.height // 2)), lambda b, w, h: b / 2, 92),
    "5 % cut off each side": cropped(0.05),
    "10 % cut off each side": cropped(0.10),
    "brighter by half": (lambda i: ImageEnhance.Brightness(i).enhance(1.5), same, 92),
    "15 % cut off each side, half is left": cropped(0.15),
    "22 % cut off each side, a third is left": cropped(0.22),
    "a polaroid's frame": framed(0.85, 0.08, 0.25),
    "a strip below for a caption": framed(1, 0, 0.12),
    "darker by half": (lambda i: ImageEnhance.Brightness(i).enhance(0.5), same, 92),
    "grey": (lambda i: i.convert("L").convert("RGB"), same, 92),
}


def measure(originals: list[bytes], work: Path, name: str, *, moved: bool) -> dict[str, float]:
    """Edit all photos in one way, and count."""
    change, move, quality = EDITS[name]
    folder, store = work / "photos", Store(str(work / "store"))
    for old in (folder, work / "store"):
        shutil.rmtree(old, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, data in enumerate(originals):
        path = folder / f"{number:04d}.jpg"
        path.write_bytes(data)
        os.utime(path, (0, 0))
    if not (work / "first").exists():  # the store before any edit serves all of them
        run(folder, work / "first", report=False)
    shutil.copytree(work / "first", work / "store")
    sizes: dict[str, tuple[int, int]] = {}
    for number, path in enumerate(sorted(folder.iterdir())):
        with Image.open(path) as image:
            sizes[path.name] = image.size
            edited = change(image.convert("RGB"))
        target = work / "photos" / "sorted" / f"holiday {number}.jpg" if moved else path
        target.parent.mkdir(exist_ok=True)
        path.unlink()
        edited.save(target, quality=quality)
    photos = {row["photo_id"]: row["uri"] for row in store.read("photos", store.shards("photos")[0]).to_pylist()}
    old_faces = sorted(face for shard in store.shards("faces") for face in store.read("faces", shard, ["face_id"])["face_id"].to_pylist())
    run(folder, store.url, report=False)
    followed = {face: new[0] for face, new in read_followed(store).items()}
    new = sorted(face for shard in store.shards("faces")[1:] for face in store.read("faces", shard, ["face_id"])["face_id"].to_pylist())
    old_boxes, new_boxes = read_face_boxes(store, old_faces).astype(float), read_face_boxes(store, new).astype(float)
    numbers = {row["photo_id"]: row["uri"] for shard in store.shards("photos")[1:] for row in store.read("photos", shard).to_pylist()}
    of_old = {photo[:24]: int(Path(uri).stem) for photo, uri in photos.items()}
    of_new = {photo[:24]: int(Path(uri).stem.split()[-1]) for photo, uri in numbers.items()}
    there, right, wrong = 0, 0, 0
    for face, box in zip(old_faces, old_boxes, strict=True):
        number = of_old[face[:24]]
        wanted = move(box[None], *sizes[f"{number:04d}.jpg"])
        rows = [i for i, other in enumerate(new) if of_new[other[:24]] == number]
        overlap = geometry.iou(wanted, new_boxes[rows])[0] if rows else np.zeros(0)
        found = overlap.max(initial=0) >= 0.3
        there += found
        if face in followed:
            at = new.index(followed[face])
            good = of_new[new[at][:24]] == number and geometry.iou(wanted, new_boxes[at : at + 1])[0, 0] >= 0.3
            right += bool(found and good)
            wrong += not good
    return {"faces": len(old_faces), "found_by_detector": int(there), "known_again": right, "mixed_up": wrong}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--number", type=int, default=60)
    parser.add_argument("--edits", nargs="+", default=list(EDITS), choices=list(EDITS), metavar="EDIT")
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    table = pq.read_table(arguments.photos)
    rows = [i for i, boxes in enumerate(table["boxes"].to_pylist()) if boxes]
    picked = np.random.default_rng(0).choice(rows, arguments.number, replace=False)
    originals = [to_jpeg(table["image"][int(i)].as_py()) for i in picked]
    found = {
        f"{name}{', renamed and moved' if moved else ''}": measure(originals, arguments.work, name, moved=moved)
        for name in arguments.edits
        for moved in (False, True)
    }
    arguments.out.write_text(json.dumps({"photos": arguments.number, "edits": found}, indent=1) + "\n")


def to_jpeg(data: bytes) -> bytes:
    """A photo as a JPEG file of quality 95, without EXIF."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.convert("RGB").save(out, "JPEG", quality=95)
    return out.getvalue()


if __name__ == "__main__":
    main()
