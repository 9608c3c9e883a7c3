"""Writes the sections of a card as TOML: the standard library only reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def to_toml(sections: Mapping[str, Any]) -> str:
    """Sections of text, numbers, truth values, lists and inline tables as TOML. Raises TypeError for anything else."""
    lines = {name: "".join(f"{_key(k)} = {_value(v)}\n" for k, v in values.items()) for name, values in sections.items()}
    return "\n".join(f"[{_key(name)}]\n{text}" for name, text in lines.items())


def _key(name: str) -> str:
    return name if name and all(c.isascii() and (c.isalnum() or c in "_-") for c in name) else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):  # TOML's basic strings are JSON's, but for the characters that JSON may leave as they are
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(str(k))} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_value, value)) + "]"
    raise TypeError(f"expected text, a number, a list or a table, found {type(value).__name__}")
