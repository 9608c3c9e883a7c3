"""What is gone of a store, and where: the highest folder that is missing or empty, which may be a disk that is not mounted.

A whole root is missing if that folder is one that was searched, or holds one; or if nothing of the store is left beside it, or it lies
where systems mount disks. Places of other machines are gone if the last search did not find them; their bucket or host stands for the
folder.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import pyarrow.compute as pc

from facecluster.photos.archives.uris import file_of
from facecluster.photos.files import local_path
from facecluster.photos.places import current_photos
from facecluster.store import Store

_SOURCES = ("files", "sources.json")
_MOUNTS = re.compile(r"/mnt|/media(/[^/]+)?|/run/media/[^/]+|/Volumes|/net|/srv|/")  # folders in which disks are mounted


@dataclass(frozen=True, slots=True)
class GoneFolder:
    """Places that are gone for one reason."""

    folder: str  # the highest folder that is missing or empty; '' for files missing in folders that are there
    whole_root: bool  # with photos that are nowhere else: perhaps a disk is not mounted
    places: list[str]  # uris, sorted
    photos: frozenset[str]  # photo_ids of those that are nowhere now; of files that could not be used there are none
    elsewhere: bool = False  # whether some of these places are of photos that are elsewhere too, or of files that could not be used


def gone_folders(store: Store, under: str | None = None) -> list[GoneFolder]:
    """The places of a store that count and are gone now, by the folder that is missing; whole roots first, then by falling number.

    Args:
        store: to look at.
        under: only places in this folder; None: all.
    """
    table = current_photos(store, ["uri", "photo_id", "error"], look=True)
    used = pc.if_else(pc.is_null(table["error"]), table["photo_id"], "")
    rows = list(zip(table["uri"].to_pylist(), used.to_pylist(), table["gone"].to_pylist(), strict=True))
    there = {photo for _, photo, gone in rows if photo and not gone}
    folders = _folders_of(uri for uri, _, gone in rows if not gone)
    roots = _sources(store)
    missing_folder = _missing_folder_finder(folders)
    found: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for uri, photo, gone in rows:
        if gone and (under is None or is_under(uri, under)):
            found[missing_folder(uri)].append((uri, photo))
    result = []
    for folder, places in found.items():
        photos = frozenset(photo for _, photo in places if photo) - there
        above = os.path.dirname(folder)
        searched = any(source == folder or is_under(source, folder) for source in roots) if folder else False
        root = bool(folder and photos) and (searched or above not in folders or bool(_MOUNTS.fullmatch(above)))
        result.append(GoneFolder(folder, root, sorted(uri for uri, _ in places), photos, any(p not in photos for _, p in places)))
    return sorted(result, key=lambda g: (not g.whole_root, -len(g.places), g.folder))


def remember_sources(store: Store, sources: Iterable[str]) -> None:
    """Keep in the store which folders were searched."""
    known = set(_sources(store))
    found = {_root(source) for source in sources}
    if not found <= known:
        store.write_bytes(json.dumps(sorted(known | found)).encode(), *_SOURCES)


def _root(source: str) -> str:
    """The folder of a source: of a glob, the part before its first pattern; of a file, its own folder is not searched, so itself."""
    path = local_path(source)
    fixed = re.split(r"[*?\[]", source if path is None else path)[0]
    fixed = fixed if fixed == (path or source) else fixed.rpartition("/")[0]
    return fixed if path is None else os.path.abspath(os.path.expanduser(fixed or "/")).encode("utf-8", "replace").decode()


def _sources(store: Store) -> list[str]:
    try:
        found = json.loads(store.read_bytes(*_SOURCES))
    except (OSError, ValueError):
        return []
    return [source for source in found if isinstance(source, str)] if isinstance(found, list) else []


def is_under(uri: str, folder: str) -> bool:
    """Whether a place lies in a folder or below it; both are paths or URIs."""
    top = local_path(folder)
    uri = file_of(uri)
    path = local_path(uri)
    if top is None or path is None:
        return top is path and f"{uri}/".startswith(f"{folder.rstrip('/')}/")
    top = os.path.abspath(os.path.expanduser(top))
    return any(f"{os.path.abspath(path)}/".startswith(f"{form.rstrip('/')}/") for form in (top, os.path.realpath(top)))


def _folders_of(uris: Iterable[str]) -> set[str]:
    """All folders above places of this machine, and the buckets or hosts of others."""
    places = [(uri, local_path(uri)) for uri in map(file_of, uris)]
    found = {_bucket(uri) for uri, path in places if path is None}
    for folder in {os.path.dirname(path) for _, path in places if path is not None}:
        folder = os.path.abspath(folder)
        while folder not in found:
            found.add(folder)
            folder = os.path.dirname(folder)
    return found


def _bucket(uri: str) -> str:
    """s3://bucket of s3://bucket/a/b.jpg."""
    return "/".join(uri.split("/")[:3])


def _missing_folder_finder(there: set[str]) -> Callable[[str], str]:
    """Finds the highest folder above a place that is missing or empty; '' if the place's own folder is there with other files.

    Of a place elsewhere it is the bucket or host, unless that is in `there`.
    """

    @cache
    def is_empty(folder: str) -> bool:
        try:
            with os.scandir(folder) as entries:
                return next(entries, None) is None
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False

    @cache
    def highest(folder: str) -> str:
        if not is_empty(folder):
            return ""
        above = os.path.dirname(folder)
        return (highest(above) if above != folder else "") or folder

    def find(uri: str) -> str:
        uri = file_of(uri)
        path = local_path(uri)
        if path is None:
            return "" if _bucket(uri) in there else _bucket(uri)
        return highest(os.path.dirname(os.path.abspath(path)))

    return find
