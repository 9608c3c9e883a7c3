"""Find photos and faces of a store by the path, the content or the position in the photo that a user gives.

Odd inputs: a place that was dropped is not found; a face that is stored twice counts once; a path that leads to a photo of the
store through a link is found.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.photos.followed import present_ids, read_followed
from facecluster.photos.images import local_path
from facecluster.photos.places import current_photos, of_current_photos
from facecluster.store import FACES, Store


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of the store, or a file that could not be used."""

    photo_id: str  # '' if it could not be used
    width: int  # px, upright
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """The faces of one photo."""

    ids: list[str]
    boxes: NDArray[np.float64]  # (n, 4) x, y, w, h in px of the upright photo

    def choose(self, rule: str, photo: Photo) -> str:
        """face_id of the face nearest to the centre of the photo ("centre") or of the largest ("largest"); of equal ones the first."""
        if rule == "largest":
            return self.ids[int(np.argmax(self.boxes[:, 2] * self.boxes[:, 3]))]
        middle = self.boxes[:, :2] + self.boxes[:, 2:] / 2 - (photo.width / 2, photo.height / 2)
        return self.ids[int(np.argmin((middle**2).sum(axis=1)))]


class Library:
    """Looks up photos and faces: reads the photos of a store once, and faces on request."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._photos: dict[str, Photo] = {}
        self._known: dict[str, Photo] = {}
        for row in current_photos(store, ["uri", "photo_id", "content", "width", "height", "error"]).to_pylist():
            photo = Photo("" if row["error"] else row["photo_id"], row["width"] or 0, row["height"] or 0)
            self._photos[_key(row["uri"])] = photo
            if photo.photo_id:
                self._known[photo.photo_id] = self._known[row["content"]] = photo
        self._real: dict[str, Photo] | None = None
        self._stems: dict[str, Photo] | None = None

    def photo(self, path: str) -> Photo | None:
        """The photo at an absolute path or URL."""
        found = self._photos.get(_key(path))
        if found is None and local_path(path) is not None:
            if self._real is None:
                folder = lru_cache(maxsize=None)(os.path.realpath)
                self._real = {_real(key, folder(os.path.dirname(key))): photo for key, photo in self._photos.items() if key[:1] == "/"}
            found = self._real.get(_real(_key(path), os.path.realpath(os.path.dirname(_key(path)))))
        return found

    def by_content(self, photo_id: str) -> Photo | None:
        """The photo with this photo_id, or with a file of this SHA-256."""
        return self._known.get(photo_id)

    def by_stem(self, path: str) -> Photo | None:
        """The photo at an absolute path or URL; the extension is ignored."""
        if self._stems is None:
            self._stems = {os.path.splitext(key)[0]: photo for key, photo in self._photos.items()}
        return self._stems.get(_key(path))

    def faces(self, photo_ids: Collection[str]) -> dict[str, Faces]:
        """The faces of these photos, by photo_id; photos without a face are missing."""
        found: dict[str, dict[str, list[float]]] = {}
        wanted = pa.array(sorted(photo_ids), pa.string())
        for shard in self.store.shards("faces"):
            part = self.store.read("faces", shard, ["photo_id", "face_id", "box"])
            part = part.filter(pc.is_in(part["photo_id"], value_set=wanted))
            for photo_id, face_id, box in zip(*(column.to_pylist() for column in part.columns), strict=True):
                found.setdefault(photo_id, {})[face_id] = box
        return {photo: Faces(list(faces), np.array(list(faces.values()), np.float64)) for photo, faces in found.items()}

    def faces_now(self, faces: Collection[str]) -> dict[str, str]:
        """The face_id that each of these faces has now, also of one from before its photo was edited; faces that are gone are missing."""
        ids = self.store.read_all("faces", FACES, ["face_id"])["face_id"]
        present, followed = set(ids.filter(of_current_photos(self.store, ids)).to_pylist()), read_followed(self.store)
        return {face: now[0] for face in faces if (now := present_ids(face, followed, present))}


def joined(base: str, path: str) -> str:
    """A path or URL, unchanged if it is absolute, else joined to the folder `base`, a path or URL."""
    if local_path(path) is None:
        return path
    local = os.path.expanduser(local_path(path) or "")
    if os.path.isabs(local):
        return local
    return f"{base.rstrip('/')}/{local.removeprefix('./')}" if local_path(base) is None else os.path.abspath(os.path.join(base, local))


def folder_of(path: str) -> str:
    """The folder of a file, by path or URL."""
    return path.rsplit("/", 1)[0] if local_path(path) is None else os.path.dirname(os.path.abspath(local_path(path) or ""))


def _key(uri: str) -> str:
    local = local_path(uri)
    return uri if local is None else os.path.normpath(local)


def _real(path: str, folder: str) -> str:
    return os.path.join(folder, os.path.basename(path))
