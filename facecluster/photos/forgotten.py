"""What the user had forgotten: the table `forgotten`, by which later runs leave it out. It holds salted hashes (marks) and nothing else.

A mark is HMAC-SHA-256 (RFC 2104) under the store's own random salt. A forgotten photo has marks of its bytes, of its picture, and of its
places with size and time of change. A forgotten face has a mark of its photo and of its box, which is rounded, so that the box of another
detector is known too. Marks do not say what they are of; but who has the store and a photo can try whether it has one.

Odd inputs: a store in which nothing was forgotten has no table, and nothing is left out. A picture that was edited has no mark.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from facecluster.store import Store, table_of

TABLE = "forgotten"
FORGOTTEN = pa.schema(
    [pa.field("mark", pa.binary(32), nullable=False, metadata={"description": "HMAC-SHA-256 of what was forgotten, under the salt"})]
)
CELL = 0.25  # share of a box's side: its centre is rounded to such cells
LEVELS = 2  # steps of its side in an octave


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The marks of a store."""

    salt: bytes
    marks: frozenset[bytes]

    def has_place(self, uri: str, size: int, mtime_ns: int) -> bool:
        """Whether a file is a forgotten photo, and is as it was then."""
        return bool(self.marks) and self.of_place(uri, size, mtime_ns) in self.marks

    def has_photo(self, *keys: str | None) -> bool:
        """Whether a photo was forgotten. `keys`: hash of its bytes, and of its picture if it is known."""
        return bool(self.marks) and any(self.of_photo(key) in self.marks for key in keys if key)

    def kept(self, faces: Sequence[Mapping[str, Any]], *keys: str | None) -> list[bool]:
        """Which faces of a photo were not forgotten.

        Args:
            faces: rows with box (x, y, w, h; px) and, of a video, at_ms.
            keys: photo_id, and hash of the picture if it is known.
        """
        known = [key for key in keys if key and self.marks and self._mark("faces", key) in self.marks]
        if not known:
            return [True] * len(faces)
        return [
            not any(self._mark("face", key, cell) in self.marks for key in known for cell in _cells(face["box"], face.get("at_ms"), 1))
            for face in faces
        ]

    def of_place(self, uri: str, size: int, mtime_ns: int) -> bytes:
        """The mark of a photo at a place."""
        return self._mark("place", uri, str(size), str(mtime_ns))

    def of_photo(self, key: str) -> bytes:
        """The mark of a photo by the hash of its bytes or of its picture."""
        return self._mark("photo", key)

    def of_face(self, key: str, box: Sequence[float], at_ms: int | None) -> list[bytes]:
        """The marks of a face of a photo, by one of the photo's keys."""
        return [self._mark("faces", key), *(self._mark("face", key, cell) for cell in _cells(box, at_ms, 0))]

    def of_text(self, text: str) -> bytes:
        """The mark of any text."""
        return self._mark("text", text)

    def _mark(self, *parts: str) -> bytes:
        return hmac.digest(self.salt, "\0".join(parts).encode("utf-8", "surrogatepass"), hashlib.sha256)


def _cells(box: Sequence[float], at_ms: int | None, near: int) -> Iterator[str]:
    """Names of the cell of a box, and of those up to `near` steps away in size, place and (of a video) second."""
    x, y, w, h = (float(v) for v in box)
    level = round(LEVELS * math.log2(max(math.sqrt(max(w * h, 0)), 1)))
    around = range(-near, near + 1)
    seconds = [""] if at_ms is None else [str(at_ms // 1000 + step) for step in around]
    for size in (level + step for step in around):
        side = CELL * 2 ** (size / LEVELS)
        column, row = math.floor((x + w / 2) / side), math.floor((y + h / 2) / side)
        yield from (f"{size} {column + i} {row + j} {at}" for i in around for j in around for at in seconds)


def read_forgotten(store: Store) -> Forgotten:
    """The marks of a store; with a new salt if it has none."""
    shards = store.shards(TABLE)
    stamp = store.stamp(TABLE, shards[0]) if shards else None
    salt = bytes.fromhex(stamp["salt"]) if stamp else os.urandom(32)
    return Forgotten(salt, frozenset(store.read_all(TABLE, FORGOTTEN)["mark"].to_pylist()) if shards else frozenset())


def add_marks(store: Store, salt: bytes, marks: Iterable[bytes], shard: str = "00000") -> None:
    """Add marks under a salt to a shard of the table; their order says nothing."""
    before = store.read(TABLE, shard)["mark"].to_pylist() if shard in store.shards(TABLE) else []
    found = sorted({*before, *marks})
    if found != before:
        store.write(TABLE, shard, table_of(FORGOTTEN, {"mark": found}), {"table": TABLE, "salt": salt.hex()})
