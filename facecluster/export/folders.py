"""Photos in a folder for each person: copies or symbolic links. A photo of three people is in three folders.

File names are made safe for any filesystem: no separators, no control characters, no names that Windows reserves, no two names that differ
only in case. Of two photos with one name in one folder, the second gets the start of its SHA-256. A photo that was moved or changed
since is left out, with a reason in one line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from facecluster.errors import InputError, PhotoError
from facecluster.export.output_folder import OutputFolder
from facecluster.export.photo_library import Photo, PhotoLibrary
from facecluster.photos.images import content_id, local_path, read_file

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CopyResult:
    """A photo that was copied or linked, or left out."""

    uri: str
    name: str  # path in the folder
    why: str = ""  # the reason why it was left out


def export(
    library: PhotoLibrary, out: OutputFolder, *, link: bool = False, tick: Callable[[int], None] | None = None
) -> Iterator[CopyResult]:
    """Copy or link each photo to the folders of its people."""
    folders = _folder_names([p.label for p in library.recognition.people])
    wanted = [(photo, folders[person]) for photo in library.photos for person in sorted(library.people_in(photo))]
    return copy_photos(wanted, out, link=link, tick=tick)


def copy_photos(
    wanted: Iterable[tuple[Photo, str]], out: OutputFolder, *, link: bool = False, tick: Callable[[int], None] | None = None
) -> Iterator[CopyResult]:
    """Copy or link photos to folders; '' is the top folder."""
    taken: dict[str, str] = {}
    for photo, folder in wanted:
        uri = photo.uris[0]
        name = _unique_name(folder, safe_file_name(uri.rstrip("/").rsplit("/", 1)[-1]), photo.photo_id, taken)
        try:
            _copy_or_link(photo, uri, name, out, link)
        except (PhotoError, InputError) as e:
            yield CopyResult(uri, name, str(e))
        else:
            yield CopyResult(uri, name)
        if tick:
            tick(1)


def _copy_or_link(photo: Photo, uri: str, name: str, out: OutputFolder, link: bool) -> None:
    path = local_path(uri)
    if link:
        if path is None:
            raise InputError("expected a photo on this machine to link to, found one elsewhere: copy it instead")
        if not os.path.exists(path):
            raise InputError("expected a photo, found no file: embed its folder again")
        out.link(name, os.path.abspath(path))
        return
    if out.keep_existing(name, photo.photo_id):
        return
    data = read_file(uri)
    if content_id(data) != photo.photo_id:
        raise InputError("expected the photo that the store knows, found that the file has changed: embed its folder again")
    out.write(name, data)


def safe_file_name(name: str) -> str:
    """A file name that any filesystem accepts."""
    name = _UNSAFE.sub("_", name.encode("utf-8", "replace").decode()).strip().rstrip(".")
    if not name.strip(".") or _RESERVED.fullmatch(name):
        name = f"_{name}"
    stem, dot, ending = name.rpartition(".")
    if len(name.encode()) > 200:  # most filesystems allow 255 bytes
        short = (stem if dot else name).encode()[: 190 - len(ending.encode()) if dot and len(ending) < 20 else 190].decode(errors="ignore")
        name = short + (dot + ending if dot and len(ending) < 20 else "")
    return name


def _folder_names(labels: list[str]) -> list[str]:
    """A folder name for each person; a second person with the same name gets a number."""
    taken: set[str] = set()
    names = []
    for label in labels:
        name, n = safe_file_name(label), 2
        while name.casefold() in taken:
            name, n = f"{safe_file_name(label)} ({n})", n + 1
        taken.add(name.casefold())
        names.append(name)
    return names


def _unique_name(folder: str, name: str, photo_id: str, taken: dict[str, str]) -> str:
    full = f"{folder}/{name}" if folder else name
    if taken.setdefault(full.casefold(), photo_id) != photo_id:
        stem, dot, ending = name.rpartition(".")
        name = f"{stem}-{photo_id[:12]}.{ending}" if dot else f"{name}-{photo_id[:12]}"
        full = f"{folder}/{name}" if folder else name
        taken[full.casefold()] = photo_id
    return full
