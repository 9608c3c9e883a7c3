"""Photos in a folder for each person: copies or symbolic links. A photo of three people is in three folders.

Names are made safe for any filesystem and for loaders of image folders (folder_names.py); README.md says to these loaders that all photos
are one split. Of two photos with one name in one folder, the second gets the start of its SHA-256. A photo that was moved or changed since
is left out, with a reason in one line.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from facecluster.errors import InputError, PhotoError
from facecluster.export.folder_names import README, class_folders, file_key, readme, safe_file_name
from facecluster.export.output_folder import OutputFolder
from facecluster.export.photo_library import Photo, PhotoLibrary
from facecluster.photos.images import content_id, local_path, read_file

_TEXT = """A folder for each person, with the photos that show the person. `load_dataset("DIR")` of Hugging Face's `datasets` gives each
photo with the name of its folder as the label."""


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
    folders = class_folders([p.label for p in library.recognition.people])
    wanted = [(photo, folders[person]) for photo in library.photos for person in sorted(library.people_in(photo))]
    try:
        out.write(README, readme("Photos by person", _TEXT, {"train": "*/**"}))
    except InputError as e:  # the user's own
        yield CopyResult(README, README, str(e))
    yield from copy_photos(wanted, out, link=link, tick=tick)


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


def _unique_name(folder: str, name: str, photo_id: str, taken: dict[str, str]) -> str:
    full = f"{folder}/{name}" if folder else name
    if taken.setdefault(file_key(full), photo_id) != photo_id:
        stem, dot, ending = name.rpartition(".")
        name = f"{stem}-{photo_id[:12]}.{ending}" if dot else f"{name}-{photo_id[:12]}"
        full = f"{folder}/{name}" if folder else name
        taken[file_key(full)] = photo_id
    return full
