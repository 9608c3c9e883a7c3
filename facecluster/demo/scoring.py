"""Score detections and groups of a demo collection against its ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from facecluster.demo.collection import GroundTruth
from facecluster.evaluation import Scores, bcubed, pairwise
from facecluster.geometry import iou

MIN_IOU = 0.3  # from which a detection counts as a true face


@dataclass(frozen=True, slots=True)
class DemoScore:
    """Scores of detection and grouping."""

    faces: int  # in the photos
    found: int  # of those
    others: int  # detections that are no true face
    people: int  # in the photos
    groups: int  # of the found faces
    pairwise: Scores  # over the found faces
    bcubed: Scores

    @property
    def recall(self) -> float:
        """Share of the faces that were found, 0 to 1."""
        return self.found / self.faces if self.faces else 1.0


def score(truth: GroundTruth, photo_ids: Sequence[str], boxes: NDArray[np.floating], identities: NDArray[np.integer]) -> DemoScore:
    """Match detections to true faces, one to one in each photo with the greatest total IoU, and score the groups of matched detections.

    Args:
        photo_ids: (n,) the photo of each detection.
        boxes: (n, 4) x, y, w, h in px of the upright photo.
        identities: (n,) group of each detection, -1 = nobody.
    """
    detected: dict[str, list[int]] = {}
    for row, photo in enumerate(photo_ids):
        detected.setdefault(photo, []).append(row)
    expected: dict[str, list[int]] = {}
    for row, face in enumerate(truth.faces):
        expected.setdefault(face.photo_id, []).append(row)
    true_boxes = np.array([face.box for face in truth.faces], np.float64).reshape(-1, 4)
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    pairs: list[tuple[int, int]] = []
    for photo, rows in detected.items():
        wanted = expected.get(photo, [])
        overlap = iou(boxes[rows], true_boxes[wanted])
        for i, j in zip(*linear_sum_assignment(np.where(overlap >= MIN_IOU, overlap, 0), maximize=True), strict=True):
            if overlap[i, j] >= MIN_IOU:
                pairs.append((rows[i], wanted[j]))
    people = np.array([truth.faces[t].person for _, t in pairs], np.int64)
    labels = np.asarray(identities, np.int64)[[d for d, _ in pairs]] if pairs else np.zeros(0, np.int64)
    groups = len(np.unique(labels[labels >= 0]))
    known = len({face.person for face in truth.faces})
    return DemoScore(len(truth.faces), len(pairs), len(boxes) - len(pairs), known, groups, pairwise(people, labels), bcubed(people, labels))
