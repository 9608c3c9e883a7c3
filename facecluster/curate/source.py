"""The faces of a store and what they are called: by its people, by the folders that photos lie in, or by a CSV file.

Odd inputs: a photo in several folders (copies of one file) is called by the first of them in order of the alphabet; a photo that the CSV
does not name, or that lies nowhere any more, has faces without a label; two people of one name are one label. Faces of people whom the user
ignores, and nobody's faces, have no label. A row of the CSV that fits no photo is counted in `unmatched`.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.errors import InputError, PhotoError, StoreError
from facecluster.grouping.link import load_vectors
from facecluster.matching.recognition import read_recognition
from facecluster.photos.images import local_path, read_file
from facecluster.report.report_data import Crops
from facecluster.store import FACES, PHOTOS, Store

PEOPLE, FOLDER = "people", "folder"
_NUMBERS = ("quality", "sharpness", "yaw", "score")


@dataclass(frozen=True, slots=True)
class Source:
    """Faces: arrays are (n,) in order of face_id."""

    face_ids: list[str]
    vectors: NDArray[np.float32]  # (n, dim), rows of length 1
    label: NDArray[np.int64]  # index into names; -1 = not said
    names: list[str]  # of people, sorted
    photo: NDArray[np.int64]  # number of the photo
    photo_ids: list[str]
    uris: list[str]  # of the photo, the first; '' if it is nowhere any more
    phash: NDArray[np.uint64]  # of the photo; 0 = not known
    numbers: Mapping[str, NDArray[np.float64]]  # quality, sharpness, yaw, score
    box: NDArray[np.float64]  # (n, 4) x, y, w, h in px of the upright photo
    crops: Crops
    of_photos: bool  # whether labels are those of whole photos, with bystanders
    unmatched: int = 0  # rows of the CSV that fit no photo


def read_source(store: Store, model: str, spool: BinaryIO, labels: str = PEOPLE) -> Source:
    """Read the faces of a store that have vectors of `model`.

    Args:
        store: an embedded one, and a grouped one for the labels "people".
        model: name of the model.
        spool: an empty temporary file that crops are put into.
        labels: "people", "folder" (the name of the folder that the photo lies in) or the path of a CSV file with columns path and person.

    Raises:
        InputError: there are no faces, or the CSV can't be used.
        StoreError: the store was never grouped, and its people are asked for.
    """
    ids, vectors = load_vectors(store, f"embeddings/{model}")
    if not ids:
        raise InputError(f"expected faces in {store.url}, found none: run 'facecluster embed PHOTOS -o {store.url}' first")
    faces, crops = _read_faces(store, ids, spool)
    photo_ids = faces["photo_id"].to_pylist()
    uris_of, hashes = _read_photos(store)
    uris = [min(uris_of.get(p, [""])) for p in photo_ids]
    unmatched = 0
    if labels == PEOPLE:
        said = _by_people(store, model, ids)
    elif labels == FOLDER:
        said = [folder_of(uri) for uri in uris]
    else:
        by_photo, unmatched = _by_csv(labels, uris_of)
        said = [by_photo.get(p) for p in photo_ids]
    names = sorted({name for name in said if name})
    number = {name: i for i, name in enumerate(names)}
    x = np.asarray(vectors, np.float32)
    return Source(
        ids, x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9),
        np.array([number.get(s or "", -1) for s in said], np.int64), names,
        np.unique(photo_ids, return_inverse=True)[1].astype(np.int64), photo_ids, uris,
        np.array([hashes.get(p, 0) for p in photo_ids], np.uint64),
        {name: np.nan_to_num(np.asarray(faces[name], np.float64), posinf=0, neginf=0) for name in _NUMBERS},
        np.nan_to_num(np.asarray(faces["box"].combine_chunks().flatten(), np.float64)).reshape(-1, 4), crops, labels != PEOPLE, unmatched,
    )  # fmt: skip


def folder_of(uri: str) -> str | None:
    """Name of the folder that a photo lies in; None if it lies in none."""
    path = local_path(uri)
    parts = (path if path is not None else uri.split("://", 1)[-1]).replace(os.sep, "/").split("/")
    name = parts[-2] if len(parts) > 1 else ""
    return name.encode("utf-8", "replace").decode() or None


def _read_faces(store: Store, ids: list[str], spool: BinaryIO) -> tuple[pa.Table, Crops]:
    """Rows of `ids`, in that order, and their crops."""
    crops, tables = Crops(spool), []
    columns = ["face_id", "photo_id", "box", *_NUMBERS]
    for shard in store.shards("faces"):
        part = store.read("faces", shard, [*columns, "crop"])
        crops.add(part["crop"])
        tables.append(part.select(columns).replace_schema_metadata())
    table = pa.concat_tables(tables).combine_chunks() if tables else FACES.empty_table().select(columns)
    rows = pc.index_in(pa.array(ids), value_set=table["face_id"].combine_chunks())
    if rows.null_count:
        raise StoreError(f"expected a row in faces for each vector of {store.url}, found {rows.null_count} without: embed into a new store")
    crops.select(np.asarray(rows, np.int64))
    return table.take(rows).combine_chunks(), crops


def _read_photos(store: Store) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Places and perceptual hash of each photo_id."""
    table = store.read_all("photos", PHOTOS, ["photo_id", "uri", "phash"])
    rows = zip(*(table[c].to_pylist() for c in ("uri", "photo_id", "phash")), strict=True)
    uris: dict[str, list[str]] = {}
    hashes = {}
    for uri, (photo, phash) in {u: (p, h) for u, p, h in rows}.items():
        uris.setdefault(photo, []).append(uri)
        hashes[photo] = phash or 0
    return uris, hashes


def _by_people(store: Store, model: str, ids: list[str]) -> Sequence[str | None]:
    who = read_recognition(store, model)
    person, _ = who.people_of(pa.array(ids))
    called = [None if p.ignored else p.label for p in who.people]
    return [called[p] if p >= 0 else None for p in person.tolist()]


def _by_csv(path: str, uris_of: Mapping[str, list[str]]) -> tuple[dict[str, str], int]:
    """Label of each photo_id, and the number of rows that fit no photo."""
    rows = read_pairs(path, "path", "person")
    root = os.path.dirname(os.path.abspath(path))
    places = {place: photo for photo, uris in uris_of.items() for uri in uris for place in (uri, local_path(uri) or uri)}
    found: dict[str, str] = {}
    lost = 0
    for place, person in sorted(rows.items()):
        photo = places.get(place) or places.get(os.path.abspath(os.path.join(root, place)))
        if photo is None:
            lost += 1
        else:
            found.setdefault(photo, person)
    if rows and not found:
        raise InputError(
            f"expected paths of the store's photos in {path} (absolute, or from the CSV's folder), found {next(iter(rows))}: compare them"
        )
    return found, lost


def read_pairs(path: str, key: str, value: str) -> dict[str, str]:
    """Two columns of a CSV file with a header, as a dict.

    Raises:
        InputError: it can't be read, or lacks one of the columns.
    """
    try:
        text = read_file(path).decode("utf-8-sig")
    except (PhotoError, UnicodeDecodeError) as e:
        found = " ".join(str(e).split())
        raise InputError(f"expected a CSV file in UTF-8 with columns {key},{value}, found {path}: {found}. Give another") from e
    rows = csv.DictReader(io.StringIO(text, newline=""))
    lacking = [c for c in (key, value) if c not in (rows.fieldnames or [])]
    if lacking:
        found = ",".join(rows.fieldnames or [])
        raise InputError(f"expected columns {key},{value} in {path}, found {found}: write a header line with them")
    return {row[key]: row[value].strip() for row in rows if row[key] and (row[value] or "").strip()}
