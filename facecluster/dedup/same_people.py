"""Whether two photos show the same people, by the vectors of their faces.

Odd input: without a table of vectors, and for photos without faces, the answer is no.
"""

from __future__ import annotations

from collections.abc import Set

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from facecluster.store import Store


class SamePeople:
    """Compares the people of photos."""

    def __init__(self, store: Store, table: str | None, photo_ids: Set[str], min_cosine: float) -> None:
        """Reads the vectors of some photos.

        Args:
            store: the store.
            table: of vectors, for instance "embeddings/bundled"; None = no vectors.
            photo_ids: the photos that `same` will be asked about.
            min_cosine: cosine from which two vectors are of one person.
        """
        self._min_cosine = min_cosine
        self._vectors: dict[str, NDArray[np.float32]] = {}
        prefixes = {photo_id[:24]: photo_id for photo_id in photo_ids}
        rows: dict[str, dict[str, NDArray[np.float32]]] = {}
        for shard in store.shards(table) if table and prefixes else []:
            part = store.read(table, shard)  # type: ignore[arg-type]
            part = part.filter(pc.is_in(pc.utf8_slice_codeunits(part["face_id"], 0, 24), value_set=pa.array(list(prefixes))))
            if not part.num_rows:
                continue
            vectors = np.asarray(pc.list_flatten(part["embedding"]), np.float32).reshape(part.num_rows, -1)
            for face, vector in zip(part["face_id"].to_pylist(), vectors, strict=True):
                rows.setdefault(prefixes[face[:24]], {})[face] = vector
        self._vectors = {photo_id: np.stack(list(faces.values())) for photo_id, faces in rows.items()}

    def same(self, a: str, b: str) -> bool:
        """Whether at least half of the faces in the photo with more faces match a face in the other (one-to-one assignment)."""
        one, two = self._vectors.get(a), self._vectors.get(b)
        if one is None or two is None:
            return False
        cosine = one @ two.T
        matched = cosine[linear_sum_assignment(-cosine)] >= self._min_cosine
        return int(matched.sum()) * 2 >= max(len(one), len(two))
