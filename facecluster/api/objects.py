"""The people, faces and photos of an opened store, as objects. Each is a row number and what it is read from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from PIL import Image

from facecluster.api.html import FACES, Strip, people_html
from facecluster.api.snapshot import Snapshot
from facecluster.errors import PhotoError
from facecluster.language.english import plural
from facecluster.photos.images import decode_crop, open_photo, read_file
from facecluster.photos.video import check_no_video

_WHOLE = 1 << 20  # px: no photo has a longer side


@dataclass(frozen=True, slots=True, repr=False)
class Face:
    """A face. Boxes and landmarks are px of the upright photo."""

    _data: Snapshot
    _row: int

    def _value(self, column: str) -> Any:
        return self._data.faces[column][self._row].as_py()

    @property
    def id(self) -> str:
        """The face_id."""
        return str(self._value("face_id"))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x, y, w, h in px."""
        x, y, w, h = self._value("box")
        return x, y, w, h

    @property
    def landmarks(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """(5, 2) x and y in px of right eye, left eye, nose, right and left corner of the mouth."""
        return np.array(self._value("landmarks"), np.float32).reshape(5, 2)

    @property
    def score(self) -> float:
        """The detector's, 0 to 1."""
        return float(self._value("score"))

    @property
    def quality(self) -> float:
        """How much the face can tell, 0 to 1."""
        return float(self._value("quality"))

    @property
    def recognisability(self) -> float | None:
        """That its vector says who it is, 0 to 1; None if it is not known, as in a store that was never grouped."""
        value = self._value("recognisability")
        return None if value is None else float(value)

    @property
    def probability(self) -> float:
        """That it is its person, 0 to 1; 0 for a face without a person."""
        return float(self._value("probability") or 0.0)

    @property
    def person(self) -> Person | None:
        """Who it is; None if it belongs to nobody, or the store was never grouped."""
        index = int(self._data.person_of[self._row])
        return None if index < 0 else Person.of(self._data, index)

    @property
    def photo(self) -> Photo:
        """The photo that it is in."""
        return Photo.of(self._data, self._value("photo_id"))

    @property
    def uri(self) -> str:
        """Where that photo is: the first of its places."""
        return self.photo.uri

    def crop(self) -> Image.Image:
        """The aligned face, 112 x 112 px, as the store keeps it: the photo need not be there any more."""
        return Image.fromarray(decode_crop(self._data.crop(self._row)))

    def __repr__(self) -> str:
        who = self.person
        return f"<Face {self.id} of {who.label if who else 'nobody'}, quality {self.quality:.2f}>"


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """A person of the current run."""

    _data: Snapshot
    _index: int
    id: str  # the lasting id (p-0d4f21aa); "person 0012" in a grouping that is no run
    name: str | None  # what the user calls the person
    number: int  # in this run, from 1, as in the report
    ignored: bool  # the user has hidden the person

    @classmethod
    def of(cls, data: Snapshot, index: int) -> Person:
        """A person by their index."""
        p = data.recognition.people[index]
        return cls(data, index, p.key, p.name, p.number, p.ignored)

    @property
    def label(self) -> str:
        """The name, or the id if there is none."""
        return self.name or self.id

    @property
    def faces(self) -> list[Face]:
        """The faces, the most probable first."""
        return [Face(self._data, row) for row in self._data.faces_of[self._index]]

    @property
    def photos(self) -> list[Photo]:
        """The photos with the person, by date; those without a date at the end."""
        found = {face.photo.id: face.photo for face in self.faces}
        return sorted(found.values(), key=lambda p: (p.taken_at is None, p.taken_at or datetime.min, p.uri))

    def __repr__(self) -> str:
        called = f"{self.name!r} ({self.id})" if self.name else self.id
        return f"<Person {called}, {plural(len(self._data.faces_of[self._index]), 'face')}>"

    def _repr_html_(self) -> str:
        return people_html(f"Person {self.label}", [self.strip()])

    def strip(self) -> Strip:
        """How the person looks in a notebook."""
        rows = self._data.faces_of[self._index]
        return Strip(self.label, plural(len(rows), "face"), [self._data.crop(row) for row in rows[:FACES]])


@dataclass(frozen=True, slots=True, repr=False)
class Photo:
    """A photo, and all places where it is."""

    _data: Snapshot
    id: str  # SHA-256 of the bytes that the picture was first seen in
    uris: tuple[str, ...]  # those where it is first, each part with the one to show first
    width: int  # px of the upright photo
    height: int
    taken_at: datetime | None  # by the camera's clock

    @classmethod
    def of(cls, data: Snapshot, photo_id: str) -> Photo:
        """A photo by its photo_id."""
        return cls(data, photo_id, *data.places[photo_id])

    @property
    def uri(self) -> str:
        """The first of its places."""
        return self.uris[0]

    @property
    def faces(self) -> list[Face]:
        """The faces in it, from left to right."""
        return [Face(self._data, row) for row in self._data.faces_in.get(self.id, [])]

    @property
    def people(self) -> list[Person]:
        """The people in it, from left to right."""
        return list(dict.fromkeys(face.person for face in self.faces if face.person is not None))

    def open(self) -> Image.Image:
        """The photo from its file, upright (as when its faces were found), in full size.

        Raises:
            PhotoError: it is at none of its places any more, or damaged.
        """
        why = ""
        for uri in self.uris:
            try:
                check_no_video(uri)
                return Image.fromarray(open_photo(read_file(uri), max_side=_WHOLE, orientation=self._data.orientation(uri)).pixels)
            except PhotoError as e:
                why = why or f"{e}, at {uri}"
        raise PhotoError(f"{why}: put it back, or run 'facecluster run' with its new place")

    def __repr__(self) -> str:
        return f"<Photo {self.uri!r}, {self.width} x {self.height} px>"
