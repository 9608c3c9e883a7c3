"""The stage itself: what decisions ask of the grouping before it, and who its groups are after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.decisions import Decision, Verdict, active, append, pairs, read, replay
from facecluster.errors import StoreError
from facecluster.people import book
from facecluster.people.assign import person_ids, titled
from facecluster.people.churn import Churn, compare
from facecluster.people.content import PHOTO, face_boxes, follow, translated
from facecluster.people.lookup import Register
from facecluster.people.runs import Faces, People, Run, current, next_number, read_faces, read_people, write_run
from facecluster.store import IDENTITIES, Stamp, Store


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the user has decided, for a grouping of n faces."""

    verdict: Verdict
    new: list[Decision]  # from people.csv, not in the journal yet
    boxes: NDArray[np.float32]  # (n, 4); NaN = not known
    photos: NDArray[np.int64]  # (n,) number of the photo
    must: NDArray[np.int64]  # (m, 2) rows
    cannot: NDArray[np.int64]  # (c, 2) rows
    said: list[Decision]  # the whole journal, and `new`
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Settled:
    """The people of a new grouping."""

    run: Run  # the one before if nothing changed
    people: People
    churn: Churn
    notes: list[str]
    identities: pa.Table
    stamp: Stamp  # of identities
    changed: bool


def register(store: Store) -> tuple[Register, Run, list[str]]:
    """The people of the run that counts, called as the decisions so far say; and notes.

    Raises:
        StoreError: the store was never grouped.
    """
    run = current(store)
    if run is None:
        raise StoreError(f"expected people in {store.url}, found none: run 'facecluster cluster {store.url}' first")
    journal, faces = read(store), read_faces(store, run)
    verdict = replay(translated(journal.decisions, faces.ids, faces.boxes))
    people, notes = titled(read_people(store, run).person_ids, faces, verdict)
    return Register(people, faces, journal.decisions), run, [*journal.notes, *verdict.notes, *notes]


def known_now(store: Store) -> tuple[People, Run] | None:
    """The people of the run that counts as they are called now; None if the store was never grouped."""
    if current(store) is None:
        return None
    found, run, _ = register(store)
    return found.people, run


def prepare(store: Store, ids: Sequence[str], vectors: NDArray[np.floating]) -> Prepared:
    """Read the journal and people.csv for a grouping of the faces `ids` (n, sorted) with `vectors` (n, dim). Nothing is written."""
    journal = read(store)
    notes, new = list(journal.notes), []
    if current(store) is not None:
        known, _, _ = register(store)
        changes, more = book.edits(store, known.people)
        new = _decided(known, changes)
        notes += more
        if new:
            notes.append(f"{len(new)} changes in {book.FILE} become decisions")
    boxes = face_boxes(store, ids)
    verdict = replay(translated([*journal.decisions, *new], ids, boxes))
    must, cannot = pairs(verdict, {face: i for i, face in enumerate(ids)}, vectors)
    photos = np.unique([face[:PHOTO] for face in ids], return_inverse=True)[1].astype(np.int64)
    return Prepared(verdict, new, boxes, photos, must, cannot, [*journal.decisions, *new], [*notes, *verdict.notes])


def _decided(known: Register, edits: Sequence[book.Edit]) -> list[Decision]:
    """Edits of people.csv as decisions, with ids of their own so that they can be replayed before they are in the journal."""
    found = []
    for edit in edits:
        person = known.people.person_ids.index(edit.person_id)
        if edit.name is not None:
            found.append(known.name(person, edit.name))
        if edit.ignored:
            found.append(known.ignore(person))
        elif edit.ignored is not None:
            mine = set(known.anchors(person))
            found += [Decision(act="undo", of=d.id) for d in active(known.decisions) if d.act == "ignore" and mine & {*d.faces}]
    return [replace(d, id=f"new {i}") for i, d in enumerate(found)]


def settle(store: Store, prepared: Prepared, made: Store, table: str, model: str) -> Settled:
    """Give the groups of `table` their lasting ids and names, and compare them with the run before. Nothing is written.

    Args:
        store: where the runs are.
        prepared: what the grouping was made with.
        made: where the new grouping is; `store` or an overlay of it.
        table: of identities, in order of face_id.
        model: name of the model.
    """
    data = made.read_all(table, IDENTITIES)
    ids = data["face_id"].to_pylist()
    faces = Faces(ids, np.asarray(data["identity"], np.int64), np.asarray(data["probability"], np.float64), prepared.boxes)
    before = current(store)
    past = People([], [], [], []) if before is None else read_people(store, before)
    old = Faces([], np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 4), np.float32)) if before is None else read_faces(store, before)
    at = follow(old.ids, old.boxes, ids, prepared.boxes)
    lasting = person_ids(faces, prepared.verdict, past.person_ids, at, old.identity)
    people, notes = titled(lasting, faces, prepared.verdict)
    churn = compare(before.number if before else 0, past, old.identity, people, faces.identity, at)
    notes = [*prepared.notes, *notes, *_broken(prepared, faces.identity)]
    stamp = made.stamp(table, made.shards(table)[0]) or {}
    counts = {"faces": len(ids), "people": len(people.faces), "named": sum(n is not None for n in people.names)}
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    run = Run(next_number(store), now, model, stamp, prepared.verdict.decisions, counts, churn.to_dict())
    same = before is not None and before.settings == stamp and before.model == model and past == people and old.ids == ids and not churn
    if same and before is not None:
        run = before
    return Settled(run, people, churn, notes, data.select(IDENTITIES.names).combine_chunks(), stamp, not same)


def keep_run(store: Store, prepared: Prepared, settled: Settled) -> None:
    """Keep what `settle` found as the run that counts, and write people.csv."""
    append(store, [replace(d, id="") for d in prepared.new])
    if settled.changed:
        write_run(store, settled.run, settled.identities, prepared.boxes, settled.people, settled.stamp)
    book.write(store, settled.people)


def _broken(prepared: Prepared, identity: NDArray[np.int64]) -> list[str]:
    """What decisions asked for that did not come out."""
    must, cannot = identity[prepared.must], identity[prepared.cannot]
    torn = int(((must[:, 0] != must[:, 1]) | (must < 0).any(axis=1)).sum())
    mixed = int(((cannot[:, 0] == cannot[:, 1]) & (cannot[:, 0] >= 0)).sum())
    lines = [
        (torn, "pairs of faces that decisions say are one person are not together"),
        (mixed, "pairs that are not one person are together"),
    ]
    return [f"{count} {what}: please report this" for count, what in lines if count]
