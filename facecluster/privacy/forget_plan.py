"""What a forgetting takes out of a store. It is written to forgetting.json first and deleted last, so that one that is stopped goes on.

Odd inputs: a face_id that no table has any more, but that a decision or an earlier run names, is taken out there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.decisions import clean_name
from facecluster.errors import AT_ANOTHER_TIME, InputError, StoreError, may_pass, shell
from facecluster.photos.followed import PHOTO_CHARS
from facecluster.store import COMPACTING, FORGETTING, FORMAT, FaceIds, Store

Bools = NDArray[np.bool_]


def fold(name: str) -> str:
    """A name as names are compared."""
    try:
        return clean_name(name).casefold()
    except InputError:  # it has the form of an id
        return name.casefold()


@dataclass(frozen=True, kw_only=True)
class ForgetPlan:
    """What goes. All of it is of whom or what the user named, and of no one else."""

    id: str = ""  # 8 hex digits
    at: str = ""  # UTC, ISO 8601
    asked: str = ""  # mark of what the user named
    salt: str = ""  # of the store's marks, hex
    faces: list[str] = field(default_factory=list)  # face_ids
    photos: list[str] = field(default_factory=list)  # photo_ids
    contents: list[str] = field(default_factory=list)  # SHA-256 of files of these photos
    uris: list[str] = field(default_factory=list)  # places of these photos
    people: list[str] = field(default_factory=list)  # lasting ids
    names: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)  # that later runs know it by, hex
    covers: dict[str, list[list[float]]] = field(default_factory=dict)  # photo_id -> x, y, w, h, width, height of faces, px
    thumbs: list[str] = field(default_factory=list)  # SHA-256 of thumbnails to be painted over
    removed: dict[str, list[str]] = field(default_factory=dict)  # ids of decisions that go, with those that they replaced
    instead: dict[str, str] = field(default_factory=dict)  # face_id -> the face that takes its place in decisions about those who stay
    lines: list[str] = field(default_factory=list)  # decisions that keep the names of those who stay
    digests: dict[str, str] = field(default_factory=dict)  # of the vectors of a grouping -> of those that stay
    said: list[int] = field(default_factory=list)  # numbers of the decisions that go, in order of the journal
    counts: dict[str, int] = field(default_factory=dict)  # by place, for the receipt
    forgotten: dict[str, int] = field(default_factory=dict)  # people, faces, photos, for the receipt

    @cached_property
    def _face_keys(self) -> FaceIds:
        return FaceIds.among(self.faces)

    @cached_property
    def _photo_keys(self) -> FaceIds:
        return FaceIds.among([photo[:PHOTO_CHARS] for photo in self.photos])

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(map(fold, self.names))

    def of_faces(self, ids: pa.ChunkedArray | pa.Array) -> Bools:
        """Which of the face_ids (n,) go."""
        ids = ids.cast(pa.large_string())
        if isinstance(ids, pa.ChunkedArray):
            ids = ids.combine_chunks()
        return self._face_keys.has(ids) | self._photo_keys.has(pc.utf8_slice_codeunits(ids, 0, PHOTO_CHARS))

    def has_face(self, face: str) -> bool:
        """Whether a face goes."""
        return face in self._face_keys or face[:PHOTO_CHARS] in self._photo_keys

    def has_name(self, name: str | None) -> bool:
        """Whether a name goes."""
        return bool(name) and fold(str(name)) in self._names

    def has_label(self, label: str) -> bool:
        """Whether a label of a person (`find_person.label`), or a name, is of one who goes."""
        name = label.rpartition(" (")[0] if label.endswith(")") else label
        return self.has_name(name) or self.has_name(label) or any(label in (p, f"{name} ({p})") for p in self.people)

    def to_json(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}).encode()


def read_plan(store: Store) -> ForgetPlan | None:
    """The forgetting of a store that was stopped; None if there is none."""
    try:
        found: Mapping[str, Any] = json.loads(store.read_bytes(FORGETTING))
        return ForgetPlan(**{key: value for key, value in found.items() if key != "format"})
    except FileNotFoundError:
        return None
    except StoreError:
        raise
    except Exception as e:  # of a damaged plan, or of a file system elsewhere
        path, hint = store.path(FORGETTING), AT_ANOTHER_TIME if may_pass(e) else "Delete it, and say again what to forget"
        raise StoreError(f"expected a readable {path}, found: {' '.join(str(e).split())}. {hint}") from e


def write_plan(store: Store, plan: ForgetPlan) -> None:
    """Write down a forgetting before it begins. Raises StoreError if rows stand twice, since `compact` was stopped."""
    if store.exists(COMPACTING):
        raise StoreError(f"expected a whole store, found one half compacted: finish it with 'facecluster compact {shell(store.url)}'")
    store.write_bytes(plan.to_json(), FORGETTING)


def isin(column: pa.ChunkedArray, values: Iterable[str]) -> Bools:
    """Which rows of a column of texts (n,) are one of some values."""
    return np.asarray(pc.fill_null(pc.is_in(column.cast(pa.string()), value_set=pa.array(list(values), pa.string())), False), bool)
