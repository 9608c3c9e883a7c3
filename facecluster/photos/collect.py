"""STAGE: folders, globs, archives, files, URLs, lists -> files. Plans shards of the photos that the store does not know yet; opens none.

A file is identified by uri, size and time of change. New files are planned in order of their uris, those of an archive as they lie in it,
so a run that is killed between two shards and started again plans the same shards. An archive that has not changed since it was listed is
not opened again, unless it was away in between; the photos of one that has changed are looked at again, and known by their bytes. A broken
link becomes a row with size -1, which the next stage turns into an error row.
A place that is gone keeps its rows, and is listed in the table `gone` (see `places`). A photo that the user had forgotten is passed over,
and so are the pictures of a data set that was made of the store, unless its folder is named. A photo that could not be read while it was
gone, or whose file could not be read and now can, or whose faces are lost (see `lost`), is planned again.

A new file gets a list of the photos that it may be (see `known_photos`).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from facecluster.errors import InputError
from facecluster.photos.archives.uris import archive_kind, file_of
from facecluster.photos.files import local_path, readable_now
from facecluster.photos.forgotten import read_forgotten
from facecluster.photos.found_file import FoundFile, SeenArchives
from facecluster.photos.gone import remember_sources
from facecluster.photos.known_photos import KnownPhoto, known_photos
from facecluster.photos.listing import find_files
from facecluster.photos.lost import places_without_faces, renew_lists
from facecluster.photos.not_read import shards_not_read
from facecluster.photos.passed_over import PassedOver
from facecluster.photos.places import gone_and_unusable, gone_places, is_gone, write_gone_places
from facecluster.store import ARCHIVES, FILES, Store, table_of
from facecluster.store.copies import DATA_SET, DATA_SET_MARK, read_copies

_ARCHIVES_TABLE = "archives"


@dataclass(frozen=True, slots=True)
class Collected:
    """The result of a search."""

    new: int  # photos planned
    known: int  # photos that were planned or done before
    shards: list[str]  # new shards of files
    warnings: list[str]  # one line each: folders that can't be read
    gone: list[str] = field(default_factory=list)  # places of the store that are not there now and still count, sorted
    passed_over: list[str] = field(default_factory=list)  # one line each: what was found and not looked at, and why


def collect(
    sources: Iterable[str], store: Store, *, lists: Iterable[str] = (), retry_failed: bool = False, shard_size: int = 256
) -> Collected:  # fmt: skip
    """Find photos, and plan the new and changed ones as shards of `files`, numbered after the last shard.

    Args:
        sources: as for find_files.
        store: an existing store.
        lists: as for find_files.
        retry_failed: also plan photos that could not be used before.
        shard_size: maximum number of photos in a shard.

    Raises:
        InputError: a source is missing or there are no photos.
        StoreError: the store can't be read or written.
    """
    if shard_size < 1:
        raise InputError(f"expected a shard size of 1 or more, found {shard_size}: choose another")
    sources = [os.fspath(s) for s in sources]
    gone_before, unusable = gone_places(store), gone_and_unusable(store)
    unknown = {uri for uri, state in unusable.items() if state is None}
    planned, failed, to_do, unread = _planned(store, retry_failed, unusable)
    lost = _lost(store, unusable, [uri for uri in unknown if unusable[uri]])
    failed |= lost.keys()
    forgotten, made = read_forgotten(store), _data_sets(store, sources)
    new: dict[str, FoundFile] = {}
    again: dict[str, FoundFile] = {}  # could not be read
    known: set[str] = set()
    warnings = []
    passed_over = PassedOver()
    before = _listed_archives(store)
    incomplete = {file_of(uri) for uri in lost}
    unchanged = {uri: state for uri, state in _without_returned(before, planned, gone_before).items() if uri not in incomplete}
    archives = SeenArchives({} if retry_failed else unchanged)
    for found in find_files(sources, passed_over, archives, lists):
        if found.is_folder:
            warnings.append(f"{found.uri}: {found.error}")
        elif planned.get(found.uri) == (found.size, found.mtime_ns) and found.uri not in failed:
            known.add(found.uri)
            if found.uri in unread:
                again[found.uri] = found
        elif forgotten.has_place(found.uri, found.size, found.mtime_ns):
            passed_over.forgotten += 1
        elif found.uri not in planned and file_of(found.uri).startswith(made):
            passed_over.made += 1
            archives.again.add(file_of(found.uri))
        else:
            new[found.uri] = found
    twice = {uri for uri in again if unread[uri] > 1}  # perhaps only its beginning can be read, as on a disk with bad sectors
    new |= {uri: again[uri] for uri in readable_now(sorted(again), whole=twice)}
    known -= new.keys()
    if archives.unchanged:
        known.update(uri for uri in planned if file_of(uri) in archives.unchanged and uri not in gone_before)
    files = sorted(new.values(), key=lambda f: (file_of(f.uri), f.offset, f.uri))
    remember_sources(store, sources)
    gone = _update_gone(store, sources, planned, known | new.keys(), archives, unusable, to_do)
    candidates = known_photos(store, files, planned, gone, lost)
    del planned
    shards = _write_shards(store, files, candidates, shard_size)
    _remember_archives(store, before, archives)
    return Collected(len(new), len(known), shards, warnings, sorted(uri for uri in gone if not gone[uri]), passed_over.lines())


def _planned(
    store: Store, retry_failed: bool, gone: dict[str, bool | None]
) -> tuple[dict[str, tuple[int, int]], set[str], set[str], dict[str, int]]:  # fmt: skip
    """Size and time from the last row of every uri, about 350 bytes a file; the uris to retry: also those that were gone; and those of
    shards that are not done; and how many times in succession files could not be read.

    `gone`: whether those that were gone are unusable; where that is not known, the shards that list them are read, and what they say is
    put in.
    """
    planned: dict[str, tuple[int, int]] = {}
    failed, to_do, unread = set[str](), set[str](), dict[str, int]()
    unknown = {uri for uri, state in gone.items() if state is None}
    done, faces = set(store.shards("photos")), set(store.shards("faces"))
    suspect = shards_not_read(store, sorted(done))
    for shard in store.shards("files"):
        files = store.read("files", shard, ["uri", "size", "mtime_ns"])
        rows = zip(*(files[name].to_pylist() for name in files.column_names), strict=True)
        planned.update((uri, (size, mtime)) for uri, size, mtime in rows)
        failed.difference_update(files["uri"].to_pylist())
        before = {uri: unread.pop(uri, 0) for uri in files["uri"].to_pylist()} if unread else {}
        unread.update((uri, before.get(uri, 0) + 1) for uri in suspect.get(shard, ()))
        missed = gone.keys() & set(files["uri"].to_pylist()) if gone else set()
        if shard in done and (retry_failed or not unknown.isdisjoint(missed)):
            photos = store.read("photos", shard, ["uri", "error"])
            unusable = set(photos.filter(pc.is_valid(photos["error"]))["uri"].to_pylist())
            gone.update((uri, uri in unusable) for uri in missed)
            failed |= unusable if retry_failed else unusable & missed
        else:
            failed |= {uri for uri in missed if gone[uri]}
        if shard not in done or shard not in faces:
            to_do.update(files["uri"].to_pylist())
    return planned, failed, to_do, unread


def _lost(store: Store, unusable: dict[str, bool | None], new: Collection[str]) -> dict[str, tuple[str, str]]:
    """`places_without_faces`: also if a shard may have been made anew while a photo of it was elsewhere, so that its place is an error.

    `new`: the unusable places of which that was not known. They count as not known again while faces are lost, which a later run may find.
    """
    renew_lists(store)
    lost = places_without_faces(store, look=any(archive_kind(uri) is None for uri in new))
    if lost:
        unusable.update(dict.fromkeys(new))
    return lost


def _data_sets(store: Store, sources: Iterable[str]) -> tuple[str, ...]:
    """Folders of data sets that were made of the store, whose faces would count twice; not those that a source is in."""
    wheres = [row["where"] for row in read_copies(store) if row["kind"] == DATA_SET]
    wheres = [where for where in wheres if os.path.exists(os.path.join(where, DATA_SET_MARK))]
    named = [os.path.join(os.path.abspath(path), "") for source in sources if (path := local_path(source)) is not None]
    return tuple(folder for folder in (os.path.join(w, "") for w in wheres) if not any(name.startswith(folder) for name in named))


def _listed_archives(store: Store) -> dict[str, tuple[int, int]]:
    """Size and time of the archives whose photos are all planned."""
    table = store.read_all(_ARCHIVES_TABLE, ARCHIVES)
    return {row["uri"]: (row["size"], row["mtime_ns"]) for row in table.to_pylist()}


def _without_returned(
    listed: dict[str, tuple[int, int]], planned: Collection[str], gone: Mapping[str, bool]
) -> dict[str, tuple[int, int]]:  # fmt: skip
    """Those of the `listed` archives of which a photo was there at the last search, or none is known.

    Of others all photos are in the table `gone`, because the archive was away: it is opened again, so that they count once it is back.
    """
    if not gone or not listed:
        return listed
    away = {file_of(uri) for uri in gone} - {file_of(uri) for uri in planned if uri not in gone}
    return {uri: state for uri, state in listed.items() if uri not in away}


def _remember_archives(store: Store, before: dict[str, tuple[int, int]], archives: SeenArchives) -> None:
    """Write down which archives were listed; those that are met with a package missing are listed again next time."""
    now = {uri: state for uri, state in (before | archives.listed).items() if uri not in archives.again}
    if now != before:
        uris = sorted(now)
        columns = {"uri": uris, "size": [now[u][0] for u in uris], "mtime_ns": [now[u][1] for u in uris]}
        store.write(_ARCHIVES_TABLE, "00000", table_of(ARCHIVES, columns), {"table": _ARCHIVES_TABLE})


def _update_gone(
    store: Store, sources: list[str], planned: Collection[str], found: set[str], archives: SeenArchives,
    unusable: dict[str, bool | None], to_do: Collection[str],
) -> dict[str, bool]:  # fmt: skip
    """Write down which places are not there, and whether they are dropped. A place elsewhere is looked for only where it was searched.

    A member is gone if its archive is, or was listed without it. What was wrong with an archive is dropped once nothing is.

    Args:
        store: to write in.
        sources: that were searched.
        planned: all places that the store knows.
        found: those that are there.
        archives: that were met.
        unusable: of `_planned`; of places that are newly gone the photos are asked, once.
        to_do: of `_planned`.
    """
    before = gone_places(store)
    searched = tuple(s.split("*")[0] for s in sources if local_path(s) is None)
    gone: dict[str, bool] = {}
    for uri in planned:
        if uri not in found:
            file = file_of(uri)
            if file in archives.listed:
                gone[uri] = before.get(uri, False) or file == uri
            elif is_gone(uri) if local_path(file) is not None else uri in before or bool(searched) and file.startswith(searched):
                gone[uri] = before.get(uri, False)
            elif uri in before and (file != uri or file in archives.unchanged):
                gone[uri] = before[uri]
    if new := gone.keys() - unusable.keys():
        for shard in store.shards("photos"):
            photos = store.read("photos", shard, ["uri", "error"])
            rows = zip(photos["uri"].to_pylist(), pc.is_valid(photos["error"]).to_pylist(), strict=True)
            unusable.update((uri, error) for uri, error in rows if uri in new)
    unusable |= dict.fromkeys(gone.keys() & to_do)
    write_gone_places(store, gone, (), unusable)
    return gone


def _write_shards(store: Store, files: list[FoundFile], candidates: dict[str, list[KnownPhoto]], size: int) -> list[str]:
    """Write the plan of some files as shards of `files` of this many photos at most, numbered after all that are there; their names."""
    # also above the numbers of photos: a new shard with the number of an old shard of photos would count as done
    first = max((int(s) for table in ("files", "photos") for s in store.shards(table)), default=-1) + 1
    shards: list[str] = []
    for start in range(0, len(files), size):
        shards.append(f"{first + len(shards):05d}")
        store.write("files", shards[-1], _rows_of(files[start : start + size], candidates), stamp={"table": "files"})
    return shards


def _rows_of(part: list[FoundFile], candidates: dict[str, list[KnownPhoto]]) -> pa.Table:
    """The rows of `files` for some found files."""
    columns = {
        "uri": [f.uri for f in part],
        "size": [f.size for f in part],
        "mtime_ns": [f.mtime_ns for f in part],
        "known": [[k.content for k in candidates[f.uri]] for f in part],
        "known_faces": [[k.faces for k in candidates[f.uri]] for f in part],
        "known_photos": [[k.photo_id for k in candidates[f.uri]] for f in part],
        "known_pictures": [[k.picture for k in candidates[f.uri]] for f in part],
        "offset": [f.offset if f.offset >= 0 else None for f in part],
        "error": [f.error if f.size >= 0 else None for f in part],
        "label": [f.label for f in part],
    }
    return table_of(FILES, columns)
