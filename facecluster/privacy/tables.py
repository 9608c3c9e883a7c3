"""Tables of photos and faces without what is forgotten. Shards without it are not written; the others keep their stamps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facecluster.photos.fingerprint import LOOKS_TABLE, cover_faces
from facecluster.privacy.forget_plan import Bools, ForgetPlan, isin
from facecluster.store import Store


def drop_rows(store: Store, table: str, columns: list[str], goes: Callable[[pa.Table], Bools], write: bool) -> int:
    """Take rows out of a table; gives their number.

    Args:
        store: of the table.
        table: its name.
        columns: that `goes` needs.
        goes: says which rows (n,) go.
        write: False: count only.
    """
    total = 0
    for shard in store.shards(table):
        gone = goes(store.read(table, shard, columns))
        total += int(gone.sum())
        if gone.any() and write:
            store.write(table, shard, store.read(table, shard).filter(pa.array(~gone)), store.stamp(table, shard) or {})
    return total


def change_faces(store: Store, table: str, plan: ForgetPlan, write: bool) -> int:
    """A table with a row for each face: faces, embeddings."""
    return drop_rows(store, table, ["face_id"], lambda rows: plan.of_faces(rows["face_id"]), write=write)


def change_pairs(store: Store, table: str, plan: ForgetPlan, write: bool) -> int:
    """followed and stand_ins."""
    return drop_rows(store, table, ["old", "new"], lambda rows: plan.of_faces(rows["old"]) | plan.of_faces(rows["new"]), write=write)


def change_contents(store: Store, table: str, plan: ForgetPlan, write: bool) -> int:
    """A table by the SHA-256 of files: origins, pixels, traces."""

    def goes(rows: pa.Table) -> Bools:
        return isin(rows[rows.column_names[0]], plan.contents)

    return drop_rows(store, table, ["content", "photo_id"], goes, write=write)  # pixels calls it photo_id


def change_known(store: Store, table: str, plan: ForgetPlan, write: bool) -> int:
    """Pictures of known people: those of a forgotten name, and those of a photo or face that goes."""

    def goes(rows: pa.Table) -> Bools:
        pairs = zip(rows["name"].to_pylist(), rows["source"].to_pylist(), strict=True)
        return np.array([plan.has_name(n) or s in plan.uris or plan.has_face(s.rpartition("#")[2]) for n, s in pairs], bool)

    return drop_rows(store, table, ["name", "source"], goes, write=write)


def change_gone(store: Store, table: str, plan: ForgetPlan, write: bool) -> int:
    return drop_rows(store, table, ["uri"], lambda rows: isin(rows["uri"], plan.uris), write=write)


def change_looks(store: Store, table: str, plan: ForgetPlan, write: bool) -> int:
    """Fingerprints: rows of photos go; in thumbnails of those that stay the faces are painted over."""
    total = 0
    for shard in store.shards(table):
        ids = store.read(table, shard, ["photo_id"])["photo_id"]
        gone, covered = isin(ids, plan.photos), isin(ids, plan.covers)
        if (gone | covered).any():
            data = store.read(table, shard)
            thumbs, names = data["thumb"].to_pylist(), ids.to_pylist()
            rows = [row for row in np.flatnonzero(covered).tolist() if thumbnail_key(thumbs[row]) in plan.thumbs]
            total += int(gone.sum()) + len(rows)
            if not write or not (gone.any() or rows):
                continue
            for row in rows:
                thumbs[row] = _covered(thumbs[row], plan.covers[names[row]])
            at = data.column_names.index("thumb")
            data = data.set_column(at, data.schema.field(at), pa.array(thumbs, pa.binary()))
            store.write(table, shard, data.filter(pa.array(~gone)), store.stamp(table, shard) or {})
    return total


def thumbnail_keys(store: Store, plan: ForgetPlan) -> set[str]:
    """By which thumbnails are known that are not painted over yet: painting them again would change them again."""
    found = set()
    for shard in store.shards(LOOKS_TABLE) if plan.covers else ():
        rows = store.read(LOOKS_TABLE, shard, ["photo_id", "thumb"])
        found |= {thumbnail_key(thumb) for thumb in rows["thumb"].filter(pa.array(isin(rows["photo_id"], plan.covers))).to_pylist()}
    return found


def thumbnail_key(thumb: bytes) -> str:
    return hashlib.sha256(thumb).hexdigest()


def _covered(thumb: bytes, faces: list[list[float]]) -> bytes:
    width, height = faces[0][4:]
    return cover_faces(thumb, [face[:4] for face in faces], int(width), int(height))


def change_photos(store: Store, table: str, plan: ForgetPlan, write: bool) -> int:
    """photos: rows of forgotten ones go; others count only the faces that stay, and lose labels that are a forgotten name."""
    total = 0
    for shard in store.shards(table):
        rows = store.read(table, shard, ["photo_id", "uri", "label"])
        gone = isin(rows["photo_id"], plan.photos) | isin(rows["uri"], plan.uris)
        covered = isin(rows["photo_id"], plan.covers) & ~gone
        labels = _labels(rows, plan)
        total += int(gone.sum())
        if (gone.any() or covered.any() or labels is not None) and write:
            data = store.read(table, shard)
            if covered.any():
                counts = _faces_left(store, plan)
                new = [counts.get(p, n) if c else n for p, n, c in
                       zip(data["photo_id"].to_pylist(), data["faces"].to_pylist(), covered.tolist(), strict=True)]  # fmt: skip
                data = _with(data, "faces", new)
            data = data if labels is None else _with(data, "label", labels)
            if gone.any() or not data.equals(store.read(table, shard)):
                store.write(table, shard, data.filter(pa.array(~gone)), store.stamp(table, shard) or {})
    return total


def _faces_left(store: Store, plan: ForgetPlan) -> dict[str, int]:
    """The number of faces that each photo keeps, of the photos that lose some."""
    counts = dict.fromkeys(plan.covers, 0)
    for shard in store.shards("faces"):
        rows = store.read("faces", shard, ["face_id", "photo_id"])
        wanted = isin(rows["photo_id"], plan.covers) & ~plan.of_faces(rows["face_id"])
        for photo in rows["photo_id"].filter(pa.array(wanted)).to_pylist():
            counts[photo] += 1
    return counts


def change_files(store: Store, table: str, plan: ForgetPlan, write: bool) -> int:
    """files: rows of forgotten photos go, and these photos from the lists of what other files may be."""
    total = 0
    for shard in store.shards(table):
        rows = store.read(table, shard, ["uri", "label", "known", "known_photos"])
        gone, labels = isin(rows["uri"], plan.uris), _labels(rows, plan)
        lists = [rows[name] for name in ("known", "known_photos") if name in rows.column_names]
        listed = any(isin(pc.list_flatten(column), [*plan.contents, *plan.photos]).any() for column in lists)
        total += int(gone.sum())
        if (gone.any() or listed or labels is not None) and write:
            data = store.read(table, shard)
            data = data if labels is None else _with(data, "label", labels)
            data = _without_known(data, plan) if listed else data
            store.write(table, shard, data.filter(pa.array(~gone)), store.stamp(table, shard) or {})
    return total


def _without_known(data: pa.Table, plan: ForgetPlan) -> pa.Table:
    names = [name for name in ("known", "known_faces", "known_photos", "known_pictures") if name in data.column_names]
    columns = {name: data[name].to_pylist() for name in names}
    goes = {*plan.contents, *plan.photos}
    for row in range(data.num_rows):
        photos = columns["known_photos"][row] if columns.get("known_photos") else None
        kept = [i for i, known in enumerate(columns["known"][row]) if known not in goes and not (photos and photos[i] in goes)]
        for name in names:
            if columns[name][row] is not None:
                columns[name][row] = [columns[name][row][i] for i in kept]
    for name in names:
        data = _with(data, name, columns[name])
    return data


def _labels(rows: pa.Table, plan: ForgetPlan) -> list[str | None] | None:
    """The labels of archives without forgotten names; None if nothing changes."""
    if "label" not in rows.column_names or not plan.names:
        return None
    labels = rows["label"].to_pylist()
    found = [None if plan.has_name(label) else label for label in labels]
    return None if found == labels else found


def _with(data: pa.Table, name: str, values: list[Any]) -> pa.Table:
    at = data.column_names.index(name)
    return data.set_column(at, data.schema.field(at), pa.array(values, data.schema.field(at).type))
