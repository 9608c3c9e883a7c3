"""The journal of decisions: STORE/decisions.jsonl, one JSON object a line, only ever appended to. docs/format.md describes it. On object
stores what is appended stands in objects of its own (`objects`).

A decision speaks of faces, never of numbers that a run gave. A line that can't be read (the last one torn by a crash, one spoilt by an
editor) is passed over with a note, and what is appended later starts on a line of its own. A decision whose id was there before counts
once, so journals may be joined by putting one after the other. A journal that is not there is empty.
"""

from __future__ import annotations

import json
import os
import unicodedata
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from filelock import FileLock, Timeout

from facecluster.decisions import objects
from facecluster.errors import InputError, StoreError
from facecluster.store import Store

FILE = "decisions.jsonl"
WAIT = 60.0  # seconds for another program that appends
ACTS = ("name", "merge", "split", "same", "not-same", "ignore", "undo")

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One thing that the user said; `append` gives it id and time."""

    act: str
    faces: tuple[str, ...] = ()  # face_ids, of a person the surest first
    others: tuple[str, ...] = ()  # merge: faces of the other person; split: faces of those who stay
    name: str | None = None  # name: '' takes it away
    person: str | None = None  # lasting id that goes with `faces`
    replaces: tuple[str, ...] = ()  # ids of earlier names that this one takes the place of
    of: str | None = None  # undo: id of a decision, or of a batch
    batch: str | None = None  # what one file said in bulk has one
    boxes: Mapping[str, Box] = field(default_factory=dict)  # x, y, w, h of faces: finds them where another detector numbered anew
    id: str = ""
    at: str = ""  # UTC, ISO 8601

    def to_line(self) -> str:
        """As a line of the journal, without what is empty."""
        named = {k: getattr(self, k) for k in ("id", "at", "act", "name", "person", "of", "batch")}
        lists = {"faces": list(self.faces), "others": list(self.others), "replaces": list(self.replaces)}
        boxes = {face: [round(v, 1) for v in box] for face, box in self.boxes.items()}
        found = {k: v for k, v in named.items() if v is not None} | {k: v for k, v in (*lists.items(), ("boxes", boxes)) if v}
        return json.dumps(found, ensure_ascii=False, separators=(", ", ": "))


@dataclass(frozen=True, slots=True)
class Journal:
    """The decisions of a store in the order in which they were made, and what could not be read."""

    decisions: list[Decision]
    notes: list[str] = field(default_factory=list)


def clean_name(text: str) -> str:
    """A name on one line, in one form of Unicode; '' if nothing is left.

    Raises:
        InputError: it looks like the id of a person or a face, which would make it useless to find them by.
    """
    valid = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # a console may hand over bytes that are not UTF-8
    shown = "".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in unicodedata.normalize("NFC", valid))
    name = " ".join(shown.split())
    if is_person_id(name) or is_face_id(name):
        raise InputError(f"expected a name, found {name!r}, which is the form of an id: choose another name")
    return name


def is_person_id(text: str) -> bool:
    """Whether it has the form of a person's lasting id: p- and 8 hex digits."""
    return len(text) == 10 and text[:2] == "p-" and _hex(text[2:])


def is_face_id(text: str) -> bool:
    """Whether it has the form of a face_id: 24 hex digits, -, 4 and more hex digits."""
    return len(text) >= 29 and text[24] == "-" and _hex(text[:24]) and _hex(text[25:])


def _hex(text: str) -> bool:
    return set(text) <= set("0123456789abcdef")


def read(store: Store) -> Journal:
    """The journal of a store. Raises StoreError if the file can't be read at all."""
    journal, seen = Journal([]), set()
    for place, line in _lines(store):
        try:
            decision = _parse(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            why = " ".join(str(e).split())[:80]
            journal.notes.append(f"{place} can't be read and is passed over: {why}")
            continue
        if decision.id not in seen:
            seen.add(decision.id)
            journal.decisions.append(decision)
    return journal


def _parse(row: Any) -> Decision:
    """A decision of a line. Raises ValueError, KeyError, TypeError or AttributeError."""
    if row["act"] not in ACTS:
        raise ValueError(f"an act {row['act']!r} that this version does not know")
    texts = {k: row.get(k) for k in ("name", "person", "of", "batch")}
    lists = {k: row.get(k, []) for k in ("faces", "others", "replaces")}
    wrong = [k for k, v in texts.items() if not isinstance(v, str | None)]
    wrong += [k for k, v in lists.items() if not isinstance(v, list) or not all(isinstance(i, str) for i in v)]
    wrong += [k for k in ("id", "at") if not isinstance(row[k], str)]
    if wrong:
        raise ValueError(f"no text in {wrong[0]!r}")
    boxes: dict[str, Box] = {}
    for face, box in row.get("boxes", {}).items():
        x, y, w, h = (float(v) for v in box)
        boxes[face] = (x, y, w, h)
    need = {"name": texts["name"] is not None, "undo": texts["of"] is not None}.get(row["act"], True)
    if not need or (row["act"] != "undo" and not lists["faces"]):
        raise ValueError(f"a {row['act']!r} that does not say what of")
    found: dict[str, Any] = {k: tuple(v) for k, v in lists.items()} | texts
    return Decision(act=row["act"], id=row["id"], at=row["at"], boxes=boxes, **found)


def append(store: Store, decisions: Sequence[Decision]) -> list[Decision]:
    """Add decisions to the journal, all in one write that has reached the disk when this returns; as they stand there, with id and time.

    Several programs may append at the same time: on a disk they wait for each other, on an object store each writes an object of its own.

    Raises:
        StoreError: the file can't be written.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    made = [replace(d, id=d.id or uuid.uuid4().hex[:8], at=d.at or now) for d in decisions]
    data = "".join(d.to_line() + "\n" for d in made).encode()
    if not data:
        return made
    try:
        if store.is_local:
            with FileLock(store.path("decisions.lock"), timeout=WAIT):
                _take_in(store)
                _append_local(store.path(FILE), data)
        else:
            objects.put(store, data)
    except Timeout:
        raise StoreError(f"expected to write {FILE} in {store.url}, found another program at it for {WAIT:.0f} s: stop it") from None
    except store.faults as e:
        place = store.path(FILE if store.is_local else objects.FOLDER)
        raise StoreError(f"expected to write {place}, found: {e}. Check its permissions, and free some space") from e
    return made


def _take_in(store: Store) -> None:
    """Move what was said in an object store into the file; if that is cut off, lines that are there twice count once."""
    if found := objects.contents(store):
        _append_local(store.path(FILE), b"".join(data.rstrip(b"\n") + b"\n" for _, data in found))
        objects.remove(store, [name for name, _ in found])


def _append_local(path: str, data: bytes) -> None:
    with open(path, "ab+") as f:
        if f.tell():
            f.seek(-1, os.SEEK_END)
            if f.read(1) != b"\n":  # torn by a crash: what comes now must not hang on it
                data = b"\n" + data
        f.write(data)
        f.flush()
        os.fsync(f.fileno())


def _lines(store: Store) -> Iterator[tuple[str, bytes]]:
    """The lines of the journal that are not empty, and where they stand."""
    try:
        parts = [(FILE, bytes(store.fs.cat_file(store.path(FILE))))]
    except FileNotFoundError:
        parts = []
    except store.faults as e:
        raise StoreError(f"expected to read {store.path(FILE)}, found: {e}. Check its permissions") from e
    try:
        parts += objects.contents(store)
    except store.faults as e:
        raise StoreError(f"expected to read {store.path(objects.FOLDER)}, found: {e}. Check its permissions") from e
    for name, data in parts:
        yield from ((f"line {i} of {name}", line) for i, line in enumerate(data.split(b"\n"), start=1) if line.strip())


def active(decisions: Iterable[Decision]) -> list[Decision]:
    """Decisions that hold, undos left out: one that is undone does not, and an undo that is undone has no effect."""
    void: set[str] = set()
    kept = []
    for decision in reversed(list(decisions)):
        if decision.id in void or decision.batch in void:
            continue
        if decision.act == "undo":
            void.add(str(decision.of))
        else:
            kept.append(decision)
    return kept[::-1]
