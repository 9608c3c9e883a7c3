"""The tables of an opened store, joined from those on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.errors import StoreError
from facecluster.matching.recognition import Person, Recognition
from facecluster.people import Run
from facecluster.photos.copy_names import by_place
from facecluster.photos.places import current_photos
from facecluster.store import FACES, IDENTITIES, Store

# a column that older stores lack would make `_without_crops` read whole shards: `origin` is left out
_FACES = pa.schema([pa.field(f.name, f.type) for f in FACES if f.name not in ("crop", "origin")])


def photos(store: Store) -> pa.Table:
    """A row a place that counts, as PHOTOS, and whether it is gone."""
    return current_photos(store, look=True).combine_chunks()


def places(table: pa.Table) -> dict[str, tuple[tuple[str, ...], int, int, Any]]:
    """Of each photo_id that could be used: its places (those that are there first), width, height, and when it was taken."""
    usable = table.filter(pc.is_null(table["error"])).select(["photo_id", "uri", "width", "height", "taken_at", "gone"])
    found: dict[str, tuple[list[str], int, int, Any]] = {}
    for row in usable.take(by_place(usable)).to_pylist():
        new: tuple[list[str], int, int, Any] = ([], row["width"] or 0, row["height"] or 0, row["taken_at"])
        found.setdefault(row["photo_id"], new)[0].append(row["uri"])
    return {photo: (tuple(uris), *rest) for photo, (uris, *rest) in found.items() if photo}


def faces(
    store: Store, files: pa.Table, people: Recognition | None, identities: str
) -> tuple[pa.Table, list[str], NDArray[np.int64], NDArray[np.int64]]:
    """The faces of the photos in `files`, joined with who they are.

    Returns:
        the table; the names of the shards; and of each face its shard (n,) and its row in it (n,).
    """
    shards = store.shards("faces")
    parts = [_without_crops(store, shard) for shard in shards]
    table = pa.concat_tables(parts) if parts else _FACES.empty_table()
    shard = np.repeat(np.arange(len(parts)), [p.num_rows for p in parts]).astype(np.int64)
    row = np.concatenate([np.zeros(0, np.int64), *(np.arange(p.num_rows) for p in parts)])
    ids = np.asarray(table["face_id"].to_pylist(), dtype=object)
    first = np.unique(ids, return_index=True)[1] if len(ids) else np.zeros(0, np.int64)
    current = files.filter(pc.is_null(files["error"]))["photo_id"].combine_chunks()
    there = np.asarray(pc.is_in(table["photo_id"].take(pa.array(first)), value_set=current), dtype=bool)
    kept = first[there].astype(np.int64)  # in order of face_id, as vectors are
    table = table.take(pa.array(kept)).combine_chunks()
    return _with_people(store, table, people, identities), shards, shard[kept], row[kept]


def _without_crops(store: Store, shard: str) -> pa.Table:
    """A shard of faces without the crops; columns that an older version did not write are null."""
    try:
        part = store.read("faces", shard, _FACES.names)
    except StoreError:  # not all of these columns are there, or the shard is damaged
        part = store.read("faces", shard)
    columns = [part[f.name] if f.name in part.column_names else pa.nulls(part.num_rows, f.type) for f in _FACES]
    try:
        return pa.table([column.cast(f.type) for column, f in zip(columns, _FACES, strict=True)], names=_FACES.names)
    except pa.ArrowException as e:
        path = store.shard_path("faces", shard)
        raise StoreError(f"expected the columns of a faces table, found {path}: {e}. Delete it and run again") from e


def _with_people(store: Store, table: pa.Table, people: Recognition | None, identities: str) -> pa.Table:
    """Add person_id, name, identity, probability, outlier_score and recognisability after photo_id; all null where nothing was grouped."""
    if people is None:
        new = {name: pa.nulls(table.num_rows, kind) for name, kind in _PEOPLE_COLUMNS.items()}
    else:
        index, probability = people.people_of(table["face_id"].combine_chunks())
        known = [(p.key, p.name, p.identity) for p in people.people] + [(None, None, -1)]  # -1 finds the last
        keys, called, numbers = (list(column) for column in zip(*known, strict=True))
        take = pa.array(np.where(index < 0, len(known) - 1, index))
        found = store.read_all(identities, IDENTITIES, ["face_id", "outlier_score", "recognisability"]).combine_chunks()
        at = pc.index_in(table["face_id"], value_set=found["face_id"].combine_chunks())
        values = (pa.array(keys, pa.string()), pa.array(called, pa.string()), pa.array(numbers, pa.int32()))
        measured = [found[name].take(at).combine_chunks() for name in ("outlier_score", "recognisability")]
        columns = [*(value.take(take) for value in values), pa.array(probability), *measured]
        new = dict(zip(_PEOPLE_COLUMNS, columns, strict=True))
    old = {name: table[name] for name in table.column_names}
    lead = {name: old.pop(name) for name in ("face_id", "photo_id")}
    return pa.table({**lead, **new, **old})


_PEOPLE_COLUMNS = {
    "person_id": pa.string(), "name": pa.string(), "identity": pa.int32(), "probability": pa.float32(), "outlier_score": pa.float32(),
    "recognisability": pa.float32(),
}  # fmt: skip


def people(known: Sequence[Person], table: pa.Table) -> pa.Table:
    """A row a person, from the joined faces."""
    groups = table.group_by("person_id", use_threads=False)
    counts = groups.aggregate([("face_id", "count"), ("photo_id", "count_distinct"), ("probability", "mean")])
    found = {row["person_id"]: row for row in counts.to_pylist()}
    rows = [(p, found.get(p.key, {"face_id_count": 0, "photo_id_count_distinct": 0, "probability_mean": None})) for p in known]
    return pa.table(
        {
            "person_id": pa.array([p.key for p, _ in rows], pa.string()),
            "name": pa.array([p.name for p, _ in rows], pa.string()),
            "identity": pa.array([p.identity for p, _ in rows], pa.int32()),
            "faces": pa.array([r["face_id_count"] for _, r in rows], pa.int64()),
            "photos": pa.array([r["photo_id_count_distinct"] for _, r in rows], pa.int64()),
            "probability": pa.array([r["probability_mean"] for _, r in rows], pa.float64()),
            "ignored": pa.array([p.ignored for p, _ in rows], pa.bool_()),
        }
    )


def runs(known: Sequence[Run], current: Run | None) -> pa.Table:
    """A row a run."""
    counts = {name: pa.array([r.counts.get(name) for r in known], pa.int64()) for name in ("faces", "people", "named")}
    return pa.table(
        {
            "run": pa.array([r.number for r in known], pa.int64()),
            "at": pa.array([r.at for r in known], pa.string()),
            "model": pa.array([r.model for r in known], pa.string()),
            **counts,
            "decisions": pa.array([r.decisions for r in known], pa.int64()),
            "current": pa.array([current is not None and r.number == current.number for r in known], pa.bool_()),
        }
    )
