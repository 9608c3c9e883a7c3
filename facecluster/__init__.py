"""facecluster: groups the faces of photo collections into people.

The Python API (docs/python.md), loaded when it is used:

    run                                                      photos to people, in a store
    open                                                     a store to read: people, faces, photos, runs, vectors
    group                                                    vectors to people, with all that is known about the result
    evaluate                                                 labels against known answers
    detect_faces, align_faces, embed_faces, group_faces      the single steps, on arrays
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from facecluster.api.arrays import align_faces, detect_faces, embed_faces, group_faces

_HOMES = {
    **dict.fromkeys(("align_faces", "detect_faces", "embed_faces", "group_faces"), "api.arrays"),
}
__all__ = ["__version__", "align_faces", "detect_faces", "embed_faces", "group_faces"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'facecluster' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"facecluster.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
