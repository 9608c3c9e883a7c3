"""facecluster: groups the faces of photo collections into people.

The Python API (docs/python.md), loaded when it is used:

    run                                                   photos to people, in a store
    open                                                  a store to read: people, faces, photos, runs, vectors
    group                                                 vectors to people, with what is known about the result
    evaluate                                              labels against known answers
    detect_faces, align_faces, embed_faces, group_faces   the single steps, on arrays

What can't be used raises a FaceclusterError with one line: what was expected, what was found, what to do next.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "ArgumentError", "Collection", "EngineError", "Face", "FaceclusterError", "Grouping", "GroupingScores", "InputError", "ModelError",
    "Person", "Photo", "PhotoError", "RunSummary", "StampError", "StoreError", "__version__", "align_faces", "detect_faces",
    "embed_faces", "evaluate", "group", "group_faces", "open", "run",
]  # fmt: skip

if TYPE_CHECKING:
    from facecluster.api.arrays import align_faces, detect_faces, embed_faces, group_faces
    from facecluster.api.collection import Collection, open
    from facecluster.api.groups import Grouping, group
    from facecluster.api.job import RunSummary, run
    from facecluster.api.objects import Face, Person, Photo
    from facecluster.api.scores import GroupingScores, evaluate
    from facecluster.errors import (
        ArgumentError,
        EngineError,
        FaceclusterError,
        InputError,
        ModelError,
        PhotoError,
        StampError,
        StoreError,
    )

_NAMES = {
    "api.arrays": ("align_faces", "detect_faces", "embed_faces", "group_faces"),
    "api.collection": ("Collection", "open"),
    "api.groups": ("Grouping", "group"),
    "api.job": ("RunSummary", "run"),
    "api.objects": ("Face", "Person", "Photo"),
    "api.scores": ("GroupingScores", "evaluate"),
    "errors": (
        "ArgumentError", "EngineError", "FaceclusterError", "InputError", "ModelError", "PhotoError", "StampError", "StoreError",
    ),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'facecluster' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"facecluster.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
