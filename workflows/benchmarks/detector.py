"""Measure the bundled face detector: held-out photos, labelled group photos, speed. Writes results/detector.json beside this file.

    python workflows/benchmarks/detector.py --photos photos_detect.parquet --more photos_more.parquet --album album/pascal

The album is a folder of photos with `faces.csv` (file, left, top, width, height in px). Neither it nor the held-out photos were trained on.
The threshold was chosen on the held-out photos of the first file (and 148 things of the second). Those of the second were not trained on
and did not choose the threshold, but a third of them was in view while the settings of the search were chosen.
Photos turned by 90, 180 and 270 degrees: the share of the faces found upright that is found again in its place; `clear` are
faces with a score of .7 and more.

With `--yunet yunet_n.onnx` (needs opencv) the teacher itself is measured on the same decoded photos, and the landmarks also against
the teacher's consensus: the median of its landmarks over twelve views of a photo (six sizes, mirrored or not). The landmarks that are
stored with the photos vary from look to look, so that no detector can agree with them closely (docs/lab/detector.md).
"""

from __future__ import annotations

import argparse
import csv
import importlib
import json
import os
import platform
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from facecluster.geometry import iou
from facecluster.models.detector import Detections, Detector

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from detector_photos import KEPT, MATCH, Photo, load_held_out, load_photos, measure  # noqa: E402

Figures = dict[str, float]


def album_figures(detector: Detector, folder: Path) -> Figures:
    """Labels that a detection matches, and detections that match no label, at the default threshold; others_16: of 16 px and more.

    `distinct` pairs labels and detections one to one: in album/pascal two faces are labelled twice, so 43 of its 45 labels is all there is.
    """
    truth = defaultdict(list)
    with (folder / "faces.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            truth[row["file"]].append([float(row[k]) for k in ("left", "top", "width", "height")])
    found = distinct = others = stored = 0
    for name, faces in truth.items():
        boxes = detector.detect(np.asarray(Image.open(folder / name).convert("RGB")))[0]
        pairs = iou(np.array(faces), boxes)
        found += int((pairs.max(axis=1, initial=0) > MATCH).sum())
        other = boxes[pairs.max(axis=0, initial=0) <= MATCH]
        others, stored = others + len(other), stored + int((other[:, 2:].min(axis=1) >= KEPT).sum())
        while pairs.size and pairs.max() > MATCH:  # best pair first
            face, box = np.unravel_index(pairs.argmax(), pairs.shape)
            pairs[face], pairs[:, box], distinct = 0, 0, distinct + 1
    return {"photos": len(truth), "faces": sum(map(len, truth.values())), "found": found, "distinct": distinct, "others": others,
            "others_16": stored}  # fmt: skip


class Teacher:
    """YuNet as a detector: one look at the picture, enlarged and mirrored as told."""

    def __init__(self, path: Path) -> None:
        cv2 = importlib.import_module("cv2")
        self.resize, self.net = cv2.resize, cv2.FaceDetectorYN.create(str(path), "", (320, 320), 0.4)

    def detect(self, image: NDArray[np.uint8], *, threshold: float | None = None, scale: float = 1, mirror: bool = False) -> Detections:
        picture = self.resize(image[:, :, ::-1], None, fx=scale, fy=scale)
        height, width = picture.shape[:2]
        self.net.setInputSize((width, height))
        found = self.net.detect(np.ascontiguousarray(picture[:, ::-1] if mirror else picture))[1]
        found = np.zeros((0, 15), np.float32) if found is None else found
        found = found[found[:, 14] >= (threshold or 0)]
        boxes, landmarks = found[:, :4].copy(), found[:, 4:14].reshape(-1, 5, 2).copy()
        if mirror:
            boxes[:, 0] = width - boxes[:, 0] - boxes[:, 2]
            landmarks[..., 0] = width - landmarks[..., 0]
            landmarks = landmarks[:, [1, 0, 2, 4, 3]]
        return boxes / scale, landmarks / scale, found[:, 14]


class Stored:
    """Answers with what is stored for a photo."""

    def __init__(self, photos: list[Photo]) -> None:
        self.photos = {id(p.image): p for p in photos}

    def detect(self, image: NDArray[np.uint8], *, threshold: float | None = None) -> Detections:
        photo = self.photos[id(image)]
        return photo.boxes, photo.landmarks, photo.scores


def consensus(teacher: Teacher, photo: Photo) -> Photo:
    """The photo with the median of the teacher's landmarks over twelve views in place of those stored."""
    views = []
    for scale in (1, 1.25, 1.5, 1.75, 2, 2.5):
        for mirror in (False, True):
            boxes, landmarks, _ = teacher.detect(photo.image, scale=scale, mirror=mirror)
            view = np.full_like(photo.landmarks, np.nan)
            overlap = iou(photo.boxes, boxes)
            seen = overlap.max(axis=1, initial=0) > MATCH
            if seen.any():
                view[seen] = landmarks[overlap[seen].argmax(axis=1)]
            views.append(view)
    stack = np.stack(views)
    missed = np.isnan(stack).all(axis=0)
    stack[:, missed] = photo.landmarks[missed]
    return replace(photo, landmarks=np.nanmedian(stack, axis=0).astype(np.float32))


def turned(detector: Detector, photos: list[Photo]) -> Figures:
    """Share of the faces found upright that is found again, and of the photos with faces whose turn is told right."""
    again: list[bool] = []
    clear: list[bool] = []
    right: list[bool] = []
    for photo in photos:
        upright = detector.detect(photo.image)
        boxes, (height, width) = upright.boxes, photo.image.shape[:2]
        for turn in (1, 2, 3):
            boxes = np.stack((boxes[:, 1], width - boxes[:, 0] - boxes[:, 2], boxes[:, 3], boxes[:, 2]), axis=1)
            height, width = width, height
            found, told = detector.search([np.rot90(photo.image, turn)])[0]
            hits = iou(boxes, found.boxes).max(axis=1, initial=0) > MATCH
            again += hits.tolist()
            clear += hits[upright.scores >= 0.7].tolist()
            right += [told == 90 * turn] if len(boxes) else []
    return {"faces": len(again), "found": _share(again), "clear found": _share(clear), "turn right": _share(right)}


def _share(rows: list[bool]) -> float:
    return round(float(np.mean(rows or [False])), 4)


def speed(detector: Detector, image: NDArray[np.uint8]) -> float:
    """Milliseconds of processor time on one thread for a picture: median of 15. Other work on the machine hardly moves it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times = []
    for _ in range(17):
        began = time.process_time()
        detector.detect(image)
        times.append(time.process_time() - began)
    torch.set_num_threads(threads)
    return round(1000 * statistics.median(times[2:]), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--more", type=Path, required=True)
    parser.add_argument("--album", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="another weights file with its card beside it")
    parser.add_argument("--yunet", type=Path, help="the teacher, to be measured too")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "detector.json")
    options = parser.parse_args()
    detector = Detector.load(options.weights)
    held_out = [p for p in load_photos(options.photos) if p.held_out]
    unseen = load_held_out(options.more)
    big = np.asarray(Image.fromarray(held_out[0].image).resize((1024, 768)))
    result: dict[str, object] = {
        "weights": detector.fingerprint,
        "threshold": detector.threshold,
        "parameters": sum(p.numel() for p in detector.model.parameters()),
        "held_out": {"photos": len(held_out)} | measure(detector, held_out, detector.threshold),
        "not trained on": {"photos": len(unseen)} | measure(detector, unseen, detector.threshold),
        "turned": turned(detector, [p for p in unseen if len(p.boxes)][::3]),
        "album": album_figures(detector, options.album),
        "cpu_ms_1024x768": speed(detector, big),
        "cpu_ms_4000x3000": speed(detector, np.asarray(Image.fromarray(big).resize((4000, 3000)))),
        "machine": {"cpu": cpu(), "cores": os.cpu_count(), "python": platform.python_version(), "torch": torch.__version__},
    }
    if options.yunet:
        teacher = Teacher(options.yunet)
        agreed = [consensus(teacher, p) for p in held_out]
        result["teacher_one_look"] = measure(teacher, held_out, 0.6)
        for name, finder in (("landmarks_to_consensus", detector), ("teacher_one_look_to_consensus", teacher)):
            figures = measure(finder, agreed, detector.threshold)
            result[name] = {key: figures[key] for key in ("landmarks", "landmarks_median")}
        stored = measure(Stored(agreed), held_out, 0)
        result["stored_to_consensus"] = {key: stored[key] for key in ("landmarks", "landmarks_median")}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))  # noqa: T201


def cpu() -> str:
    """The processor's name, where the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "")
    return (names[0] if names else platform.machine()) + (" with AMX" if "amx_bf16" in flags else "")


if __name__ == "__main__":
    main()
