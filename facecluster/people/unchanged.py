"""Whether a grouping that is asked for again has nothing to do: no file of the store has changed since the last one, and no setting.

What a grouping reads is in the store, so if all files have the size and time of then (on object stores: the tag), the result is that of
then. Nothing is read for this but the list of files. runs/unchanged.json keeps the state after a grouping, and what there was to say.

Odd inputs: without the file, with one of another version of this package, and on a filesystem that does not say when files changed, the
grouping is done. A store that was copied has other times: the next grouping is done as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from facecluster import __version__
from facecluster.people.churn import Churn
from facecluster.people.reconcile import ReconciledRun
from facecluster.people.runs import current_run, read_people
from facecluster.store import IDENTITIES, Store
from facecluster.store.copies import COPIES

FILE = ("runs", "unchanged.json")
_UNREAD = ("report", "store.lock", COPIES)  # of the store, by any grouping
_CHANGED = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")  # of fsspec's filesystems; the first counts


def state_of(store: Store, settings: Sequence[object]) -> str:
    """A hash of all files of a store but its report, of this package's and of settings, by their `repr`; '' if files have no times."""
    digest = hashlib.sha256("\n".join([_code(), *map(repr, settings)]).encode())
    for path, facts in _files(store):
        changed = next((facts[key] for key in _CHANGED if facts.get(key)), None)
        if changed is None:
            return ""
        digest.update(f"{path}\0{facts.get('size')}\0{changed}\0{facts.get('ino')}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def find_unchanged(store: Store, settings: Sequence[object]) -> ReconciledRun | None:
    """What a grouping with these settings gives, if it was the last one and nothing has changed since; None: it has to be done."""
    found = _read(store)
    if found is None or found.get("state") != state_of(store, settings) or (run := current_run(store)) is None:
        return None
    identities = store.read_all(run.identities, IDENTITIES).combine_chunks()
    churn = Churn(before=run.number, faces=run.counts["faces"])
    return ReconciledRun(run, read_people(store, run), churn, list(found["notes"]), identities, run.settings, False)


def remember_state(store: Store, settings: Sequence[object], notes: Sequence[str], is_current: Callable[[], bool]) -> None:
    """Keep the state of a store after a grouping with these settings.

    `notes`: what is to be said each time, until something changes. `is_current` says whether the grouping knew all that is in the store; it
    is asked after the files were looked at, so that what changes later makes another state.
    """
    found = {"state": state_of(store, settings), "notes": list(notes)}
    if found["state"] and found != _read(store) and is_current():
        store.write_bytes(json.dumps(found).encode(), *FILE)


def _files(store: Store) -> Iterator[tuple[str, dict[str, Any]]]:
    """Paths in the store, sorted, and what its filesystem says of each file. Hidden ones at the top are left out."""
    store.fs.invalidate_cache()
    for top in sorted(str(path).rstrip("/") for path in store.fs.ls(store.root, detail=False)):
        name = top.rsplit("/", 1)[-1]
        if name in _UNREAD or name.startswith("."):
            continue
        for path, facts in sorted(store.fs.find(top, detail=True).items()):
            inside = str(path).removeprefix(store.root).strip("/")
            if inside != "/".join(FILE):
                yield inside, facts


@cache
def _code() -> str:
    """The version, and names, sizes and times of the files of this package: another version may group or say other things."""
    root = Path(__file__).parents[1]
    files = sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    facts = [(p.relative_to(root).as_posix(), (s := p.stat()).st_size, s.st_mtime_ns) for p in files]
    return repr((__version__, facts))


def _read(store: Store) -> dict[str, Any] | None:
    try:
        found = json.loads(store.read_bytes(*FILE))
    except store.io_errors:  # ValueError is one of them
        return None
    return found if isinstance(found, dict) and isinstance(found.get("notes"), list) else None
