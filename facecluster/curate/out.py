"""The folder that a data set is written to. Each file is whole or absent, and what is there already is not made again.

A mark (`.facecluster-curate.json`) says which plan the files are of: the same plan goes on where it stopped, another one is refused, and so
is a folder with other things in it. In a dry run nothing is written, and the same errors are raised.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path

from facecluster.errors import InputError

MARK = ".facecluster-curate.json"


class Out:
    """A folder being written to."""

    def __init__(self, folder: str, plan: str, *, dry_run: bool = False) -> None:
        """Open it for the files of a plan, which is known by a fingerprint.

        Raises:
            InputError: it holds something else.
        """
        self.folder = Path(os.path.abspath(os.path.expanduser(folder)))
        self.dry_run = dry_run
        self.written = 0
        self.there = 0
        self._made: set[Path] = set()
        mark = self.folder / MARK
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"expected a folder for the data set, found a file: {self.folder}. Choose another with -o")
        if mark.exists():
            self._check(mark, plan)
        elif self.folder.is_dir() and any(self.folder.iterdir()):
            raise InputError(f"expected an empty folder for the data set, found other files in {self.folder}: choose another with -o")
        elif not dry_run:
            self._write(mark, json.dumps({"kind": "facecluster curate", "plan": plan}).encode() + b"\n")

    def _check(self, mark: Path, plan: str) -> None:
        try:
            found = json.loads(mark.read_bytes())["plan"]
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise InputError(f"expected a readable {mark}, found a damaged one: choose another folder with -o") from e
        if found != plan:
            raise InputError(
                f"expected a data set of these faces and settings in {self.folder}, found one of others: choose another -o, or delete it"
            )

    def write(self, name: str, make: Callable[[], bytes]) -> bool:
        """Write a file unless it is there; `make` is called only then. Gives whether it was written, or would be."""
        path = self.folder / name
        if path.is_file() and path.stat().st_size:
            self.there += 1
            return False
        self.written += 1
        if not self.dry_run:
            self._write(path, make())
        return True

    def _write(self, path: Path, data: bytes) -> None:
        beside = path.parent / f".{uuid.uuid4().hex[:8]}.tmp"
        try:
            if path.parent not in self._made:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._made.add(path.parent)
            with open(beside, "wb") as f:
                f.write(data)
                f.flush()
                if len(data) > 1 << 16:  # small pictures by the hundred thousand would wait for the disk: a lost one is an empty file
                    os.fsync(f.fileno())
            os.replace(beside, path)
        except OSError as e:
            beside.unlink(missing_ok=True)
            raise InputError(f"expected to write {path}, found: {e.strerror or e}. Put that right and run again: what is done stays") from e
