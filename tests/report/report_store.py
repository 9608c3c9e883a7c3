"""A small store with difficult file names and coloured squares as faces, for the tests of the report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from PIL import Image

from facecluster.store import FACES, IDENTITIES, PHOTOS, Store, table_of

SCRIPT = "/photos/<script>alert(1)</script>.jpg"
NASTY = [
    SCRIPT,
    "/photos/new\nline.jpg",
    "/photos/smile 😀 %41#?&.jpg",
    "/photos/\"><img src=x onerror=alert(1)>'.jpg",
    "file:///photos/caf%E9%FF.jpg",
    "=cmd()|' /C calc'!A0.jpg",
    "javascript:alert(1)//.jpg",
    "s3://bucket/far.jpg",
    "/photos/{{ 7*7 }}</title>\u202egnp.jpg",
]


def crop(colour: tuple[int, int, int], kind: str = "WEBP") -> bytes:
    """A crop in one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (112, 112), colour).save(buffer, kind)
    return buffer.getvalue()


def photo_id(i: int) -> str:
    """A photo_id: the face_ids of its faces begin as it does."""
    return f"{i:024x}{i:040x}"


def face_id(photo: int, i: int) -> str:
    """A face_id."""
    return f"{photo:024x}-{i:04x}"


def write_photos(
    store: Store, shard: str, rows: Sequence[tuple[str, str, datetime | None, str | None]], size: tuple[int, int] = (400, 300)
) -> None:
    """Rows of (photo_id, uri, taken_at, error)."""
    n = len(rows)
    ids, uris, dates, errors = zip(*rows, strict=True)
    columns = {
        "photo_id": ids, "uri": uris, "size": [9] * n, "mtime_ns": [0] * n, "format": ["JPEG"] * n,
        "width": [size[0]] * n, "height": [size[1]] * n, "orientation": [1] * n, "taken_at": dates,
        "phash": np.zeros(n, np.uint64), "faces": [1] * n, "error": errors,
    }  # fmt: skip
    store.write("photos", shard, table_of(PHOTOS, columns), {"stage": "collect"})


def write_faces(
    store: Store, shard: str, faces: Sequence[tuple[str, str]], crops: Sequence[bytes], box: Sequence[float] = (50, 60, 100, 120)
) -> None:
    """Rows of (face_id, photo_id); qualities fall from 0.9."""
    n = len(faces)
    columns = {
        "face_id": [f for f, _ in faces], "photo_id": [p for _, p in faces], "box": np.tile(np.float32(box), (n, 1)),
        "landmarks": np.zeros((n, 10), np.float32), "score": np.full(n, 0.75, np.float32), "sharpness": np.full(n, 5, np.float32),
        "yaw": np.full(n, -12.5, np.float32), "quality": np.linspace(0.9, 0.1, n).astype(np.float32), "crop": list(crops),
    }  # fmt: skip
    store.write("faces", shard, table_of(FACES, columns), {"stage": "detect", "threshold": 0.5})


def write_identities(store: Store, rows: Sequence[tuple[str, int, float]]) -> None:
    """Rows of (face_id, identity, probability)."""
    ids, identity, probability = zip(*rows, strict=True)
    columns = {
        "face_id": ids, "identity": np.array(identity, np.int32), "probability": np.array(probability, np.float32),
        "outlier_score": np.zeros(len(ids), np.float32),
    }  # fmt: skip
    store.write("identities/bundled", "all", table_of(IDENTITIES, columns), {"stage": "identify", "cut": 0.4})


def small_store(folder: Path) -> Store:
    """A photo with one face for each difficult name; a copy, a failure, a photo whose content changed, a face stored twice.

    Faces 0 to 3 are identity 0, 4 and 5 are identity 1, 6 has identity -1, and 7 and 8 have no row in identities.
    """
    store = Store(str(folder / "store"))
    store.create()
    rows = [(photo_id(i), uri, datetime(2020, 1, 1 + i, 12), None) for i, uri in enumerate(NASTY)]
    write_photos(store, "0", [*rows, ("", "/photos/late.jpg", None, "was not there yet")])
    failed = '<b>truncated</b> & "quoted"'
    write_photos(store, "1", [(photo_id(0), "/copy/of first.jpg", None, None), (photo_id(90), "/photos/late.jpg", None, None),
                              ("", "/photos/<i>bad</i>\n.jpg", None, failed)])  # fmt: skip
    faces = [(face_id(i, 0), photo_id(i)) for i in range(len(NASTY))]
    crops = [crop((20 * i, 120, 200)) for i in range(len(NASTY))]
    write_faces(store, "0", faces[:5], crops[:5])
    write_faces(store, "1", [faces[4], *faces[5:]], [crop((1, 1, 1)), *crops[5:8], crop((9, 9, 9), "JPEG")])
    write_identities(store, [(faces[i][0], 0 if i < 4 else 1, 1 - i / 10) for i in range(6)] + [(faces[6][0], -1, 0.0)])
    return store
