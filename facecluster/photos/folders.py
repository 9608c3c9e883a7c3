"""Folders of this machine: what is in one, and the paths that a pattern means. Stores are in none, and hidden files and
folders only where a pattern names them.

Odd inputs: a folder that can't be read has no paths for a pattern; loops of links end.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from facecluster.photos.names import is_hidden
from facecluster.store import KIND, STORE_FILE

MAGIC = re.compile(r"[*?\[]")  # signs of a pattern


def matching(folder: str, parts: list[str], seen: dict[int, set[tuple[int, int]]]) -> Iterator[str]:
    """Paths under `folder` that match the parts of a pattern. `seen`: the folders that a `**` has visited, by the number of parts left."""
    if not parts:
        yield folder
        return
    head, rest = parts[0], parts[1:]
    if head == "**":
        for inner in [folder] if not rest else _all_folders(folder, seen.setdefault(len(parts), set())):
            yield from matching(inner, rest, seen)
        return
    if not MAGIC.search(head):
        names = [head]
    else:
        try:
            names = sorted(n for n in os.listdir(folder) if fnmatchcase(n, head) and (head.startswith(".") or not is_hidden(n)))
        except OSError:
            return
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isdir(path) if rest else os.path.lexists(path):
            yield from matching(path, rest, seen)


def _all_folders(top: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """A folder and all its subfolders that were not visited before, linked ones last."""
    waiting, links = [top], list[str]()
    while waiting or links:
        folder = waiting.pop() if waiting else links.pop(0)
        before = len(seen)
        try:
            inner = [e for e in entries_of(folder, seen) if is_folder(e)]
        except OSError:
            continue
        if len(seen) > before:
            yield folder
            links += [e.path for e in inner if e.is_symlink()]
            waiting += [e.path for e in reversed(inner) if not e.is_symlink()]


def entries_of(folder: str, seen: set[tuple[int, int]]) -> list[os.DirEntry[str]]:
    """The entries of a folder, sorted, without hidden ones; empty if it is a store, or in `seen` (device and number), which it gets into.

    Raises:
        OSError: it can't be read.
    """
    status = os.stat(folder)
    if (status.st_dev, status.st_ino) in seen:
        return []
    seen.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda e: e.name)
    if any(e.name == STORE_FILE for e in entries) and _is_store(os.path.join(folder, STORE_FILE)):
        return []
    return [e for e in entries if not is_hidden(e.name)]


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_store(path: str) -> bool:
    try:
        with open(path, "rb") as f:
            return KIND.encode() in f.read(1000)
    except OSError:
        return False
