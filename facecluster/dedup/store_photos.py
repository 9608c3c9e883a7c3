"""The photos of a store for finding duplicates: each content once, with all its files and its faces.

Files of other bytes that show the same picture are photos of their own here: they may differ in what the camera said, and one of them is
kept. They share the faces and the fingerprint of their picture.

Parts of archives and photos of the web are left out: they can't be moved, and must not be the reason to move a file.

Odd input: a photo with an error, or with no file any more, is left out.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.errors import PhotoError
from facecluster.language import mark
from facecluster.photos.archives.uris import file_of
from facecluster.photos.extras import VIDEO_FORMATS
from facecluster.photos.images import Photo, content_id, local_path, open_photo, read_file
from facecluster.photos.places import current_photos
from facecluster.photos.sidecar import sidecar_orientation
from facecluster.store import FACES, Store

NO_FILE, CHANGED = mark("the store has no file of it"), mark("changed since its faces were found: run 'facecluster embed' again")
_WEB = ("http://", "https://")
NO_TIME = np.iinfo(np.int64).min
_COLUMNS = ("content", "photo_id", "uri", "size", "mtime_ns", "format", "width", "height", "taken_at", "error")


class Bars(Protocol):
    """Opens a progress bar: what is counted, and the total."""

    def __call__(self, what: str, total: int) -> AbstractContextManager[Callable[[int], None]]: ...


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A file of a photo."""

    uri: str
    size: int  # bytes
    mtime_ns: int


@dataclass(slots=True)
class Photos:
    """Photos by number, 0 to n - 1: struct of arrays (n,)."""

    ids: list[str]  # SHA-256 of the bytes
    pictures: list[str]  # photo_id, which the faces and fingerprints have; equal for files of the same upright pixels
    files: list[list[PhotoFile]]  # sorted by uri, at least one
    formats: list[str]
    width: NDArray[np.int32]  # px, upright
    height: NDArray[np.int32]
    size: NDArray[np.int64]  # bytes
    taken: NDArray[np.int64]  # seconds by the camera's clock; NO_TIME if unknown
    faces: NDArray[np.int32]  # number of faces
    quality: NDArray[np.float32]  # mean quality of the faces, 0 to 1; 0 without faces
    face_sharpness: NDArray[np.float32]  # mean sharpness of the faces, weighted by their areas; 0 without faces
    missing: int = 0  # files of the store that no longer exist
    videos: list[str] = field(default_factory=list)  # uris of the videos, which are not compared; those that are there
    not_files: int = 0  # places that were left out because they are in archives or on the web

    def __len__(self) -> int:
        return len(self.ids)


def read_photos(store: Store) -> Photos:
    """Read the photos that have no error and still have a file, no videos; files on this machine are checked for existence."""
    table = current_photos(store, _COLUMNS, look=True)
    usable = table.filter(pc.and_(pc.is_null(table["error"]), pc.not_equal(table["content"], "")))
    videos = pc.is_in(usable["format"], value_set=pa.array(sorted(VIDEO_FORMATS)))
    of_videos, usable = usable.filter(videos), usable.filter(pc.invert(videos))
    there = usable.filter(pc.invert(usable["gone"]))
    missing = usable.num_rows - there.num_rows
    own = pa.array([file_of(uri) == uri and not uri.startswith(_WEB) for uri in there["uri"].to_pylist()], pa.bool_())
    not_files, there = there.num_rows - pc.sum(own).as_py() if len(own) else 0, there.filter(own)
    seconds = there["taken_at"].cast(pa.timestamp("s"), safe=False).cast(pa.int64())
    there = there.set_column(there.column_names.index("taken_at"), "taken_at", seconds)
    rows: dict[str, dict[str, Any]] = {}
    files: dict[str, list[PhotoFile]] = {}
    for values in zip(*(there[name].to_pylist() for name in _COLUMNS), strict=True):
        row = dict(zip(_COLUMNS, values, strict=True))
        rows.setdefault(row["content"], row)
        files.setdefault(row["content"], []).append(PhotoFile(row["uri"], row["size"], row["mtime_ns"]))
    ids = sorted(rows)
    pictures = [rows[i]["photo_id"] for i in ids]
    names = sorted(set(pictures))
    of = np.array([bisect_left(names, picture) for picture in pictures], np.int64)
    faces, quality, sharpness = _read_faces(store, {photo_id: i for i, photo_id in enumerate(names)})

    def column(name: str, kind: type, default: int = 0) -> NDArray[Any]:
        return np.array([default if rows[i][name] is None else rows[i][name] for i in ids], kind)

    return Photos(
        ids, pictures, [sorted(files[i], key=lambda f: f.uri) for i in ids], [rows[i]["format"] or "" for i in ids],
        width=column("width", np.int32), height=column("height", np.int32), size=column("size", np.int64),
        taken=column("taken_at", np.int64, NO_TIME), faces=faces[of], quality=quality[of], face_sharpness=sharpness[of],
        missing=missing, not_files=not_files, videos=sorted(of_videos.filter(pc.invert(of_videos["gone"]))["uri"].to_pylist()),
    )  # fmt: skip


def _read_faces(store: Store, number: dict[str, int]) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """For each photo the number of faces, their mean quality, and their mean sharpness weighted by area."""
    count, quality, area, sharp = (np.zeros(len(number)) for _ in range(4))
    seen: set[str] = set()
    for shard in store.shards("faces"):
        table = store.read("faces", shard, ["face_id", "photo_id", "box", "sharpness", "quality"]).cast(
            pa.schema([FACES.field(n) for n in ("face_id", "photo_id", "box", "sharpness", "quality")])
        )
        new = [i for i, face in enumerate(table["face_id"].to_pylist()) if face not in seen and not seen.add(face)]  # type: ignore[func-returns-value]
        table = table.take(pa.array(new, pa.int64()))
        at = np.array([number.get(p, -1) for p in table["photo_id"].to_pylist()], np.int64)
        keep = at >= 0
        sides = np.nan_to_num(np.asarray(pc.list_flatten(table["box"]), np.float64)).reshape(-1, 4)[keep, 2:].clip(0)
        size, at = sides.prod(axis=1), at[keep]
        np.add.at(count, at, 1)
        np.add.at(quality, at, np.nan_to_num(np.asarray(table["quality"], np.float64))[keep])
        np.add.at(area, at, size)
        np.add.at(sharp, at, size * np.nan_to_num(np.asarray(table["sharpness"], np.float64))[keep])
    mean = quality / np.maximum(count, 1)
    return count.astype(np.int32), mean.astype(np.float32), (sharp / np.where(area > 0, area, 1)).astype(np.float32)


def read_content(photos: Photos, photo: int) -> tuple[bytes, str]:
    """The bytes of a photo, from the first of its files that still holds them, and that file's uri. Raises PhotoError."""
    problem = PhotoError(NO_FILE)
    for file in photos.files[photo]:
        try:
            data = read_file(file.uri)
        except PhotoError as e:
            problem = e
            continue
        if content_id(data) == photos.ids[photo]:
            return data, file.uri
        problem = PhotoError(CHANGED)
    raise problem


def open_file(photos: Photos, photo: int, max_side: int) -> Photo:
    """A photo, turned as its faces were found: as its sidecar or else its EXIF says. Raises PhotoError."""
    data, uri = read_content(photos, photo)
    path = local_path(uri)
    return open_photo(data, max_side=max_side, orientation=None if path is None else sidecar_orientation(path))
