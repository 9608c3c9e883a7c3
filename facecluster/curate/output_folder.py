"""The folder that a data set is written to. Each file is complete or absent, and existing files are not made again.

A marker file (`.facecluster-curate.json`) says which plan the files belong to: the same plan continues where it stopped; another plan, and
a folder with other files in it, are refused. A dry run writes nothing and raises the same errors.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from facecluster.errors import InputError
from facecluster.store import TEMPORARY
from facecluster.store.copies import DATA_SET_MARK
from facecluster.store.temporary_files import remove_left_over, temporary_name

MARK = DATA_SET_MARK


class OutputFolder:
    """A data set folder."""

    def __init__(self, folder: str, plan: str, *, dry_run: bool = False) -> None:
        """Open the folder for the files of a plan.

        Args:
            folder: path.
            plan: hash of the plan.
            dry_run: write nothing.

        Raises:
            InputError: the folder holds something else.
        """
        self.folder = Path(os.path.abspath(os.path.expanduser(folder)))
        self.dry_run = dry_run
        self.written = 0
        self.existing = 0
        self._made: set[Path] = set()
        mark = self.folder / MARK
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"expected a folder for the data set, found a file: {self.folder}. Choose another with -o")
        if mark.exists():
            self._check(mark, plan)
        elif self.folder.is_dir() and any(not TEMPORARY.fullmatch(path.name) for path in self.folder.iterdir()):
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
        """Write a file unless it exists; `make` gives its bytes if needed. Returns whether it was written, or would be in a dry run."""
        path = self.folder / name
        if path.is_file() and path.stat().st_size:
            self.existing += 1
            return False
        self.written += 1
        if not self.dry_run:
            self._write(path, make())
        return True

    def _write(self, path: Path, data: bytes) -> None:
        temporary = Path(temporary_name(str(path)))
        try:
            if path.parent not in self._made:
                path.parent.mkdir(parents=True, exist_ok=True)
                remove_left_over(str(path.parent))
                self._made.add(path.parent)
            with open(temporary, "wb") as f:
                f.write(data)
                f.flush()
                if len(data) > 1 << 16:  # small files are not synced: it would take long, and one that is lost is empty
                    os.fsync(f.fileno())
            os.replace(temporary, path)
        except OSError as e:
            temporary.unlink(missing_ok=True)
            raise InputError(f"expected to write {path}, found: {e.strerror or e}. Correct it and run again: finished files stay") from e
