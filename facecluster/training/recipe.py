"""Recipes: settings of a training in a TOML file, or in the card of a model that came out of one (its section [recipe])."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from facecluster.errors import InputError
from facecluster.training.config import TrainConfig

RECIPES = Path(__file__).parent / "recipes"  # those that are known by a name
_WORDS = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}


def read_recipe(recipe: str) -> dict[str, Any]:
    """Settings by the names of TrainConfig's fields, from the name of a bundled recipe or the path of a file.

    Raises:
        InputError: no such file, no TOML, or a setting that is not known or of another type.
    """
    known = RECIPES / f"{recipe}.toml"
    path = known if known.is_file() else Path(recipe).expanduser()
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        names = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
        what = e.strerror if isinstance(e, OSError) else " ".join(str(e).split())
        raise InputError(f"expected a recipe ({names}, or a TOML file) at {path}, found: {what}. Correct the path or the file") from e
    given = raw.get("recipe", raw)
    kinds = get_type_hints(TrainConfig)
    for name, value in given.items() if isinstance(given, dict) else [("recipe", given)]:
        if name not in kinds:
            wanted = ", ".join(field.name for field in fields(TrainConfig))
            raise InputError(f"expected settings among {wanted} in {path}, found {name!r}: correct it")
        allowed = get_args(kinds[name]) or (kinds[name],)
        if type(value) not in allowed and not (float in allowed and type(value) is int):
            words = " or ".join(_WORDS[kind] for kind in allowed if kind in _WORDS)
            raise InputError(f"expected {words} for {name} in {path}, found {value!r}: correct it")
    return dict(given)
