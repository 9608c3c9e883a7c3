"""Repairs: what is damaged goes into the folder `damaged` of the store, so that the commands make it anew. Nothing is deleted for good
but what commands that were stopped left."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from itertools import count

import pyarrow as pa

from facecluster.check.findings import Finding, Repair, one_line
from facecluster.check.records import whole_runs
from facecluster.check.shards import kind_of, tables
from facecluster.errors import StoreError
from facecluster.people.lost_names import restore_lost
from facecluster.people.runs import POINTER, make_current, read_run
from facecluster.permissions import make_private_folder
from facecluster.store import STORE_FILE, Store
from facecluster.store.cipher import Cipher
from facecluster.store.digest import read_metadata
from facecluster.store.stamps import store_in
from facecluster.store.store_file import Encryption, contents, find_key_id

FOLDER = "damaged"


def repair(store: Store, findings: list[Finding]) -> list[str]:
    """Do what can be done about findings of `check`, under the store's lock; gives the paths that were repaired."""
    try:
        return _repair(store, findings)
    except store.io_errors as e:
        raise StoreError(f"expected to write in {store.url}, found: {one_line(e)}. Correct that and repair again") from e


def _repair(store: Store, findings: list[Finding]) -> list[str]:
    done = []
    for finding in findings:
        if finding.repair is Repair.ASIDE:
            for path in _with_it(store, finding.path):
                _set_aside(store, path)
        elif finding.repair is Repair.DELETE:
            store.fs.rm_file(store.path(finding.path))
        elif finding.repair is Repair.SEAL:
            table, shard = finding.path.rsplit("/", 1)[0], finding.path.rsplit("/", 1)[1][5:-8]
            store.write(table, shard, store.read(table, shard), store.stamp(table, shard) or {})
        elif finding.repair is Repair.NAME and any(store.fs.isdir(store.path(table)) for table in ("files", "photos", "faces")):
            key = find_key_id(store)
            store.write_raw(contents(None if key is None else Encryption(key), _store_id(store, key)), STORE_FILE)
        elif finding.repair is Repair.SAY:
            restore_lost(store)
        elif finding.repair is not Repair.POINT:
            continue
        done.append(finding.path)
    if any(finding.repair is Repair.POINT for finding in findings):  # else the current run stays, which the user may have returned to
        _point_at_whole_run(store)
    return done


def _store_id(store: Store, key: str | None) -> str:
    """The id of a store whose store.json is lost: that which most of its shards name; '' if none can be read that does."""
    found: Counter[str] = Counter()
    open_footer = read_metadata if key is None else Cipher(key, store.url).read_metadata
    for table, shards in tables(store).items():
        for shard in shards:
            with suppress(*store.io_errors, pa.ArrowException, StoreError), store.fs.open(store.shard_path(table, shard), "rb") as f:
                found[store_in(open_footer(f))] += 1
    del found[""]
    return found.most_common(1)[0][0] if found else ""


def _with_it(store: Store, path: str) -> list[str]:
    """A damaged file, and what is of no use without it: all links, the rest of a run, the other files of an index."""
    parts = path.split("/")
    whole = parts[:2] if parts[0] in ("links", "index", "linking", "grouping") else parts[:2] if _is_of_run(parts) else parts
    place = store.path(*whole)
    store.fs.invalidate_cache()
    found = map(str, store.fs.find(place)) if store.fs.isdir(place) else [place]
    return sorted(name[len(store.root) + 1 :] for name in found)


def _is_of_run(parts: list[str]) -> bool:
    return parts[0] == "runs" and len(parts) > 2 and parts[2] != "retired"


def _set_aside(store: Store, path: str) -> None:
    if kind_of(path.rsplit("/", 1)[0]) is None and not store.exists(path):
        return
    if store.exists(path):
        number = next(n for n in count() if not store.exists(FOLDER, path + (f".{n}" if n else "")))  # one of an earlier repair stays
        target = store.path(FOLDER, path + (f".{number}" if number else ""))
        if store.is_local:
            make_private_folder(target.rsplit("/", 1)[0], store.root)
        store.fs.mv(store.path(path), target)


def _point_at_whole_run(store: Store) -> None:
    """Make the newest whole run the current one; without any, the store counts as never grouped."""
    store.fs.invalidate_cache()
    paths = [str(path)[len(store.root) + 1 :] for path in store.fs.find(store.root)]
    whole = [number for number, error in whole_runs(store, paths, set()).items() if not error]
    run = read_run(store, max(whole)) if whole else None
    if run is not None:
        make_current(store, run)
    elif store.exists(*POINTER):
        _set_aside(store, "/".join(POINTER))
