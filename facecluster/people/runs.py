"""Runs: each grouping of a store is kept in runs/NUMBER (identities, people, run.json); runs/current.json names the current run.

run.json is written last: a folder without it, left by a crash, is ignored, and its number is not used again. Changing the current run is
one atomic write. `identities/MODEL` is the last grouping with that model; returning to a run copies the run's identities there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.errors import AT_ANOTHER_TIME, InputError, StoreError, may_pass, shell
from facecluster.people.face_ids import read_face_boxes
from facecluster.people.find_person import Homeless, label
from facecluster.photos.followed import PHOTO_CHARS, FacesOf, present_ids, read_followed
from facecluster.photos.places import current_photo_ids
from facecluster.store import FORMAT, IDENTITIES, FaceIds, FaceRows, Stamp, Store, in_schema, table_of

POINTER = ("runs", "current.json")
PEOPLE = pa.schema(
    [
        pa.field("person_id", pa.string(), nullable=False, metadata={"description": "lasting id: p- and 8 hex digits"}),
        pa.field("name", pa.string(), metadata={"description": "name given by the user, or null"}),
        pa.field("identity", pa.int32(), nullable=False, metadata={"description": "group number in this run's identities"}),
        pa.field("faces", pa.int32(), nullable=False, metadata={"description": "number of faces"}),
        pa.field("ignored", pa.bool_(), nullable=False, metadata={"description": "whether the user ignores the person"}),
    ]
)
RETIRED = pa.schema(
    [
        pa.field("person_id", pa.string(), nullable=False, metadata={"description": "a lasting id that no person of this run has"}),
        pa.field("now", pa.string(), metadata={"description": "lasting id of the person of this run who took over; null = nobody did"}),
        pa.field("name", pa.string(), metadata={"description": "name in the last run that had the id, or null"}),
        pa.field("ignored", pa.bool_(), nullable=False, metadata={"description": "whether the user ignored the person then"}),
        pa.field("faces", pa.list_(pa.string()), nullable=False, metadata={"description": "the person's surest face_ids then, up to 8"}),
    ]
)
_BOX_TEXT = "x, y, w, h in px; NaN = unknown. Finds a face again whose face_id changed"
BOX = pa.field("box", pa.list_(pa.float32(), 4), metadata={"description": _BOX_TEXT})


@dataclass(frozen=True, slots=True)
class RetiredId:
    """A lasting id of an earlier run that no person has now."""

    person_id: str
    now: str | None  # lasting id of the person who took over; None = nobody did
    name: str | None  # in the last run that had the id
    ignored: bool  # then
    faces: tuple[str, ...]  # the surest then, up to CORE_FACES; present face_ids where they are still in the store


@dataclass(frozen=True, slots=True)
class People:
    """The people of a run: struct of lists in order of their identities 0, 1, ...; and the lasting ids that were retired."""

    person_ids: list[str]
    names: list[str | None]
    faces: list[int]
    ignored: list[bool]
    retired: list[RetiredId] = field(default_factory=list)
    homeless: dict[str, Homeless] = field(default_factory=dict, compare=False)  # names that nobody has; in no table

    @property
    def former(self) -> dict[str, str]:
        """Retired ids -> the lasting id of the person who took over."""
        return {r.person_id: r.now for r in self.retired if r.now is not None}

    def index(self, person_id: str) -> int | None:
        """Index of the person with a lasting id, present or former; None if nobody has it."""
        present = person_id if person_id in self.person_ids else self.former.get(person_id)
        return None if present is None else self.person_ids.index(present)

    def label(self, i: int) -> str:
        """Name and id of person i, for messages."""
        return label(self.person_ids[i], self.names[i])

    def table(self) -> pa.Table:
        """The people as a table of schema PEOPLE."""
        numbers = list(range(len(self.faces)))
        columns = zip(PEOPLE.names, (self.person_ids, self.names, numbers, self.faces, self.ignored), strict=True)
        return pa.table(dict(columns), schema=PEOPLE)


@dataclass(frozen=True, slots=True)
class Run:
    """The contents of run.json."""

    number: int
    at: str  # UTC, ISO 8601
    model: str
    settings: dict[str, Any] = field(default_factory=dict)  # stamp of the identities
    decisions: int = 0  # number of decisions in force
    counts: dict[str, int] = field(default_factory=dict)  # faces, people, named
    churn: dict[str, Any] = field(default_factory=dict)  # changes from the previous run

    @property
    def folder(self) -> str:
        return f"runs/{self.number:05d}"

    @property
    def identities(self) -> str:
        """Name of the table of identities."""
        return f"{self.folder}/identities"


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces of a run and their people: struct of arrays (n,)."""

    ids: Sequence[str]  # face_ids, sorted
    identity: NDArray[np.int64]  # group number; -1 = nobody
    probability: NDArray[np.float64]  # of belonging to the group, 0 to 1
    boxes: NDArray[np.float32]  # (n, 4) x, y, w, h in px; NaN = unknown

    @property
    def rows(self) -> FaceRows:
        """The row of each face_id."""
        return FaceIds.of(self.ids).rows


def all_runs(store: Store) -> list[Run]:
    """The runs of a store, oldest first."""
    return [run for number in _numbers(store) if (run := read_run(store, number)) is not None]


def current_run(store: Store) -> Run | None:
    """The current run; None if the store was never grouped."""
    pointer = _read_json(store, *POINTER)
    if pointer is None:
        return None
    run = read_run(store, int(pointer.get("run", -1)))
    if run is None:
        raise StoreError(
            f"expected run {pointer.get('run')}, which {store.path(*POINTER)} names, found none: 'facecluster cluster STORE --list-runs' "
            "lists the runs, '--return-to N' makes one current"
        )
    return run


def next_number(store: Store) -> int:
    """Number for a new run."""
    return max(_numbers(store), default=0) + 1


def read_run(store: Store, number: int) -> Run | None:
    """A run by its number; None if it is missing or incomplete."""
    found = _read_json(store, "runs", f"{number:05d}", "run.json")
    if found is None:
        return None
    known = {k: found[k] for k in Run.__slots__ if k in found}
    try:
        run = Run(**known)
        if run.number != number or not isinstance(run.model, str):
            raise TypeError(f"number {run.number!r} and model {run.model!r}")
        store.path("identities", run.model)  # a name, and no way out of the store
        return run
    except (TypeError, StoreError) as e:
        raise StoreError(f"expected run.json of a run in {store.path('runs', f'{number:05d}')}, found: {e}. Delete that folder") from e


def read_people(store: Store, run: Run) -> People:
    """The people of a run with the names that they had then."""
    table = _read_whole(store, f"{run.folder}/people", PEOPLE).sort_by("identity")
    ids, names, faces, ignored = (table[name].to_pylist() for name in ("person_id", "name", "faces", "ignored"))
    past = store.read_all(f"{run.folder}/retired", RETIRED).to_pylist()
    return People(ids, names, faces, ignored, [RetiredId(**row | {"faces": tuple(row["faces"])}) for row in past])


def read_faces(store: Store, run: Run) -> Faces:
    """The faces of a run."""
    columns = ["face_id", "identity", "probability", "box"]
    table = _read_whole(store, run.identities, pa.schema([*IDENTITIES, BOX]), columns).combine_chunks()
    boxes = np.asarray(table["box"].combine_chunks().flatten(), np.float32).reshape(-1, 4)
    identity, probability = np.asarray(table["identity"], np.int64), np.asarray(table["probability"], np.float64)
    return Faces(FaceIds.of(table["face_id"]), identity, probability, boxes)


def _read_whole(store: Store, table: str, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """A table of a run, which has a shard even if it has no rows."""
    if not store.shards(table):
        repair = f"facecluster check {shell(store.url)} --repair"
        raise StoreError(f"expected {store.path(table)} with a shard, found none. Next: '{repair}' makes an earlier run the current one")
    return store.read_all(table, schema, columns)


def write_run(store: Store, run: Run, identities: pa.Table, boxes: NDArray[np.float32], people: People, stamp: Stamp) -> None:
    """Write a run, run.json last, then make it current."""
    flat = pa.array(boxes.reshape(-1), pa.float32())
    faces = identities.append_column(BOX, pa.FixedSizeListArray.from_arrays(flat, type=BOX.type))
    store.write(run.identities, "00000", faces, stamp)
    store.write(f"{run.folder}/people", "00000", people.table(), {"table": "people", "run": run.number})
    if people.retired:
        columns = {name: [getattr(r, name) for r in people.retired] for name in RETIRED.names}
        store.write(f"{run.folder}/retired", "00000", table_of(RETIRED, columns), {"table": "retired", "run": run.number})
    write_facts(store, run)
    make_current(store, run)


def write_facts(store: Store, run: Run) -> None:
    """Write the run.json of a run."""
    _write_json(store, asdict(run), *run.folder.split("/"), "run.json")


def make_current(store: Store, run: Run) -> None:
    """Make `run` the current run."""
    _write_json(store, {"run": run.number}, *POINTER)


def return_to(store: Store, number: int) -> Run:
    """Make another run, earlier or later, the current one, and copy its identities to identities/MODEL.

    Faces whose photos were edited since get the face_ids that they have now.

    Raises:
        InputError: the store has no such run.
    """
    run = read_run(store, number)
    if run is None:
        existing = ", ".join(str(r.number) for r in all_runs(store)) or "none"
        raise InputError(f"expected the number of a run of {store.url}, found {number}: choose one of {existing}")
    _renew_ids(store, run)
    make_current(store, run)
    table = f"identities/{run.model}"
    for shard in store.shards(run.identities):
        store.write(table, shard, in_schema(IDENTITIES, store.read(run.identities, shard)), store.stamp(run.identities, shard) or {})
    store.remove(table, keep=store.shards(run.identities))
    return run


def _renew_ids(store: Store, run: Run) -> None:
    """Write the identities of a run anew under the present face_ids, if photos were edited since."""
    followed = read_followed(store)
    if not followed:
        return
    photos = FaceIds.of(current_photo_ids(store)).starts(PHOTO_CHARS)
    faces = store.read_all(run.identities, pa.schema([*IDENTITIES, BOX]))
    known, present = FaceIds.of(faces["face_id"]), FacesOf(photos)
    there = photos.has(FaceIds(known.keys.astype(f"S{PHOTO_CHARS}")))
    gone = {known[i]: i for i in np.flatnonzero(~there).tolist()}
    now = {new: i for face, i in gone.items() for new in present_ids(face, followed, present) if new not in known}
    if now:
        every = np.r_[known[there].keys, np.array([face.encode() for face in now])]
        order = np.argsort(every, kind="stable")
        ids = FaceIds(every[order])
        table = faces.take(pa.array(np.r_[np.flatnonzero(there), np.array(list(now.values()))][order]))
        table = table.set_column(0, faces.schema.field(0), ids.arrow())
        boxes = pa.array(read_face_boxes(store, ids).reshape(-1), pa.float32())
        table = table.set_column(table.num_columns - 1, BOX, pa.FixedSizeListArray.from_arrays(boxes, type=BOX.type))
        store.write(run.identities, "00000", table, store.stamp(run.identities, "00000") or {})


def _numbers(store: Store) -> list[int]:
    folder = store.path("runs")
    if not store.fs.isdir(folder):
        return []
    store.fs.invalidate_cache(folder)
    names = (str(p).rstrip("/").rsplit("/", 1)[-1] for p in store.fs.ls(folder, detail=False))
    return sorted(int(name) for name in names if name.isdecimal())


def _read_json(store: Store, *parts: str) -> dict[str, Any] | None:
    path = store.path(*parts)
    try:
        found = json.loads(store.read_bytes(*parts))
    except FileNotFoundError:
        return None
    except StoreError:
        raise
    except store.io_errors as e:
        hint = AT_ANOTHER_TIME if may_pass(e) else "Delete it and cluster again"
        raise StoreError(f"expected a readable {path}, found: {' '.join(str(e).split())}. {hint}") from e
    if not isinstance(found, dict) or found.get("format", FORMAT) > FORMAT:
        raise StoreError(f"expected {path} of format {FORMAT}, found another: install a newer facecluster, or delete it")
    return found


def _write_json(store: Store, found: dict[str, Any], *parts: str) -> None:
    store.write_bytes(json.dumps({"format": FORMAT, **found}, indent=1, ensure_ascii=False).encode(), *parts)
