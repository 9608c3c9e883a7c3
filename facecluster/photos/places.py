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

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facecluster.photos.images import local_path
from facecluster.store import GONE, PHOTOS, Store, table_of

GONE_TABLE = "gone"


def current_photos(store: Store, columns: Collection[str] = PHOTOS.names, *, look: bool = False) -> pa.Table:
    """A row for each place that counts, in order of the last rows of the uris: `columns` of PHOTOS, and `gone`.

    `photo_id` is the one that the faces of the picture have, `content` is never null. Rows with an error are among them.

    Args:
        store: to read.
        columns: of PHOTOS.
        look: `gone` says whether the place is there now (places on other machines: at the last search); else at the last search.
    """
    needed = list(dict.fromkeys([*columns, "uri", "photo_id", "error", "content", "picture"]))
    table = store.read_all("photos", PHOTOS, needed).combine_chunks()
    table = table.set_column(needed.index("content"), "content", pc.coalesce(table["content"], table["photo_id"]))
    table = table.set_column(needed.index("photo_id"), "photo_id", _first_ids(table))
    numbered = pa.table({"uri": table["uri"], "row": np.arange(table.num_rows)})
    last = np.sort(np.asarray(numbered.group_by("uri").aggregate([("row", "max")])["row_max"], np.int64))
    missing = gone_places(store)
    uris = table["uri"].take(pa.array(last)).to_pylist()
    keep = np.array([not missing.get(uri, False) for uri in uris], dtype=bool)
    found = table.take(pa.array(last[keep])).select(list(columns))
    places = [uri for uri, kept in zip(uris, keep.tolist(), strict=True) if kept]
    gone = [is_gone(uri) if look and local_path(uri) is not None else uri in missing for uri in places]
    return found.append_column("gone", pa.array(gone, pa.bool_()))


def _first_ids(table: pa.Table) -> pa.ChunkedArray:
    """The photo_id (n,) under which each row's picture was first seen."""
    known = table.select(["picture", "photo_id"]).append_column("row", pa.array(np.arange(table.num_rows)))
    known = known.filter(pc.and_(pc.is_valid(table["picture"]), pc.is_null(table["error"])))
    first = known.group_by("picture").aggregate([("row", "min")])
    at = pc.index_in(table["picture"], value_set=first["picture"].combine_chunks(), skip_nulls=True)
    return pc.coalesce(table["photo_id"].take(first["row_min"].take(at)), table["photo_id"])


def current_photo_ids(store: Store) -> pa.Array:
    """The photo_ids that a place shows which counts; sorted."""
    photos = current_photos(store, ["photo_id", "error"])
    ids = photos.filter(pc.and_(pc.is_null(photos["error"]), pc.not_equal(photos["photo_id"], "")))["photo_id"]
    return pc.unique(ids).sort().cast(pa.string())


def is_gone(uri: str) -> bool:
    """Whether nothing is at a place of this machine. A place that can't be looked at, and one elsewhere, counts as there."""
    path = local_path(uri)
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


def write_gone_places(store: Store, places: Mapping[str, bool]) -> None:
    """Replace the list of places that are gone; the time since when is kept."""
    before = store.read_all(GONE_TABLE, GONE)
    since = dict(zip(before["uri"].to_pylist(), before["since"].to_pylist(), strict=True))
    uris = sorted(places)
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    columns = {"uri": uris, "dropped": [places[u] for u in uris], "since": [since.get(u) or now for u in uris]}
    table = table_of(GONE, columns)
    if not table.equals(before.combine_chunks()):
        store.write(GONE_TABLE, "00000", table, {"table": GONE_TABLE})


def drop_places(store: Store, uris: Iterable[str]) -> None:
    """Let places that are gone no longer count, until they are found again."""
    if dropped := dict.fromkeys(uris, True):
        write_gone_places(store, gone_places(store) | dropped)


def restore_places(store: Store, uris: Iterable[str]) -> None:
    """Undo `drop_places`: the places count again, as gone ones."""
    known = gone_places(store)
    write_gone_places(store, known | {uri: False for uri in uris if uri in known})


def past_photos(store: Store) -> pa.Table:
    """A row for each time that a place was looked at and could be used, in that order: uri, photo_id, width, height."""
    names = ["uri", "photo_id", "width", "height", "error", "picture"]
    table = store.read_all("photos", PHOTOS, names).combine_chunks()
    table = table.set_column(names.index("photo_id"), "photo_id", _first_ids(table))
    return table.filter(pc.is_null(table["error"])).select(names[:4])
