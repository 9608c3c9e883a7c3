"""Known people: vectors of pictures that the user has by name, and the groups that may be these people.

The table known/MODEL of a store holds name, source and vector of each picture; the pictures are no photos of the store. A name's
pictures together are compared with each group as a person of the store would be (suggestions.py). A group's probability is shared among
the names: with odds o of each, a name has o / (1 + sum of all o).

Odd inputs: a store without the table, or with one of other weights, knows nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.language.english import plural
from facecluster.store import KNOWN, Stamp, Store, known_schema, table_of

if TYPE_CHECKING:
    from facecluster.people.grouped_faces import Grouped
    from facecluster.people.suggestions import FaceIndex

FOLDER = "known"
_SHARD = "00000"
_CERTAIN = 1 - 1e-9


@dataclass(frozen=True, slots=True)
class Known:
    """The pictures of known people: struct of arrays (k,)."""

    names: list[str]
    sources: list[str]
    vectors: NDArray[np.float32]  # (k, dim), rows of length 1

    def by_name(self) -> dict[str, NDArray[np.float32]]:
        """The vectors of each name; upper and lower case are one."""
        rows: dict[str, list[int]] = {}
        for row, name in enumerate(self.names):
            rows.setdefault(name.casefold(), []).append(row)
        return {self.names[some[0]]: self.vectors[some] for some in rows.values()}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A name that a group may have."""

    group: int
    name: str
    probability: float


def read_known(store: Store, model: str) -> Known | None:
    """The known people of a store; None if there are none, or if their vectors are of other weights than those of its faces."""
    rows = read_vectors_of(store, f"{FOLDER}/{model}", model)
    if rows is None:
        return None
    vectors = np.asarray(rows["embedding"].combine_chunks().flatten(), np.float32).reshape(rows.num_rows, -1)
    return Known(rows["name"].to_pylist(), rows["source"].to_pylist(), vectors)


def read_vectors_of(store: Store, table: str, model: str) -> pa.Table | None:
    """The rows of a table of one shard with vectors of a model; None if there are none, or they are of other weights than its faces."""
    if store.shards(table) != [_SHARD]:
        return None
    mine, faces = store.stamp(table, _SHARD) or {}, f"embeddings/{model}"
    theirs = next((store.stamp(faces, shard) for shard in store.shards(faces)), None) or {}
    if any(mine.get(key) != theirs[key] for key in ("weights", "mirror") if key in theirs):
        return None
    rows = store.read(table, _SHARD)
    return rows if rows.num_rows else None  # all were forgotten


def known_names(store: Store) -> set[str]:
    """The names of all known people of a store, whatever the model."""
    folder = store.path(FOLDER)
    models = [str(path).rstrip("/").rsplit("/", 1)[-1] for path in store.fs.ls(folder, detail=False)] if store.fs.isdir(folder) else []
    return {name for model in models for name in store.read_all(f"{FOLDER}/{model}", KNOWN, ["name"])["name"].to_pylist()}


def pictures_left_out(store: Store, model: str) -> list[str]:
    """A line for the user if people are known by pictures whose vectors are of other models or weights, and not by any of this model's."""
    now = read_known(store, model)
    usable = set() if now is None else {name.casefold() for name in now.names}
    people = {name.casefold() for name in known_names(store)} - usable
    if not people:
        return []
    who = f"{plural(len(people), 'person is', 'people are')} known by pictures (facecluster known)"
    return [f"{who} whose vectors are not of {model} as it is now, and count for nothing: give the pictures again"]


def write_known(store: Store, model: str, known: Known, stamp: Stamp) -> None:
    """Replace the known people of a store."""
    columns = {"name": known.names, "source": known.sources, "embedding": known.vectors.astype(np.float16)}
    store.write(f"{FOLDER}/{model}", _SHARD, table_of(known_schema(known.vectors.shape[1]), columns), stamp)


def propose(
    index: FaceIndex, groups: Grouped, known: Mapping[str, NDArray[np.float32]], hidden: NDArray[np.bool_],
    closed: Mapping[str, Collection[int]],
) -> list[Proposal]:  # fmt: skip
    """The likeliest name of each group that may be a known person, by falling probability.

    Args:
        index: of the faces.
        groups: of these faces.
        known: vectors (m, dim) of each name.
        hidden: (p,) groups that get no name.
        closed: for some names the groups that are not this person.
    """
    odds: dict[int, list[tuple[float, str]]] = {}
    for name, vectors in known.items():
        target = replace(index.outside_target(vectors), closed_groups=frozenset(closed.get(name, ())))
        found = index.suggest(groups, [target], hidden, len(hidden), faces=False)
        for group, p in zip(found.group.tolist(), np.minimum(found.probability, _CERTAIN).tolist(), strict=True):
            odds.setdefault(group, []).append((p / (1 - p), name))
    made = [Proposal(g, max(some)[1], max(some)[0] / (1 + sum(o for o, _ in some))) for g, some in odds.items()]
    return sorted(made, key=lambda m: (-m.probability, m.group))

