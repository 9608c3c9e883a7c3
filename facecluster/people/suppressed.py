"""People who were forgotten and are to be known again on new photos, because the user chose so: the table suppressed/MODEL.

It holds vectors of up to VECTORS faces of each, and what is to be done about new ones; no name, no id, no place, no picture. Without the
choice nothing is kept. A vector is what forgetting is to take away, so the choice is never made for the user.

Odd inputs: a store without the table suppresses nobody; neither does a table of other weights than those of the store's faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.people.known_names import Known, read_vectors_of
from facecluster.store import Store, table_of

FOLDER = "suppressed"
ASK, DROP = "ask", "drop"
VECTORS = 8  # of a person
_SHARD = "00000"


def schema(dim: int) -> pa.Schema:
    """The columns of the table."""
    return pa.schema(
        [
            pa.field("person", pa.string(), nullable=False, metadata={"description": "32 random hex digits, the same for one person"}),
            pa.field("choice", pa.string(), nullable=False, metadata={"description": "what is done about new faces: ask, drop"}),
            pa.field("embedding", pa.list_(pa.float16(), dim), nullable=False, metadata={"description": "vector of a face, length 1"}),
        ]
    )


@dataclass(frozen=True, slots=True)
class Suppressed:
    """The kept vectors as known people whose names are random ids, and what is chosen for each id."""

    known: Known
    choices: dict[str, str]


def read_suppressed(store: Store, model: str) -> Suppressed | None:
    """Whom a store suppresses; None if nobody."""
    rows = read_vectors_of(store, f"{FOLDER}/{model}", model)
    if rows is None:
        return None
    people = rows["person"].to_pylist()
    vectors = np.asarray(rows["embedding"].combine_chunks().flatten(), np.float32).reshape(rows.num_rows, -1)
    return Suppressed(Known(people, people, vectors), dict(zip(people, rows["choice"].to_pylist(), strict=True)))


def suppress(store: Store, model: str, person: str, choice: str, vectors: NDArray[np.float16]) -> int:
    """Keep vectors (n, dim) of a person, the first VECTORS of them, that are not kept yet; gives how many were added.

    Vectors that were kept of other weights go: they suppress nobody.
    """
    table, added = f"{FOLDER}/{model}", vectors[:VECTORS]
    faces = f"embeddings/{model}"
    stamp: dict[str, Any] = (store.stamp(faces, store.shards(faces)[0]) if store.shards(faces) else None) or {}
    before = read_vectors_of(store, table, model)  # those of other weights say nothing beside these, and may be of another length
    if before is not None:
        kept = {np.asarray(v, np.float16).tobytes() for v in before["embedding"].to_pylist()}
        added = added[[row.tobytes() not in kept for row in added]]
    if not len(added):
        return 0
    columns = {"person": [person] * len(added), "choice": [choice] * len(added), "embedding": np.ascontiguousarray(added)}
    rows = table_of(schema(vectors.shape[1]), columns)
    if before is not None:
        rows = pa.concat_tables([before.cast(rows.schema), rows])
    keys = [key for key in ("weights", "mirror") if key in stamp]
    store.write(table, _SHARD, rows, {"table": FOLDER} | {key: stamp[key] for key in keys})
    return len(added)


def suppressed_models(store: Store) -> Sequence[str]:
    """The models whose vectors are kept."""
    folder = store.path(FOLDER)
    store.fs.invalidate_cache()
    names = [str(path).rstrip("/").rsplit("/", 1)[-1] for path in store.fs.ls(folder, detail=False)] if store.fs.isdir(folder) else []
    return sorted(name for name in names if store.shards(f"{FOLDER}/{name}"))


def people_not_suppressed(store: Store, model: str) -> tuple[int, list[str]]:
    """How many people can't be known again by a model, as their vectors are of others, or of other weights; and of which models."""
    models = [name for name in suppressed_models(store) if name != model or read_suppressed(store, name) is None]
    who = {person for name in models for person in store.read(f"{FOLDER}/{name}", _SHARD, ["person"])["person"].to_pylist()}
    return len(who), models if who else []


def end_suppression(store: Store) -> int:
    """Delete all kept vectors; gives how many there were."""
    total = 0
    for model in suppressed_models(store):
        total += store.read(f"{FOLDER}/{model}", _SHARD, ["person"]).num_rows
        store.remove(f"{FOLDER}/{model}")
    return total
