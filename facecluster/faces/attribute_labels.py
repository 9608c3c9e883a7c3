"""What the models of attributes said of faces, in words, for pages that people read.

Of `mask`: "mask" from a probability of .5, else "no mask". Of `pose`: where the head points, "from the front" up to 25 degrees of yaw, else
"turned left" or "turned right" (the person's own). Of other models: a word as it stands after the attribute's name, a number rounded.

Odd inputs: a value that is not known gives no words; a table that can't be read is an error of the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.faces.attributes import attribute_models, attributes_table
from facecluster.language.said import say
from facecluster.store import FaceIds, Store

MASK_FROM = 0.5  # probability
FRONT = 25.0  # degrees of yaw, to either side
_POSE = ("pose", "yaw")
_MOST = 24  # words of an attribute that faces are sorted by: those of most faces


class AttributeLabels:
    """The attributes of n faces."""

    def __init__(self, columns: Mapping[tuple[str, str], NDArray[np.generic]]) -> None:
        """`columns`: by model and attribute, values (n,): numbers, NaN where not known, or words, "" where not known."""
        self.columns = columns

    def words(self, row: int) -> list[str]:
        """What is said of a face: short words, of which many faces may have the same."""
        said = (_word(model, attribute, values[row]) for (model, attribute), values in self.columns.items())
        return [word for word in said if word]

    @cached_property
    def said(self) -> dict[str, NDArray[np.bool_]]:
        """Of which faces (n,) each word is said, by any model; of an attribute with many words those that are said most."""
        found: dict[str, NDArray[np.bool_]] = {}
        for (model, attribute), values in self.columns.items():
            for word, there in _said(model, attribute, values).items():
                found[word] = found[word] | there if word in found else there
        return {word: there for word, there in found.items() if there.any()}

    def numbers(self, row: int) -> list[str]:
        """What is measured of a face by other models than the bundled ones."""
        rows = [(a, v[row]) for (m, a), v in self.columns.items() if v.dtype.kind == "f" and not _has_words(m, a) and m != _POSE[0]]
        return [f"{attribute} {value:.3g}" for attribute, value in rows if np.isfinite(value)]


def attribute_labels(store: Store, faces: FaceIds, rows: NDArray[np.int64] | None = None) -> AttributeLabels:
    """The attributes that a store has of faces, in their order, or in that of `rows` of them."""
    found: dict[tuple[str, str], NDArray[np.generic]] = {}
    for model in attribute_models(store):
        table = attributes_table(model)
        for shard in store.shards(table):
            part = store.read(table, shard)
            at = faces.rows_of(part["face_id"])
            for name in part.column_names[1:]:
                values = _values(part[name])
                whole = found.setdefault((model, name), np.full(len(faces), "" if values.dtype.kind == "O" else np.nan, values.dtype))
                whole[at[at >= 0]] = values[at >= 0]
    return AttributeLabels(found if rows is None else {key: values[rows] for key, values in found.items()})


def _values(column: pa.ChunkedArray) -> NDArray[np.generic]:
    if pa.types.is_floating(column.type):
        return np.asarray(column, np.float32)
    return np.array([value or "" for value in column.to_pylist()], object)


def _has_words(model: str, attribute: str) -> bool:
    return model == attribute == "mask" or (model, attribute) == _POSE


def _said(model: str, attribute: str, values: NDArray[np.generic]) -> dict[str, NDArray[np.bool_]]:
    if values.dtype.kind == "O":
        words, counts = np.unique(values[values != ""].astype(str), return_counts=True)
        most = words[np.sort(np.argsort(-counts, kind="stable")[:_MOST])].tolist()
        return {f"{attribute}: {word}": np.asarray(values == word, bool) for word in most}
    if not _has_words(model, attribute):
        return {}
    number = values.astype(np.float64)
    known = np.where(np.isfinite(number), number, np.nan)  # no comparison holds for NaN
    return _mask_words(known) if attribute == "mask" else _pose_words(known)


def _word(model: str, attribute: str, value: object) -> str:
    if isinstance(value, str):
        return f"{attribute}: {value}" if value else ""
    number = float(value)  # type: ignore[arg-type]
    if not np.isfinite(number) or not _has_words(model, attribute):
        return ""
    made = _mask_words(np.array(number)) if attribute == "mask" else _pose_words(np.array(number))
    return next(word for word, there in made.items() if there)


def _mask_words(probability: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    return {say("mask"): probability >= MASK_FROM, say("no mask"): probability < MASK_FROM}


def _pose_words(yaw: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    return {say("from the front"): np.abs(yaw) <= FRONT, say("turned left"): yaw > FRONT, say("turned right"): yaw < -FRONT}
