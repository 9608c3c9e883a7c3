"""Relative paths of photos, for formats that name them by these."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from facecluster.photos.archives.uris import split_member
from facecluster.photos.images import local_path


def _path_of_member(kind: str, archive: str, key: str) -> str:
    """A relative path for a member of an archive."""
    file = local_path(archive) or archive.replace("://", "/")
    parts = [part.replace("\0", "") for part in f"{file}/{key}".split("/")]
    return "/".join(part for part in parts if part not in ("", ".", ".."))


class RelativePaths(Mapping[str, str]):
    """The paths of photos relative to a folder, made when they are asked for."""

    def __init__(self, root: str | None, uris: Callable[[], Iterable[str]]) -> None:
        """`root`: None if the photos are on several filesystems; `uris`: gives the uris of the photos."""
        self._root, self._uris = root, uris

    def __getitem__(self, uri: str) -> str:
        path = local_path(uri)
        if self._root is not None and path is not None:
            return os.path.relpath(os.path.abspath(path), self._root).replace(os.sep, "/")
        if (member := split_member(uri)) is not None:
            return _path_of_member(*member)
        name = uri if path is None else os.path.abspath(path)
        return re.sub(r"^[a-z0-9+.-]+://+", lambda m: m[0].split(":")[0] + "/", name).lstrip("/")

    def __iter__(self) -> Iterator[str]:
        return iter(self._uris())

    def __len__(self) -> int:
        return sum(1 for _ in self)


def relative_paths(uris: Callable[[], Iterable[str]]) -> tuple[str, RelativePaths]:
    """The deepest folder that holds all photos, and the path of each photo relative to it, with '/' between folders.

    Photos on several filesystems (paths and s3://...) have no common folder: the folder is '' then, and paths start with s3/bucket. A
    photo in an archive is in a folder of the archive's name; its key, which may be any text, never leads out of it.

    Args:
        uris: gives the uris of the photos, each time that it is called.
    """
    root: str | None = None
    for uri in uris():
        path = local_path(uri)
        if path is None:
            return "", RelativePaths(None, uris)
        folder = os.path.dirname(os.path.abspath(path))
        if root is None:
            root = folder
        elif folder != root and not folder.startswith(f"{root.rstrip('/')}/"):
            root = os.path.commonpath([root, folder])
    return root or "", RelativePaths(root or "", uris)
