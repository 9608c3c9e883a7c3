"""The files of a store that are no shards: runs, journal, index, figures, and what commands that were stopped left."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase

from facecluster.check.findings import AGAIN, Finding, Repair, one_line
from facecluster.decisions import FILE, read
from facecluster.errors import StoreError
from facecluster.people.lost_names import describe_lost
from facecluster.people.runs import POINTER, read_run
from facecluster.store import COMPACTING, STORE_FILE, TEMPORARY, Store
from facecluster.store.cipher import file_key_id
from facecluster.store.digest import DamageError
from facecluster.store.line_digest import is_as_written
from facecluster.store.store_file import encryption_of, needs_sealing

_FITTED = {  # JSON files that can be made again
    "runs/unchanged.json": "The next 'facecluster cluster' looks again at what has changed",
    "calibration/*.json": "Probabilities are those of the model card until 'facecluster cluster --calibrate'",
    "recognisability/*.json": "'facecluster cluster' fits it anew",
    "reading/*.json": "'facecluster cluster' fits it anew",
    "files/sources.json": "'facecluster run' makes it anew from the photos that it is given",
    "forgotten/receipt-*.json": "It only says how much was forgotten: nothing needs it",
    "exports.json": "'facecluster forget' no longer knows where reports and exports outside the store were written",
}


_LOST = "What it said is lost: say it again"
_LOOKED_AT = ("runs/current.json", "runs/*/run.json", "index/*", "grouping/*", "damaged/*")  # elsewhere, or needed by nobody


def check_store_file(store: Store) -> Iterator[Finding]:
    """store.json, without which nothing opens the store."""
    data = b""
    try:
        data = bytes(store.fs.cat_file(store.path(STORE_FILE)))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except store.io_errors as e:
        raise StoreError(f"expected to read {store.path(STORE_FILE)}, found: {one_line(e)}. {AGAIN}") from e
    try:
        store.check()
    except StoreError as e:
        if "newer facecluster" in str(e) or encryption_of(store) is not None:
            raise
        text = "it can't be read, or is not of a store"
        yield Finding(path=STORE_FILE, problem=text, next="--repair writes it anew if there are tables", repair=Repair.NAME)
        return
    if not is_as_written(data):
        text = "it has changed since it was written (its sum differs)"
        yield Finding(path=STORE_FILE, problem=text, next="--repair writes it anew if there are tables", repair=Repair.NAME)


def check_records(store: Store, damaged: set[str]) -> Iterator[Finding]:
    """The other files; `damaged` are the paths of shards that were found to be."""
    store.fs.invalidate_cache()
    paths = [str(path)[len(store.root) + 1 :] for path in sorted(map(str, store.fs.find(store.root)))]
    yield from _check_runs(store, paths, damaged)
    journal = read(store)
    for note in journal.notes:
        changed = note in journal.changed  # a torn line, as a crash in the middle of one leaves: every command passes over it
        text = "Compare it with a copy of the store; if it is right as it reads, take `sum` out of it" if changed else _LOST
        yield Finding(path="decisions.jsonl", problem=note, next=text, repair=Repair.NOTHING, serious=changed)
    yield from _check_names(store)
    if COMPACTING in paths:
        text = "It is whole, but for what belongs together: 'facecluster compact' finishes it"
        yield Finding(path=COMPACTING, problem="a compaction was stopped", next=text, repair=Repair.NOTHING, serious=False)
    for path in paths:
        kind = next((kind for kind in _FITTED if fnmatchcase(path, kind)), None)
        if kind is not None and not _is_json(store, path):
            yield Finding(path=path, problem="it is no JSON, or not as it was written", next=_FITTED[kind], repair=Repair.ASIDE)
        elif TEMPORARY.fullmatch(path.rsplit("/", 1)[-1]) and not path.startswith("damaged/"):
            text = "a command that was stopped left it"
            yield Finding(path=path, problem=text, next="Nothing needs it", repair=Repair.DELETE, serious=False)
    yield from _check_sealed(store, paths)
    yield from _check_index(store, [path for path in paths if fnmatchcase(path, "index/*/index.json")])


def _check_names(store: Store) -> Iterator[Finding]:
    """Names that the current run has and the journal has lost."""
    try:
        who = describe_lost(store)
    except StoreError:  # the run is damaged, which is said of it
        return
    if who:
        text = f"it holds nothing of what you said of {who}"
        more = "Put it back from a copy; else --repair writes the names of the current run into it again, and the rest is lost"
        yield Finding(path=FILE, problem=text, next=more, repair=Repair.SAY)


def _check_sealed(store: Store, paths: list[str]) -> Iterator[Finding]:
    """Of an encrypted store: files that are not, and files that nothing else here opens."""
    cipher = store.cipher
    if cipher is None:
        return
    for path in [path for path in paths if needs_sealing(path) and not fnmatchcase(path, "*part-*.parquet")]:
        if any(fnmatchcase(path, kind) for kind in (*_FITTED, *_LOOKED_AT)):
            continue
        data = bytes(store.fs.cat_file(store.path(path)))
        try:
            if file_key_id(data) is None:
                text = "it is not encrypted, as all files of this store are"
                yield Finding(path=path, problem=text, next="Move it out of the store, or delete it", repair=Repair.NOTHING)
            else:
                cipher.open(data, path)
        except DamageError as e:
            yield Finding(path=path, problem=one_line(e), next="Take it from a copy of the store", repair=Repair.NOTHING)


def _check_runs(store: Store, paths: list[str], damaged: set[str]) -> Iterator[Finding]:
    whole = whole_runs(store, paths, damaged)
    for number, error in whole.items():
        path = f"runs/{number:05d}/run.json"
        if "newer facecluster" in error:
            yield Finding(path=path, problem=error, next="Nothing is done to it", repair=Repair.NOTHING)
        elif error:
            text = "That run is lost. 'facecluster cluster' makes a new one; names are in the journal"
            yield Finding(path=path, problem=error, next=text, repair=Repair.ASIDE)
    pointer = "/".join(POINTER)
    errors = (ValueError, KeyError, TypeError)
    if not whole and pointer not in paths:
        return
    try:
        now = json.loads(_bytes(store, pointer))["run"]
        error = "" if whole.get(now) == "" else f"it names run {now!r}, which is damaged or not there"
    except errors:
        error = "it can't be read"
    if error:
        text = "--repair makes the newest whole run the current one; then 'facecluster cluster'"
        yield Finding(path=pointer, problem=error, next=text, repair=Repair.POINT)


def whole_runs(store: Store, paths: list[str], damaged: set[str]) -> dict[int, str]:
    """What is wrong with each run of a store ('': nothing), by its number; folders without a run.json are no runs."""
    found = {}
    for path in [path for path in paths if fnmatchcase(path, "runs/*/run.json")]:
        folder = path.split("/")[1]
        if not folder.isdecimal():
            continue
        number, needed = int(folder), [f"runs/{folder}/{table}/part-00000.parquet" for table in ("identities", "people")]
        missing = [name for name in needed if name not in paths or name in damaged]
        _bytes(store, path)
        try:
            whole = read_run(store, number) is not None
            found[number] = f"its {missing[0]} is damaged or not there" if missing else "" if whole else "it is not there"
        except StoreError as e:
            found[number] = str(e).split(", found: ")[-1].split(". Delete")[0].removesuffix(", or delete it")
    return found


def _is_json(store: Store, path: str) -> bool:
    try:
        json.loads(_bytes(store, path))
        return True
    except ValueError:
        return False


def _bytes(store: Store, path: str) -> bytes:
    """The bytes of a file; none if it is not there. Raises StoreError if it can't be read: that may pass, and damages nothing."""
    try:
        return store.read_bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except DamageError:
        return b"damaged"
    except store.io_errors as e:
        raise StoreError(f"expected to read {store.path(path)}, found: {one_line(e)}. {AGAIN}") from e


def _check_index(store: Store, manifests: list[str]) -> Iterator[Finding]:
    for path in manifests:
        folder, error = path.rsplit("/", 1)[0], ""
        try:
            sums = json.loads(_bytes(store, path)).get("sha256", {})
            for name, digest in sums.items():
                if hashlib.sha256(_bytes(store, f"{folder}/{name}")).hexdigest() != digest:
                    error = f"its {name} has changed since it was written"
        except (ValueError, AttributeError) as e:
            error = one_line(e)
        if error:
            yield Finding(path=path, problem=error, next="'facecluster match' makes the index anew", repair=Repair.ASIDE)
