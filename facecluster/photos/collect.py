"""STAGE: folders, globs, files and URLs -> files. Plans shards of the photos that the store does not know yet; opens no photo.

A file is identified by uri, size and time of change. New files are planned in order of their uris, so a run that is killed between two
shards and started again plans the same shards. A broken link becomes a row with size -1, which the next stage turns into an error row.
A photo that is gone from its folder keeps its row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from facecluster.errors import InputError
from facecluster.photos.listing import FoundFile, find_files
from facecluster.store import FILES, Store, table_of

_MAX_KNOWN = 256  # photo_ids listed for one size (uncompressed photos all have one size); any further photo is detected again


@dataclass(frozen=True, slots=True)
class Collected:
    """The result of a search."""

    new: int  # photos planned
    known: int  # photos that were planned or done before
    shards: list[str]  # new shards of files
    warnings: list[str]  # one line each: folders that can't be read


def collect(sources: Iterable[str], store: Store, *, retry_failed: bool = False, shard_size: int = 256) -> Collected:
    """Find photos, and plan the new and changed ones as shards of `files`, numbered after the last shard.

    Args:
        sources: as for find_files.
        store: an existing store.
        retry_failed: also plan photos that could not be used before.
        shard_size: maximum number of photos in a shard.

    Raises:
        InputError: a source is missing or there are no photos.
        StoreError: the store can't be read or written.
    """
    if shard_size < 1:
        raise InputError(f"expected a shard size of 1 or more, found {shard_size}: choose another")
    planned = _planned(store, retry_failed)
    new: dict[str, FoundFile] = {}
    known: set[str] = set()
    warnings = []
    for found in find_files(sources):
        if found.is_folder:
            warnings.append(f"{found.uri}: {found.error}")
        elif planned.get(found.uri) == (found.size, found.mtime_ns):
            known.add(found.uri)
        else:
            new[found.uri] = found
    del planned
    files = [new[uri] for uri in sorted(new)]
    sizes = _ids_by_size(store, {f.size for f in files})
    # also above the numbers of photos: a new shard with the number of an old shard of photos would count as done
    first = max((int(s) for table in ("files", "photos") for s in store.shards(table)), default=-1) + 1
    shards: list[str] = []
    for start in range(0, len(files), shard_size):
        part = files[start : start + shard_size]
        columns = {
            "uri": [f.uri for f in part],
            "size": [f.size for f in part],
            "mtime_ns": [f.mtime_ns for f in part],
            "known": [list(sizes.get(f.size, {})) for f in part],
            "known_faces": [list(sizes.get(f.size, {}).values()) for f in part],
        }
        shards.append(f"{first + len(shards):05d}")
        store.write("files", shards[-1], table_of(FILES, columns), stamp={"table": "files"})
    return Collected(len(new), len(known), shards, warnings)


def _planned(store: Store, retry_failed: bool) -> dict[str, tuple[int, int]]:
    """Size and time from the last row of every uri, without those to retry. About 350 bytes a file."""
    planned: dict[str, tuple[int, int]] = {}
    done = set(store.shards("photos"))
    for shard in store.shards("files"):
        files = store.read("files", shard, ["uri", "size", "mtime_ns"])
        rows = zip(*(files[name].to_pylist() for name in files.column_names), strict=True)
        planned.update((uri, (size, mtime)) for uri, size, mtime in rows)
        if retry_failed and shard in done:
            photos = store.read("photos", shard, ["uri", "error"])
            for uri in photos.filter(pc.is_valid(photos["error"]))["uri"].to_pylist():
                planned.pop(uri, None)
    return planned


def _ids_by_size(store: Store, sizes: set[int]) -> dict[int, dict[str, int]]:
    """For each of these sizes in bytes: photo_ids of the usable photos in the store, with their numbers of faces."""
    ids: defaultdict[int, dict[str, int]] = defaultdict(dict)
    wanted = pa.array(sorted(sizes), pa.int64())
    for shard in store.shards("photos") if sizes else []:
        photos = store.read("photos", shard, ["photo_id", "size", "faces", "error"])
        photos = photos.filter(pc.and_(pc.is_null(photos["error"]), pc.is_in(photos["size"], value_set=wanted)))
        columns = (photos[name].to_pylist() for name in ("photo_id", "size", "faces"))
        for photo_id, size, faces in zip(*columns, strict=True):
            if len(ids[size]) < _MAX_KNOWN:
                ids[size][photo_id] = faces
    return {size: dict(sorted(found.items())) for size, found in ids.items()}
