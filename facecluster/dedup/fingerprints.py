"""The table dedup/looks: fingerprints of photos, that is hashes of windows and a thumbnail, for finding duplicates.

Each photo is opened once more, shard by shard as the photos stand in the store; a second run continues where the first stopped. A photo
that can't be opened, or has changed since its faces were found, is a row with `error`, and every later run tries it again.
"""

from __future__ import annotations

import hashlib
import io
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from facecluster.dedup.hamming_index import WEAK_BITS
from facecluster.dedup.perceptual_hash import WINDOWS, hash_windows
from facecluster.errors import PhotoError
from facecluster.photos.images import content_id, open_photo, read_file
from facecluster.store import Stamp, Store, table_of

TABLE = "dedup/looks"
SIDE = 512  # px of the longer side that a photo is reduced to: JPEG decodes a photo of 12 megapixels at 1/4 of its sides
THUMBNAIL = 160  # px of the thumbnail's longer side
QUALITY = 80  # of the thumbnail's WebP: 3 to 5 KB


def _field(name: str, kind: pa.DataType, description: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": description})


FINGERPRINTS = pa.schema(
    [
        _field("photo_id", pa.string(), "the photo"),
        _field("hashes", pa.list_(pa.uint64(), len(WINDOWS)), "signs of 63 low DCT coefficients of each window in its canonical form"),
        _field("doubts", pa.list_(pa.uint8(), len(WINDOWS) * WEAK_BITS), "weak bits: of each window the 12 nearest to 0; 0 = the first"),
        _field("turns", pa.list_(pa.uint8(), len(WINDOWS)), "from photo to canonical form: 4 transposed, 2 left-right, 1 top-bottom"),
        _field("contrast", pa.float32(), "standard deviation of grey values, 0 to 128"),
        _field("colour", pa.float32(), "mean of max(R, G, B) - min(R, G, B), 0 (grey) to 255"),
        _field("sharpness", pa.float32(), "root mean square of the Laplacian at 512 px: about 5 blurred, 20 and up crisp"),
        _field("thumb", pa.binary(), "thumbnail of 160 px, upright, WebP"),
        _field("error", pa.string(), "why the photo has no fingerprint; null if it has one", nullable=True),
    ]
)


def stamp() -> Stamp:
    """The settings that make a shard; a shard of other settings is made again."""
    windows = hashlib.sha256(repr(WINDOWS).encode()).hexdigest()[:12]
    return {"table": TABLE, "version": 1, "windows": windows, "side": SIDE, "thumb": THUMBNAIL, "quality": QUALITY}


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The fingerprint of one photo; FINGERPRINTS explains the columns."""

    hashes: NDArray[np.uint64]
    weak_bits: NDArray[np.uint8]  # column doubts
    turns: NDArray[np.uint8]
    contrast: float
    colour: float
    sharpness: float
    thumbnail: bytes  # column thumb


def fingerprint_photo(pixels: NDArray[np.uint8]) -> Fingerprint:
    """The fingerprint of a photo (h, w, 3) of about SIDE px."""
    image = Image.fromarray(pixels)
    grey = np.asarray(image.convert("L"), np.float32)
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    share = min(1.0, THUMBNAIL / max(image.size))
    small = image.resize((max(1, round(image.width * share)), max(1, round(image.height * share))), Image.Resampling.LANCZOS)
    found = hash_windows(np.asarray(small.convert("L")))
    rgb = np.asarray(small)
    out = io.BytesIO()
    small.save(out, "WEBP", quality=QUALITY, method=4)
    return Fingerprint(
        found.hashes, found.weak_bits, found.turns,
        contrast=float(grey.std()), colour=float((rgb.max(axis=2) - rgb.min(axis=2)).mean()),
        sharpness=float(np.sqrt((laplacian**2).mean())) if laplacian.size else 0.0, thumbnail=out.getvalue(),
    )  # fmt: skip


def grey_thumbnail(data: bytes) -> NDArray[np.uint8]:
    """The grey values (h, w) of a thumbnail."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("L"))


def fingerprint_shards(
    store: Store, todo: Mapping[str, Sequence[tuple[str, Sequence[str]]]], tick: Callable[[int], None], *, threads: int = 2
) -> None:
    """Write the fingerprints of photos; rows of other photos in a shard are kept.

    Args:
        store: gets the fingerprints.
        todo: shard -> photos, each as photo_id and the uris of its files.
        tick: called with 1 after each photo.
        threads: photos that are opened at the same time.
    """
    for shard, photos in todo.items():
        done: dict[str, dict[str, Any]] = {}
        if store.stamp(TABLE, shard) == dict(stamp()):
            done = {row["photo_id"]: row for row in store.read(TABLE, shard).to_pylist()}
        for row in _rows(photos, threads):
            done[row["photo_id"]] = row
            tick(1)
        store.write(TABLE, shard, _table(list(done.values())), stamp())


def _rows(photos: Sequence[tuple[str, Sequence[str]]], threads: int) -> Iterator[dict[str, Any]]:
    """Rows of photos, in order, a few computed ahead of the caller."""
    pool = ThreadPoolExecutor(threads)
    ahead: deque[Future[dict[str, Any]]] = deque()
    try:
        for photo in photos:
            ahead.append(pool.submit(_row, *photo))
            if len(ahead) > 2 * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _row(photo_id: str, uris: Sequence[str]) -> dict[str, Any]:
    error = "the store has no file of it"
    for uri in uris:
        try:
            data = read_file(uri)
            if content_id(data) != photo_id:
                error = "changed since its faces were found: run 'facecluster embed' again"
                continue
            found = fingerprint_photo(open_photo(data, max_side=SIDE).pixels)
        except PhotoError as e:
            error = str(e)
            continue
        return {
            "photo_id": photo_id, "hashes": found.hashes, "doubts": found.weak_bits, "turns": found.turns, "contrast": found.contrast,
            "colour": found.colour, "sharpness": found.sharpness, "thumb": found.thumbnail, "error": None,
        }  # fmt: skip
    n = len(WINDOWS)
    empty = {"hashes": np.zeros(n, np.uint64), "doubts": np.zeros((n, WEAK_BITS), np.uint8), "turns": np.zeros(n, np.uint8), "thumb": b""}
    return empty | {"photo_id": photo_id, "contrast": 0.0, "colour": 0.0, "sharpness": 0.0, "error": error}


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in FINGERPRINTS.names}
    for field in FINGERPRINTS:
        if pa.types.is_fixed_size_list(field.type):
            kind = np.uint64 if field.name == "hashes" else np.uint8
            columns[field.name] = np.array([np.ravel(v) for v in columns[field.name]], kind).reshape(-1, field.type.list_size)
    return table_of(FINGERPRINTS, columns)
