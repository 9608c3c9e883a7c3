"""Places whose photos were searched, and whose faces are lost: their shard was damaged, and photos of it have moved or were copied since.

A photo that is known again at another place keeps the faces of its first shard. If that shard is made anew, the first place may be gone:
the photo must then be searched where it is, by this run or by a later one of another folder.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from facecluster.store import Store

LOST = -1  # number of faces of a photo whose faces are lost: it is searched again, and keeps its photo_id
_KEY = 24  # characters of a photo_id with which the ids of its faces begin


def places_without_faces(store: Store, *, look: bool = False) -> dict[str, str]:
    """The photo_id of each place, by its last row, whose faces no shard holds.

    Looked for only while a shard is to be made, or has lost its faces for good, or if `look` says that there may be some.
    """
    files, photos, faces = (set(store.shards(table)) for table in ("files", "photos", "faces"))
    to_do = files - (photos & faces)
    if not (look or to_do or photos - faces):
        return {}
    parts = [pc.utf8_slice_codeunits(store.read("faces", shard, ["face_id"])["face_id"].combine_chunks(), 0, _KEY) for shard in faces]
    there = pc.unique(pa.chunked_array(parts, pa.string()))
    lost: dict[str, str] = {}
    for shard in sorted(photos - to_do):
        rows = store.read("photos", shard, ["uri", "photo_id", "faces", "error"])
        for uri in rows["uri"].to_pylist() if lost else ():
            lost.pop(uri, None)
        searched = rows.filter(pc.and_(pc.is_null(rows["error"]), pc.greater(rows["faces"], 0)))
        held = pc.is_in(pc.utf8_slice_codeunits(searched["photo_id"], 0, _KEY), value_set=there)
        without = searched.filter(pc.invert(held))
        lost.update(zip(without["uri"].to_pylist(), without["photo_id"].to_pylist(), strict=True))
    for shard in to_do if lost else ():
        for uri in store.read("files", shard, ["uri"])["uri"].to_pylist():
            lost.pop(uri, None)
    return lost


def drop_outdated_rows(store: Store) -> None:
    """Take out of the shards of files that are to be made the places that a later shard that is made lists again.

    Of a place the last row counts. Read for an earlier one it would be another photo there, with another id if only its metadata changed.
    """
    files, made = store.shards("files"), set(store.shards("photos")) & set(store.shards("faces"))
    first = next((at for at, shard in enumerate(files) if shard not in made), len(files))
    if made.isdisjoint(files[first:]):  # as after a stop
        return
    later: list[pa.Array] = []
    for shard in reversed(files[first:]):
        rows = store.read("files", shard)
        if shard in made:
            later.append(rows["uri"].combine_chunks())
            continue
        outdated = pc.is_in(rows["uri"], value_set=pa.concat_arrays([pa.array([], pa.string()), *later]))
        if pc.any(outdated).as_py():
            store.write("files", shard, rows.filter(pc.invert(outdated)), store.stamp("files", shard) or {})
