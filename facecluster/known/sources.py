"""Where known people come from: a folder, a vCard file, or another store.

A folder has a folder for each person, or pictures named after them: `Anna.jpg`, `Anna_2.jpg`, `Anna (3).jpg`. vCard files in it are taken
too.

Odd inputs: a name that is no name (empty, or of the form of an id) is a line for the user; so is a vCard file that can't be read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.decisions import clean_name
from facecluster.errors import InputError, PhotoError
from facecluster.known.vcard import contacts
from facecluster.people import read_current_people
from facecluster.people.stand_ins import read_vectors
from facecluster.photos.archives.uris import split_member
from facecluster.photos.found_file import FoundFile
from facecluster.photos.images import local_path, read_file
from facecluster.photos.listing import find_files
from facecluster.store import Store
from facecluster.store.store_file import STORE_FILE

FROM_STORE = 16  # faces of a person that are taken from another store: the surest
_NUMBERED = re.compile(r"[\s_.-]*(\(\d+\)|(?<=[\s_.-])\d+)$")  # what ends the name of a file besides the person's name

# what cameras and programs call their files, without the number
_CAMERA = re.compile(
    r"(?i)_?(img|dsc[nf]?|mg|pxl|mvimg|pict?|p|sam|gopr|dji|photo|image|picture|scan|screenshot|whatsapp image|foto|bild)\W*\d*( .*\d.*)?"
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a person by name."""

    name: str
    source: str  # a path; of a contact the path of the file, #, and its number
    data: bytes = b""  # of the picture, if it is not a file of its own
    vector: NDArray[np.float32] | None = None  # of a face in another store
    error: str = ""  # the reason why it can't be used


def find_pictures(place: str, model: str, stamp: Mapping[str, Any] | None = None) -> Iterator[Picture]:
    """All pictures of a folder, a vCard file or another store.

    Args:
        place: its path.
        model: of whose vectors those of another store must be.
        stamp: that these must have, since a name says nothing of weights; None: any.

    Raises:
        InputError: nothing is there, or the store has no vectors of this model.
    """
    if os.path.isfile(os.path.join(place, STORE_FILE)):
        yield from _of_store(Store(os.path.abspath(place)), model, stamp)
    elif os.path.isfile(place) and place.lower().endswith(".vcf"):
        yield from _of_contacts(os.path.abspath(place))
    elif os.path.isdir(place):
        yield from _of_folder(os.path.abspath(place))
    else:
        raise InputError(f"expected a folder with pictures of people, a contacts file (.vcf) or a store, found {place!r}: name one")


def comes_from(source: str, place: str) -> bool:
    """Whether the picture of this source is one of a place that `find_pictures` takes: in the folder, in the file, or of the store."""
    top = os.path.abspath(place)
    return source.startswith((top.rstrip(os.sep) + os.sep, top + "#"))


def name_of_file(stem: str) -> str:
    """The person whom a picture of this name, without its ending, shows: `Anna_Maria (2)` is Anna Maria."""
    return " ".join(_NUMBERED.sub("", stem).replace("_", " ").split())


def _named(name: str, source: str, data: bytes = b"", error: str = "") -> Picture:
    try:
        clean = clean_name(name)
    except InputError as e:
        return Picture("", source, error=str(e))
    return Picture(clean, source, data, None, error if clean else "expected the name of a person, found none: rename the file or folder")


def _in_folder(file: FoundFile, top: str) -> Picture:
    """A picture in a folder, by the name of the folder for its person or by its own."""
    path = local_path(file.uri)
    if path is None or split_member(file.uri) is not None:
        return Picture("", file.uri, error="expected a picture in a folder, found one in an archive: unpack it")
    inside = os.path.relpath(path, top).encode("utf-8", "surrogateescape").decode("utf-8", "replace").split(os.sep)
    name = inside[0] if len(inside) > 1 else name_of_file(os.path.splitext(inside[0])[0])
    error = file.error or ""
    if name in (".", "..") or "\ufffd" in name:
        return Picture("", file.uri, error="expected a name in UTF-8, found other bytes: rename the file or folder")
    if len(inside) == 1 and (_CAMERA.fullmatch(name) or not any(c.isalpha() for c in name)):
        return Picture("", file.uri, error=f"expected the name of a person, found {name!r}, as cameras call their files: rename it")
    return _named(name, file.uri, error=error)


def _of_folder(top: str) -> Iterator[Picture]:
    cards = sorted(os.path.join(at, f) for at, _, names in os.walk(top) for f in names if f.lower().endswith(".vcf"))
    try:
        for file in find_files([top]):
            yield _in_folder(file, top)
    except InputError:
        if not cards:
            raise
    for card in cards:
        yield from _of_contacts(card)


def _of_contacts(path: str) -> Iterator[Picture]:
    try:
        data = read_file(path)
    except PhotoError as e:
        yield Picture("", path, error=str(e))
        return
    number = elsewhere = 0
    for name, photo in contacts(data):
        if photo is None:
            elsewhere += 1
            continue
        number += 1
        error = "" if photo else "expected a photo in base64, found a damaged one: export the contact again"
        yield _named(name, f"{path}#{number}", photo, error)
    if elsewhere:
        yield Picture("", path, error=f"{_only_addresses(elsewhere)}, and nothing is fetched: save the pictures as files named after them")
    elif not number:
        yield Picture("", path, error="expected contacts with photos (vCard), found none: export them with photos")


def _only_addresses(contacts: int) -> str:
    return "1 contact has only the address of a photo" if contacts == 1 else f"{contacts:,} contacts have only the address of a photo"


def _of_store(store: Store, model: str, stamp: Mapping[str, Any] | None) -> Iterator[Picture]:
    table = f"embeddings/{model}"
    store.check()
    if not store.shards(table):
        raise InputError(f"expected vectors of the model {model} in {store.url}, found none: 'facecluster embed' makes them")
    for shard in store.shards(table):
        found = store.stamp(table, shard) or {}
        if stamp is not None and any(found.get(key) != stamp.get(key) for key in ("weights", "mirror")):
            raise InputError(f"expected vectors of the same weights of {model} in {store.url}, found others: embed that store again")
    known, run, _ = read_current_people(store)
    if run.model != model:
        raise InputError(f"expected a store that was grouped with the model {model}, found one of {run.model}: group it with {model}")
    for person, name in enumerate(known.people.names):
        if name and not known.people.ignored[person]:
            faces = known.representatives(person)[:FROM_STORE]
            vectors = read_vectors(store, table, faces)
            yield from (Picture(name, f"{store.url}#{face}", vector=vectors[face]) for face in faces if face in vectors)

