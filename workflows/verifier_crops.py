"""Cut out what the detector proposes in the training photos, for the second stage to learn from.

    python workflows/verifier_crops.py --photos photos_detect.parquet --more photos_more.parquet --out runs/verifier/crops.npz

A candidate that overlaps a face of the teacher's is a face; one that overlaps none is not, unless the detector is so sure that the teacher
may have missed it, or it overlaps a little: these are left out. Each photo is looked at as it is and once more mirrored, at another size,
things also turned. The photos that benchmarks measure on are not among them; those for tuning are marked.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from detector_photos import Photo, load_photos, read_photos
from numpy.typing import NDArray

from facecluster.geometry import iou
from facecluster.models.detector import Detector
from facecluster.models.search import candidates, merge
from facecluster.models.views import TIMES, Candidates, picture_of, resized

STORED, STORED_SIDE = 1.25 * TIMES, 80  # wider than what is looked at, so that training can move and enlarge it
FACE, NOTHING = 0.35, 0.15  # IoU with a face of the teacher's from which a candidate is one; below which it is none
COLUMNS = ("crop", "label", "score", "side", "teacher", "photo", "thing", "tuning", "look")
DRAWN = "negatives/drawn"  # each is drawn anew: one look at it is enough
FAINTEST, PROPOSED, DOUBTFUL = 0.03, 0.06, 0.4


def labels_of(photo: Photo, boxes: NDArray[np.float32], found: Candidates) -> NDArray[np.int8]:
    """1 a face, 0 none, -1 not known, of each candidate (n,). `boxes`: the photo's faces in the frame of the candidates."""
    overlap = iou(found.boxes, boxes).max(axis=1, initial=0)
    unknown = (overlap >= NOTHING) | ((found.scores >= DOUBTFUL) & (len(boxes) > 0))
    return np.where(overlap >= FACE, 1, np.where(unknown, -1, 0)).astype(np.int8)


def proposals(detector: Detector, image: NDArray[np.uint8], least: float) -> Candidates:
    """What the detector proposes in a picture, from a score on."""
    found = candidates(detector.look, [image], 2 * FAINTEST)[0]
    return merge(found, least, *image.shape[:2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--more", type=Path, required=True)
    parser.add_argument("--things", type=Path, help="further pictures without a face, all to learn from (drawn_things.py)")
    parser.add_argument("--weights", type=Path, help="another detector")
    parser.add_argument("--looks", type=int, default=2, help="looks at each photo: as it is, and then changed")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    detector, rng = Detector.load(options.weights), np.random.default_rng(0)
    columns: dict[str, list[NDArray[np.generic]]] = {name: [] for name in COLUMNS}
    photos = load_photos(options.photos, options.more) + (read_photos(options.things) if options.things else [])
    for number, photo in enumerate(photos):
        for look in range(1 if photo.held_out or photo.source == DRAWN else options.looks):
            image, boxes = photo.image, photo.boxes
            if look:
                image, boxes = changed(photo, rng)
            found = proposals(detector, image, PROPOSED if len(photo.boxes) else FAINTEST)
            labels = labels_of(photo, boxes, found)
            nearest = iou(found.boxes, boxes).argmax(axis=1) if len(boxes) else np.zeros(len(labels), int)
            teacher = photo.scores[nearest] if len(boxes) else np.zeros(len(labels), np.float32)
            for row in np.flatnonzero(labels >= 0):
                crop = picture_of(image, found.boxes[row], STORED, STORED_SIDE)
                if crop is not None:
                    side = found.boxes[row, 2:].min()
                    values = (crop, labels[row], found.scores[row], side, teacher[row], number, is_thing(photo), photo.held_out, look)
                    for column, value in zip(columns.values(), values, strict=True):
                        column.append(np.asarray(value))
        if number % 100 == 99:
            print(f"{number + 1} of {len(photos)} photos: {len(columns['label'])} candidates", file=sys.stderr, flush=True)  # noqa: T201
    options.out.parent.mkdir(parents=True, exist_ok=True)
    things = sum(is_thing(p) and p.held_out for p in photos)
    np.savez(options.out, things=np.array([things]), **{name: np.stack(column) for name, column in columns.items()})


def is_thing(photo: Photo) -> bool:
    return photo.source.startswith("negatives")


def changed(photo: Photo, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A photo mirrored, at another size, and turned if nobody is in it, with its boxes."""
    scale = float(2 ** rng.uniform(-1, 0.3))
    height, width = photo.image.shape[:2]
    size = max(32, round(width * scale)), max(32, round(height * scale))
    image = resized(np.ascontiguousarray(photo.image[:, ::-1]), *size)
    factor = np.array([size[0] / width, size[1] / height], np.float32)
    boxes = photo.boxes.copy()
    boxes[:, 0] = width - boxes[:, 0] - boxes[:, 2]
    boxes *= np.tile(factor, 2)
    if not len(boxes):
        image = np.ascontiguousarray(np.rot90(image, int(rng.integers(4))))
    return image, boxes


if __name__ == "__main__":
    main()
