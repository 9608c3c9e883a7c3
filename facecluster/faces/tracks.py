"""Faces in the frames of a video, joined to one row a track: a person in view, from where they come in to where they go out.

A face of a frame continues a track if it lies where the track was last seen and looks like it. Across a change of scene only the likeness
counts, since another person may sit in the same place. Pairs are chosen for the best sum over all. A track that was not seen for `GAP`
looks has ended. Nothing depends on anything but the frames of this video.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from facecluster import geometry

GAP = 3  # looks
MAX_TRACKS = 1000  # of a video; the clearest ones are kept
# cosine + OVERLAP * IoU of a face and a track from which they are one. Cosines of two people: mean .01, sd .11 (model card)
MIN_SCORE = 0.45
OVERLAP = 0.3
MIN_COSINE = 0.12


@dataclass(slots=True)
class _Track:
    best: dict[str, Any]  # the row of its clearest face
    box: Any  # x, y, w, h of its last face, px
    total: NDArray[np.float64]  # sum of its vectors
    seen: int  # number of the look in which it was seen last

    def mean(self) -> NDArray[np.float64]:
        return self.total / max(1e-9, float(np.linalg.norm(self.total)))


class Tracks:
    """The tracks of one video. Memory: a row and a vector a track, at most 2 * MAX_TRACKS of them."""

    def __init__(self) -> None:
        self._open: list[_Track] = []
        self._ended: list[dict[str, Any]] = []
        self._look = -1

    def add(self, rows: list[dict[str, Any]], vectors: NDArray[Any], *, cut: bool) -> None:
        """Add the faces of the next look.

        Args:
            rows: of the table `faces`: `box`, `quality` and `at_ms` are read.
            vectors: (n, dim), rows of length 1.
            cut: whether the scene has changed since the look before.
        """
        self._look += 1
        self._end([t for t in self._open if self._look - t.seen > GAP])
        pairs = self._pairs(rows, vectors, cut)
        for i, row in enumerate(rows):
            track = pairs.get(i)
            if track is None:
                self._open.append(_Track(row, row["box"], np.asarray(vectors[i], np.float64), self._look))
            else:
                track.box, track.total, track.seen = row["box"], track.total + vectors[i], self._look
                if row["quality"] > track.best["quality"]:
                    track.best = row

    def rows(self) -> list[dict[str, Any]]:
        """The clearest face of each track, by time and from left to right."""
        self._end(self._open)
        return sorted(self._ended, key=lambda row: (row["at_ms"], float(row["box"][0]), float(row["box"][1])))

    def _end(self, tracks: list[_Track]) -> None:
        self._ended += [t.best for t in tracks]
        self._open = [t for t in self._open if all(t is not other for other in tracks)]
        if len(self._ended) > MAX_TRACKS:
            self._ended = sorted(self._ended, key=lambda row: -float(row["quality"]))[:MAX_TRACKS]

    def _pairs(self, rows: list[dict[str, Any]], vectors: NDArray[Any], cut: bool) -> dict[int, _Track]:
        """The track that each face continues, by the number of the face."""
        if not rows or not self._open:
            return {}
        cosine = np.asarray(vectors, np.float64) @ np.stack([t.mean() for t in self._open]).T
        overlap = geometry.iou(np.stack([r["box"] for r in rows]).astype(float), np.stack([t.box for t in self._open]).astype(float))
        score = np.where(cosine >= MIN_COSINE, cosine + (0.0 if cut else OVERLAP) * overlap, -1.0)
        chosen = zip(*linear_sum_assignment(-np.where(score >= MIN_SCORE, score, 0.0)), strict=True)
        return {int(i): self._open[int(j)] for i, j in chosen if score[i, j] >= MIN_SCORE}
