"""The faces that the bundled embedder learns from."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from facecluster.models.embedder import CROP

TEMPLATE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])


def load_faces(faces: Path, photos: Path | None, more: Sequence[Path] = ()) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """All crops (n, 112, 112, 3), and which are held out: five named people and a twentieth of the nameless faces of `faces`.

    `more`: further files of the same columns, of which nothing is held out. Crops are decoded straight into one array: 37,632 bytes each.
    """
    table = pq.read_table(faces, columns=["source", "subject"]).to_pydict()
    people = sorted({s for s, source in zip(table["subject"], table["source"], strict=True) if s and source == "pins"})[::18][:5]
    held = [s in people if s else i % 20 == 0 for i, s in enumerate(table["subject"])]
    extra = [] if photos is None else _faces_of_photos(photos)
    rows = [pq.ParquetFile(path).metadata.num_rows for path in (faces, *more)]
    crops = np.empty((sum(rows) + len(extra), CROP, CROP, 3), np.uint8)
    with ThreadPoolExecutor(2) as pool:
        at = 0
        for path in (faces, *more):
            for batch in pq.ParquetFile(path).iter_batches(2048, columns=["crop"]):
                for crop in pool.map(_decode, batch["crop"].to_pylist()):
                    crops[at] = crop
                    at += 1
    for crop in extra:
        crops[at] = crop
        at += 1
    return crops, np.array(held + [False] * (len(crops) - len(held)))


def _decode(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _faces_of_photos(photos: Path) -> list[NDArray[np.uint8]]:
    """Aligned faces of 28 px and more from loose group photos: strangers, for variety."""
    found = []
    table = pq.read_table(photos).to_pydict()
    for source, image, boxes, marks in zip(table["source"], table["image"], table["boxes"], table["landmarks"], strict=True):
        if not source.startswith("groups/"):
            continue
        picture = Image.open(io.BytesIO(image)).convert("RGB")
        for box, points in zip(boxes, marks, strict=True):
            if box[2] < 28:
                continue
            # least squares for x' = a x - b y + tx, y' = b x + a y + ty, from the template to the photo (PIL maps output to input)
            target = np.asarray(points, float).reshape(5, 2)
            a = np.zeros((10, 4))
            a[0::2] = np.c_[TEMPLATE[:, 0], -TEMPLATE[:, 1], np.ones(5), np.zeros(5)]
            a[1::2] = np.c_[TEMPLATE[:, 1], TEMPLATE[:, 0], np.zeros(5), np.ones(5)]
            p, q, tx, ty = np.linalg.lstsq(a, target.ravel(), rcond=None)[0]
            crop = picture.transform((CROP, CROP), Image.Transform.AFFINE, (p, -q, tx, q, p, ty), Image.Resampling.BICUBIC)
            found.append(np.asarray(crop))
    return found
