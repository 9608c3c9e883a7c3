"""Score what was found in a demo collection against what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from facecluster.demo.collection import Truth
from facecluster.evaluation import Scores, bcubed, pairwise
from facecluster.geometry import iou

MATCH = 0.3  # IoU from which a detection is a face of the truth


@dataclass(frozen=True, slots=True)
class DemoScore:
    """How well faces were found and grouped."""

    faces: int  # in the photos
    found: int  # of those
    others: int  # detections that are no face of the truth
    people: int  # in the photos
    groups: int  # that the found faces were put into
    pairwise: Scores  # over the found faces
    bcubed: Scores

    @property
    def recall(self) -> float:
        """Share of the faces that were found, 0 to 1."""
        return self.found / self.faces if self.faces else 1.0


def score(truth: Truth, photo_ids: Sequence[str], boxes: NDArray[np.floating], identities: NDArray[np.integer]) -> DemoScore:
    """Match detections to true faces, one to one in each photo for the greatest total IoU, and judge the groups of those matched.

    Args:
        photo_ids: (n,) the photo of each detection.
        boxes: (n, 4) x, y, w, h in px of the upright photo.
        identities: (n,) group of each detection, -1 = nobody.
    """
    here: dict[str, list[int]] = {}
    for row, photo in enumerate(photo_ids):
        here.setdefault(photo, []).append(row)
    there: dict[str, list[int]] = {}
    for row, face in enumerate(truth.faces):
        there.setdefault(face.photo_id, []).append(row)
    true_boxes = np.array([face.box for face in truth.faces], np.float64).reshape(-1, 4)
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    pairs: list[tuple[int, int]] = []
    for photo, rows in here.items():
        wanted = there.get(photo, [])
        overlap = iou(boxes[rows], true_boxes[wanted])
        for i, j in zip(*linear_sum_assignment(np.where(overlap >= MATCH, overlap, 0), maximize=True), strict=True):
            if overlap[i, j] >= MATCH:
                pairs.append((rows[i], wanted[j]))
    people = np.array([truth.faces[t].person for _, t in pairs], np.int64)
    labels = np.asarray(identities, np.int64)[[d for d, _ in pairs]] if pairs else np.zeros(0, np.int64)
    groups = len(np.unique(labels[labels >= 0]))
    known = len({face.person for face in truth.faces})
    return DemoScore(len(truth.faces), len(pairs), len(boxes) - len(pairs), known, groups, pairwise(people, labels), bcubed(people, labels))
