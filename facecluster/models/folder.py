"""The user's own models: a folder with a card NAME.toml and the weights beside it, of the same name, for each.

It is FACECLUSTER_MODELS if that is set, else where the system keeps a user's data: ~/.local/share/facecluster/models (Linux, or in
XDG_DATA_HOME), ~/Library/Application Support/facecluster/models (macOS), %LOCALAPPDATA%\\facecluster\\models (Windows).
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from facecluster.errors import ModelError

VARIABLE = "FACECLUSTER_MODELS"
BUNDLED = "bundled"
ATTRIBUTES = ("mask", "pose")  # bundled models of attributes, by name
WEIGHTS = Path(__file__).parent / "weights"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def models_folder() -> Path:
    """The folder of the user's models; it need not exist."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "facecluster" / "models"


def card_path(model: str, bundled: str = "embedder") -> Path:
    """The card of "bundled", of a model in the folder by its name, or at a path (.toml). Raises ModelError for a name without one."""
    if model == BUNDLED:
        return WEIGHTS / f"{bundled}.toml"
    if model in ATTRIBUTES:
        return WEIGHTS / f"{model}.toml"
    if model.endswith(".toml"):
        return Path(model)
    path = models_folder() / f"{model}.toml"
    if not _NAME.fullmatch(model) or not path.is_file():
        raise ModelError(
            f"expected the model 'bundled', the path of a card (.toml), or the name of a model in {models_folder()}, found {model!r}: "
            "see 'facecluster models list'"
        )
    return path


def check_name(name: str) -> None:
    """Raise ModelError unless a new model may have this name: it names files, and tables of a store."""
    if not _NAME.fullmatch(name) or name in (BUNDLED, *ATTRIBUTES) or name.endswith(".toml"):
        expected = "expected a name of letters, digits, '.', '_' and '-', not 'bundled', 'mask' or 'pose'"
        raise ModelError(f"{expected}, found {name!r}: choose one with --name")


def installed() -> list[str]:
    """Names of the models in the folder, sorted."""
    folder = models_folder()
    return sorted(p.stem for p in folder.glob("*.toml") if _NAME.fullmatch(p.stem)) if folder.is_dir() else []
