"""The faces of a store that are meant: a face, those of a photo, those of a person, or of the whole store; with their crops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.photos.images import decode_crop
from facecluster.photos.places import of_current_photos
from facecluster.privacy.targets import find_targets
from facecluster.store import Store


@dataclass(frozen=True, slots=True)
class ChosenFaces:
    """Faces, in order of the store."""

    store: Store
    rows: dict[str, NDArray[np.int64]]  # of each shard
    total: int  # how many are meant; fewer may be chosen

    def __len__(self) -> int:
        return sum(map(len, self.rows.values()))

    def read(self, batch: int) -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
        """face_ids and crops (n, 112, 112, 3), some at a time."""
        for shard, rows in self.rows.items():
            part = self.store.read("faces", shard, ["face_id", "crop"]).take(pa.array(rows))
            for i in range(0, len(part), batch):
                some = part.slice(i, batch)
                yield some["face_id"].to_pylist(), np.stack([decode_crop(c.as_py()) for c in some["crop"]])


def choose_faces(store: Store, who: Sequence[str], most: int) -> ChosenFaces:
    """The faces of current photos that the words of `who` mean, as `forget` understands them; without words, all.

    If there are more than `most`, so many, spread evenly over them.

    Raises:
        InputError: a word means nothing, or several things.
    """
    faces, photos = _meant(store, who)
    found: dict[str, NDArray[np.int64]] = {}
    for shard in store.shards("faces"):
        part = store.read("faces", shard, ["face_id", "photo_id"])
        mine = of_current_photos(store, part["face_id"])
        if who:
            mine = pc.and_(mine, pc.or_(pc.is_in(part["face_id"], value_set=faces), pc.is_in(part["photo_id"], value_set=photos)))
        found[shard] = np.flatnonzero(np.asarray(mine, bool))
    total = sum(map(len, found.values()))
    kept = np.zeros(total, bool)
    kept[np.linspace(0, total - 1, min(most, total)).round().astype(np.int64)] = True
    ends = np.cumsum([len(rows) for rows in found.values()])
    some = {shard: rows[kept[end - len(rows) : end]] for (shard, rows), end in zip(found.items(), ends.tolist(), strict=True)}
    return ChosenFaces(store, {shard: rows for shard, rows in some.items() if len(rows)}, total)


def _meant(store: Store, who: Sequence[str]) -> tuple[pa.Array, pa.Array]:
    targets = find_targets(store, who)[0] if who else None
    words = (sorted(targets.faces), sorted(targets.photos)) if targets else ([], [])
    return pa.array(words[0], pa.string()), pa.array(words[1], pa.string())
