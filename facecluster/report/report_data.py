"""The tables of the store, joined for the report. All columns but the crops are held in memory, as arrays.

Odd input: of a face_id that occurs twice (in two shards) the first row counts; a face without an identity belongs to nobody; numbers that
are not finite are 0; a face of a photo that no place shows any more does not count; a photo that is gone but not dropped counts on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.errors import StoreError, shell
from facecluster.language import Language
from facecluster.people import read_unclear
from facecluster.people.find_person import number_of
from facecluster.photos.places import current_photos
from facecluster.report.photos import Photos, iso_date
from facecluster.store import FACES, IDENTITIES, Store, in_schema

NOBODY = -1


class Crops:
    """Crops of faces in one file, by number of the face, because pages need them in another order than the shards have."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self.start = np.zeros(0, np.int64)
        self.size = np.zeros(0, np.int64)

    def add(self, crops: pa.ChunkedArray) -> None:
        """Append the crops of a shard; they have numbers once `select` is called."""
        sizes = np.asarray(pc.binary_length(crops), np.int64)
        end = self._file.seek(0, 2)
        for crop in crops:
            self._file.write(crop.as_py())
        self._parts.append((end + np.cumsum(sizes) - sizes, sizes))

    def select(self, rows: NDArray[np.int64]) -> None:
        """Keep some crops, and number them: the rows[i]th that was appended becomes number i."""
        none = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.start, self.size = (np.concatenate(part)[rows] for part in zip(none, *self._parts, strict=True))
        self._parts = []

    def __getitem__(self, row: int) -> bytes:
        self._file.seek(int(self.start[row]))
        return self._file.read(int(self.size[row]))


@dataclass(frozen=True, slots=True)
class PersonInfo:
    """Name, lasting id and state of a person."""

    name: str = ""  # given by the user
    person_id: str = ""  # lasting
    ignored: bool = False  # by the user
    born: str = ""  # ISO 8601; '' = not known


@dataclass(frozen=True, slots=True)
class PersonToCheck:
    """A person whose group is probably not quite right; the shares are expectations, 0 to 1."""

    identity: int
    purity: float  # share of the group's faces that show this person
    completeness: float  # share of the person's faces that are in the group


@dataclass(frozen=True, slots=True)
class Person:
    """A group of faces: `rows` are the numbers of its faces, by falling probability; `confidence` is their mean probability."""

    identity: int
    name: str
    rows: NDArray[np.int64]
    photos: int
    confidence: float
    best_face: int  # number of the face with the highest quality x probability
    first_date: str  # of the photos, ISO 8601 or ''
    last_date: str
    person_id: str = ""  # lasting; '' if the grouping has none
    ignored: bool = False  # by the user: listed separately
    born: str = ""  # ISO 8601; '' = not known

    @property
    def number(self) -> int:
        """By which the person is called in this run, from 1."""
        return number_of(self.identity)

    def label(self, language: Language) -> str:
        """The name, or "Person" and the number."""
        return self.name or language.t("Person %(number)s", number=self.number)


@dataclass(frozen=True, slots=True)
class ReportData:
    """The content of the report. Arrays are (n,), one entry a face; people are sorted by falling number of faces, ignored people last."""

    table: pa.Table  # FACES without the crop
    crops: Crops
    box: NDArray[np.float64]  # (n, 4) x, y, w, h in px of the upright photo
    quality: NDArray[np.float64]
    identity: NDArray[np.int64]
    probability: NDArray[np.float64]
    outlier_score: NDArray[np.float64]
    recognisability: NDArray[np.float64]  # 0 to 1; NaN = unknown
    photo: NDArray[np.int64]  # index into photos
    photos: Photos
    people: list[Person]
    nobody: NDArray[np.int64]  # numbers of the faces of nobody that can be recognised, by falling quality
    unclear: NDArray[np.int64]  # numbers of the faces of nobody that can not, by falling recognisability
    failed: list[tuple[str, str]]  # (uri, reason), of files that are there
    ungrouped: int = 0  # faces that are newer than the grouping; they are among those of nobody

    def by_date(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers of faces by the date of their photos; those of one moment, and those without a date at the end, stay in their order."""
        return np.asarray(rows[np.argsort(self.photos.taken[self.photo[rows]], kind="stable")], dtype=np.int64)

    @property
    def copies(self) -> int:
        """Number of further files that show the picture of another."""
        return int((self.photos.uris[~self.photos.gone] - 1).sum())


def read_report_data(store: Store, identities: str, infos: Mapping[int, PersonInfo], spool: BinaryIO) -> ReportData:
    """Read and join the tables. Crops are written to the file `spool`, a shard at a time."""
    crops = Crops(spool)
    photos = Photos(store)
    table = _read_faces(store, crops, photos)
    found = store.read_all(identities, IDENTITIES)
    if table.num_rows and not store.shards(identities):
        raise StoreError(f"expected a table {identities} in {store.url}, found none: run 'facecluster cluster {shell(store.url)}' first")
    where = pc.index_in(table["face_id"], value_set=found["face_id"].combine_chunks())
    at = np.asarray(pc.fill_null(where, NOBODY), np.int64)
    identity = _take_or(found["identity"], at, NOBODY).astype(np.int64)
    probability = np.where(identity >= 0, np.clip(_take_or(found["probability"], at, 0), 0, 1), 0)
    photo = photos.index(table["photo_id"])
    quality = _finite_numbers(table["quality"])
    box = np.nan_to_num(np.asarray(pc.list_flatten(table["box"]), np.float64)).reshape(-1, 4)
    photos.put_faces(photo, box[:, 0])
    recognisability, too_unclear = read_unclear(store, identities, found)
    measured = np.append(np.asarray(found["recognisability"], np.float64), np.nan)[at]
    clear, is_unclear = np.append(recognisability, 1.0)[at], np.append(too_unclear, False)[at]
    nobody, unclear = np.flatnonzero((identity < 0) & ~is_unclear), np.flatnonzero(is_unclear)
    return ReportData(
        table=table,
        crops=crops,
        box=box,
        quality=quality,
        identity=identity,
        probability=probability,
        outlier_score=_take_or(found["outlier_score"], at, 0),
        recognisability=measured,
        photo=photo,
        photos=photos,
        people=_people(identity, probability, quality, photo, photos.taken, infos),
        nobody=nobody[np.argsort(-quality[nobody], kind="stable")],
        unclear=unclear[np.argsort(-clear[unclear], kind="stable")],
        failed=_read_failed(store),
        ungrouped=int((at == NOBODY).sum()),
    )


def _read_faces(store: Store, crops: Crops, photos: Photos) -> pa.Table:
    """The faces of these photos without their crops, each face_id once."""
    schema = pa.schema([f for f in FACES if f.name != "crop"])
    parts = [schema.empty_table()]
    for shard in store.shards("faces"):
        part = store.read("faces", shard)
        try:
            part = in_schema(FACES, part)
        except (KeyError, pa.ArrowException) as e:
            raise StoreError(
                f"expected the columns of a faces table, found {store.shard_path('faces', shard)}: {e}. Delete it and run again"
            ) from e
        crops.add(part["crop"])
        parts.append(part.drop_columns(["crop"]).replace_schema_metadata())
    table = pa.concat_tables(parts)
    numbered = pa.table({"face_id": table["face_id"], "row": np.arange(table.num_rows)})
    first = np.sort(np.asarray(numbered.group_by("face_id", use_threads=False).aggregate([("row", "min")])["row_min"], np.int64))
    first = first[photos.index(table["photo_id"])[first] >= 0]
    crops.select(first)
    return table.take(pa.array(first)).combine_chunks()


def _read_failed(store: Store) -> list[tuple[str, str]]:
    failed = current_photos(store, ["uri", "error"])
    failed = failed.filter(pc.and_(pc.is_valid(failed["error"]), pc.invert(failed["gone"])))
    return sorted(zip(failed["uri"].to_pylist(), failed["error"].to_pylist(), strict=True))


def _people(
    identity: NDArray[np.int64],
    probability: NDArray[np.float64],
    quality: NDArray[np.float64],
    photo: NDArray[np.int64],
    taken: NDArray[np.datetime64],
    infos: Mapping[int, PersonInfo],
) -> list[Person]:
    order = np.lexsort((-quality, -probability, identity))
    order = order[identity[order] >= 0]
    people = []
    for rows in np.split(order, np.flatnonzero(np.diff(identity[order])) + 1) if len(order) else []:
        which = np.unique(photo[rows])
        dates = np.sort(taken[which])  # NaT at the end
        known = dates[: len(dates) - int(np.isnat(dates).sum())]
        number = int(identity[rows[0]])
        info = infos.get(number, PersonInfo())
        people.append(
            Person(
                identity=number,
                name=info.name.encode("utf-8", "replace").decode(),
                rows=rows,
                photos=len(which),
                confidence=float(probability[rows].mean()),
                best_face=int(rows[np.argmax(quality[rows] * probability[rows])]),
                first_date=iso_date(known[0]) if len(known) else "",
                last_date=iso_date(known[-1]) if len(known) else "",
                person_id=info.person_id,
                ignored=info.ignored,
                born=info.born,
            )
        )
    return sorted(people, key=lambda p: (p.ignored, -len(p.rows), p.identity))


def _finite_numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.nan_to_num(np.asarray(column, np.float64), posinf=0, neginf=0)


def _take_or(column: pa.ChunkedArray, at: NDArray[np.int64], missing: float) -> NDArray[np.float64]:
    """column[at], with the value `missing` for each -1 in `at`."""
    return np.append(_finite_numbers(column), missing)[at]
