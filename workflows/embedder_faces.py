"""The faces that the bundled embedder learns from, as a data set for `facecluster train`."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from facecluster.errors import InputError
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


def read_set(data: Path, device: str) -> tuple[Tensor, Tensor, str]:
    """Faces (n, 112, 112, 3) uint8 to learn from, and those held out, of what `write_data_set` wrote, on a device; a digest of the first.

    Faces of a person who is held out are not learnt, whatever file they are in. Raises InputError: no face to learn from.
    """
    held_out, people, _ = _decoded(sorted(data.glob("val-*.parquet")), device, set())
    faces, _, digest = _decoded(sorted(data.glob("train-*.parquet")), device, people)
    if not len(faces):
        raise InputError(f"expected faces to learn from in {data}, found none: delete this folder, and give other --faces")
    return faces, held_out, digest


def _decoded(files: Sequence[Path], device: str, left_out: set[str]) -> tuple[Tensor, set[str], str]:
    """All faces without those of the people who are left out, who they are, and a digest."""
    tables = [pq.read_table(path, columns=["subject", "crop"]) for path in files]
    found = torch.empty((sum(map(len, tables)), CROP, CROP, 3), dtype=torch.uint8, device=device)
    names, digest, n, bad = set[str](), hashlib.sha256(), 0, 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for part in (part for table in tables for part in table.to_batches(max_chunksize=4000)):
            rows = [row for row in part.to_pylist() if row["subject"] not in left_out]
            pixels = [face for face in pool.map(_pixels, (row["crop"] for row in rows)) if face is not None]
            for row in rows:
                digest.update(row["crop"] or b"")
            names |= {row["subject"] for row in rows if row["subject"]}
            bad += len(rows) - len(pixels)
            if pixels:
                found[n : n + len(pixels)] = torch.from_numpy(np.stack(pixels)).to(device)
            n += len(pixels)
    if bad:
        print(f"passed over, since they can't be decoded: {bad:,} of {n + bad:,} pictures", flush=True)
    return found[:n], names, digest.hexdigest()


def _pixels(crop: bytes) -> NDArray[np.uint8] | None:
    try:
        return decode(crop)
    except Exception:  # decoders raise nearly anything on damaged files
        return None


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
