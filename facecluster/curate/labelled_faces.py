"""The faces of a store and their labels: the people of the store, the folders that photos lie in, or a CSV file.

Odd inputs: a photo in several folders (copies of one file) is labelled by the first in alphabetical order that is there (of those where it
was, if it is gone) and says one; photos whose places say different labels are counted in `several_labels`. Faces have no label if their
photo is not in the CSV, if they belong to nobody, or if the user ignores the person. Two people of one name are one label, whichever of
Unicode's forms it is written in. Rows of the CSV that match no photo are counted in `unmatched_rows`.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.errors import InputError, StoreError, shell
from facecluster.evaluation.csv_file import read_sheet
from facecluster.grouping.link import load_vectors
from facecluster.matching.recognition import read_recognition
from facecluster.photos.archives.uris import member_parts, split_member
from facecluster.photos.images import local_path
from facecluster.photos.places import places_by_photo, where_it_is
from facecluster.report.report_data import Crops
from facecluster.store import FACES, Store

PEOPLE, FOLDER = "people", "folder"
_MEASURES = ("quality", "sharpness", "yaw", "score")


@dataclass(frozen=True, slots=True)
class LabelledFaces:
    """Faces and their labels: arrays are (n,), in order of face_id."""

    face_ids: list[str]
    vectors: NDArray[np.float32]  # (n, dim), rows of length 1
    label: NDArray[np.int64]  # index into names; -1 = none
    names: list[str]  # of the labels, sorted
    photo: NDArray[np.int64]  # number of the photo
    photo_ids: list[str]
    uris: list[str]  # first place of the photo
    phash: NDArray[np.uint64]  # perceptual hash of the photo; 0 = unknown
    measures: Mapping[str, NDArray[np.float64]]  # quality, sharpness, yaw, score
    box: NDArray[np.float64]  # (n, 4) x, y, w, h in px of the upright photo
    crops: Crops
    photo_labels: bool  # whether labels were given to whole photos, which may show bystanders
    unmatched_rows: int = 0  # rows of the CSV that match no photo
    several_labels: int = 0  # photos with faces that were given more than one label
    gone: int = 0  # photos with faces that are at none of their places


def read_labelled_faces(store: Store, model: str, spool: BinaryIO, labels: str = PEOPLE) -> LabelledFaces:
    """Read the faces of a store that have vectors of `model`, with their labels.

    Args:
        store: has vectors; for the labels "people" it must have been grouped.
        model: name of the model.
        spool: an empty temporary file, which gets the crops.
        labels: "people", "folder" (the name of the folder that the photo lies in), or the path of a CSV file with columns path and person.

    Raises:
        InputError: the store has no faces, or the CSV file can't be used, or names two people for one path.
        StoreError: `labels` is "people", and the store was never grouped.
    """
    ids, vectors = load_vectors(store, f"embeddings/{model}")
    if not ids:
        raise InputError(f"expected faces in {store.url}, found none: run 'facecluster embed PHOTOS -o {shell(store.url)}' first")
    faces, crops = _read_faces(store, ids, spool)
    photo_ids = faces["photo_id"].to_pylist()
    uris_of, shown_at, hashes, gone, said = _read_photos(store)
    uris = [uris_of.get(p, [""])[0] for p in photo_ids]
    unmatched_rows, labels_of = 0, dict[str, list[str]]()
    if labels == PEOPLE:
        label_of = _people_labels(store, model, ids)
    else:
        if labels == FOLDER:
            labels_of = {p: [s for uri in shown_at.get(p, []) if (s := said.get(uri) or folder_of(uri))] for p in set(photo_ids)}
        else:
            labels_of, unmatched_rows = _csv_labels(labels, uris_of)
        labels_of = {p: [unicodedata.normalize("NFC", label) for label in given] for p, given in labels_of.items()}
        label_of = [next(iter(labels_of.get(p, [])), None) for p in photo_ids]
    names = sorted({name for name in label_of if name})
    number = {name: i for i, name in enumerate(names)}
    x = np.asarray(vectors, np.float32)
    return LabelledFaces(
        list(ids), x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9),
        np.array([number.get(s or "", -1) for s in label_of], np.int64), names,
        np.unique(photo_ids, return_inverse=True)[1].astype(np.int64), photo_ids, uris,
        np.array([hashes.get(p, 0) for p in photo_ids], np.uint64),
        {name: np.nan_to_num(np.asarray(faces[name], np.float64), posinf=0, neginf=0) for name in _MEASURES},
        np.nan_to_num(np.asarray(faces["box"].combine_chunks().flatten(), np.float64)).reshape(-1, 4),
        crops, labels != PEOPLE, unmatched_rows, sum(len({*labels_of.get(p, [])}) > 1 for p in set(photo_ids)),
        len(gone.intersection(photo_ids)),
    )  # fmt: skip


def folder_of(uri: str) -> str | None:
    """Name of the folder that a photo lies in, of one in a tar or zip the folder there; None if there is none."""
    path, member = local_path(uri), split_member(uri)
    if member is not None:
        parts = member_parts(member[0], member[2]) if member[0] in ("tar", "zip") else []
    else:
        parts = (path if path is not None else uri.split("://", 1)[-1]).replace(os.sep, "/").split("/")
    name = parts[-2] if len(parts) > 1 else ""
    return name.encode("utf-8", "replace").decode() or None


def _read_faces(store: Store, ids: Sequence[str], spool: BinaryIO) -> tuple[pa.Table, Crops]:
    """The rows of `ids`, in that order, and their crops."""
    crops, tables = Crops(spool), []
    columns = ["face_id", "photo_id", "box", *_MEASURES]
    for shard in store.shards("faces"):
        part = store.read("faces", shard, [*columns, "crop"])
        crops.add(part["crop"])
        tables.append(part.select(columns).replace_schema_metadata())
    table = pa.concat_tables(tables).combine_chunks() if tables else FACES.empty_table().select(columns)
    rows = pc.index_in(pa.array(ids), value_set=table["face_id"].combine_chunks())
    if rows.null_count:
        found = f"{rows.null_count} vectors without one"
        raise StoreError(f"expected a row in faces for each vector of {store.url}, found {found}: embed into a new store")
    crops.select(np.asarray(rows, np.int64))
    return table.take(rows).combine_chunks(), crops


def _read_photos(store: Store) -> tuple[dict[str, list[str]], dict[str, list[str]], dict[str, int], set[str], dict[str, str]]:
    """By photo_id all places (those that are there first), those where it is (where it was if it is gone), and the perceptual hash; the
    photo_ids of those that are gone; what archives say of their members, by uri."""
    photos = places_by_photo(store, ["phash", "label"], look=True)
    uris = {photo: [row["uri"] for row in places] for photo, places in photos.items()}
    shown_at = {photo: [row["uri"] for row in where_it_is(places)] for photo, places in photos.items()}
    gone = {photo for photo, places in photos.items() if places[0]["gone"]}
    said = {row["uri"]: row["label"] for places in photos.values() for row in places if row["label"]}
    return uris, shown_at, {photo: places[0]["phash"] or 0 for photo, places in photos.items()}, gone, said


def _people_labels(store: Store, model: str, ids: Sequence[str]) -> Sequence[str | None]:
    who = read_recognition(store, model)
    person, _ = who.people_of(pa.array(ids))
    called = [None if p.ignored else p.label for p in who.people]
    return [called[p] if p >= 0 else None for p in person.tolist()]


def _csv_labels(path: str, uris_of: Mapping[str, list[str]]) -> tuple[dict[str, list[str]], int]:
    """The labels of each photo_id in order of the paths, and the number of rows that match no photo."""
    rows = read_two_columns(path, "path", "person")
    root = os.path.dirname(os.path.abspath(path))
    photo_of = {path_text: photo for photo, uris in uris_of.items() for uri in uris for path_text in (uri, local_path(uri) or uri)}
    found: dict[str, list[str]] = {}
    unmatched_rows = 0
    for path_text, person in sorted(rows.items()):
        photo = photo_of.get(path_text) or photo_of.get(os.path.abspath(os.path.join(root, path_text)))
        if photo is None:
            unmatched_rows += 1
        else:
            found.setdefault(photo, []).append(person)
    if rows and not found:
        raise InputError(
            f"expected paths of the store's photos in {path} (absolute, or from the CSV's folder), found {next(iter(rows))}: compare them"
        )
    return found, unmatched_rows


def read_two_columns(path: str, key: str, value: str) -> dict[str, str]:
    """Read two columns of a CSV file with a header, as a dict; rows without one of the two are passed over.

    Raises:
        InputError: the file can't be read, lacks one of the columns, or has two values for one key.
    """
    sheet = read_sheet(path)
    keys, values = sheet.find(key), sheet.find(value)
    if keys is None or values is None:
        raise InputError(f"expected columns {key},{value} in {path}, found {','.join(sheet.header)}: write a header line with them")
    values_of: dict[str, str] = {}
    for row, line in zip(sheet.rows, sheet.lines, strict=True):
        one, text = row[keys], row[values]
        if one and text and values_of.setdefault(one, text) != text:
            raise InputError(
                f"expected one {value} for each {key} in {path}, found {values_of[one]!r} and in line {line} {text!r} for "
                f"{one!r}: correct one of the lines"
            )
    return values_of
