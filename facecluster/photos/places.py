"""The places of a store: which picture each shows, and which are gone. Every reader of the table `photos` asks this module.

A photo is not its bytes: other programs write ratings, keywords and names into files. So `photo_id` stands for a picture, `content` for the
bytes of a file. Files whose upright pixels are equal are one photo.

A place may be gone: moved, deleted, or on a disk that is not mounted. Its photo counts on, because a disk comes back, until the place is
dropped: by `facecluster prune`, or because its picture was found elsewhere. A place that is found again counts again.

Odd inputs: of rows with one uri the last counts; a row that an older version wrote has no picture and is a photo of its own.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facecluster.photos.archives.uris import file_of
from facecluster.photos.files import local_path
from facecluster.photos.photo_places import PhotoPlaces
from facecluster.store import GONE, PHOTOS, Store, table_of

GONE_TABLE = "gone"
_BLOCK = 65_536  # places that are looked at at a time


def current_photos(store: Store, columns: Collection[str] = PHOTOS.names, *, look: bool = False) -> pa.Table:
    """A row for each place that counts, in order of the last rows of the uris: `columns` of PHOTOS, and `gone`.

    `photo_id` is the one that the faces of the picture have, `content` is never null. Rows with an error are among them.

    Args:
        store: to read.
        columns: of PHOTOS.
        look: `gone` says whether the place is there now (places on other machines: at the last search); else at the last search.
    """
    needed = list(dict.fromkeys([*columns, "uri", "photo_id", "error", "picture"]))
    table = store.read_all("photos", PHOTOS, needed).combine_chunks()
    if "content" in needed:
        table = table.set_column(needed.index("content"), "content", pc.coalesce(table["content"], table["photo_id"]))
    table = table.set_column(needed.index("photo_id"), "photo_id", first_ids(table))
    numbered = pa.table({"uri": table["uri"], "row": np.arange(table.num_rows)})
    last = np.sort(np.asarray(numbered.group_by("uri", use_threads=False).aggregate([("row", "max")])["row_max"], np.int64))
    missing = gone_places(store)
    found = table.select(list(dict.fromkeys([*columns, "uri"]))).take(pa.array(last))
    if dropped := [uri for uri, is_dropped in missing.items() if is_dropped]:
        found = found.filter(pc.invert(pc.is_in(found["uri"], value_set=pa.array(dropped, pa.string()))))
    places = (uri for batch in found.select(["uri"]).to_batches(max_chunksize=_BLOCK) for uri in batch.column(0).to_pylist())
    gone = (is_gone(uri) if look and local_path(uri) is not None else uri in missing or look and is_gone(uri) for uri in places)
    is_missing = np.fromiter(gone, dtype=bool, count=found.num_rows)
    return found.select(list(columns)).append_column("gone", pa.array(is_missing))


def places_by_photo(store: Store, columns: Collection[str], *, look: bool = False) -> PhotoPlaces:
    """The places of each photo that could be used and counts.

    Args:
        store: to read.
        columns: of PHOTOS, that each place gets besides uri and gone.
        look: as for current_photos.
    """
    table = current_photos(store, list(dict.fromkeys([*columns, "uri", "photo_id", "error"])), look=look)
    return PhotoPlaces(table.filter(pc.and_(pc.is_null(table["error"]), pc.not_equal(table["photo_id"], ""))).drop_columns("error"))


def where_it_is(places: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of a photo's places that are there; where it was if none is."""
    return [row for row in places if not row["gone"]] or places


def first_ids(table: pa.Table) -> pa.ChunkedArray:
    """The photo_id (n,) under which each row's picture was first seen."""
    known = table.select(["picture", "photo_id"]).append_column("row", pa.array(np.arange(table.num_rows)))
    known = known.filter(pc.and_(pc.is_valid(table["picture"]), pc.is_null(table["error"])))
    first = known.group_by("picture", use_threads=False).aggregate([("row", "min")])
    at = pc.index_in(table["picture"], value_set=first["picture"].combine_chunks(), skip_nulls=True)
    return pc.coalesce(table["photo_id"].take(first["row_min"].take(at)), table["photo_id"])


def current_photo_ids(store: Store) -> pa.Array:
    """The photo_ids that a place shows which counts; sorted."""
    photos = current_photos(store, ["photo_id", "error"])
    ids = photos.filter(pc.and_(pc.is_null(photos["error"]), pc.not_equal(photos["photo_id"], "")))["photo_id"]
    return pc.unique(ids).sort().cast(pa.string())


def of_current_photos(store: Store, face_ids: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Which of the faces `face_ids` (n,) are of photos that a place shows which counts: booleans (n,). All if the store lists no photos."""
    if not store.shards("photos"):
        return pa.array(np.ones(len(face_ids), dtype=bool))
    return pc.is_in(pc.utf8_slice_codeunits(face_ids, 0, 24), value_set=pc.unique(pc.utf8_slice_codeunits(current_photo_ids(store), 0, 24)))


def count_faces(store: Store, shards: Iterable[str]) -> int:
    """How many faces of these shards count: those of copies that were looked at in several shards count once."""
    parts = [store.read("faces", shard, ["face_id"])["face_id"] for shard in shards]
    ids = pc.unique(pa.chunked_array([chunk for part in parts for chunk in part.chunks], pa.string()))
    return int(np.asarray(of_current_photos(store, ids), bool).sum())


def is_gone(uri: str) -> bool:
    """Whether nothing is at a place of this machine; a member of an archive is where that is.

    A place that can't be looked at, and one elsewhere, counts as there.
    """
    path = local_path(file_of(uri))
    try:
        if path is not None:
            os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        pass
    return False


def gone_places(store: Store) -> dict[str, bool]:
    """The places that were not there at the last search, each with whether it is dropped."""
    table = store.read_all(GONE_TABLE, GONE, ["uri", "dropped"])
    return dict(zip(table["uri"].to_pylist(), table["dropped"].to_pylist(), strict=True))


def gone_and_unusable(store: Store) -> dict[str, bool | None]:
    """The places that were not there at the last search, each with whether its last row has an error; None: that is not known."""
    table = store.read_all(GONE_TABLE, GONE, ["uri", "unusable"])
    return dict(zip(table["uri"].to_pylist(), table["unusable"].to_pylist(), strict=True))


def write_gone_places(
    store: Store, places: Mapping[str, bool], pruned: Collection[str] = (), unusable: Mapping[str, bool | None] | None = None
) -> None:  # fmt: skip
    """Replace the list of places that are gone; times are kept.

    Args:
        store: to write in.
        places: each with whether it is dropped.
        pruned: those the user drops now.
        unusable: as of `gone_and_unusable`, of some of them; the others keep what is said.
    """
    before = {row["uri"]: row for row in store.read_all(GONE_TABLE, GONE).to_pylist()}
    uris, new = sorted(places), set(pruned)
    now = datetime.now(UTC).replace(tzinfo=None)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    rows = [before.get(uri, {}) for uri in uris]
    since = [row.get("since") or now for row in rows]
    when = [now if uri in new else row.get("pruned") if places[uri] else None for uri, row in zip(uris, rows, strict=True)]
    unread = [(unusable or {}).get(uri, row.get("unusable")) for uri, row in zip(uris, rows, strict=True)]
    table = table_of(GONE, {"uri": uris, "dropped": [places[u] for u in uris], "since": since, "pruned": when, "unusable": unread})
    was = [(uri, row["dropped"], row["unusable"]) for uri, row in before.items()]
    if new or was != [(uri, places[uri], state) for uri, state in zip(uris, unread, strict=True)]:
        store.write(GONE_TABLE, "00000", table, {"table": GONE_TABLE})


def drop_places(store: Store, uris: Iterable[str], *, by_user: bool = False) -> None:
    """Let places that are gone no longer count, until they are found again. `by_user`: `restore_places` can take it back."""
    if dropped := dict.fromkeys(uris, True):
        write_gone_places(store, gone_places(store) | dropped, list(dropped) if by_user else ())


def pruned_places(store: Store) -> list[str]:
    """The places that the user dropped last, sorted: those of one time."""
    table = store.read_all(GONE_TABLE, GONE, ["uri", "pruned"])
    last = pc.max(table["pruned"])
    return sorted(table.filter(pc.equal(table["pruned"], last))["uri"].to_pylist()) if last.is_valid else []


def restore_places(store: Store, uris: Iterable[str]) -> None:
    """Undo `drop_places`: the places count again; those that are not there, as gone ones."""
    known = gone_places(store)
    again = {uri for uri in uris if uri in known}
    write_gone_places(store, {u: d and u not in again for u, d in known.items() if u not in again or local_path(u) is None or is_gone(u)})


def every_look(store: Store, columns: Collection[str]) -> pa.Table:
    """A row for each time that a place was looked at, also where it could not be used, in that order: `columns` of PHOTOS, photo_id as
    for current_photos, content null where nothing was read."""
    table = store.read_all("photos", PHOTOS, list(dict.fromkeys([*columns, "photo_id", "picture", "error"]))).combine_chunks()
    if not table.num_rows:
        return table
    table = table.set_column(table.column_names.index("photo_id"), "photo_id", first_ids(table))
    if "content" in columns:
        read = pc.if_else(pc.not_equal(table["photo_id"], ""), table["photo_id"], pa.scalar(None, pa.string()))
        table = table.set_column(table.column_names.index("content"), "content", pc.coalesce(table["content"], read))
    return table


def past_photos(store: Store) -> pa.Table:
    """A row for each time that a place was looked at and could be used, in that order: uri, photo_id, width, height, phash."""
    names = ["uri", "photo_id", "width", "height", "phash", "error", "picture"]
    table = store.read_all("photos", PHOTOS, names).combine_chunks()
    table = table.set_column(names.index("photo_id"), "photo_id", first_ids(table))
    return table.filter(pc.is_null(table["error"])).select(names[:5])
