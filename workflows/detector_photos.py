"""The photos that the detector learns from, which of them are held out, and the figures measured on those."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq
from held_out import held_out_rows, tuning_thing
from numpy.typing import NDArray
from PIL import Image

from facecluster.faces.detect import DetectConfig
from facecluster.geometry import iou
from facecluster.models.detector import Detections

MATCH = 0.3  # IoU from which a detection is that face
KEPT = DetectConfig().min_side  # px; smaller faces are not stored


class Finder(Protocol):
    """Whatever finds faces as `facecluster.models.detector.Detector` does."""

    def detect(self, image: NDArray[np.uint8], *, threshold: float | None = None) -> Detections: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    image: NDArray[np.uint8]  # (h, w, 3) RGB
    boxes: NDArray[np.float32]  # (n, 4) [x, y, w, h] px
    landmarks: NDArray[np.float32]  # (n, 5, 2) px
    scores: NDArray[np.float32]  # (n,) 0 to 1, the teacher's
    source: str
    held_out: bool


def load_photos(path: Path, more: Path | None = None) -> list[Photo]:
    """Decode every photo of photos_detect.parquet and, for training, those of photos_more.parquet that are not held out.

    Of the first a tenth is for tuning (a quarter of those without a face), chosen by the hash of the bytes; of the second some things are.
    """
    photos = []
    for row in pq.read_table(path).to_pylist():
        bucket = int.from_bytes(hashlib.sha256(row["image"]).digest()[:4], "big") % 100
        photos.append(_photo(row, bucket < (25 if row["source"] == "negatives" else 10)))
    if more:
        rows = pq.read_table(more).to_pylist()
        held = held_out_rows(np.array([row["source"] for row in rows]))
        photos += [
            _photo(row, row["source"].startswith("negatives") and tuning_thing(i)) for i, row in enumerate(rows) if i not in held
        ]
    return photos


def read_photos(path: Path) -> list[Photo]:
    """Decode every photo of a file with the same columns, all to learn from."""
    return [_photo(row, False) for row in pq.read_table(path).to_pylist()]


def load_held_out(more: Path) -> list[Photo]:
    """Decode the photos of photos_more.parquet that neither training nor tuning has seen."""
    table = pq.read_table(more)
    held = held_out_rows(np.array(table["source"].to_pylist()))
    return [_photo(row, True) for row in table.take(sorted(held)).to_pylist()]


def _photo(row: dict[str, Any], held_out: bool) -> Photo:
    return Photo(
        image=np.array(Image.open(io.BytesIO(row["image"])).convert("RGB")),
        boxes=np.array(row["boxes"], np.float32).reshape(-1, 4),
        landmarks=np.array(row["landmarks"], np.float32).reshape(-1, 5, 2),
        scores=np.array(row["scores"], np.float32).reshape(-1),
        source=row["source"],
        held_out=held_out,
    )


def measure(detector: Finder, photos: list[Photo], threshold: float) -> dict[str, float]:
    """Figures on photos at a threshold.

    Returns:
        recall_24, recall_12: share found of the teacher's faces with score >= 0.8 whose shorter side is at least 24, or 12 to 24 px;
        faces_24, faces_12: how many these are; landmarks, landmarks_median: error over eye distance of those found of 24 px and more,
        a face's error being the mean distance of its five landmarks to the teacher's;
        alarms_per_100: detections a hundred photos without a face, of which there are `negatives`; alarms_16_per_100: of those as large as
        a face must be to be stored, 16 px;
        extra: detections on the other photos that match no face of the teacher's (score >= 0.5).
    """
    found: dict[str, list[bool]] = {"24": [], "12": []}
    errors: list[float] = []
    alarms = stored = extra = negatives = 0
    for photo in photos:
        boxes, landmarks, _ = detector.detect(photo.image, threshold=threshold)
        if photo.source.startswith("negatives"):
            alarms, negatives = alarms + len(boxes), negatives + 1
            stored += int((boxes[:, 2:].min(axis=1, initial=np.inf) >= KEPT).sum())
            continue
        overlap = iou(photo.boxes, boxes)
        extra += int((overlap.max(axis=0, initial=0) <= MATCH).sum())
        for i in np.nonzero(photo.scores >= 0.8)[0]:
            side = photo.boxes[i, 2:].min()
            hit = bool(overlap[i].max(initial=0) > MATCH)
            if side >= 12:
                found["24" if side >= 24 else "12"].append(hit)
            if hit and side >= 24:
                off = np.linalg.norm(landmarks[overlap[i].argmax()] - photo.landmarks[i], axis=1).mean()
                errors.append(float(off / max(float(np.linalg.norm(photo.landmarks[i, 0] - photo.landmarks[i, 1])), 1.0)))
    figures: dict[str, float] = {}
    for size, hits in found.items():
        figures |= {f"recall_{size}": round(float(np.mean(hits or [False])), 4), f"faces_{size}": len(hits)}
    figures["landmarks"] = round(float(np.mean(errors or [9.0])), 4)
    figures["landmarks_median"] = round(float(np.median(errors or [9.0])), 4)
    figures["alarms_per_100"] = round(100 * alarms / max(negatives, 1), 2)
    figures["alarms_16_per_100"] = round(100 * stored / max(negatives, 1), 2)
    return figures | {"negatives": negatives, "extra": extra}
