"""A store with real photos for the tests of export: one for each EXIF orientation, with coloured squares for faces."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner
from conftest import need
from PIL import Image

from facecluster.cli import main
from facecluster.store import FACES, IDENTITIES, PHOTOS, Store, table_of

SIZE = (400, 240)  # px, upright
BOXES = [(40.0, 30.0, 60.0, 80.0), (250.0, 120.0, 50.0, 40.0)]  # of the red and the blue face, px of the upright photo
COLOURS = [(230, 20, 20), (20, 20, 230)]
# how the upright picture is turned to store it: the inverse of what a viewer does by EXIF 2.32, section 4.6.4
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
}  # fmt: skip


def make_photo(path: Path, orientation: int, background: tuple[int, int, int] = (200, 200, 200)) -> str:
    """Write a JPEG whose upright picture has a red and a blue face; returns its photo_id."""
    picture = Image.new("RGB", SIZE, background)
    for (x, y, w, h), colour in zip(BOXES, COLOURS, strict=True):
        picture.paste(colour, (int(x), int(y), int(x + w), int(y + h)))
    if orientation in _STORED:
        picture = picture.transpose(_STORED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, quality=95, exif=exif)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def face_id(photo_id: str, number: int) -> str:
    """The face_id of a face of a photo: 0 is red, 1 is blue."""
    return f"{photo_id[:24]}-{number:04x}"


def make_store(
    folder: Path, photos: Sequence[tuple[str, str, int]], *, width: int = SIZE[0], height: int = SIZE[1], form: str | list[str] = "JPEG"
) -> Store:
    """A store of (photo_id, uri, orientation), all of one format or each of its own. All red faces are person 0, all blue ones person 1."""
    store = Store(str(folder))
    store.create()
    ids = list(dict.fromkeys(p for p, _, _ in photos))
    n = len(photos)
    forms = [form] * n if isinstance(form, str) else form
    columns = {
        "photo_id": [p for p, _, _ in photos], "uri": [u for _, u, _ in photos], "size": [9] * n, "mtime_ns": [0] * n,
        "format": forms, "width": [width] * n, "height": [height] * n, "orientation": [o for _, _, o in photos],
        "taken_at": [None] * n, "phash": np.zeros(n, np.uint64), "faces": [2] * n, "error": [None] * n,
    }  # fmt: skip
    store.write("photos", "00000", table_of(PHOTOS, columns), {"table": "photos"})
    write_faces(store, ids)
    return store


def write_faces(store: Store, ids: Sequence[str], people: Sequence[int] = (0, 1)) -> None:
    """Write faces and identities of photos; `people` are the identities of the red and the blue faces, or of the red ones alone."""
    pairs = [(p, i) for p in ids for i in range(len(people))]
    m = len(pairs)
    columns = {
        "face_id": [face_id(p, i) for p, i in pairs], "photo_id": [p for p, _ in pairs],
        "box": np.array([BOXES[i] for _, i in pairs], np.float32).reshape(-1, 4),
        "landmarks": np.array([np.tile(BOXES[i][:2], 5) + np.arange(10) for _, i in pairs], np.float32).reshape(-1, 10),
        "score": np.full(m, 0.9, np.float32), "sharpness": np.full(m, 9, np.float32), "yaw": np.zeros(m, np.float32),
        "quality": np.full(m, 0.8, np.float32), "crop": [b"x"] * m,
    }  # fmt: skip
    store.write("faces", "00000", table_of(FACES, columns), {"table": "faces"})
    columns = {
        "face_id": [face_id(p, i) for p, i in pairs], "identity": np.array([people[i] for _, i in pairs], np.int32),
        "probability": np.array([0.0 if people[i] < 0 else 0.9 for _, i in pairs], np.float32), "outlier_score": np.zeros(m, np.float32),
    }  # fmt: skip
    store.write("identities/bundled", "00000", table_of(IDENTITIES, columns), {"table": "identities"})


def exiftool(*arguments: str | Path) -> str:
    """What exiftool prints; the test is skipped without it."""
    need(shutil.which("exiftool") is not None, "exiftool (Debian: libimage-exiftool-perl)")
    done = subprocess.run(["exiftool", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(*arguments: str | Path) -> dict[str, Any]:
    """What a command answers with --json."""
    result = CliRunner().invoke(main, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))
