"""The journal on object stores: an object for each append, because an object can't be appended to.

Two programs that rewrite one object would lose each other's lines. So each `append` puts an object `decisions/NUMBER-RANDOM.jsonl` in one
request. The random part makes the name unique: no lock is needed and no decision is lost. NUMBER is one above the highest number that is
listed (object stores list new objects at once), so a decision stands after all decisions that its writer had read, whatever the clocks say.
Of two programs that write at the same moment either may come first. The journal is decisions.jsonl, then the objects in order of their
names.

Odd inputs: objects of other names are not read; a missing folder means no objects. In a copy of the store on a disk the next `append` moves
the lines into decisions.jsonl.
"""

from __future__ import annotations

import re
import uuid

from facecluster.store import Store

FOLDER = "decisions"
_NAME = re.compile(r"(\d{10})-[0-9a-f]{16}\.jsonl")


def names(store: Store) -> list[str]:
    """Names of the objects, sorted."""
    folder = store.path(FOLDER)
    store.fs.invalidate_cache(folder)
    try:
        found = (str(path).rsplit("/", 1)[-1] for path in store.fs.ls(folder, detail=False))
        return sorted(name for name in found if _NAME.fullmatch(name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def contents(store: Store) -> list[tuple[str, bytes]]:
    """Name and bytes of each object, in order of the names."""
    found = names(store)
    paths = [store.path(FOLDER, name) for name in found]
    data, cipher = store.fs.cat(paths) if paths else {}, store.cipher
    opened = [bytes(data[path]) if cipher is None else cipher.open_lines(bytes(data[path])) for path in paths]
    return [(f"{FOLDER}/{name}", lines) for name, lines in zip(found, opened, strict=True)]


def put(store: Store, data: bytes) -> None:
    """Add an object with these lines after all existing ones."""
    existing = names(store)
    number = int(existing[-1][:10]) + 1 if existing else 1
    cipher = store.cipher
    store.write_raw(data if cipher is None else cipher.seal_lines(data), FOLDER, f"{number:010}-{uuid.uuid4().hex[:16]}.jsonl")


def remove(store: Store, found: list[str]) -> None:
    """Delete objects by the names that `contents` gives."""
    for name in found:
        store.fs.rm_file(store.path(name))
