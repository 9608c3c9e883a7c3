"""Places whose photos were searched, and whose faces are lost: shards were damaged, or a backup lacks them.

A photo that is known again at another place, or after another program wrote into it, keeps the faces of its first shard. If that shard is
made anew, the first place may be gone, or hold other bytes: the photo must then be searched where it is, by this run or by a later one of
another folder, and keep the photo_id on which names hang.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from facecluster.photos.places import first_ids
from facecluster.store import FILES, PHOTOS, Store, in_schema

LOST = -1  # number of faces of a photo whose faces are lost: it is searched again, and keeps its photo_id
KNOWN = ("known", "known_faces", "known_photos", "known_pictures")  # columns of `files`: content, faces, photo_id, picture of each photo
_Before = tuple[str, int, str, str]  # the same of a photo that was searched before
_KEY = 24  # characters of a photo_id with which the ids of its faces begin


def places_without_faces(store: Store, *, look: bool = False) -> dict[str, tuple[str, str]]:
    """The photo_id and the content of each place, by its last row, whose faces no shard holds.

    Looked for only while a shard is to be made, or has lost its faces for good, or if `look` says that there may be some.
    """
    files, photos, faces = (set(store.shards(table)) for table in ("files", "photos", "faces"))
    to_do = files - (photos & faces)
    if not (look or to_do or photos - faces):
        return {}
    there = _held(store, faces - to_do)  # those of a shard that is made anew may be in another place now
    rows = _searched(store, photos - to_do)
    searched = pc.and_(pc.is_null(rows["error"]), pc.greater(rows["faces"], 0))
    held = pc.is_in(pc.utf8_slice_codeunits(rows["photo_id"], 0, _KEY), value_set=there)
    without = pc.and_(searched, pc.invert(held))
    if not pc.any(without).as_py():
        return {}
    last = dict(zip(rows["uri"].to_pylist(), without.to_pylist(), strict=True))
    outdated = {uri for shard in to_do for uri in store.read("files", shard, ["uri"])["uri"].to_pylist()}
    found = rows.filter(without)
    lost = zip(*(found[name].to_pylist() for name in ("uri", "photo_id", "content")), strict=True)
    return {uri: (photo_id, content) for uri, photo_id, content in lost if last[uri] and uri not in outdated}


def renew_lists(store: Store) -> None:
    """Make the shards of files that are still to be searched fit what is left of the store; what a stopped run left stays as it is.

    - Of a place the last row counts: the places that a later shard lists again are taken out. Read for an earlier one it would be another
      photo there, with another id if only its metadata changed.
    - Where the rows of photos are there and only the faces are lost, each file gets its photo of these rows among those that it may be.
    - A photo that a file may be, and whose faces no shard holds, is LOST: it keeps its id, and is searched.
    """
    files, photos, faces = store.shards("files"), set(store.shards("photos")), set(store.shards("faces"))
    made = photos & faces
    first = next((at for at, shard in enumerate(files) if shard not in made), len(files))
    if first == len(files):
        return
    pending = [shard for shard in files[first:] if shard not in made]
    before = _searched_before(store, photos, pending)
    lost = _claimed(store, pending, before)
    lost -= set(_held(store, made).to_pylist()) if lost else set()
    later: set[str] = set()
    for shard in reversed(files[first:]):
        rows = store.read("files", shard, ["uri"] if shard in made else None)
        uris = rows["uri"].to_pylist()
        if shard not in made:
            left = rows.filter(pa.array([uri not in later for uri in uris], pa.bool_()))
            left = _with_what_is_left(left, before[shard], lost) if lost or before[shard] else left
            if not left.equals(rows):
                store.write("files", shard, left, store.stamp("files", shard) or {})
        later.update(uris)


def _held(store: Store, shards: Collection[str]) -> pa.Array:
    """The photos whose faces these shards hold: the beginnings of their ids."""
    parts = [pc.utf8_slice_codeunits(store.read("faces", shard, ["face_id"])["face_id"].combine_chunks(), 0, _KEY) for shard in shards]
    return pc.unique(pa.chunked_array(parts, pa.string()))


def _searched(store: Store, shards: Collection[str]) -> pa.Table:
    """The rows of photos of these shards, in order, with the photo_id that the faces of their pictures have, and the shard."""
    wanted = pa.schema([PHOTOS.field(name) for name in ("uri", "photo_id", "picture", "content", "faces", "error")])
    parts = [wanted.empty_table().append_column("shard", pa.array([], pa.string()))]
    for shard in sorted(shards):
        part = in_schema(wanted, store.read("photos", shard, list(wanted.names)))
        parts.append(part.append_column("shard", pa.array([shard] * part.num_rows, pa.string())))
    rows = pa.concat_tables(parts).combine_chunks()
    rows = rows.set_column(3, "content", pc.coalesce(rows["content"], rows["photo_id"]))
    return rows.set_column(1, "photo_id", first_ids(rows))


def _searched_before(store: Store, photos: Collection[str], pending: Collection[str]) -> dict[str, dict[str, _Before]]:
    """By shard and place, of the photos that shards had which are to be made anew."""
    found: dict[str, dict[str, _Before]] = {shard: {} for shard in pending}
    if anew := [shard for shard in pending if shard in photos]:
        rows = _searched(store, photos)
        rows = rows.filter(pc.and_(pc.is_null(rows["error"]), pc.is_in(rows["shard"], value_set=pa.array(anew, pa.string()))))
        for row in rows.to_pylist():
            found[row["shard"]][row["uri"]] = (row["content"], row["faces"], row["photo_id"], row["picture"] or "")
    return found


def _claimed(store: Store, pending: Collection[str], before: Mapping[str, Mapping[str, _Before]]) -> set[str]:
    """The photos with faces that files of these shards may be: the beginnings of their ids."""
    found = {photo_id[:_KEY] for of_shard in before.values() for _, _, photo_id, _ in of_shard.values()}
    for shard in pending:
        rows = in_schema(FILES, store.read("files", shard))
        ids = pc.list_flatten(pc.coalesce(rows["known_photos"], rows["known"]))
        ids = ids.filter(pc.greater(pc.list_flatten(rows["known_faces"]), 0))
        found.update(pc.unique(pc.utf8_slice_codeunits(ids, 0, _KEY)).to_pylist())
    return found


def _with_what_is_left(rows: pa.Table, before: Mapping[str, _Before], lost: Collection[str]) -> pa.Table:
    """Rows of files whose lists of known photos have those of `before`, and say whose faces are `lost`."""
    rows = in_schema(FILES, rows)
    listed = rows.to_pylist()
    for row in listed:
        columns = [row[name] or [] for name in KNOWN]
        contents, counts, ids = columns[0], columns[1], columns[2] or columns[0]
        pictures = columns[3] or [""] * len(contents)
        own = before.get(row["uri"])
        known = [own] if own else []
        known += [k for k in zip(contents, counts, ids, pictures, strict=True) if own is None or k[0] != own[0]]
        left = [(content, LOST if faces > 0 and i[:_KEY] in lost else faces, i, picture) for content, faces, i, picture in known]
        row |= dict(zip(KNOWN, map(list, zip(*left, strict=True)) if left else ([], [], [], []), strict=True))
    return pa.Table.from_pylist(listed, schema=rows.schema)
