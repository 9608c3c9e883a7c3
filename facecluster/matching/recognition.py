"""Recognition: which person each face is, as the store knows it now. Used by the commands that find, show and export.

People are those of the current run, with the names that all decisions so far give. Odd input: a face without a row in identities belongs
to nobody; of a face_id that occurs twice the first row counts; a face whose photo no place shows any more does not count; a grouping that
is no run (of another model, of an old store) has people without lasting ids and names; a store that was never grouped raises StoreError.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.decisions.journal import read as journal
from facecluster.errors import StoreError, shell
from facecluster.people import People, Run, current_run, least_recognisability, people_with_current_names, read_people, read_unclear
from facecluster.people.find_person import Homeless, find_person, number_of
from facecluster.photos.followed import Followed, later_ids, read_followed
from facecluster.photos.places import of_current_photos
from facecluster.store import IDENTITIES, Store

NOBODY = -1


@dataclass(frozen=True, slots=True)
class Person:
    """A person of the store."""

    key: str  # identifies the person in every output: the lasting id (p-0d4f21aa), or "person 0012" (the number) without one
    name: str | None  # given by the user
    faces: int
    identity: int  # of the group in this grouping, from 0
    ignored: bool = False  # the user has hidden the person

    @property
    def number(self) -> int:
        """By which the person is called in this grouping, as in the report; from 1."""
        return number_of(self.identity)

    @property
    def label(self) -> str:
        """The name, or the key if there is none."""
        return self.name or self.key


@dataclass(frozen=True, slots=True)
class Recognition:
    """Faces and people: arrays are (n,), a row for each face that has an identity."""

    face_ids: pa.Array
    person: NDArray[np.int32]  # index into people; -1 = nobody
    probability: NDArray[np.float32]  # 0 to 1; 0 for nobody
    people: list[Person]
    unclear: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))  # too unclear to tell; empty = none is
    former: dict[str, str] = field(default_factory=dict)  # lasting ids that were retired -> that of the person who took over
    followed: Followed = field(default_factory=dict)  # face_ids from before photos were edited; see `read_followed`
    homeless: dict[str, Homeless] = field(default_factory=dict)  # names that no person has
    least: float = 0.0  # recognisability below which a face is too unclear to tell, 0 to 1

    def people_of(self, face_ids: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Person (index, -1 = nobody) and probability of each face of `face_ids` (m,)."""
        if face_ids.equals(self.face_ids):  # tables usually have the same order: this saves a million look-ups
            return self.person, self.probability
        at = self._rows(face_ids)
        return np.append(self.person, np.int32(NOBODY))[at], np.append(self.probability, np.float32(0))[at]

    def unclear_among(self, face_ids: pa.Array) -> NDArray[np.bool_]:
        """Which of the faces `face_ids` (m,) are too unclear to tell whose they are: (m,)."""
        if not self.unclear.any():
            return np.zeros(len(face_ids), dtype=bool)
        return np.append(self.unclear, False)[self._rows(face_ids)]

    def _rows(self, face_ids: pa.Array) -> NDArray[np.int64]:
        """Rows of the faces `face_ids` (m,); n for a face without a row."""
        return np.asarray(pc.fill_null(pc.index_in(face_ids, value_set=self.face_ids), len(self.face_ids)), np.int64)

    def find(self, text: str) -> int:
        """Index of the person that `text` means: as `find_person` says, or a number in this run, or a beginning that only one name has.

        Raises:
            InputError: `text` fits nobody, or several people.
        """

        def group_of_face(face: str) -> int | None:
            rows = (self.face_ids.index(one).as_py() for one in later_ids(face, self.followed))
            return next((int(self.person[row]) for row in rows if row >= 0), None)

        ids, names, identities = ([getattr(p, key) for p in self.people] for key in ("key", "name", "identity"))
        return find_person(text, ids, names, self.former, group_of_face, guess=True, identities=identities, homeless=self.homeless)


def read_recognition(store: Store, model: str | None = None) -> Recognition:
    """The people of a store: those of the current run, or of identities/`model` if the run is of another model.

    Raises:
        StoreError: there is neither.
    """
    run = current_run(store)
    if run is not None and model in (None, run.model):
        return _read(store, run.identities, _named_people(store, run))
    return _read(store, f"identities/{model or 'bundled'}", None)


def _named_people(store: Store, run: Run) -> People:
    """The people of a run with their names of now. Without a later decision they are in the run's own table: no face need be read.

    Decisions are counted, not dated: a clock may have been behind.
    """
    counted, said = run.settings.get("grown"), len(journal(store).decisions)
    if said and (not isinstance(counted, dict) or counted.get("said") != said):
        found = people_with_current_names(store)
        if found is not None:
            return found[0]
    return read_people(store, run)


def _read(store: Store, table: str, known: People | None) -> Recognition:
    if not store.shards(table):
        raise StoreError(f"expected a table {table} in {store.url}, found none: run 'facecluster cluster {shell(store.url)}' first")
    data = store.read_all(table, IDENTITIES)
    data = data.filter(of_current_photos(store, data["face_id"])).combine_chunks()
    ids = data["face_id"].combine_chunks()
    identity = np.nan_to_num(np.asarray(data["identity"], np.float64), nan=NOBODY).astype(np.int64)
    probability = np.clip(np.nan_to_num(np.asarray(data["probability"], np.float32)), 0, 1)
    numbers, index, counts = np.unique(identity[identity >= 0], return_inverse=True, return_counts=True)
    person = np.full(len(ids), NOBODY, np.int32)
    person[identity >= 0] = index
    people = []
    for n, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        if known is not None and n < len(known.person_ids):
            people.append(Person(known.person_ids[n], known.names[n], count, n, known.ignored[n]))
        else:
            people.append(Person(f"person {number_of(n):04d}", None, count, n))
    sure, unclear = np.where(person >= 0, probability, np.float32(0)), read_unclear(store, table, data)[1]
    former, homeless = ({}, {}) if known is None else (known.former, known.homeless)
    return Recognition(ids, person, sure, people, unclear, former, read_followed(store), homeless, least_recognisability(store, table))
