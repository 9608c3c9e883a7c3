"""The faces that the bundled embedder learns from, as a data set for `facecluster train`."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from facecluster.models.embedder import CROP
from facecluster.training.faces import decode

TEMPLATE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])


def held_out(faces: Path) -> NDArray[np.bool_]:
    """Which faces (n,) of a file are held out: five named people and a twentieth of the nameless faces."""
    table = pq.read_table(faces, columns=["source", "subject"]).to_pydict()
    people = sorted({s for s, source in zip(table["subject"], table["source"], strict=True) if s and source == "pins"})[::18][:5]
    return np.array([s in people if s else i % 20 == 0 for i, s in enumerate(table["subject"])])


def load_faces(faces: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """All crops (n, 112, 112, 3) of a file, and which are held out."""
    crops = pq.read_table(faces, columns=["crop"])["crop"].to_pylist()
    with ThreadPoolExecutor(2) as pool:
        return np.stack(list(pool.map(decode, crops))), held_out(faces)


def write_data_set(out: Path, faces: Path, more: Sequence[Path] = (), photos: Path | None = None) -> None:
    """Write a folder of Parquet files: `train-...` to learn from, `val-faces` held out.

    Args:
        out: the folder; one that is there is taken as it is.
        faces: aligned faces (columns source, subject, crop), of which some are held out.
        more: further files of the same columns, of which none is.
        photos: loose photos with boxes and landmarks, for further faces.
    """
    if out.is_dir():
        return
    beside = out.with_name(f"{out.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    columns = ["subject", "crop"]
    table, held = pq.read_table(faces, columns=columns), held_out(faces)
    pq.write_table(table.filter(pa.array(held)), beside / "val-faces.parquet")
    pq.write_table(table.filter(pa.array(~held)), beside / "train-faces.parquet")
    for i, path in enumerate(more):
        pq.write_table(pq.read_table(path, columns=columns), beside / f"train-more-{i}.parquet")
    if photos is not None:
        crops = [_encoded(crop) for crop in _faces_of_photos(photos)]
        pq.write_table(pa.table({"subject": pa.nulls(len(crops), pa.string()), "crop": crops}), beside / "train-groups.parquet")
    beside.replace(out)


def _encoded(crop: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(crop).save(out, "WEBP", lossless=True)
    return out.getvalue()


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
