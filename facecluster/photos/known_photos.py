"""The photos of a store that a new file may be: of its size, earlier in its place, or once in a place that is gone and had its name.

So the next stage knows a photo again that was moved, copied, or written to by another program, and does not search it again.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from facecluster.photos.found_file import FoundFile
from facecluster.photos.lost import LOST
from facecluster.store import PHOTOS, Store, in_schema

_MAX_KNOWN = 256  # photos listed for one file (uncompressed photos all have one size); any further photo is detected again
_COLUMNS = ("photo_id", "uri", "size", "faces", "error", "content", "picture")


@dataclass(frozen=True, slots=True)
class KnownPhoto:
    """A photo of the store that a new file may be."""

    content: str  # SHA-256 of the bytes
    photo_id: str
    picture: str  # hash of the picture; '' = not known
    faces: int  # how many; LOST if these are


def known_photos(
    store: Store, files: list[FoundFile], planned: Collection[str], gone: Collection[str], lost: Mapping[str, tuple[str, str]]
) -> dict[str, list[KnownPhoto]]:  # fmt: skip
    """For each new file the photos of the store that it may be, by uri; `lost`: photo_id and content of places whose faces are."""
    without = {photo_id for photo_id, _ in lost.values()}
    stems = {_stem(f.uri) for f in files}
    moved = {uri for uri in gone if _stem(uri) in stems}
    by_place: dict[str, dict[str, KnownPhoto]] = {f.uri: {} for f in files if f.uri in planned}
    by_size: defaultdict[int, dict[str, KnownPhoto]] = defaultdict(dict)
    by_stem: defaultdict[str, dict[str, KnownPhoto]] = defaultdict(dict)
    sizes = pa.array(sorted({f.size for f in files}), pa.int64())
    uris = pa.array(sorted(moved | by_place.keys()), pa.string())
    whole = set(store.shards("faces"))
    for shard in store.shards("photos") if files else []:
        rows = in_schema(pa.schema([PHOTOS.field(name) for name in _COLUMNS]), store.read("photos", shard, list(_COLUMNS)))
        wanted = pc.or_(pc.is_in(rows["size"], value_set=sizes), pc.is_in(rows["uri"], value_set=uris))
        for row in rows.filter(pc.and_(pc.is_null(rows["error"]), wanted)).to_pylist():
            content = row["content"] or row["photo_id"]
            first, lost_content = lost.get(row["uri"], ("", ""))  # the one that its picture was first seen under
            photo_id = first if lost_content == content else row["photo_id"]
            is_lost = photo_id in without or shard not in whole and row["faces"] > 0
            known = KnownPhoto(content, photo_id, row["picture"] or "", LOST if is_lost else row["faces"])
            by_size[row["size"]].setdefault(known.content, known)
            by_place.get(row["uri"], {})[known.content] = known
            if row["uri"] in moved:
                by_stem[_stem(row["uri"])][known.content] = known
    return {f.uri: _first(by_place.get(f.uri, {}), by_stem[_stem(f.uri)], by_size[f.size]) for f in files}


def _stem(uri: str) -> str:
    return os.path.splitext(uri.rsplit("/", 1)[-1])[0].casefold()


def _first(*found: dict[str, KnownPhoto]) -> list[KnownPhoto]:
    """The first _MAX_KNOWN photos, each content once; in each part the order is that of the contents, so it does not depend on shards."""
    listed = {content: known for part in found for content, known in sorted(part.items())}
    return list(listed.values())[:_MAX_KNOWN]
