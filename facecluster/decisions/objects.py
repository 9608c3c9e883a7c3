"""The journal on object stores, where a file can't be added to and two programs that write it anew would undo each other's lines.

So each `append` is an object of its own, `decisions/NUMBER-RANDOM.jsonl`, put in one request under a name that nobody else can have: no
lock is needed, and nothing that was said is lost. NUMBER is one above the highest that is there (object stores list what is written at
once): what is said after reading something stands after it, whatever the clocks. Of two that write at the same moment either may stand
first. Read in order of their names, after decisions.jsonl, they are the journal.

Odd inputs: objects of other names are not read; no folder is no objects. In a copy of the store on a disk the next `append` moves the lines
into decisions.jsonl.
"""

from __future__ import annotations

import re
import uuid

from facecluster.store import Store

FOLDER = "decisions"
_NAME = re.compile(r"(\d{10})-[0-9a-f]{16}\.jsonl")


def names(store: Store) -> list[str]:
    """Names of the objects in their order."""
    folder = store.path(FOLDER)
    store.fs.invalidate_cache(folder)
    try:
        found = (str(path).rsplit("/", 1)[-1] for path in store.fs.ls(folder, detail=False))
        return sorted(name for name in found if _NAME.fullmatch(name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def contents(store: Store) -> list[tuple[str, bytes]]:
    """Name and bytes of each object, in their order."""
    found = names(store)
    paths = [store.path(FOLDER, name) for name in found]
    data = store.fs.cat(paths) if paths else {}
    return [(f"{FOLDER}/{name}", bytes(data[path])) for name, path in zip(found, paths, strict=True)]


def put(store: Store, data: bytes) -> None:
    """Add an object with these lines after all that are there."""
    there = names(store)
    number = int(there[-1][:10]) + 1 if there else 1
    store.write_bytes(data, FOLDER, f"{number:010}-{uuid.uuid4().hex[:16]}.jsonl")


def remove(store: Store, found: list[str]) -> None:
    """Delete objects by what `contents` calls them."""
    for name in found:
        store.fs.rm_file(store.path(name))
