"""A demo that was stopped can go on: until it is done, a small file in its folder holds the settings with which it was begun."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from facecluster.errors import InputError
from facecluster.store.temporary_files import remove_left_over, replacing

UNFINISHED = "unfinished.json"


def begin(folder: Path, settings: Mapping[str, int]) -> None:
    """Begin a demo in a new or empty folder, or go on with the one that was begun there.

    Raises:
        InputError: there are other files, or the demo was begun with other settings.
        OSError: the folder can't be written.
    """
    remove_left_over(str(folder))
    mark = folder / UNFINISHED
    if mark.exists():
        found = _read(mark)
        if found != settings:
            said = " ".join(f"--{key} {value}" for key, value in found.items()) if found else "something else"
            raise InputError(
                f"expected the settings of the demo that was begun in {folder}, found others: give {said}, or choose another folder with -o"
            )
        return
    if folder.exists() and any(folder.iterdir()):
        raise InputError(
            f"expected a new folder for the demo, found {folder} with files in it: choose another with -o, or delete it"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(str(mark)) as file:
        file.write(json.dumps(dict(settings)).encode())


def finish(folder: Path) -> None:
    """Say that the demo is done."""
    (folder / UNFINISHED).unlink(missing_ok=True)


def _read(mark: Path) -> dict[str, int]:
    try:
        found = json.loads(mark.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
