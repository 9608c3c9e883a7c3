"""The fingerprints of a store's photos: read from the table dedup/looks, and made where detection has not made them (photos.fingerprint).

That is the case in stores of older versions. Each photo is then opened once more, shard by shard as the photos stand in the store; a second
run continues where the first stopped. A photo that can't be opened, or has changed since its faces were found, is a row with `error`, and
every later run tries it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.dedup.store_photos import Bars, Photos, open_file
from facecluster.errors import PhotoError
from facecluster.photos.ahead import computed_ahead
from facecluster.photos.fingerprint import LOOKS_TABLE, SIDE, fingerprint_photo, looks_stamp, looks_table, no_fingerprint
from facecluster.photos.perceptual_hash import WEAK_BITS, WINDOWS
from facecluster.store import Store


@dataclass(slots=True)
class Fingerprints:
    """The fingerprints of photos, by their numbers; photos.fingerprint.LOOKS explains the columns."""

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
    """Thumbnails in one file, by number of the picture, or of the photo that shows it."""

    def __init__(self, file: BinaryIO, pictures: int) -> None:
        self._file = file
        self._start = np.zeros(pictures, np.int64)
        self._size = np.zeros(pictures, np.int64)
        self._end = 0

    def add(self, picture: int, data: bytes) -> None:
        """Append one."""
        self._file.write(data)
        self._start[picture], self._size[picture] = self._end, len(data)
        self._end += len(data)

    def of(self, pictures: NDArray[np.int64]) -> Thumbnails:
        """The thumbnails by another number: the i-th is that of pictures[i]."""
        found = Thumbnails(self._file, 0)
        found._start, found._size = self._start[pictures], self._size[pictures]
        return found

    def __getitem__(self, number: int) -> bytes:
        self._file.seek(int(self._start[number]))
        return self._file.read(int(self._size[number]))


def update_fingerprints(store: Store, photos: Photos, *, bars: Bars, threads: int = 2) -> None:
    """Make the missing fingerprints; a shard of dedup/looks holds those of the shard of photos with its name."""
    files: dict[str, list[int]] = {}
    for photo, picture in enumerate(photos.pictures):
        files.setdefault(picture, []).append(photo)
    done: set[str] = set()
    for shard in _current_shards(store):
        table = store.read(LOOKS_TABLE, shard, ["photo_id", "error"])
        done |= set(table.filter(pc.is_null(table["error"]))["photo_id"].to_pylist())
    todo: dict[str, list[str]] = {}
    planned: set[str] = set()
    for shard in store.shards("photos") if not files.keys() <= done else []:
        for picture in dict.fromkeys(store.read("photos", shard, ["photo_id"])["photo_id"].to_pylist()):
            if picture in files and picture not in done and picture not in planned:
                planned.add(picture)
                todo.setdefault(shard, []).append(picture)
    with bars("photos hashed", len(planned)) as tick:
        for shard, pictures in todo.items():
            rows: dict[str, dict[str, Any]] = {}
            if store.stamp(LOOKS_TABLE, shard) == dict(looks_stamp()):
                rows = {row["photo_id"]: row for row in store.read(LOOKS_TABLE, shard).to_pylist()}
            for picture, row in zip(pictures, _rows(photos, [files[p] for p in pictures], threads), strict=True):
                rows[picture] = row | {"photo_id": picture}
                tick(1)
            store.write(LOOKS_TABLE, shard, looks_table(list(rows.values())), looks_stamp())


def _current_shards(store: Store) -> list[str]:
    """The shards of fingerprints that were made with these settings."""
    return [shard for shard in store.shards(LOOKS_TABLE) if store.stamp(LOOKS_TABLE, shard) == dict(looks_stamp())]


def _rows(photos: Photos, todo: Sequence[Sequence[int]], threads: int) -> Iterator[dict[str, Any]]:
    """Rows of pictures, each shown by some photos, in order, a few computed ahead of the caller."""
    return computed_ahead(partial(_row, photos), todo, threads)


def _row(photos: Photos, numbers: Sequence[int]) -> dict[str, Any]:
    error = ""
    for photo in numbers:
        try:
            return fingerprint_photo(open_file(photos, photo, SIDE).pixels)
        except PhotoError as e:
            error = str(e)
    return no_fingerprint(error)


def read_fingerprints(store: Store, photos: Photos, spool: BinaryIO) -> Fingerprints:
    """Read the fingerprints; thumbnails go to the file `spool`, a shard at a time."""
    number = {picture: i for i, picture in enumerate(sorted(set(photos.pictures)))}
    n, thumbnails, errors = len(number), Thumbnails(spool, len(number)), dict[int, str]()
    exists = np.zeros(n, bool)
    columns: dict[str, NDArray[Any]] = {name: np.zeros(n, np.float32) for name in ("contrast", "colour", "sharpness")}
    columns |= {"hashes": np.zeros((n, len(WINDOWS)), np.uint64), "turns": np.zeros((n, len(WINDOWS)), np.uint8)}
    columns["doubts"] = np.zeros((n, len(WINDOWS), WEAK_BITS), np.uint8)
    for shard in _current_shards(store):
        table = store.read(LOOKS_TABLE, shard)
        at = np.array([number.get(p, -1) for p in table["photo_id"].to_pylist()], np.int64)
        failed = np.asarray(pc.is_valid(table["error"]))
        errors |= {int(at[row]): table["error"][row].as_py() for row in np.flatnonzero(failed & (at >= 0)).tolist()}
        rows = np.flatnonzero((at >= 0) & ~failed & ~exists[at])
        to = at[rows]
        for name, into in columns.items():
            values = np.asarray(pc.list_flatten(table[name]) if into.ndim > 1 else table[name])
            into[to] = values.reshape(table.num_rows, *into.shape[1:])[rows]
        for picture, thumbnail in zip(to.tolist(), table["thumb"].take(pa.array(rows)).to_pylist(), strict=True):
            thumbnails.add(picture, thumbnail)
        exists[to] = True
    of = np.array([number[picture] for picture in photos.pictures], np.int64)
    return Fingerprints(
        exists[of], columns["hashes"][of], columns["doubts"][of], columns["turns"][of], columns["contrast"][of], columns["colour"][of],
        columns["sharpness"][of], {p: errors[i] for p, i in enumerate(of.tolist()) if i in errors and not exists[i]}, thumbnails.of(of),
    )  # fmt: skip
