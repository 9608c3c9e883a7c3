"""Photos in a folder for each person: copies or symbolic links. A photo of three people is in three folders.

Names are made safe for any filesystem and for loaders of image folders (folder_names.py); README.md says to these loaders that all photos
are one split. Of two photos with one name in one folder, the second gets the start of its SHA-256. What belongs to a photo on this machine
goes with it (photos/companions.py), and is renamed alike. Of a photo's places the first is taken that still holds it. A photo that is gone
or changed is left out, with a reason in one line; what an earlier export wrote of one that is gone stays, and moves along if its person has
another folder now. What other exports wrote into the folder is not touched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from facecluster.errors import InputError, PhotoError, WriteError
from facecluster.export.folder_names import README, class_folders, file_key, readme, safe_file_name
from facecluster.export.output_folder import OutputFolder
from facecluster.export.photo_library import Photo, PhotoLibrary
from facecluster.photos.companions import CompanionFinder, renamed
from facecluster.photos.images import content_id, local_path, read_file

_TEXT = """A folder for each person, with the photos that show the person. `load_dataset("DIR")` of Hugging Face's `datasets` gives each
photo with the name of its folder as the label."""


@dataclass(frozen=True, slots=True)
class CopyResult:
    """A photo that was copied or linked, or left out."""

    uri: str
    name: str  # path in the folder
    why: str = ""  # the reason why it was left out
    of: str = ""  # uri of the photo that it belongs to; '' for a photo
    gone: bool = False  # the photo is at none of its places
    failed: bool = False  # the system refused to write it


def export(
    library: PhotoLibrary, out: OutputFolder, *, link: bool = False, tick: Callable[[int], None] | None = None
) -> Iterator[CopyResult]:
    """Copy or link each photo to the folders of its people."""
    folders = class_folders([p.label for p in library.recognition.people])
    wanted = ((photo, folders[person]) for photo in library.photos for person in sorted(library.people_in(photo)))
    try:
        out.write(README, readme("Photos by person", _TEXT, {"train": "*/**"}))
    except InputError as e:  # the user's own
        yield CopyResult(README, README, str(e))
    yield from copy_photos(wanted, out, gone=library.gone_photos, link=link, tick=tick)


def copy_photos(
    wanted: Iterable[tuple[Photo, str]], out: OutputFolder, *, gone: Iterable[Photo] = (), link: bool = False,
    tick: Callable[[int], None] | None = None,
) -> Iterator[CopyResult]:  # fmt: skip
    """Copy or link photos to folders, each with what belongs to it; '' is the top folder. A copy of each of `gone` stays, wanted or not."""
    taken: dict[str, str] = {}
    others = {file_key(name): content for name, content in out.others().items()}
    finder = CompanionFinder()
    for photo, folder in wanted:
        name, why, failed = "", "", False
        for uri in photo.uris:
            path = local_path(uri)
            its = finder.of(path) if path is not None and not photo.gone else []
            own = os.path.basename(path) if path is not None else uri.rstrip("/").rsplit("/", 1)[-1]
            name, names = _unique_names(folder, own, [os.path.basename(c) for c in its], photo, taken, others)
            try:
                _copy_or_link(photo, uri, name, out, link)
            except (PhotoError, InputError) as e:
                why, failed = why or str(e), failed or isinstance(e, WriteError)
                continue
            yield CopyResult(uri, name)
            yield from _copy_companions(uri, dict(zip(its, names, strict=True)), out, link)
            break
        else:
            if not (photo.gone and _keep_earlier(photo, name, out)):
                yield CopyResult(photo.uris[0], name, why, gone=photo.gone, failed=failed)
        if tick:
            tick(1)
    held, left = set(out.claimed.values()), out.unclaimed()
    for photo in gone if left else ():
        if not left.isdisjoint(photo.contents.values()) and held.isdisjoint(photo.contents.values()):
            _keep_earlier(photo, None, out)


def _copy_or_link(photo: Photo, uri: str, name: str, out: OutputFolder, link: bool) -> None:
    path = local_path(uri)
    if photo.gone:
        raise InputError("expected a photo, found nothing where it was")
    if link:
        if path is None:
            raise InputError("expected a photo on this machine to link to, found one elsewhere: copy it instead")
        if not os.path.exists(path):
            raise InputError("expected a photo, found no file: embed its folder again")
        out.link(name, os.path.abspath(path))
        return
    content = photo.contents.get(uri, photo.photo_id)
    if out.keep_existing(name, content):
        return
    data = read_file(uri)
    if content_id(data) != content:
        raise InputError("expected the photo that the store knows, found that the file has changed: embed its folder again")
    out.write(name, data)


def _copy_companions(photo: str, names: Mapping[str, str], out: OutputFolder, link: bool) -> Iterator[CopyResult]:
    """Copy or link what belongs to a photo: by path, each with its new name."""
    for path, name in names.items():
        try:
            if link:
                out.link(name, os.path.abspath(path))
            else:
                out.write(name, read_file(path))
        except (PhotoError, InputError) as e:
            yield CopyResult(path, name, str(e), of=photo, failed=isinstance(e, WriteError))
        else:
            yield CopyResult(path, name, of=photo)


def _keep_earlier(photo: Photo, name: str | None, out: OutputFolder) -> bool:
    """Keep what an earlier export wrote of a photo that is gone, as `name` now: its copy may be the last. Whether there was any."""
    contents = set(photo.contents.values())
    earlier = name if name and any(out.keep_existing(name, content) for content in contents) else out.copy_of(contents)
    if earlier is None:
        return False
    name = name or earlier
    folder, base = os.path.split(earlier)
    for old in (base, *out.beside(earlier)):
        new = name if old == base else os.path.join(os.path.dirname(name), renamed(old, base, os.path.basename(name)))
        _keep_as(os.path.join(folder, old), new, out)
    return True


def _keep_as(old: str, new: str, out: OutputFolder) -> None:
    """Write a file of an earlier export under another name; if that can't be, it stays where it is."""
    path = out.folder / old
    try:
        if old != new and not path.is_symlink():
            out.write(new, path.read_bytes())
            return
    except (OSError, InputError):
        pass
    out.keep(old)


def _unique_names(
    folder: str, name: str, its: Sequence[str], photo: Photo, taken: dict[str, str], others: Mapping[str, str]
) -> tuple[str, list[str]]:
    """Paths for a photo and its companions in the output that no other photo has; all get the start of its SHA-256, or none.

    `others`: contents of the files of other exports; where the photo itself is one of them, so are its companions.
    """
    safe = safe_file_name(name)
    stem, ending = os.path.splitext(safe)
    same = {photo.photo_id, *photo.contents.values(), *(f"-> {os.path.abspath(p)}" for u in photo.uris if (p := local_path(u)))}
    full: list[str] = []
    for new in (safe, f"{stem}-{photo.photo_id[:12]}{ending}"):
        names = [new, *(safe_file_name(renamed(companion, name, new)) for companion in its)]
        full = [f"{folder}/{n}" if folder else n for n in names]
        keys = [file_key(n) for n in full]
        theirs = not others.keys().isdisjoint(keys) and others.get(keys[0]) not in same
        if not theirs and all(taken.get(key, photo.photo_id) == photo.photo_id for key in keys):
            break
    taken.update({file_key(n): photo.photo_id for n in full})
    return full[0], full[1:]
