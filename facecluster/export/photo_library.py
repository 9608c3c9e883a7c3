"""The photos of a store with their faces and people, for export.

Boxes and landmarks are in px of the upright photo. All columns but the crops are held in memory as arrays; objects are made only for the
faces that are asked for. Odd input: a face_id that occurs twice counts once; a photo that no place shows any more, or that could not be
used, is left out with its faces; one that is gone, but not dropped, is marked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.matching.recognition import NOBODY, Person, Recognition, read_recognition
from facecluster.photos.archives.uris import file_of
from facecluster.photos.extras import VIDEO_FORMATS
from facecluster.photos.followed import PHOTO_CHARS, FacesOf, present_ids, read_followed
from facecluster.photos.heif_items import read_heif
from facecluster.photos.images import local_path
from facecluster.photos.places import places_by_photo, where_it_is
from facecluster.store import FACES, Store

_NUMBERS = ("score", "sharpness", "yaw", "quality")


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


@dataclass(slots=True)
class Photo:
    """A photo and where it is. Sizes are in px of the upright photo."""

    photo_id: str
    uris: list[str]  # where it is, sorted, at least one; where it was if it is gone
    format: str
    width: int
    height: int
    orientation: int  # EXIF, 1 to 8
    taken_at: str  # ISO 8601, '' if unknown
    gone: bool = False  # at none of its places
    contents: dict[str, str] = field(default_factory=dict)  # SHA-256 of the bytes of each of uris
    former: dict[str, str] = field(default_factory=dict)  # face_ids from before the photo was edited -> those of its faces now


@dataclass(frozen=True, slots=True)
class PhotoLibrary:
    """The tables of a store, joined. Photos are in order of their first uri."""

    photos: list[Photo]
    recognition: Recognition
    _rows: dict[str, list[int]]  # faces of each photo_id, from left to right
    _ids: pa.Array
    _box: NDArray[np.float64]
    _landmarks: NDArray[np.float64]
    _numbers: dict[str, NDArray[np.float64]]
    _person: NDArray[np.int32]
    _probability: NDArray[np.float32]
    _at_ms: pa.ChunkedArray

    def stills(self) -> PhotoLibrary:
        """The library without videos, for formats that know boxes in photos only."""
        return replace(self, photos=[photo for photo in self.photos if photo.format not in VIDEO_FORMATS])

    def with_own_files(self) -> PhotoLibrary:
        """The library without the photos that are only in archives, for formats that say where the file of a photo is."""
        kept = [replace(photo, uris=[uri for uri in photo.uris if file_of(uri) == uri]) for photo in self.photos]
        return replace(self, photos=[photo for photo in kept if photo.uris])

    def with_files(self) -> PhotoLibrary:
        """The library without the photos that are gone."""
        return replace(self, photos=[photo for photo in self.photos if not photo.gone])

    def faces(self, photo: Photo) -> list[Face]:
        """The faces of a photo, from left to right."""
        return [self._face(row) for row in self._rows.get(photo.photo_id, [])]

    def people_in(self, photo: Photo) -> set[int]:
        """The people in a photo, as indices into recognition.people."""
        return {int(self._person[row]) for row in self._rows.get(photo.photo_id, [])} - {NOBODY}

    def photos_with(self, people: set[int], without: set[int]) -> list[Photo]:
        """The photos that show all of `people` and none of `without`, by date; those without a date at the end."""
        found = [p for p in self.photos if people <= (shown := self.people_in(p)) and not shown & without]
        return sorted(found, key=lambda p: (not p.taken_at, p.taken_at, p.uris[0]))

    def __iter__(self) -> Iterator[tuple[Photo, list[Face]]]:
        for photo in self.photos:
            yield photo, self.faces(photo)

    def _face(self, row: int) -> Face:
        x, y, w, h = self._box[row].tolist()
        person = int(self._person[row])
        return Face(
            face_id=self._ids[row].as_py(), box=(x, y, w, h), landmarks=tuple(self._landmarks[row].tolist()),
            person=self.recognition.people[person] if person >= 0 else None, probability=float(self._probability[row]),
            at_ms=self._at_ms[row].as_py(),
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
    photos = _read_photos(store)
    _add_former_faces(store, photos)
    columns = [f.name for f in FACES if f.name != "crop"]
    table = store.read_all("faces", FACES, columns).combine_chunks()
    numbered = pa.table({"face_id": table["face_id"], "row": np.arange(table.num_rows)})
    first = np.sort(np.asarray(numbered.group_by("face_id", use_threads=False).aggregate([("row", "min")])["row_min"], np.int64))
    table = table.take(pa.array(first)).combine_chunks()
    ids = table["face_id"].combine_chunks()
    person, probability = recognition.people_of(ids)
    box = np.nan_to_num(np.asarray(pc.list_flatten(table["box"]), np.float64)).reshape(-1, 4)
    rows: dict[str, list[int]] = {}
    photo_ids = table["photo_id"].to_pylist()
    for row in np.argsort(box[:, 0], kind="stable").tolist():
        rows.setdefault(photo_ids[row], []).append(row)
    landmarks = np.nan_to_num(np.asarray(pc.list_flatten(table["landmarks"]), np.float64)).reshape(-1, 10)
    numbers = {name: np.nan_to_num(np.asarray(table[name], np.float64), posinf=0, neginf=0) for name in _NUMBERS}
    included = np.array([include_ignored or not p.ignored for p in recognition.people] + [False])  # index -1 (nobody) is the last
    known = (probability >= min_probability) & included[person]
    return PhotoLibrary(
        photos, recognition, rows, ids, box, landmarks, numbers,
        np.where(known, person, np.int32(NOBODY)), np.where(known, probability, np.float32(0)),
        table["at_ms"],
    )  # fmt: skip


def _add_former_faces(store: Store, photos: list[Photo]) -> None:
    """Fill in `former` of photos that took the place of others."""
    followed = read_followed(store)
    if not followed:
        return
    by_prefix = {photo.photo_id[:PHOTO_CHARS]: photo for photo in photos}
    for old in followed:
        for now in present_ids(old, followed, FacesOf(by_prefix)):
            if now != old:
                by_prefix[now[:PHOTO_CHARS]].former[old] = now


def _read_photos(store: Store) -> list[Photo]:
    photos = []
    for photo_id, places in places_by_photo(store, ["format", "width", "height", "orientation", "taken_at", "picture"], look=True).items():
        row, taken = places[0], places[0]["taken_at"]
        there = where_it_is(places)
        photos.append(
            Photo(
                photo_id, [p["uri"] for p in there], row["format"] or "", row["width"] or 0, row["height"] or 0, _orientation(row),
                taken.isoformat(timespec="seconds") if taken else "", gone=row["gone"], contents={p["uri"]: p["content"] for p in there},
            )
        )  # fmt: skip
    return sorted(photos, key=lambda p: p.uris[0])


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
