"""A store, opened to read: tables as Arrow, and people, faces and photos as objects. Nothing is written.

Tables are read when they are first asked for, and kept: open the store again to see what later runs found. Faces of photos that no place
shows any more are left out; those of photos that are gone but not dropped count. Odd inputs: a store that was never grouped has faces
without identities (null) and no people (StoreError); a face_id that stands twice counts once, the first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.api import tables
from facecluster.api.frames import to_pandas
from facecluster.api.html import PEOPLE, people_html
from facecluster.api.objects import Face, Person, Photo
from facecluster.api.snapshot import Snapshot
from facecluster.errors import ArgumentError, InputError, StoreError
from facecluster.grouping.link import load_vectors
from facecluster.language.english import plural
from facecluster.people import all_runs
from facecluster.photos.files import local_path
from facecluster.photos.followed import later_ids
from facecluster.photos.listing import uri_of
from facecluster.store import Store

TABLES = ("people", "faces", "photos", "runs")


class Collection:
    """An opened store. Iterating over it gives its people, those with most faces first."""

    def __init__(self, store: Store, model: str | None) -> None:
        self._data = Snapshot(store, model)

    @property
    def url(self) -> str:
        """Where the store is."""
        return self._data.store.url

    @property
    def model(self) -> str:
        """Whose vectors and people these are."""
        return self._data.model

    # -- tables -----------------------------------------------------------------------------------------------------------------

    @property
    def people(self) -> pa.Table:
        """A row a person: person_id, name, identity, faces, photos, probability (mean over the faces), ignored.

        Raises:
            StoreError: the store was never grouped.
        """
        return self._data.people

    @property
    def faces(self) -> pa.Table:
        """A row a face: face_id, photo_id, person_id, name, identity (-1 = nobody), probability, outlier_score,
        recognisability (0 to 1), box (x, y, w, h) and landmarks in px of the upright photo, score, quality, ...; docs/format.md describes
        each. Crops are not in it: see Face.crop."""
        return self._data.faces

    @property
    def photos(self) -> pa.Table:
        """A row a place: photo_id, uri, width, height, taken_at, faces, error (why it could not be used), gone, ...; see docs/format.md."""
        return self._data.photos

    @cached_property
    def runs(self) -> pa.Table:
        """A row a run, oldest first: run, at (UTC), model, faces, people, named, decisions, current."""
        return tables.runs(all_runs(self._data.store), self._data.run)

    def to_pandas(self, table: str) -> Any:
        """One of the tables "people", "faces", "photos", "runs" as a pandas.DataFrame.

        Raises:
            InputError: there is no such table, or pandas is not installed.
        """
        if table not in TABLES:
            raise ArgumentError(f"expected one of the tables {', '.join(TABLES)}, found {table!r}: name one of them")
        return to_pandas(getattr(self, table))

    def vectors(self) -> tuple[NDArray[np.str_], NDArray[np.float32]]:
        """face_ids (n,), sorted, and the vectors (n, dim) of the faces, rows of length 1.

        Raises:
            InputError: the store has no vectors.
        """
        ids, vectors = load_vectors(self._data.store, f"embeddings/{self.model}")
        return np.array(ids, dtype=np.str_), vectors.astype(np.float32)

    # -- people, faces, photos --------------------------------------------------------------------------------------------------

    def person(self, key: str | int) -> Person:
        """A person by name (case is ignored), lasting id (p-...), number in this run (from 1), or the id of one of their faces.

        Raises:
            InputError: `key` fits nobody, or several people.
            StoreError: the store was never grouped.
        """
        recognition = self._data.recognition
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            numbers = [p.number for p in recognition.people]
            return Person.of(self._data, numbers.index(int(key)) if key in numbers else recognition.find(f"person {key}"))
        if not isinstance(key, str):
            raise ArgumentError(f"expected a name, an id (p-...) or the number of a person, found {type(key).__name__}: give one of these")
        return Person.of(self._data, recognition.find(key))

    def face(self, face_id: str) -> Face:
        """A face by its id, also by that from before its photo was edited. Raises InputError if there is none."""
        rows = self._data.row_of
        row = next((rows[one] for one in later_ids(str(face_id), self._data.followed) if one in rows), None)
        if row is None:
            raise InputError(f"expected a face_id of {self.url}, found {face_id!r}: the table of faces lists them")
        return Face(self._data, row)

    def photo(self, key: str | os.PathLike[str]) -> Photo:
        """A photo by its photo_id, or by a place where it is (a path may start here). Raises InputError if there is none to use."""
        text = place_of(key, "photo")
        at = self._data.photo_at
        photo_id = text if text in self._data.places else at.get(text) or at.get(uri_of(os.path.abspath(text)))
        if photo_id is None:
            raise InputError(f"expected a photo_id or the place of a usable photo of {self.url}, found {text!r}: see the table of photos")
        return Photo.of(self._data, photo_id)

    def __iter__(self) -> Iterator[Person]:
        return (Person.of(self._data, i) for i in range(len(self)))

    def __len__(self) -> int:
        return len(self._data.recognition.people)

    def __bool__(self) -> bool:
        return True  # also without people

    def __repr__(self) -> str:
        grouped = f"{plural(len(self), 'person', 'people')}, " if self._data.grouped else "not grouped yet, "
        return f"<Collection {self.url!r}: {grouped}{plural(self.faces.num_rows, 'face')}, {plural(len(self._data.places), 'photo')}>"

    def _repr_html_(self) -> str:
        people = [person for person in self if not person.ignored] if self._data.grouped else []
        return people_html(repr(self)[1:-1], [person.strip() for person in people[:PEOPLE]], len(people) - PEOPLE)


def open(store: str | os.PathLike[str], *, model: str | None = None) -> Collection:
    """Open a store to read it.

    Args:
        store: its folder, or an address such as s3://bucket/people.
        model: name of the model whose vectors and people to read, as its folder under embeddings/ is called; None for that of the current
            run.

    Raises:
        StoreError: there is no store, or one that this version can't read, or none with vectors of that model.
    """
    place = store_at(store)
    place.check()
    if model is not None and not place.shards(f"embeddings/{model}"):
        there = ", ".join(_models(place)) or "none"
        raise StoreError(f"expected vectors of the model {model!r} in {place.url}, found those of: {there}. Name one of these")
    return Collection(place, model)


def place_of(path: str | os.PathLike[str], name: str) -> str:
    """A path or address as text, with ~ as the user's folder. Raises ArgumentError if it is something else."""
    if not isinstance(path, (str, os.PathLike)) or isinstance(found := os.fspath(path), bytes):
        raise ArgumentError(f"expected a path or an address as {name}, found {type(path).__name__}: give it as text")
    return os.path.expanduser(found)


def store_at(path: str | os.PathLike[str]) -> Store:
    """The store at a path or address; it stays the same when the process works in another folder. Raises ArgumentError as `place_of`."""
    place = Store(place_of(path, "store"))
    return Store(os.path.abspath(local)) if place.url and (local := local_path(place.url)) is not None else place


def _models(store: Store) -> list[str]:
    folder = store.path("embeddings")
    return sorted(str(p).rstrip("/").rsplit("/", 1)[-1] for p in store.fs.ls(folder, detail=False)) if store.fs.isdir(folder) else []
