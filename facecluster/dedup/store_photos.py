"""The photos of a store for finding duplicates: each content once, with all its files, its faces and its fingerprint.

Odd input: of rows with one uri the last counts; a photo with an error, or with no file any more, is left out; a photo without a fingerprint
(it can't be opened) is compared by its content hash alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.dedup import fingerprints
from facecluster.dedup.hamming_index import WEAK_BITS
from facecluster.dedup.perceptual_hash import WINDOWS
from facecluster.photos.images import local_path
from facecluster.store import FACES, Store

NO_TIME = np.iinfo(np.int64).min
_COLUMNS = ("photo_id", "uri", "size", "mtime_ns", "format", "width", "height", "taken_at", "error")


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

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(slots=True)
class Fingerprints:
    """The fingerprints of photos, by their numbers; fingerprints.FINGERPRINTS explains the columns."""

    exists: NDArray[np.bool_]  # (n,) whether the photo has one
    hashes: NDArray[np.uint64]  # (n, windows)
    weak_bits: NDArray[np.uint8]  # (n, windows, WEAK_BITS)
    turns: NDArray[np.uint8]  # (n, windows)
    contrast: NDArray[np.float32]
    colour: NDArray[np.float32]
    sharpness: NDArray[np.float32]
    errors: dict[int, str]  # by number, why a photo has none
    thumbnails: Thumbnails


class Thumbnails:
    """Thumbnails in one file, by number of the photo."""

    def __init__(self, file: BinaryIO, photos: int) -> None:
        self._file = file
        self._start = np.zeros(photos, np.int64)
        self._size = np.zeros(photos, np.int64)
        self._end = 0

    def add(self, photo: int, data: bytes) -> None:
        """Append one."""
        self._file.write(data)
        self._start[photo], self._size[photo] = self._end, len(data)
        self._end += len(data)

    def __getitem__(self, photo: int) -> bytes:
        self._file.seek(int(self._start[photo]))
        return self._file.read(int(self._size[photo]))


def read_photos(store: Store) -> Photos:
    """Read the photos that have no error and still have a file; files on this machine are checked for existence."""
    last: dict[str, tuple[Any, ...]] = {}  # about 400 bytes a file
    for shard in store.shards("photos"):
        part = store.read("photos", shard, list(_COLUMNS)).select(_COLUMNS)
        seconds = part["taken_at"].cast(pa.timestamp("s"), safe=False).cast(pa.int64())
        part = part.set_column(_COLUMNS.index("taken_at"), "taken_at", seconds)
        last.update((row[1], row) for row in zip(*(part[name].to_pylist() for name in _COLUMNS), strict=True))
    rows: dict[str, dict[str, Any]] = {}
    files: dict[str, list[PhotoFile]] = {}
    missing = 0
    for uri, values in last.items():
        row = dict(zip(_COLUMNS, values, strict=True))
        if row["error"] is None and row["photo_id"]:
            path = local_path(uri)
            if path is not None and not os.path.lexists(path):
                missing += 1
                continue
            rows.setdefault(row["photo_id"], row)
            files.setdefault(row["photo_id"], []).append(PhotoFile(uri, row["size"], row["mtime_ns"]))
    ids = sorted(rows)
    faces, quality, sharpness = _read_faces(store, {photo_id: i for i, photo_id in enumerate(ids)})

    def column(name: str, kind: type, default: int = 0) -> NDArray[Any]:
        return np.array([default if rows[i][name] is None else rows[i][name] for i in ids], kind)

    return Photos(
        ids, [sorted(files[i], key=lambda f: f.uri) for i in ids], [rows[i]["format"] or "" for i in ids],
        width=column("width", np.int32), height=column("height", np.int32), size=column("size", np.int64),
        taken=column("taken_at", np.int64, NO_TIME), faces=faces, quality=quality, face_sharpness=sharpness, missing=missing,
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


def update_fingerprints(store: Store, photos: Photos, *, bars: Bars, threads: int = 2) -> None:
    """Make the missing fingerprints; a shard of dedup/looks holds those of the shard of photos with its name."""
    number = {photo_id: i for i, photo_id in enumerate(photos.ids)}
    done: set[str] = set()
    for shard in store.shards(fingerprints.TABLE):
        if store.stamp(fingerprints.TABLE, shard) == dict(fingerprints.stamp()):
            table = store.read(fingerprints.TABLE, shard, ["photo_id", "error"])
            done |= set(table.filter(pc.is_null(table["error"]))["photo_id"].to_pylist())
    todo: dict[str, list[tuple[str, list[str]]]] = {}
    planned: set[str] = set()
    for shard in store.shards("photos"):
        for photo_id in dict.fromkeys(store.read("photos", shard, ["photo_id"])["photo_id"].to_pylist()):
            if photo_id in number and photo_id not in done and photo_id not in planned:
                planned.add(photo_id)
                uris = [file.uri for file in photos.files[number[photo_id]]]
                todo.setdefault(shard, []).append((photo_id, uris))
    with bars("photos hashed", len(planned)) as tick:
        fingerprints.fingerprint_shards(store, todo, tick, threads=threads)


def read_fingerprints(store: Store, photos: Photos, spool: BinaryIO) -> Fingerprints:
    """Read the fingerprints; thumbnails go to the file `spool`, a shard at a time."""
    n, number = len(photos), {photo_id: i for i, photo_id in enumerate(photos.ids)}
    found = Fingerprints(
        np.zeros(n, bool), np.zeros((n, len(WINDOWS)), np.uint64), np.zeros((n, len(WINDOWS), WEAK_BITS), np.uint8),
        np.zeros((n, len(WINDOWS)), np.uint8), np.zeros(n, np.float32), np.zeros(n, np.float32), np.zeros(n, np.float32), {},
        Thumbnails(spool, n),
    )  # fmt: skip
    for shard in store.shards(fingerprints.TABLE):
        table = store.read(fingerprints.TABLE, shard)
        at = np.array([number.get(p, -1) for p in table["photo_id"].to_pylist()], np.int64)
        for row, error in enumerate(table["error"].to_pylist()):
            if error is not None and at[row] >= 0 and not found.exists[at[row]]:
                found.errors[int(at[row])] = error
        rows = np.flatnonzero((at >= 0) & np.asarray(pc.is_null(table["error"])) & ~found.exists[at])
        to = at[rows]
        for column, into in (("hashes", found.hashes), ("doubts", found.weak_bits), ("turns", found.turns)):
            values = np.asarray(pc.list_flatten(table[column]))
            into[to] = values.reshape(table.num_rows, *into.shape[1:])[rows]
        for name in ("contrast", "colour", "sharpness"):
            getattr(found, name)[to] = np.asarray(table[name])[rows]
        for photo, thumbnail in zip(to.tolist(), table["thumb"].take(pa.array(rows)).to_pylist(), strict=True):
            found.thumbnails.add(photo, thumbnail)
        found.exists[to] = True
    for photo in np.flatnonzero(found.exists).tolist():
        found.errors.pop(photo, None)
    return found
