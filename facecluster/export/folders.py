"""Photos in a folder for each person: copies or symbolic links. A photo of three people is in three folders.

Names are made safe for any filesystem: no separators, no control signs, none that Windows keeps for itself, no two that differ only in
capitals. Two photos of one name in one folder: the second gets the start of its SHA-256. A photo that has left its place, or was changed
since, is left out with one line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from facecluster.errors import InputError, PhotoError
from facecluster.export.library import Library, Photo
from facecluster.export.out import Out
from facecluster.photos.images import content_id, local_path, read_file

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_KEPT = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Copied:
    """A photo in a folder."""

    uri: str
    name: str  # path in the folder
    why: str = ""  # it was left out


def export(library: Library, out: Out, *, link: bool = False, tick: Callable[[int], None] | None = None) -> Iterator[Copied]:
    """Copy or link each photo to the folders of its people."""
    folders = _folder_names([p.label for p in library.who.people])
    wanted = [(photo, folders[person]) for photo in library.photos for person in sorted(library.people_in(photo))]
    return place(wanted, out, link=link, tick=tick)


def place(
    wanted: Iterable[tuple[Photo, str]], out: Out, *, link: bool = False, tick: Callable[[int], None] | None = None
) -> Iterator[Copied]:
    """Copy or link photos to folders, '' being the top one."""
    taken: dict[str, str] = {}
    for photo, folder in wanted:
        uri = photo.uris[0]
        name = _free_name(folder, safe(uri.rstrip("/").rsplit("/", 1)[-1]), photo.photo_id, taken)
        try:
            _put(photo, uri, name, out, link)
        except (PhotoError, InputError) as e:
            yield Copied(uri, name, str(e))
        else:
            yield Copied(uri, name)
        if tick:
            tick(1)


def _put(photo: Photo, uri: str, name: str, out: Out, link: bool) -> None:
    path = local_path(uri)
    if link:
        if path is None:
            raise InputError("expected a photo on this machine to link to, found one elsewhere: copy it instead")
        if not os.path.exists(path):
            raise InputError("expected a photo, found no file any more: embed its folder again")
        out.link(name, os.path.abspath(path))
        return
    if out.has(name, photo.photo_id):
        return
    data = read_file(uri)
    if content_id(data) != photo.photo_id:
        raise InputError("expected the photo that the store knows, found another content: embed its folder again")
    out.write(name, data)


def safe(name: str) -> str:
    """A file name that any filesystem takes."""
    name = _UNSAFE.sub("_", name.encode("utf-8", "replace").decode()).strip().rstrip(".")
    if not name.strip(".") or _KEPT.fullmatch(name):
        name = f"_{name}"
    stem, dot, ending = name.rpartition(".")
    if len(name.encode()) > 200:  # most filesystems take 255 bytes
        short = (stem if dot else name).encode()[: 190 - len(ending.encode()) if dot and len(ending) < 20 else 190].decode(errors="ignore")
        name = short + (dot + ending if dot and len(ending) < 20 else "")
    return name


def _folder_names(labels: list[str]) -> list[str]:
    """A folder for each person; a second of one name gets a number."""
    taken: set[str] = set()
    names = []
    for label in labels:
        name, n = safe(label), 2
        while name.casefold() in taken:
            name, n = f"{safe(label)} ({n})", n + 1
        taken.add(name.casefold())
        names.append(name)
    return names


def _free_name(folder: str, name: str, photo_id: str, taken: dict[str, str]) -> str:
    full = f"{folder}/{name}" if folder else name
    if taken.setdefault(full.casefold(), photo_id) != photo_id:
        stem, dot, ending = name.rpartition(".")
        name = f"{stem}-{photo_id[:12]}.{ending}" if dot else f"{name}-{photo_id[:12]}"
        full = f"{folder}/{name}" if folder else name
        taken[full.casefold()] = photo_id
    return full
