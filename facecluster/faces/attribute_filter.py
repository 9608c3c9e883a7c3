"""Conditions on attributes: 'mask<0.5', 'yaw>=-20', 'expression=happy', or with the model, 'pose.yaw>=-20'.

A face of which an attribute is not known meets no condition on it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from facecluster.errors import InputError, shell
from facecluster.faces.attributes import attribute_models, attributes_table
from facecluster.store import Store

_OPERATORS = {"<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal, "=": pc.equal, "!=": pc.not_equal}
_CONDITION = re.compile(r"\s*(?:([\w.-]+)\.)?(\w+)\s*(<=|>=|!=|<|>|=)\s*(.+?)\s*")


def faces_where(store: Store, conditions: Sequence[str]) -> pa.Array | None:
    """The face_ids that meet all conditions, sorted; None without conditions.

    Raises:
        InputError: a condition can't be read, or the store does not have that attribute.
    """
    found: pa.Array | None = None
    for text in conditions:
        ids = _meeting(store, text)
        found = ids if found is None else found.filter(pc.is_in(found, value_set=ids))
    return found


def _meeting(store: Store, text: str) -> pa.Array:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise InputError(f"expected a condition such as 'mask<0.5' or 'expression=happy', found {text!r}: give name, sign and value")
    model, column, sign, value = match.groups()
    table = attributes_table(_model_with(store, column, model))
    parts = []
    for shard in store.shards(table):
        rows = store.read(table, shard, ["face_id", column])
        met = _OPERATORS[sign](rows[column], _value(rows[column].type, value, text, sign))
        parts.append(rows["face_id"].filter(met))
    every = pa.chunked_array([chunk for part in parts for chunk in part.chunks], pa.string()).combine_chunks()
    return every.take(pc.sort_indices(every))


def _value(kind: pa.DataType, value: str, text: str, sign: str) -> pa.Scalar:
    if not pa.types.is_floating(kind):
        if sign not in ("=", "!="):
            raise InputError(f"expected = or != for an attribute that is a word, found {sign} in {text!r}: correct the condition")
        return pa.scalar(value, kind)
    try:
        return pa.scalar(float(value), kind)
    except ValueError:
        raise InputError(f"expected a number after {sign}, found {value!r} in {text!r}: correct the condition") from None


def _model_with(store: Store, column: str, model: str | None) -> str:
    """The model that has a column."""
    names = [model] if model else attribute_models(store)
    first = {name: store.shards(attributes_table(name))[:1] for name in names}
    have = {name: store.read(attributes_table(name), shard).column_names for name, shards in first.items() for shard in shards}
    found = [name for name, columns in have.items() if column in columns and column != "face_id"]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"expected one model with the attribute {column}, found {', '.join(found)}: write {found[0]}.{column}")
    known = ", ".join(c for columns in have.values() for c in columns if c != "face_id") or "none"
    raise InputError(
        f"expected an attribute of {store.url}, found {column!r}; it has: {known}. "
        f"'facecluster attributes {shell(store.url)} --model mask' measures the faces"
    )
