"""What an export that has not ended has written: a list in its folder, with a line for each file, put down before the file has its
name. So what a stopped export wrote is known as its own.

Odd inputs: a line that was cut off says nothing; a file that is not as its line says is not the export's.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

BEGUN = ".facecluster-export.begun"


def digest_of(path: str | Path) -> str | None:
    """SHA-256 of a file, "-> target" of a link; None if it can't be read."""
    try:
        if os.path.islink(path):
            return f"-> {os.readlink(path)}"
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def is_inside(folder: Path, name: str) -> bool:
    """Whether a name leads to a place in a folder, also through links of folders."""
    path = folder / name
    if not name or "\0" in name or ".." in path.parts:
        return False
    return path.parent.resolve().is_relative_to(folder.resolve())


def add_begun(folder: Path, name: str, kind: str, digest: str) -> None:
    """Put down that a file is about to be written. Raises OSError."""
    with (folder / BEGUN).open("a", encoding="utf-8") as file:
        file.write(json.dumps([name, kind, digest]) + "\n")


def read_begun(folder: Path, but: Container[str] = ()) -> dict[str, dict[str, str]]:
    """The files of the list that are as it says, as rows of a manifest by their names; `but`: those that need not be looked at."""
    found: dict[str, dict[str, str]] = {}
    lines: list[str] = []
    with suppress(OSError, ValueError):
        lines = (folder / BEGUN).read_text(encoding="utf-8").splitlines()
    for line in lines:
        with suppress(ValueError, TypeError):
            name, kind, digest = map(str, json.loads(line))
            if name not in but and is_inside(folder, name) and digest_of(folder / name) == digest:
                found[name] = {"to": kind, "is": digest}
    return found
