"""The undo file: a line of JSON for each file that is moved or linked, written to the disk before the file is touched.

The first line gives the kind and format of the undo file. A last line that was cut off when the machine stopped belongs to a file that was
not touched.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from facecluster.dedup.files import sync_folder
from facecluster.errors import InputError

KIND = "facecluster undo"
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoEntry:
    """What is about to be done to a file. The fields are the keys of the line."""

    uri: str  # where the file is
    to: str  # uri that it is moved to; '' if it is only replaced by a link
    link: str  # "hard" or "symbolic": the link that replaces it; '' for none
    sha256: str
    keeper: str  # uri of the kept file
    mtime_ns: int
    mode: int  # permissions


class UndoFile:
    """Writes an undo file. The file is created with the first entry, so there is none if nothing is done."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.entries = 0
        self._handle: int | None = None

    def add(self, entry: UndoEntry) -> None:
        """Write an entry; it is on the disk when this returns."""
        if self._handle is None:
            self._handle = self._open()
            self._write({"kind": KIND, "format": FORMAT, "created": datetime.now(UTC).isoformat(timespec="seconds")})
        self._write(asdict(entry))
        self.entries += 1

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self) -> int:
        try:
            os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
            handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except OSError as e:
            raise InputError(
                f"expected to create the undo file {self.path!r}, found: {e.strerror}. Nothing was moved; choose another folder with --out"
            ) from e
        sync_folder(os.path.dirname(os.path.abspath(self.path)))
        return handle

    def _write(self, value: dict[str, Any]) -> None:
        assert self._handle is not None
        line = json.dumps(value).encode() + b"\n"  # ASCII: any file name, and no line break inside a line
        try:
            while line:
                line = line[os.write(self._handle, line) :]
            os.fsync(self._handle)
        except OSError as e:
            raise InputError(
                f"expected to write the undo file {self.path!r}, found: {e.strerror}. Free some space; what was done can be undone"
            ) from e


def read_undo_file(path: str) -> list[UndoEntry]:
    """The entries of an undo file. Raises InputError if it is not one."""
    try:
        with open(path, "rb") as f:
            lines = f.read().split(b"\n")
    except OSError as e:
        raise InputError(f"expected an undo file at {path!r}, found: {e.strerror}. 'facecluster dedup' prints where it writes them") from e
    entries = []
    for number, line in enumerate(lines[:-1]):  # text after the last line break was cut off
        try:
            value = json.loads(line)
            if number == 0:
                if value["kind"] != KIND or value["format"] > FORMAT:
                    raise ValueError("it has another kind or a newer format")
            else:
                entries.append(UndoEntry(**value))
        except (ValueError, TypeError, KeyError) as e:
            raise InputError(f"expected an undo file, found another line {number + 1} in {path!r}: {e}. Choose another file") from e
    if len(lines) < 2:
        raise InputError(f"expected an undo file, found {path!r} empty: choose another")
    return entries
