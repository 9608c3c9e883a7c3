"""facecluster: groups the faces of photo collections into people.

For scripts: detect_faces, align_faces, embed_faces, group_faces (facecluster/api.py). They load torch and faiss when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "align_faces", "detect_faces", "embed_faces", "group_faces"]

if TYPE_CHECKING:
    from facecluster.api import align_faces, detect_faces, embed_faces, group_faces


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("facecluster.api"), name)
    raise AttributeError(f"module 'facecluster' has no attribute {name!r}")
