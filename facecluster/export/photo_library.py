"""The photos of a store with their faces and people, for export.

Boxes and landmarks are in px of the upright photo. All columns but the crops are held in memory as arrays; objects are made only for the
photos and faces that are asked for. Odd input: a face_id that occurs twice counts once; a photo that no place shows any more, or that
could not be used, is left out with its faces; one that is gone, but not dropped, is marked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.decisions import read
from facecluster.matching.recognition import NOBODY, Person, Recognition, read_recognition
from facecluster.photos.archives.uris import file_of
from facecluster.photos.extras import VIDEO_FORMATS
from facecluster.photos.followed import PHOTO_CHARS, FacesOf, present_ids, read_followed
from facecluster.photos.forgotten import TABLE as FORGOTTEN_TABLE
from facecluster.photos.heif_items import read_heif
from facecluster.photos.images import local_path
from facecluster.photos.photo_places import PhotoPlaces
from facecluster.photos.places import places_by_photo
from facecluster.store import FACES, FaceIds, Store

Ints = NDArray[np.int64]
_NUMBERS = ("score", "sharpness", "yaw", "quality")
_BLOCK = 65_536  # uris that are made texts at a time


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a photo."""

    face_id: str
    box: tuple[float, float, float, float]  # x, y, w, h in px of the upright photo
    landmarks: tuple[float, ...]  # x, y of right eye, left eye, nose, right and left corner of the mouth, px
    score: float
    sharpness: float
    yaw: float
    quality: float
    person: Person | None
    probability: float  # that it shows that person
    at_ms: int | None = None  # of a video: milliseconds from its start to the frame of the box
    unclear: bool = False  # nobody's, because it is too unclear to tell


@dataclass(slots=True)
class Photo:
    """A photo and where it is. Sizes are in px of the upright photo."""

    photo_id: str
    uris: list[str]  # where it is, the one to show first, at least one; where it was if it is gone
    format: str
    width: int
    height: int
    orientation: int  # EXIF, 1 to 8
    taken_at: str  # ISO 8601, '' if unknown
    gone: bool = False  # at none of its places
    contents: dict[str, str] = field(default_factory=dict)  # SHA-256 of the bytes of each of uris
    former: dict[str, str] = field(default_factory=dict)  # face_ids from before the photo was edited -> those of its faces now


class Photos(Sequence[Photo]):
    """Photos of a store by their first uri: objects are made when they are asked for, some at a time."""

    def __init__(self, places: PhotoPlaces, former: Mapping[str, dict[str, str]], numbers: Ints, own: NDArray[np.bool_] | None) -> None:
        """`numbers`: of the photos in `places`; `own`: which places are files of their own, if others don't count."""
        self.places, self.numbers = places, numbers
        self._former, self._own = former, own

    def some(self, numbers: Ints) -> Photos:
        """Those of these numbers."""
        return Photos(self.places, self._former, numbers, self._own)

    def with_own_files(self) -> Photos:
        """Those that are not only in archives, each at the places that are files of their own."""
        places = self.places
        own = np.fromiter((file_of(uri) == uri for uri in _texts(places.table["uri"])), dtype=bool, count=places.table.num_rows)
        kept = np.diff(np.append(0, np.cumsum(own & places.shown))[places.start]) > 0
        return Photos(places, self._former, self.numbers[kept[self.numbers]], own)

    def uris(self) -> Iterator[str]:
        """Where all of them are."""
        mine = np.zeros(len(self.places), dtype=bool)
        mine[self.numbers] = True
        listed = self._listed() & np.repeat(mine, np.diff(self.places.start))
        return _texts(self.places.table["uri"].filter(pa.array(listed)))

    def _listed(self) -> NDArray[np.bool_]:
        return np.asarray(self.places.shown if self._own is None else self.places.shown & self._own)

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, at: int) -> Photo: ...
    @overload
    def __getitem__(self, at: slice) -> Photos: ...
    def __getitem__(self, at: int | slice) -> Photo | Photos:
        if isinstance(at, slice):
            return self.some(self.numbers[at])
        return next(iter(self.some(self.numbers[[at]])))

    def __iter__(self) -> Iterator[Photo]:
        listed = self._listed()
        for number, rows in zip(self.numbers.tolist(), self.places.rows(self.numbers), strict=True):
            first, photo_id = self.places.start[number], self.places.ids[number]
            there, row, taken = [p for i, p in enumerate(rows) if listed[first + i]], rows[0], rows[0]["taken_at"]
            yield Photo(
                photo_id, [p["uri"] for p in there], row["format"] or "", row["width"] or 0, row["height"] or 0, _orientation(row),
                taken.isoformat(timespec="seconds") if taken else "", gone=row["gone"], contents={p["uri"]: p["content"] for p in there},
                former=self._former.get(photo_id[:PHOTO_CHARS], {}),
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PhotoLibrary:
    """The tables of a store, joined. Photos are in order of their first uri."""

    photos: Photos
    recognition: Recognition
    _rows: Ints  # faces by the number of their photo, those of one photo from left to right
    _start: Ints  # (photos + 1,) where each photo's faces begin
    _ids: pa.Array
    _box: NDArray[np.float32]
    _landmarks: NDArray[np.float32]
    _numbers: dict[str, NDArray[np.float32]]
    _person: NDArray[np.int32]
    _probability: NDArray[np.float32]
    _at_ms: pa.ChunkedArray
    _unclear: NDArray[np.bool_]
    names_said: frozenset[str] | None = None  # in lower case, that the user ever gave anybody; None = not known any more

    def stills(self) -> PhotoLibrary:
        """The library without videos, for formats that know boxes in photos only."""
        videos = np.asarray(pc.is_in(self.photos.places.first("format"), value_set=pa.array(sorted(VIDEO_FORMATS))), dtype=bool)
        return self._with(self.photos.some(self.photos.numbers[~videos[self.photos.numbers]]))

    def with_own_files(self) -> PhotoLibrary:
        """The library without the photos that are only in archives, for formats that say where the file of a photo is."""
        return self._with(self.photos.with_own_files())

    def with_files(self) -> PhotoLibrary:
        """The library without the photos that are gone."""
        return self._with(self.photos.some(self.photos.numbers[~self.photos.places.gone[self.photos.numbers]]))

    @property
    def gone(self) -> int:
        """How many of the photos are gone."""
        return int(self.photos.places.gone[self.photos.numbers].sum())

    @property
    def gone_photos(self) -> Photos:
        """Those of the photos that are gone."""
        return self.photos.some(self.photos.numbers[self.photos.places.gone[self.photos.numbers]])

    @property
    def face_count(self) -> int:
        """How many faces the photos have."""
        return int((self._start[self.photos.numbers + 1] - self._start[self.photos.numbers]).sum())

    @property
    def people_count(self) -> int:
        """How many people the photos show; one who is in several counts in each."""
        mine = np.zeros(len(self._start) - 1, dtype=bool)
        mine[self.photos.numbers] = True
        of, person = np.repeat(np.arange(len(mine)), np.diff(self._start)), self._person[self._rows].astype(np.int64)
        known = (person >= 0) & mine[of]
        return len(np.unique(of[known] * (len(self.recognition.people) + 1) + person[known]))

    def faces(self, photo: Photo) -> list[Face]:
        """The faces of a photo, from left to right."""
        return [self._face(row) for row in self._rows_of(photo).tolist()]

    def people_in(self, photo: Photo) -> set[int]:
        """The people in a photo, as indices into recognition.people."""
        return set(self._person[self._rows_of(photo)].tolist()) - {NOBODY}

    def photos_with(self, people: set[int], without: set[int]) -> list[Photo]:
        """The photos that show all of `people` and none of `without`, by date; those without a date at the end."""
        of = np.repeat(np.arange(len(self._start) - 1), np.diff(self._start))  # photo of each of _rows
        person = self._person[self._rows]
        found = np.isin(self.photos.numbers, of[np.isin(person, list(without))], invert=True)
        for one in people:
            found &= np.isin(self.photos.numbers, of[person == one])
        return sorted(self.photos.some(self.photos.numbers[found]), key=lambda p: (not p.taken_at, p.taken_at, p.uris[0]))

    def photos_in_which(self, photos: Sequence[Photo], people: set[int], faces: Collection[str]) -> list[Photo]:
        """Those of some photos in which each of `people` has a face among `faces`."""
        who = {id(self.recognition.people[i]) for i in people}
        return [p for p in photos if who <= {id(f.person) for f in self.faces(p) if f.face_id in faces}]

    def __iter__(self) -> Iterator[tuple[Photo, list[Face]]]:
        for photo in self.photos:
            yield photo, self.faces(photo)

    def _with(self, photos: Photos) -> PhotoLibrary:
        return replace(self, photos=photos)

    def _rows_of(self, photo: Photo) -> Ints:
        number = self.photos.places.ids.find(photo.photo_id)
        return self._rows[self._start[number] : self._start[number + 1]]

    def _face(self, row: int) -> Face:
        x, y, w, h = self._box[row].tolist()
        person = int(self._person[row])
        return Face(
            face_id=self._ids[row].as_py(), box=(x, y, w, h), landmarks=tuple(self._landmarks[row].tolist()),
            person=self.recognition.people[person] if person >= 0 else None, probability=float(self._probability[row]),
            at_ms=self._at_ms[row].as_py(), unclear=bool(self._unclear[row]),
            **{name: float(self._numbers[name][row]) for name in _NUMBERS},
        )  # fmt: skip


def read_photo_library(
    store: Store, model: str | None = None, *, min_probability: float = 0.0, include_ignored: bool = False
) -> PhotoLibrary:
    """Read a store.

    Args:
        store: to read.
        model: whose grouping is read; None for that of the current run.
        min_probability: 0 to 1; a face whose person is less probable belongs to nobody.
        include_ignored: keep people whom the user ignores; else their faces belong to nobody.
    """
    recognition = read_recognition(store, model)
    columns = ["format", "width", "height", "orientation", "taken_at", "picture", "content"]
    places = places_by_photo(store, columns, look=True)
    numbers = np.asarray(pc.sort_indices(places.first("uri")), dtype=np.int64)
    photos = Photos(places, _former_faces(store, places.ids), numbers, None)
    table = store.read_all("faces", FACES, [f.name for f in FACES if f.name != "crop"]).combine_chunks()
    numbered = pa.table({"face_id": table["face_id"], "row": np.arange(table.num_rows)})
    first = np.sort(np.asarray(numbered.group_by("face_id", use_threads=False).aggregate([("row", "min")])["row_min"], np.int64))
    photo = places.ids.rows_of(table["photo_id"])[first]
    first, photo = first[photo >= 0], photo[photo >= 0]
    table = table.drop_columns("photo_id").take(pa.array(first)).combine_chunks()
    ids = table["face_id"].combine_chunks()
    person, probability = recognition.people_of(ids)
    box = np.nan_to_num(np.asarray(pc.list_flatten(table["box"]), np.float32)).reshape(-1, 4)
    rows = np.lexsort((box[:, 0], photo))
    landmarks = np.nan_to_num(np.asarray(pc.list_flatten(table["landmarks"]), np.float32)).reshape(-1, 10)
    measures = {name: np.nan_to_num(np.asarray(table[name], np.float32), posinf=0, neginf=0) for name in _NUMBERS}
    included = np.array([include_ignored or not p.ignored for p in recognition.people] + [False])  # index -1 (nobody) is the last
    known = (probability >= min_probability) & included[person]
    return PhotoLibrary(
        photos, recognition, rows, np.searchsorted(photo[rows], np.arange(len(places) + 1)), ids, box, landmarks, measures,
        np.where(known, person, np.int32(NOBODY)), np.where(known, probability, np.float32(0)),
        table["at_ms"], recognition.unclear_among(ids), _names_said(store),
    )  # fmt: skip


def _names_said(store: Store) -> frozenset[str] | None:
    if store.shards(FORGOTTEN_TABLE):  # and their names with them
        return None
    return frozenset(d.name.casefold() for d in read(store).decisions if d.act == "name" and d.name)


def _former_faces(store: Store, photo_ids: FaceIds) -> dict[str, dict[str, str]]:
    """`former` of the photos that took the place of others, by the beginnings of their ids."""
    followed, found = read_followed(store), dict[str, dict[str, str]]()
    present = FacesOf(photo_ids.starts(PHOTO_CHARS)) if followed else FacesOf(())
    for old in followed:
        for now in present_ids(old, followed, present):
            if now != old:
                found.setdefault(now[:PHOTO_CHARS], {})[old] = now
    return found


def _texts(column: pa.ChunkedArray) -> Iterator[str]:
    for batch in pa.table({"": column}).to_batches(max_chunksize=_BLOCK):
        yield from batch.column(0).to_pylist()


def _orientation(row: dict[str, Any]) -> int:
    """The orientation that turned a photo upright. Before `picture` was kept, HEIC got EXIF's, but was turned by its container's."""
    path = local_path(row["uri"])
    if row["format"] != "HEIF" or row["picture"] is not None or path is None:
        return int(row["orientation"] or 1)
    try:
        with open(path, "rb") as file:
            return read_heif(file.read()).orientation or 1
    except OSError:
        return int(row["orientation"] or 1)
