"""The table dedup/looks: fingerprints of photos, that is hashes of windows and a thumbnail, for finding duplicates.

Detection makes them while it has the photo open; `dedup` makes those that a store of an older version lacks.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from facecluster.photos.images import open_stored
from facecluster.photos.perceptual_hash import WEAK_BITS, WINDOWS, hash_windows
from facecluster.store import Stamp, table_of

LOOKS_TABLE = "dedup/looks"
SIDE = 512  # px of the longer side that a photo is reduced to: JPEG decodes a photo of 12 megapixels at 1/4 of its sides
THUMBNAIL = 160  # px of the thumbnail's longer side
QUALITY = 80  # of the thumbnail's WebP: 3 to 5 KB


def _field(name: str, kind: pa.DataType, description: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": description})


LOOKS = pa.schema(
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


def looks_stamp() -> Stamp:
    """The stamp of shards: what decides the fingerprints."""
    windows = hashlib.sha256(repr(WINDOWS).encode()).hexdigest()[:12]
    return {"table": LOOKS_TABLE, "version": 1, "windows": windows, "side": SIDE, "thumb": THUMBNAIL, "quality": QUALITY}


def fingerprint_photo(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """The fingerprint of a photo (h, w, 3) RGB of any size: a row of LOOKS without photo_id."""
    image = Image.fromarray(pixels)
    factor = max(image.size) // SIDE
    image = _reduced(image.reduce(factor) if factor > 1 else image, SIDE, Image.Resampling.HAMMING)  # a sixth of the cost of Lanczos alone
    grey = np.asarray(image.convert("L"), np.float32)
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    small = _reduced(image, THUMBNAIL, Image.Resampling.LANCZOS)
    found = hash_windows(np.asarray(small.convert("L")))
    red, green, blue = (np.asarray(channel, np.int16) for channel in small.split())
    colour = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    out = io.BytesIO()
    small.save(out, "WEBP", quality=QUALITY, method=2)
    return {
        "hashes": found.hashes, "doubts": found.weak_bits, "turns": found.turns,
        "contrast": float(grey.std()), "colour": float(colour.mean()),
        "sharpness": float(np.sqrt((laplacian**2).mean())) if laplacian.size else 0.0, "thumb": out.getvalue(), "error": None,
    }  # fmt: skip


def grey_thumbnail(data: bytes) -> NDArray[np.uint8]:
    """The grey values (h, w) of a thumbnail."""
    return np.asarray(open_stored(data, "L"))


def cover_faces(thumb: bytes, boxes: Sequence[Sequence[float]], width: int, height: int) -> bytes:
    """A thumbnail with faces, and a quarter of their sides around them, painted over in one colour.

    Args:
        thumb: WebP; b"" stays.
        boxes: x, y, w, h in px of the photo.
        width, height: of the photo, px.
    """
    if not thumb:
        return thumb
    with Image.open(io.BytesIO(thumb), formats=["WEBP"]) as image:
        pixels = np.array(image.convert("RGB"))
    colour = pixels.reshape(-1, 3).mean(axis=0).astype(np.uint8)
    across, down = pixels.shape[1] / max(width, 1), pixels.shape[0] / max(height, 1)
    for x, y, w, h in boxes:
        left, top = max(int((x - w / 4) * across), 0), max(int((y - h / 4) * down), 0)
        pixels[top : max(math.ceil((y + 1.25 * h) * down), 0), left : max(math.ceil((x + 1.25 * w) * across), 0)] = colour
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "WEBP", quality=QUALITY, method=2)
    return out.getvalue()


def no_fingerprint(error: str) -> dict[str, Any]:
    """The row, without photo_id, of a photo that has no fingerprint."""
    n = len(WINDOWS)
    empty = {"hashes": np.zeros(n, np.uint64), "doubts": np.zeros((n, WEAK_BITS), np.uint8), "turns": np.zeros(n, np.uint8), "thumb": b""}
    return empty | {"contrast": 0.0, "colour": 0.0, "sharpness": 0.0, "error": error}


def looks_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The table of rows, each with its photo_id."""
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in LOOKS.names}
    for field in LOOKS:
        if pa.types.is_fixed_size_list(field.type):
            kind = np.uint64 if field.name == "hashes" else np.uint8
            columns[field.name] = np.array([np.ravel(v) for v in columns[field.name]], kind).reshape(-1, field.type.list_size)
    return table_of(LOOKS, columns)


def _reduced(image: Image.Image, side: int, how: Image.Resampling) -> Image.Image:
    share = min(1.0, side / max(image.size))
    size = max(1, round(image.width * share)), max(1, round(image.height * share))
    return image if size == image.size else image.resize(size, how)
