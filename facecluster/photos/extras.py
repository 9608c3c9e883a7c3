"""The kinds of files that an optional package opens: RAW photos, JPEG XL, videos and LMDB. The one place that knows these packages' names.

Without its package a kind is passed over in folders, and counted. A file that is named outright is an error row that says what to install.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from facecluster.errors import PhotoError


@dataclass(frozen=True, slots=True)
class Extra:
    """A kind of files that needs an optional package."""

    name: str  # of pip's extra: facecluster[raw]
    what: str  # in a message
    module: str  # that opens them
    extensions: frozenset[str]  # in lower case, without the dot


RAW = Extra(
    "raw", "RAW", "rawpy",
    frozenset(
        "3fr arw cr2 cr3 crw dcr dng erf fff iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f".split()
    ),
)  # fmt: skip
JXL = Extra("jxl", "JPEG XL", "pylibjxl", frozenset(["jxl"]))
VIDEO = Extra(
    "video", "video", "av",
    frozenset("3g2 3gp asf avi divx flv m2t m2ts m4v mkv mov mp4 mpe mpeg mpg mts ogv qt vob webm wmv".split()),
)  # fmt: skip
LMDB = Extra("lmdb", "LMDB", "lmdb", frozenset())
EXTRAS = (RAW, JXL, VIDEO, LMDB)
# formats of the table `photos` that are videos: the boxes of their faces are in frames, each at its time
VIDEO_FORMATS = frozenset(["MP4", "MOV", "MKV", "AVI", "MPEGTS", "MPEG", "ASF", "FLV", "OGG", "DV"])


@lru_cache
def is_installed(extra: Extra) -> bool:
    """Whether the package of an extra is there. It is not loaded."""
    return find_spec(extra.module) is not None


def load(extra: Extra) -> Any:
    """The package of an extra. Raises PhotoError if it is not installed."""
    try:
        return importlib.import_module(extra.module)
    except ImportError as e:
        raise PhotoError(
            f"expected the package {extra.module}, which opens {extra.what} files, found none: pip install 'facecluster[{extra.name}]'"
        ) from e


def install_hint(names: list[str]) -> str:
    """The command that installs extras."""
    return f"pip install 'facecluster[{','.join(names)}]'"
