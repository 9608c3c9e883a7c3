"""The folder that an export writes to, and short names of photos.

A list of what was written (`.facecluster-export.json`) lies in the folder. What is there and not on the list, or was changed since, is the
user's: it is never overwritten and never deleted. What an earlier export of the same kind wrote and this one does not is deleted at the
end. In a dry run nothing is written, and the same errors are raised.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facecluster.errors import InputError
from facecluster.photos.images import local_path

LIST = ".facecluster-export.json"


class Out:
    """A folder being exported to. Use `write` and `link`, then `finish`."""

    def __init__(self, folder: str, kind: str, *, dry_run: bool = False) -> None:
        self.folder = Path(os.path.abspath(os.path.expanduser(folder)))
        self.kind = kind
        self.dry_run = dry_run
        self.new: dict[str, str] = {}  # what this export writes: name -> SHA-256 of the content, or "-> target" of a link
        self.written = 0  # files that were not there like that already
        self._listed = self._read_list()

    def _read_list(self) -> dict[str, dict[str, str]]:
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"expected a folder to export to, found a file: {self.folder}. Choose another with -o")
        try:
            listed = json.loads((self.folder / LIST).read_bytes())["files"]
            return {str(name): dict(row) for name, row in listed.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            raise InputError(f"expected a readable {LIST} in {self.folder}, found a damaged one: choose another folder with -o") from None

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all; `name` may have folders in it."""
        digest = hashlib.sha256(data).hexdigest()
        path = self._claim(name, digest)
        if path is None or self.dry_run:
            return
        beside = path.with_name(f".{uuid.uuid4().hex[:8]}.tmp")
        with self._errors(name):
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(data)
            os.replace(beside, path)

    def link(self, name: str, target: str) -> None:
        """Make a symbolic link to a file."""
        path = self._claim(name, f"-> {target}")
        if path is None or self.dry_run:
            return
        beside = path.with_name(f".{uuid.uuid4().hex[:8]}.tmp")
        with self._errors(name):
            path.parent.mkdir(parents=True, exist_ok=True)
            os.symlink(target, beside)
            os.replace(beside, path)

    def has(self, name: str, digest: str) -> bool:
        """Whether an earlier export wrote this very content and it is still there, by its size and list; claims it if so."""
        listed = self._listed.get(name, {})
        path = self.folder / name
        if listed.get("is") != digest or path.is_symlink() or not path.is_file() or str(path.stat().st_size) != listed.get("size"):
            return False
        self.new[name] = digest
        return True

    def finish(self) -> int:
        """Delete what is stale, write the list; returns the number of files deleted."""
        stale = [n for n, row in self._listed.items() if row.get("to") == self.kind and n not in self.new]
        gone = [n for n in stale if self._is_ours(n)]
        if self.dry_run:
            return len(gone)
        for name in gone:
            with self._errors(name):
                (self.folder / name).unlink()
                for parent in (self.folder / name).parents:
                    if parent == self.folder or any(parent.iterdir()):
                        break
                    parent.rmdir()
        rows = {n: r for n, r in self._listed.items() if n not in stale}
        for name, digest in self.new.items():
            rows[name] = {"to": self.kind, "is": digest, "size": str((self.folder / name).lstat().st_size)}
        text = json.dumps({"kind": "facecluster export", "files": rows}, indent=0, sort_keys=True)
        with self._errors(LIST):
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / LIST).write_text(text, encoding="utf-8")
        return len(gone)

    def _claim(self, name: str, digest: str) -> Path | None:
        """Where a file goes; None if it is there as wanted already. Raises InputError if something of the user's is there."""
        path = self.folder / name
        self.new[name] = digest
        if os.path.lexists(path):
            if self._now(name) == digest:
                return None
            if not self._is_ours(name):
                raise InputError(f"expected a free place for {path}, found another file there: move it away, or choose another -o")
        self.written += 1
        return path

    def _is_ours(self, name: str) -> bool:
        """Whether a file is there as an export wrote it."""
        return os.path.lexists(self.folder / name) and self._listed.get(name, {}).get("is") == self._now(name)

    def _now(self, name: str) -> str | None:
        path = self.folder / name
        try:
            if path.is_symlink():
                return f"-> {os.readlink(path)}"
            with open(path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            found = e.strerror or e
            raise InputError(f"expected to write {self.folder / name}, found: {found}. Put that right or choose another -o") from e


def json_bytes(value: Any) -> bytes:
    """JSON for a file, in ASCII, without blanks."""
    return (json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")) + "\n").encode()


def short_names(uris: Iterable[str]) -> tuple[str, dict[str, str]]:
    """The deepest folder that holds all photos, and each photo's path from there, with '/' between folders.

    Photos on several filesystems (paths and s3://...) have no folder in common: the folder is '' then, and names start with s3/bucket.
    """
    paths = {uri: local_path(uri) for uri in uris}
    if any(path is None for path in paths.values()):
        names = {uri: re.sub(r"^[a-z0-9+.-]+://+", lambda m: m[0].split(":")[0] + "/", path or uri).lstrip("/") for uri, path in
                 ((u, os.path.abspath(p) if p is not None else u) for u, p in paths.items())}  # fmt: skip
        return "", names
    full = {uri: os.path.abspath(str(path)) for uri, path in paths.items()}
    root = os.path.commonpath([os.path.dirname(p) for p in full.values()]) if full else ""
    return root, {uri: os.path.relpath(path, root).replace(os.sep, "/") for uri, path in full.items()}
