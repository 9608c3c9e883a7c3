"""Reads the faces to learn from: folders by person, Parquet, or the people of a store.

A folder has a folder for each person, or what `facecluster curate` writes: SPLIT/PERSON/..., or Parquet files. A picture of 112x112 px is
an aligned face; in any other the product's own detector finds the faces, and the largest one counts.

Odd inputs: a file that can't be opened, and a photo without a face, are counted and passed over; of a photo with several faces the largest
counts; in a store, people without a name and faces that belong to their person with a probability below SURE are nobody's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from facecluster import geometry
from facecluster.errors import FaceclusterError, InputError, PhotoError
from facecluster.faces.detect import DetectConfig, detect_faces, open_for_search
from facecluster.geometry import CROP
from facecluster.matching.recognition import read_recognition
from facecluster.photos.archives.parquet import class_names
from facecluster.photos.files import read_plain
from facecluster.photos.images import encode_crop
from facecluster.photos.names import EXTENSIONS
from facecluster.store import STORE_FILE, Store
from facecluster.training.faces import HELD_OUT, TRAIN, UNUSED, LearningFaces, Passed, decode

SURE = 0.9  # probability from which a face counts as its person's
_SPLITS = {"train": TRAIN, "val": HELD_OUT, "validation": HELD_OUT, "test": UNUSED}
_CROPS, _PEOPLE = ("crop", "image", "bytes"), ("person", "subject", "name", "identity", "label")  # columns of Parquet, in this order

Tick = Callable[[int], None]


def read_faces(data: str, tick: Tick | None = None) -> LearningFaces:
    """Read faces from a folder, a Parquet file, or a store.

    Args:
        data: the path.
        tick: gets how many more pictures were read.

    Raises:
        InputError: nothing there can be used.
        StoreError: a store that can't be read, or was never grouped.
    """
    path = Path(data).expanduser()
    if (store := store_at(data)) is not None:
        return read_store(store)
    if path.is_file():
        return _read_parquet([path], path.name)
    if not path.is_dir():
        raise InputError(f"expected a folder, a Parquet file or a store at {data}, found nothing: correct the path")
    if files := sorted(path.rglob("*.parquet")):
        shards = [f for f in files if f.stem != "manifest"]
        return _read_parquet(shards or files, path.name)
    return _read_folders(path, tick or (lambda n: None))


def store_at(data: str) -> Store | None:
    """The store at a path or an address; None if there is something else."""
    path = Path(data).expanduser()
    return Store(str(path) if "://" not in data else data) if "://" in data or (path / STORE_FILE).is_file() else None


def read_store(store: Store, model: str | None = None) -> LearningFaces:
    """The crops of a store's faces, with the names that people were given."""
    store.check()
    who = read_recognition(store, model)
    crops: list[bytes] = []
    names: list[str | None] = []
    for shard in store.shards("faces"):
        table = store.read("faces", shard, ["face_id", "crop"])
        person, probability = who.people_of(table["face_id"].combine_chunks())
        for crop, p, sure in zip(table["crop"].to_pylist(), person.tolist(), (probability >= SURE).tolist(), strict=True):
            crops.append(crop or b"")
            names.append(who.people[p].name if p >= 0 and sure and not who.people[p].ignored else None)
    return LearningFaces(crops, names, "the people of a store, as the user named them")


def _read_parquet(files: list[Path], source: str) -> LearningFaces:
    crops: list[bytes] = []
    names: list[str | None] = []
    splits: dict[str, str] = {}
    strangers: list[bool] = []
    for path in files:
        split = _SPLITS.get(path.stem.split("-", 1)[0])
        if split == UNUSED:
            continue
        try:
            schema = pq.read_schema(path)
            crop, person = (next((c for c in wanted if c in schema.names), None) for wanted in (_CROPS, _PEOPLE))
            if crop is None or person is None:
                found = ", ".join(schema.names)
                raise InputError(f"expected columns crop and person (or image and label) in {path}, found {found}: rename them")
            table = pq.ParquetFile(path, pre_buffer=False).read(columns=[crop, person], use_threads=False)
        except (pa.ArrowInvalid, OSError) as e:
            raise InputError(f"expected a Parquet file of faces, found {path}: {' '.join(str(e).split())[:100]}. Give another") from e
        crops += [(c.get("bytes") if isinstance(c, dict) else c) or b"" for c in table[crop].to_pylist()]
        numbered = bool(class_names(schema, person))
        of_file = [None if _is_nobody(p, numbered=numbered) else str(p) for p in table[person].to_pylist()]
        names += of_file
        strangers += [split == HELD_OUT] * len(of_file)
        if split:
            splits |= {name: split for name in of_file if name}
    return LearningFaces(crops, names, source, splits, strangers=strangers)


def _is_nobody(value: object, *, numbered: bool) -> bool:
    """Whether a value of the column of people names none. `numbered`: its numbers are those of Hugging Face's ClassLabel."""
    return value is None or value == "" or value != value or (numbered and isinstance(value, int) and value < 0)  # noqa: PLR0124


def _read_folders(top: Path, tick: Tick) -> LearningFaces:
    first = _folders(top)
    stated = {p.name for p in first} <= set(_SPLITS) and any(p.name == "train" for p in first)
    people = [(_SPLITS[f.name], p) for f in first if _SPLITS[f.name] != UNUSED for p in _folders(f)] if stated else [("", p) for p in first]
    crops: list[bytes] = []
    names: list[str | None] = []
    splits: dict[str, str] = {}
    passed = Passed()
    for split, folder in people:
        name = folder.name.encode("utf-8", "replace").decode()
        for file in sorted(p for p in folder.rglob("*") if p.suffix.lower()[1:] in EXTENSIONS and p.is_file()):
            tick(1)
            try:
                crops.append(_crop_of(file, passed))
            except FaceclusterError as e:
                passed.add(str(e).split(":")[0].split(",")[0], os.path.basename(file))
                continue
            names.append(name)
            if split:
                splits[name] = split
    return LearningFaces(crops, names, f"pictures in folders by person ({top.name})", splits, passed)


def _folders(top: Path) -> list[Path]:
    return sorted(p for p in top.iterdir() if p.is_dir() and not p.name.startswith("."))


def _crop_of(file: Path, passed: Passed) -> bytes:
    """The encoded aligned face of a picture. Raises FaceclusterError."""
    data = read_plain(str(file))
    config = DetectConfig()
    photo = open_for_search(data, str(file), config)
    if photo.pixels.shape == (CROP, CROP, 3):
        try:
            decode(data)
            return data
        except Exception:  # a format that crops are not kept in
            return encode_crop(photo.pixels)
    found = detect_faces(photo.pixels, config, scale=photo.scale)
    if not len(found.scores):
        raise PhotoError("photos without a face")
    if len(found.scores) > 1:
        passed.add("faces beside the largest one of a photo", file.name, len(found.scores) - 1)
    largest = int(np.argmax(found.boxes[:, 2] * found.boxes[:, 3]))
    return encode_crop(geometry.align(photo.pixels, found.landmarks[largest : largest + 1])[0])
