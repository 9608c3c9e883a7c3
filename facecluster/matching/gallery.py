"""The stored faces of a store by person, prepared once for many probes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.matching.index import Index
from facecluster.matching.recognition import Recognition

_MAX_COHORT = 4_000  # impostors that a new face is compared with, at most
_SAMPLE_PEOPLE = 1_000  # people who stand for all those that are not compared


@dataclass(frozen=True, slots=True)
class Gallery:
    """A store's faces and people, ready for comparison; `build_gallery` makes it."""

    index: Index
    recognition: Recognition
    person: NDArray[np.int32]  # (n,) person of each face of the index; -1 = nobody
    order: NDArray[np.intp]  # (n,) rows by person
    start: NDArray[np.intp]  # (people + 1,) where each person begins in `order`
    cohort_rows: NDArray[np.intp]  # rows of the impostor cohort: one face of each person, and the faces of nobody that are clear
    cohort_vectors: NDArray[np.float32]  # their vectors
    sample_people: list[int]  # evenly drawn people who stand for all

    def faces_of(self, j: int, own: slice) -> NDArray[np.intp]:
        """Rows of person j, without the rows `own` of the probe's own photo."""
        rows = self.order[self.start[j] : self.start[j + 1]]
        return np.asarray(rows[(rows < own.start) | (rows >= own.stop)])


def build_gallery(index: Index, recognition: Recognition) -> Gallery:
    """Join the vectors of a store with its people."""
    person, _ = recognition.people_of(index.face_ids)
    order = np.argsort(person, kind="stable")
    start = np.searchsorted(person[order], np.arange(len(recognition.people) + 1))
    present = np.flatnonzero(np.diff(start))
    alone = order[: start[0]]
    # faces that nobody can tell are similar to each other and to poor new faces: they would make impostors seem more similar than they are
    alone = alone[~recognition.unclear_among(index.face_ids)[alone]]
    rows = np.sort(np.r_[order[(start[present] + start[present + 1]) // 2], alone])
    rows = rows[:: max(1, -(-len(rows) // _MAX_COHORT))]
    sample = present[:: max(1, -(-len(present) // _SAMPLE_PEOPLE))]
    return Gallery(index, recognition, person, order, start, rows, index.vectors(rows), sample.tolist())
