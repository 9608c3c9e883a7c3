"""What pages say of faces beyond the tables of the grouping: attributes in words, and pictures of where the model looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from facecluster.faces.attribute_labels import AttributeLabels, attribute_labels
from facecluster.language import ENGLISH, Language
from facecluster.language.said import translated
from facecluster.report.report_data import ReportData
from facecluster.store import FaceIds, Store

Look = Callable[[Sequence[bytes]], list[bytes]]  # crops as stored -> pictures of where the model looks, b"" for none
LOOKS = 6  # faces of a person that get such a picture: the surest


class FaceNotes:
    """Notes on the faces of a report, by the number of the face."""

    def __init__(self, data: ReportData, store: Store | None = None, look: Look | None = None) -> None:
        """Without a store there are no attributes, without `look` no pictures."""
        self.data, self._look = data, look
        self.labels = AttributeLabels({})
        if store is not None:
            ids = FaceIds.among(data.table["face_id"])
            self.labels = attribute_labels(store, ids, ids.rows_of(data.table["face_id"]))

    def of(self, row: int, language: Language = ENGLISH) -> dict[str, Any]:
        """words: that many faces may share; numbers: measures of the face alone."""
        return {"words": [translated(word, language) for word in self.labels.words(row)], "numbers": self.labels.numbers(row)}

    def looks(self, rows: Sequence[int] | np.ndarray[Any, np.dtype[np.int64]]) -> list[tuple[int, bytes]]:
        """(face, picture) of where the model looks on the first of some faces; none unless they were asked for."""
        if self._look is None:
            return []
        first = [int(row) for row in rows[:LOOKS]]
        return [(row, made) for row, made in zip(first, self._look([self.data.crops[row] for row in first]), strict=True) if made]
