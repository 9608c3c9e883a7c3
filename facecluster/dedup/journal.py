"""The undo file: one line of JSON for each act, on the disk before the act is begun.

The first line says what the file is. A last line that was cut off when the machine stopped belongs to an act that was not begun.
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
class Entry:
    """What is about to be done to a file."""

    uri: str  # where it is
    to: str  # uri where it goes; '' if a link takes its place and it goes nowhere
    link: str  # "hard" or "symbolic": the link that takes its place; '' for none
    sha256: str
    keeper: str  # uri
    mtime_ns: int
    mode: int  # permissions


class Journal:
    """Writes an undo file. The file is made with the first entry: nothing done, nothing to undo."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.entries = 0
        self._handle: int | None = None

    def add(self, entry: Entry) -> None:
        """Write an entry; once this returns, it is on the disk."""
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
            raise InputError(f"expected to make the undo file {self.path!r}, found: {e.strerror}. Nothing was moved; free its place") from e
        sync_folder(os.path.dirname(os.path.abspath(self.path)))
        return handle

    def _write(self, value: dict[str, Any]) -> None:
        assert self._handle is not None
        line = json.dumps(value).encode() + b"\n"  # ASCII: any name, and never a line break in one
        try:
            while line:
                line = line[os.write(self._handle, line) :]
            os.fsync(self._handle)
        except OSError as e:
            raise InputError(f"expected to write the undo file {self.path!r}, found: {e.strerror}. What was done can be undone") from e


def read_journal(path: str) -> list[Entry]:
    """The entries of an undo file. Raises InputError if it is none."""
    try:
        with open(path, "rb") as f:
            lines = f.read().split(b"\n")
    except OSError as e:
        raise InputError(f"expected an undo file at {path!r}, found: {e.strerror}. 'facecluster dedup' says where it writes them") from e
    entries = []
    for number, line in enumerate(lines[:-1]):  # what follows the last line break was cut off
        try:
            value = json.loads(line)
            if number == 0:
                if value["kind"] != KIND or value["format"] > FORMAT:
                    raise ValueError("it is of another kind or a newer version")
            else:
                entries.append(Entry(**value))
        except (ValueError, TypeError, KeyError) as e:
            raise InputError(f"expected an undo file, found line {number + 1} of {path!r} that is not of one: {e}. Choose another") from e
    if len(lines) < 2:
        raise InputError(f"expected an undo file, found nothing in {path!r}: choose another")
    return entries
