"""The journal of decisions: STORE/decisions.jsonl, one JSON object a line, only ever appended to, except by `forget`. docs/format.md
describes it.

On object stores each append is an object of its own (`journal_objects`). A decision names faces by face_id, never by the group numbers of a
run. Two journals can be joined by writing one after the other: a decision whose id was read before counts once.

Odd inputs: a line that can't be read (cut off by a crash, damaged by an editor) is skipped with a note, and the next append starts on a new
line. So are all lines of a batch of which one is missing. A missing journal is an empty one.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from filelock import FileLock, Timeout

from facecluster.decisions import journal_objects
from facecluster.decisions.decision import UNREADABLE, Decision, new_id, parse
from facecluster.errors import StoreError
from facecluster.language.said import say
from facecluster.permissions import private_opener
from facecluster.store import Store
from facecluster.store.line_digest import is_as_written
from facecluster.store.replace_file import sync_folder
from facecluster.store.store_file import encryption_of, refuse_half

FILE = "decisions.jsonl"
LOCK_TIMEOUT = 60.0  # seconds to wait for another program that appends


@dataclass(frozen=True, slots=True)
class Journal:
    """The decisions of a store in the order in which they were made, and notes on lines that can't be read."""

    decisions: list[Decision]
    notes: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)  # the notes on lines that can be read, but are not as they were written


def read(store: Store, known: dict[bytes, Decision] | None = None) -> Journal:
    """The journal of a store. Raises StoreError if the file can't be read at all.

    Args:
        store: of the journal.
        known: the decisions of lines that were read before and are as they were written: these are not parsed again; afterwards it
            holds those of all such lines.
    """
    journal, seen, batches = Journal([]), set(), Counter[str | None]()
    before = dict(known or {})
    lines: dict[bytes, Decision] = {}
    for place, line in _lines(store):
        try:
            decision = before.get(line) or parse(json.loads(line))
        except UNREADABLE as e:
            why = " ".join(str(e).split())[:80]
            journal.notes.append(f"{place} can't be read and is skipped: {why}")
            continue
        if line in before or is_as_written(line):
            lines[line] = decision
        else:
            journal.changed.append(f"{place} is not as it was written, and counts as it reads")
        if decision.id not in seen:
            seen.add(decision.id)
            journal.decisions.append(decision)
            batches[decision.batch] += 1
    if known is not None:
        known.clear()
        known.update(lines)
    journal.notes.extend(journal.changed)
    torn = {d.batch for d in journal.decisions if d.batch and batches[d.batch] < d.batch_size}
    if torn:
        journal.notes.extend(f"the batch {batch} is not whole and is skipped: make its decisions again" for batch in sorted(torn))
        journal.decisions[:] = [d for d in journal.decisions if d.batch not in torn]
    return journal


def append(store: Store, decisions: Sequence[Decision]) -> list[Decision]:
    """Append decisions to the journal in one write, which is on the disk when this returns; gives them with their ids and times.

    Several programs may append at the same time: on a disk they wait for each other, on an object store each writes an object of its own.

    Raises:
        StoreError: the file can't be written.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    sizes = Counter(d.batch for d in decisions if d.batch)
    made = [replace(d, id=d.id or new_id(), at=d.at or now, batch_size=sizes[d.batch or ""]) for d in decisions]
    data = "".join(d.to_line() + "\n" for d in made).encode()
    if not data:
        return made
    try:
        if store.is_local:
            with journal_lock(store):
                _refuse_half_converted(store)
                _move_objects_into_file(store)
                _append_local(store, data)
        else:
            journal_objects.put(store, data)
    except Timeout:
        raise StoreError(say(
            "expected to write %(file)s in %(url)s, found another program writing it for %(seconds)s s: stop that program",
            file=FILE, url=store.url, seconds=round(LOCK_TIMEOUT),
        )) from None  # fmt: skip
    except store.io_errors as e:
        place = store.path(FILE if store.is_local else journal_objects.FOLDER)
        raise StoreError(
            say("expected to write %(place)s, found: %(why)s. Check its permissions, and free some space", place=place, why=str(e))
        ) from e
    return made


def journal_lock(store: Store) -> FileLock:
    """What a program holds while it writes the journal of a store on a disk."""
    return FileLock(store.path("decisions.lock"), timeout=LOCK_TIMEOUT)


def _refuse_half_converted(store: Store) -> None:
    """Raise StoreError while a store is being encrypted or decrypted: a line would be of the kind that the journal no longer is."""
    found = encryption_of(store)
    if found is not None:
        refuse_half(found, store.url)


def rewrite(store: Store, change: Callable[[Decision], Decision | None], unread: Callable[[bytes], bool]) -> None:
    """Write the journal anew, each file of it in one step: the only thing that takes lines out of it, for `forget`.

    Args:
        store: of the journal.
        change: gives the decision that takes the place of one; None: its line goes. A line whose decision stays is kept as it is.
        unread: whether a line that can't be read is kept.
    """

    def kept(line: bytes) -> bytes | None:
        try:
            decision = parse(json.loads(line))
        except UNREADABLE:
            return line if unread(line) else None
        found = change(decision)
        if found is not None:
            found = replace(found, batch_size=0)  # others of its batch may go
        return line if found == decision else None if found is None else found.to_line().encode()

    try:
        with journal_lock(store) if store.is_local else nullcontext():
            for name, data in _parts(store):
                lines = data.split(b"\n")
                found = b"\n".join(new for line in lines if (new := kept(line) if line.strip() else line) is not None)
                if found != data:
                    store.write_raw(_sealed(store, found), *name.split("/"))
    except Timeout:
        raise StoreError(f"expected to write {FILE} in {store.url}, found another program writing it: stop that program") from None
    except store.io_errors as e:
        raise StoreError(f"expected to write the journal of {store.url}, found: {e}. Check its permissions") from e


def _move_objects_into_file(store: Store) -> None:
    """Move the journal objects of a copied object store into the file; if this stops half way, lines that stand twice count once."""
    if found := journal_objects.contents(store):
        _append_local(store, b"".join(data.rstrip(b"\n") + b"\n" for _, data in found))
        journal_objects.remove(store, [name for name, _ in found])


def _sealed(store: Store, data: bytes) -> bytes:
    """Lines as they are written: of an encrypted store each is encrypted."""
    cipher = store.cipher
    return data if cipher is None else cipher.seal_lines(data)


def _append_local(store: Store, data: bytes) -> None:
    path, data = store.path(FILE), _sealed(store, data)
    with open(path, "ab+", buffering=0, opener=private_opener) as f:
        size = f.tell()
        if size:
            f.seek(-1, os.SEEK_END)
            if f.read(1) != b"\n":  # cut off by a crash: the new line must not continue it
                data = b"\n" + data
        try:
            while data:
                data = data[f.write(data) :]
            os.fsync(f.fileno())
        except BaseException:
            f.truncate(size)  # all or nothing, on a full disk too
            raise
    if not size:
        sync_folder(os.path.dirname(path))


def _lines(store: Store) -> Iterator[tuple[str, bytes]]:
    """The lines of the journal that are not empty, each with its position for messages."""
    for name, data in _parts(store):
        yield from ((f"line {i} of {name}", line) for i, line in enumerate(data.split(b"\n"), start=1) if line.strip())


def _parts(store: Store) -> list[tuple[str, bytes]]:
    """Names and bytes of the files and objects of the journal, in order."""
    try:
        data, cipher = bytes(store.fs.cat_file(store.path(FILE))), store.cipher
        parts = [(FILE, data if cipher is None else cipher.open_lines(data))]
    except FileNotFoundError:
        parts = []
    except store.io_errors as e:
        raise StoreError(f"expected to read {store.path(FILE)}, found: {e}. Check its permissions") from e
    try:
        parts += journal_objects.contents(store)
    except store.io_errors as e:
        raise StoreError(f"expected to read {store.path(journal_objects.FOLDER)}, found: {e}. Check its permissions") from e
    return parts
