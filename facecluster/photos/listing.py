"""Find photos in folders, globs, archives, single files, fsspec URLs and lists of these, without opening any.

A folder that is reached twice (loops of links, folders given twice) is read once, under its real path if that is among the sources. Hidden
files and folders, thumbnail folders and stores are skipped. Files of other kinds, kinds whose package is not installed (RAW, video, JPEG
XL) and the moving parts of live photos are passed over, and counted.

A broken link or a pipe with the name of a photo is found with an `error`; a folder that can't be read is found with an `error` and
`is_folder` set. File names may contain any bytes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from urllib.parse import quote_from_bytes

import fsspec

from facecluster.errors import InputError, PhotoError
from facecluster.photos.archives.opened import changed, in_64_bits
from facecluster.photos.archives.uris import archive_kind, split_member
from facecluster.photos.files import checked_scheme, local_path
from facecluster.photos.find_members import photos_in_archive
from facecluster.photos.folders import MAGIC, entries_of, is_folder, matching
from facecluster.photos.found_file import FoundFile, SeenArchives
from facecluster.photos.lists import is_photo_elsewhere, read_list
from facecluster.photos.names import EXTENSIONS, is_hidden, is_taken
from facecluster.photos.passed_over import PassedOver, is_live_part
from facecluster.store import STORE_FILE


@dataclass(slots=True)
class _Search:
    """The state of one search."""

    passed_over: PassedOver
    archives: SeenArchives
    folders: set[tuple[int, int]] = field(default_factory=set)  # device and inode of the folders read so far
    links: list[str] = field(default_factory=list)  # linked folders, to be read after all real ones
    # an archive of which members are named, and its photos by uri
    inside: tuple[str, dict[str, FoundFile]] = field(default_factory=lambda: ("", {}))
    photos: int = 0
    trouble: str = ""  # message about the first folder that can't be read


def find_files(
    sources: Iterable[str], passed_over: PassedOver | None = None, archives: SeenArchives | None = None, lists: Iterable[str] = ()
) -> Iterator[FoundFile]:
    """Find photos and videos.

    Args:
        sources: folders (read recursively, in sorted order), globs (`**` matches any folders), archives, their members, files (with any
            extension), and fsspec URLs of any of these.
        passed_over: counts what is not taken, as the iteration goes on.
        archives: says which archives need not be read again, and gets those that were met.
        lists: files with such a source on each line. A photo that is missing is found with an error; one elsewhere is taken unseen.

    Raises:
        InputError: a source is missing, a glob matches nothing, or no photo is found at all (at the end of the iteration).
    """
    search = _Search(passed_over or PassedOver(), archives or SeenArchives())
    sources = [os.fspath(s) for s in sources]
    lists = [os.fspath(s) for s in lists]
    listed = (_listed(line, search) for name in lists for line in read_list(name))
    for found in chain.from_iterable(chain((_source(s, search) for s in sources), listed)):
        search.photos += not found.is_folder
        yield found
    sources += lists
    if not search.photos and not search.archives.unchanged:
        others = "".join(f"; passed over {line}" for line in search.passed_over.lines())
        trouble = f"; {search.trouble}" if search.trouble else ""
        raise InputError(
            f"expected photos ({', '.join(sorted(EXTENSIONS))}), found none in {', '.join(map(_printable, sources)) or 'no source'}"
            f"{others}{trouble}: name a folder, glob or file with photos"
        )


def _printable(path: str) -> str:
    return path if path.isprintable() else ascii(path)


def _source(source: str, search: _Search) -> Iterator[FoundFile]:
    path, member = local_path(source), split_member(source)
    if member is None:
        yield from _remote(source, search) if path is None else _local(path, search)
        return
    if search.inside[0] != member[1]:
        found = photos_in_archive(member[1], PassedOver(), SeenArchives(), named=True)
        search.inside = member[1], {f.uri: f for f in found}
    if source not in search.inside[1]:
        raise InputError(f"expected a photo at {_printable(source)}, found none of that name in the archive: check the name")
    yield search.inside[1][source]


def _listed(source: str, search: _Search) -> Iterator[FoundFile]:
    """What a line of a list says. What is missing is an error of its own; a photo elsewhere is not asked for before it is read."""
    path = local_path(source)
    if path is None and not split_member(source) and is_photo_elsewhere(source):
        yield FoundFile(source, 0)
        return
    try:
        yield from _source(source, search)
    except InputError as e:
        yield FoundFile(source if path is None else uri_of(os.path.abspath(path)), error=str(e))


def _local(source: str, search: _Search) -> Iterator[FoundFile]:
    if not source or "\0" in source:
        raise InputError(f"expected a folder, file, glob or URL of photos, found {source!r}: name one")
    path = os.path.abspath(source)
    if os.path.isdir(path):
        hits = [path]
    elif os.path.lexists(path):
        yield from _named(path, search)
        return
    elif MAGIC.search(source):
        hits = sorted(matching("/", path.strip("/").split("/"), {}))
        if not hits:
            raise InputError(f"expected files that match {_printable(source)}, found none: check the pattern")
    else:
        raise InputError(f"expected photos at {_printable(source)}, found nothing there: check the path")
    for hit in hits:
        if os.path.isdir(hit):
            yield from _walk(hit, search)
        else:
            yield from _taken(hit, search)
    while search.links:
        yield from _walk(search.links.pop(0), search)


def _walk(top: str, search: _Search) -> Iterator[FoundFile]:
    """The photos of a folder and its subfolders; the files of a folder come before its subfolders."""
    waiting = [top]  # a stack instead of recursion: folders may be nested deeper than Python's recursion limit
    while waiting:
        folder = waiting.pop()
        try:
            entries = entries_of(folder, search.folders)
        except OSError as e:
            search.trouble = search.trouble or f"the folder {_printable(folder)} can't be read: {e.strerror}"
            yield FoundFile(uri_of(folder), error=f"the folder can't be read: {e.strerror}", is_folder=True)
            continue
        inner: list[str] = []
        for entry in entries:
            if is_folder(entry):
                (search.links if entry.is_symlink() else inner).append(entry.path)
            else:
                yield from _taken(entry.path, search)
        waiting += reversed(inner)


def _named(path: str, search: _Search) -> Iterator[FoundFile]:
    """The file at a path that the user named, whatever its name; the photos in an archive."""
    if archive_kind(path) and os.path.isfile(path):
        yield from photos_in_archive(uri_of(path), search.passed_over, search.archives, named=True)
    else:
        yield _file(path)


def _taken(path: str, search: _Search) -> Iterator[FoundFile]:
    """The file at a path, or nothing if it is passed over."""
    if archive_kind(path) and os.path.isfile(path):
        yield from photos_in_archive(uri_of(path), search.passed_over, search.archives, named=False)
    elif is_taken(path, search.passed_over, lambda: _live(path)):
        yield _file(path)


def _live(path: str) -> bool:
    try:
        size = os.path.getsize(path)
    except OSError:  # becomes an error row
        return False
    return is_live_part(path, size, os.path.exists, lambda: open(path, "rb"))


def _file(path: str) -> FoundFile:
    try:
        status = os.stat(path)
    except OSError as e:
        return FoundFile(uri_of(path), error="broken link" if os.path.islink(path) else f"can't be read: {e.strerror}")
    if not stat.S_ISREG(status.st_mode):
        return FoundFile(uri_of(path), error="not a file")
    return FoundFile(uri_of(path), status.st_size, in_64_bits(status.st_mtime_ns))


def uri_of(path: str) -> str:
    """The uri of a file of this machine by its absolute path."""
    try:
        path.encode()
        plain = "!/" not in path or not archive_kind(path)  # these end the name of an archive in those of its members
    except UnicodeEncodeError:
        plain = False
    if not plain:
        return "file://" + quote_from_bytes(os.fsencode(path))
    return path


def _remote(source: str, search: _Search) -> Iterator[FoundFile]:
    """Photos of an fsspec URL: a prefix, a glob or one object."""
    try:
        checked_scheme(source)
        fs, path = fsspec.core.url_to_fs(source)
        fs.invalidate_cache()  # what this process listed before may have changed
        if fs.isfile(path):
            listed, named = {path: fs.info(path)}, True
        elif MAGIC.search(path):
            listed, named = fs.glob(path, detail=True), False
        else:
            listed, named = fs.find(path, detail=True), False
    except PhotoError as e:
        raise InputError(str(e)) from e
    except Exception as e:  # every remote filesystem has its own exceptions
        reason = " ".join(str(e).split())[:200] or type(e).__name__
        raise InputError(f"expected photos at {source}, found: {reason}. Check the URL and your access to it") from e
    if not listed:
        raise InputError(f"expected photos at {source}, found nothing there: check the URL")
    root = "" if named else path.split("*")[0]
    stores = {name[: -len(STORE_FILE)] for name in listed if name.endswith("/" + STORE_FILE)}
    for name, info in sorted(listed.items()):
        if info.get("type") == "directory":
            continue
        inside = name.removeprefix(root).split("/")
        if not named and (any(map(is_hidden, inside)) or any(name.startswith(s) for s in stores)):
            continue
        size = int(info.get("size") or 0)
        if archive_kind(name):
            yield from photos_in_archive(fs.unstrip_protocol(name), search.passed_over, search.archives, named=named)
        elif named or is_taken(name, search.passed_over, partial(is_live_part, name, size, listed.__contains__, None)):
            yield FoundFile(fs.unstrip_protocol(name), size, changed(info))
