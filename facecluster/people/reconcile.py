"""The stage: turns decisions into constraints before the grouping, and gives its groups lasting ids and names after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.decisions import BORN, Decision, ResolvedDecisions, active, append, constraint_pairs, read, replay
from facecluster.errors import StoreError, shell
from facecluster.grouping.face_vectors import FaceVectors
from facecluster.language.english import plural
from facecluster.people import people_csv
from facecluster.people.assign_ids import assign_names, assign_person_ids
from facecluster.people.churn import Churn, compare_runs
from facecluster.people.current_people import CurrentPeople
from facecluster.people.face_ids import read_face_boxes, track_faces, with_current_ids
from facecluster.people.lost_names import refuse_lost
from facecluster.people.retired_ids import retire_ids, with_present_faces
from facecluster.people.runs import Faces, People, Run, current_run, next_number, read_faces, read_people, write_run
from facecluster.people.stand_ins import faces_meant, read_stand_ins
from facecluster.people.told_faces import told_faces
from facecluster.photos.followed import Followed, read_followed
from facecluster.photos.frames import picture_numbers
from facecluster.store import IDENTITIES, FaceIds, Stamp, Store, in_schema


@dataclass(frozen=True, slots=True)
class PreparedDecisions:
    """The user's decisions, prepared for a grouping of n faces."""

    resolved: ResolvedDecisions
    decisions: list[Decision]  # the whole journal, then `new_decisions`
    new_decisions: list[Decision]  # from people.csv, not in the journal yet
    boxes: NDArray[np.float32]  # (n, 4) x, y, w, h in px; NaN = unknown
    photos: NDArray[np.int64]  # (n,) number of each face's photo, or frame of a video
    must_link: NDArray[np.int64]  # (m, 2) rows
    cannot_link: NDArray[np.int64]  # (c, 2) rows
    aside: NDArray[np.bool_]  # (n,) faces that the user set aside
    followed: Followed  # faces of photos that were edited
    meant: Followed  # the same, and the faces that stand for deleted ones
    notes: list[str] = field(default_factory=list)
    file: people_csv.UserFile = field(default_factory=people_csv.UserFile)

    def without_aside(self, recognisability: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        """The recognisability (n,) of the faces (None: all are clear), 0 for those that were set aside: they are in no group."""
        if not self.aside.any():
            return recognisability
        clear = np.ones(len(self.aside), np.float32) if recognisability is None else recognisability
        return np.where(self.aside, np.float32(0), clear)


@dataclass(frozen=True, slots=True)
class ReconciledRun:
    """A new grouping whose groups have lasting ids and names."""

    run: Run  # the previous run if nothing changed
    people: People
    churn: Churn
    notes: list[str]
    identities: pa.Table
    stamp: Stamp  # of identities
    changed: bool  # whether anything differs from the previous run


def read_current_people(store: Store) -> tuple[CurrentPeople, Run, list[str]]:
    """The people of the current run, named by all decisions so far; the run; and notes.

    Raises:
        StoreError: the store was never grouped.
    """
    run = current_run(store)
    if run is None:
        raise StoreError(f"expected people in {store.url}, found none: run 'facecluster cluster {shell(store.url)}' first")
    journal, faces, followed = read(store), read_faces(store, run), read_followed(store)
    meant = faces_meant(followed, read_stand_ins(store), faces.rows)
    resolved = replay(with_current_ids(journal.decisions, faces.ids, faces.boxes, meant))
    then = read_people(store, run)
    people, notes = assign_names(then.person_ids, faces, resolved, then.retired)
    return CurrentPeople(people, faces, resolved, followed), run, [*journal.notes, *resolved.notes, *notes]


def people_with_current_names(store: Store) -> tuple[People, Run] | None:
    """The people of the current run with their present names; None if the store was never grouped."""
    if current_run(store) is None:
        return None
    known, run, _ = read_current_people(store)
    return known.people, run


def decisions_to_come(store: Store) -> list[Decision]:
    """Decisions in force that move faces and that the current grouping did not know. Ignorings and dates of birth need none, nor do names
    of faces that are somebody's."""
    run = current_run(store)
    counted = run.settings.get("grown") if run is not None else None
    made = read(store).decisions
    known = {d.id for d in made[: int(counted["said"])]} if isinstance(counted, dict) and "said" in counted else {d.id for d in made}
    new = [d for d in active(made) if d.id not in known and d.act not in ("ignore", BORN)]
    if run is None or all(d.act != "name" for d in new):
        return new
    faces = read_faces(store, run)
    return [d for d in new if d.act != "name" or (d.name and _is_of_nobody(d, faces))]


def _is_of_nobody(decision: Decision, faces: Faces) -> bool:
    """Whether the faces that a decision names are there, and all are nobody's."""
    rows = faces.rows.of_all(decision.faces)
    return bool((rows >= 0).any() and (faces.identity[rows[rows >= 0]] < 0).all())


def prepare_decisions(
    store: Store, ids: Sequence[str], vectors: NDArray[np.floating] | FaceVectors, made: Store | None = None
) -> PreparedDecisions:
    """Read the journal and people.csv for a grouping of the faces `ids` (n, sorted) with `vectors` (n, dim). Nothing is written.

    `made`: the store, or an overlay of it, that says which faces were followed and who stands for deleted ones; None: the store.
    Raises StoreError if the journal has lost names that the current run has.
    """
    followed, ids = read_followed(made or store), FaceIds.of(ids)
    meant = faces_meant(followed, read_stand_ins(made or store), ids)
    journal = read(store)
    refuse_lost(store, journal.decisions)
    notes, new = list(journal.notes), []
    if current_run(store) is None:
        file = people_csv.read_user_file(store, People([], [], [], []))
    else:
        known, _, _ = read_current_people(store)
        file = people_csv.read_user_file(store, known.people)
        new = _decisions_of(known, file.edits)
        if new:
            changes = sum((e.name is not None) + (e.ignored is not None) for e in file.edits)
            become = "becomes a decision" if changes == 1 else "become decisions"
            notes.append(f"{plural(changes, 'change')} in {people_csv.FILE} {become}{_names_that_go(known.people, file.edits)}")
        notes += file.notes
    boxes = read_face_boxes(store, ids)
    decisions = [*journal.decisions, *new]
    now = with_current_ids(decisions, ids, boxes, meant)
    resolved = replay(now)
    must, cannot = constraint_pairs(resolved, ids.rows, vectors, told_faces(decisions, now, followed, meant, ids))
    photos = picture_numbers(store, ids)
    aside = FaceIds.among([*resolved.aside]).has(ids.arrow()) if resolved.aside else np.zeros(len(ids), bool)
    notes += resolved.notes
    return PreparedDecisions(resolved, decisions, new, boxes, photos, must, cannot, aside, followed, meant, notes, file)


def _names_that_go(known: People, edits: Sequence[people_csv.Edit]) -> str:
    """Which names edits of people.csv take away or replace, as the end of a note."""
    went = [name for e in edits if e.name is not None and (i := known.index(e.person_id)) is not None and (name := known.names[i])]
    some = ", ".join(map(repr, went[:5])) + (", ..." if len(went) > 5 else "")
    taken = f": {plural(len(went), 'name')} taken away or replaced ({some}); 'facecluster undo STORE --list' lists them"
    return taken if went else ""


def _decisions_of(known: CurrentPeople, edits: Sequence[people_csv.Edit]) -> list[Decision]:
    """Edits of people.csv as decisions, with temporary ids so that they can be replayed before they are in the journal."""
    found = []
    back: list[int] = []
    for edit in edits:
        person = known.people.index(edit.person_id)
        assert person is not None
        if edit.name is not None:
            found.append(known.name(person, edit.name))
        if edit.ignored:
            found.append(known.ignore(person))
        elif edit.ignored is not None:
            back.append(person)
    found += known.unignore(back)
    return [replace(d, id=f"new {i}") for i, d in enumerate(found)]


def reconcile(store: Store, prepared: PreparedDecisions, made: Store, table: str, model: str) -> ReconciledRun:
    """Give the groups of `table` lasting ids and names, and compare them with the previous run. Nothing is written.

    Args:
        store: holds the runs.
        prepared: the decisions that the grouping was made with.
        made: holds the new grouping; `store` or an overlay of it.
        table: table of identities, in order of face_id.
        model: name of the model.
    """
    data = made.read_all(table, IDENTITIES)
    ids = FaceIds.of(data["face_id"])
    faces = Faces(ids, np.asarray(data["identity"], np.int64), np.asarray(data["probability"], np.float64), prepared.boxes)
    before = current_run(store)
    old_people = People([], [], [], []) if before is None else read_people(store, before)
    old = Faces([], np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 4), np.float32)) if before is None else read_faces(store, before)
    at = track_faces(old.ids, old.boxes, ids, prepared.boxes, prepared.followed)
    retired = with_present_faces(old_people.retired, old, at, ids, prepared.meant)
    person_ids = assign_person_ids(faces, prepared.resolved, old_people.person_ids, at, old.identity, retired)
    retired = retire_ids(retired, old_people, old, at, person_ids, faces)
    people, notes = assign_names(person_ids, faces, prepared.resolved, retired)
    churn = compare_runs(before.number if before else 0, old_people, old.identity, people, faces.identity, at)
    notes = [*prepared.notes, *notes, *_violations(prepared, faces.identity)]
    stamp = made.stamp(table, made.shards(table)[0]) or {}
    counts = {"faces": len(ids), "people": len(people.faces), "named": sum(n is not None for n in people.names)}
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    run = Run(next_number(store), now, model, stamp, prepared.resolved.decisions, counts, churn.to_dict())
    same = before is not None and before.settings == stamp and before.model == model and old_people == people
    same = same and ids == old.ids and not churn
    if same and before is not None:
        run = before
    return ReconciledRun(run, people, churn, notes, in_schema(IDENTITIES, data).combine_chunks(), stamp, not same)


def save_decisions(store: Store, prepared: PreparedDecisions) -> None:
    """Append the new decisions to the journal: at once, since what is said while the grouping works is later."""
    append(store, [replace(d, id="") for d in prepared.new_decisions])


def save_run(store: Store, prepared: PreparedDecisions, reconciled: ReconciledRun) -> list[str]:
    """Save the run as the current one if it differs, and write people.csv; gives notes."""
    if reconciled.changed:
        write_run(store, reconciled.run, reconciled.identities, prepared.boxes, reconciled.people, reconciled.stamp)
    return people_csv.write(store, reconciled.people, prepared.file, reconciled.run)


def is_all_taken_in(store: Store, prepared: PreparedDecisions) -> bool:
    """Whether a grouping knew all that the user has said by now: nothing was added to the journal or to people.csv while it worked."""
    return len(read(store).decisions) == len(prepared.decisions) and people_csv.is_as_written(store)


def _violations(prepared: PreparedDecisions, identity: NDArray[np.int64]) -> list[str]:
    """Notes on constraints that the grouping does not meet; there should be none."""
    pairs = prepared.must_link
    must, cannot = identity[pairs[pairs[:, 0] != pairs[:, 1]]], identity[prepared.cannot_link]
    torn = int(((must[:, 0] != must[:, 1]) | (must < 0).any(axis=1)).sum())
    mixed = int(((cannot[:, 0] == cannot[:, 1]) & (cannot[:, 0] >= 0)).sum())
    lines = [
        (torn, "pairs of faces that decisions link to one person are in different groups"),
        (mixed, "pairs of faces that decisions keep apart are in one group"),
    ]
    return [f"{count} {what}: please report this" for count, what in lines if count]
