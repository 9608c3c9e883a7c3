"""The Python API: what scripts and notebooks use. docs/python.md shows it at work. All public names stand in `facecluster` itself.

arrays      photos to faces, crops, vectors and groups, as arrays
groups      `group` and its result
scores      `evaluate`: how good a grouping is
collection  `open`: a store to read, as tables and objects
objects     the people, faces and photos of a store
job         `run`: the main job, from photos to people
images, arguments  turn what is given into arrays, or say what is wrong
html        how results look in a notebook

Nothing is loaded before it is used: torch and faiss take seconds.
"""

from __future__ import annotations

import importlib
from typing import Any

from facecluster import __all__ as _PUBLIC


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module("facecluster"), name)
    raise AttributeError(f"module 'facecluster.api' has no attribute {name!r}")
