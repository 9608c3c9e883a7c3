"""The places of each photo of a store, as one table: objects are made only of the photos that are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.photos.copy_names import by_place
from facecluster.store import FaceIds

_BLOCK = 4_096  # photos of which objects are made at a time


class PhotoPlaces(Mapping[str, list[dict[str, Any]]]):
    """The places of each photo that could be used and counts, by photo_id: those that are there first, each part by `by_place`.

    Photos have numbers, in order of photo_id. What is said of a photo is what its first place says.
    """

    def __init__(self, table: pa.Table) -> None:
        """`table`: a row for each place, in any order."""
        table = table.take(by_place(table)).combine_chunks()
        self.table = table.drop_columns("photo_id")  # (places,) by photo
        keys = FaceIds.of(table["photo_id"]).keys
        first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, dtype=np.int64)
        self.ids = FaceIds(keys[first])  # (photos,)
        self.start = np.append(first, len(keys)).astype(np.int64)  # (photos + 1,) where each photo's places begin
        gone = np.asarray(self.table["gone"], dtype=bool)
        self.gone = gone[first]  # (photos,) is at none of its places
        self.shown = ~gone | np.repeat(self.gone, np.diff(self.start))  # (places,) where it is; where it was if it is gone

    def first(self, column: str) -> pa.Array:
        """A column (photos,) of the first place of each photo."""
        return self.table[column].take(pa.array(self.start[:-1])).combine_chunks()

    def rows(self, numbers: NDArray[np.integer]) -> Iterator[list[dict[str, Any]]]:
        """The places of photos by their numbers."""
        for i in range(0, len(numbers), _BLOCK):
            some = numbers[i : i + _BLOCK]
            counts = self.start[some + 1] - self.start[some]
            ends = np.cumsum(counts)
            at = np.repeat(self.start[some] - ends + counts, counts) + np.arange(counts.sum())
            found = self.table.take(pa.array(at)).to_pylist()
            yield from (found[a:b] for a, b in zip((ends - counts).tolist(), ends.tolist(), strict=True))

    def by_date(self) -> NDArray[np.int64]:
        """The numbers of the photos by date and then by their first place, at the end those without a date."""
        keys = pa.table({"taken": pc.floor_temporal(self.first("taken_at"), unit="second"), "uri": self.first("uri")})
        order = pc.sort_indices(keys, [("taken", "ascending"), ("uri", "ascending")])  # nulls stand at the end
        return np.asarray(order, dtype=np.int64)

    def __getitem__(self, photo_id: str) -> list[dict[str, Any]]:
        return next(self.rows(np.array([self.ids.rows[photo_id]])))

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __len__(self) -> int:
        return len(self.ids)
