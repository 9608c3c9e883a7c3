"""The folder that an export writes to.

A manifest in the folder (`.facecluster-export.json`) lists what was written; until an export ends, what it writes is listed beside it. A
file that is in neither, or was changed since, is the user's: it is never overwritten and never deleted, and not listed either where it
holds what the export would write, as a photo that is to be copied to where it is. Files that an earlier export of the same kind wrote and
this one does not are deleted at the end; what exports of two kinds wrote stays. A dry run writes nothing and raises the same errors.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from facecluster.errors import InputError, WriteError
from facecluster.export.begun_files import BEGUN, add_begun, digest_of, is_inside, read_begun
from facecluster.photos.companions import Companions
from facecluster.store.replace_file import place, recover, remove_file, swap_in
from facecluster.store.temporary_files import remove_left_over, temporary_name

MANIFEST = ".facecluster-export.json"
_SEVERAL = "several"  # kind of a file that exports of several kinds wrote
_ITEMS = 2_000  # of a list in JSON that are written at a time


class OutputFolder:
    """A folder to export to. Call `write` and `link` for each file, then `finish`."""

    def __init__(self, folder: str, kind: str, *, dry_run: bool = False) -> None:
        self.folder = Path(os.path.abspath(os.path.expanduser(folder)))
        self.kind = kind
        self.dry_run = dry_run
        self.claimed: dict[str, str] = {}  # files of this export: name -> SHA-256 of the content, or "-> target" of a link
        self.written = 0  # files that were missing or different
        self._theirs: set[str] = set()  # files of the user's that hold what would be written
        self._failed: set[str] = set()  # files that could not be written: what an earlier export wrote there stays
        self._companions: dict[str, Companions] = {}  # of the files of earlier exports, by folder
        self._listed = self._read_manifest()

    def _read_manifest(self) -> dict[str, dict[str, str]]:
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"expected a folder to export to, found a file: {self.folder}. Choose another with -o")
        try:
            listed = json.loads((self.folder / MANIFEST).read_bytes())["files"]
            found = {str(name): dict(row) for name, row in listed.items()}
        except FileNotFoundError:
            found = {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            where = f"{MANIFEST} in {self.folder}"
            raise InputError(f"expected a readable {where}, found a damaged one: choose another folder with -o") from None
        if outside := next((name for name in found if not is_inside(self.folder, name)), None):
            raise InputError(
                f"expected files of {self.folder} in its {MANIFEST}, found {outside!r}: it was not written by an export here. Choose "
                "another folder with -o"
            )
        return found | read_begun(self.folder, self.claimed.keys() - self._theirs)  # its own it need not read again

    def write(self, name: str, data: bytes) -> None:
        """Write a file atomically; `name` may contain folders."""
        digest = hashlib.sha256(data).hexdigest()
        path = self._path_to_write(name, digest)
        if path is None or self.dry_run:
            return
        with self._beside(name, path) as beside:
            beside.write_bytes(data)
            self._rename(beside, name, path)

    @contextmanager
    def _beside(self, name: str, path: Path) -> Iterator[Path]:
        """A temporary place beside a file that is to be written, so that it is whole or not there."""
        beside = Path(temporary_name(str(path)))
        try:
            with self._errors(name):
                path.parent.mkdir(parents=True, exist_ok=True)
                yield beside
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)

    def _rename(self, beside: Path, name: str, path: Path) -> None:
        """Give a file, or a link, its name, unless another program has saved one there since it was looked at. Raises InputError."""
        known = self._listed.get(name, {}).get("is")
        with self._errors(name):
            add_begun(self.folder, name, self.kind, self.claimed[name])
        if os.path.lexists(path):
            done = swap_in(str(beside), str(path), partial(_has_digest, digest=known))
        else:
            done = place(str(beside), str(path))
        if not done:
            raise InputError(f"expected no file at {path}, found one that was saved meanwhile: move it away, or choose another -o")

    def write_parts(self, name: str, parts: Iterable[bytes]) -> None:
        """The same with a file of any size, whose parts are made one after the other."""
        digest, beside = hashlib.sha256(), Path(temporary_name(str(self.folder / name)))
        try:
            with self._errors(name), nullcontext() if self.dry_run else _opened(beside) as file:
                for part in parts:
                    digest.update(part)
                    if file is not None:
                        file.write(part)
            path = self._path_to_write(name, digest.hexdigest())
            if path is not None and not self.dry_run:
                with self._errors(name):
                    self._rename(beside, name, path)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)

    def link(self, name: str, target: str) -> None:
        """Make a symbolic link to a file."""
        path = self._path_to_write(name, f"-> {target}")
        if path is None or self.dry_run:
            return
        with self._beside(name, path) as beside:
            os.symlink(target, beside)
            self._rename(beside, name, path)

    def keep_existing(self, name: str, digest: str) -> bool:
        """Whether an earlier export wrote this content and the file still exists, by the manifest and its size. If so, the file is kept."""
        listed = self._listed.get(name, {})
        path = self.folder / name
        if listed.get("is") != digest or path.is_symlink() or not path.is_file() or str(path.stat().st_size) != listed.get("size"):
            return False
        self.claimed[name] = digest
        return True

    def earlier(self) -> list[str]:
        """The files that earlier exports of this kind wrote."""
        return [name for name, row in self._listed.items() if row.get("to") == self.kind]

    def others(self) -> dict[str, str]:
        """The files that exports of other kinds wrote: name -> SHA-256 of the content."""
        return {name: row.get("is", "") for name, row in self._listed.items() if row.get("to") != self.kind}

    @cached_property
    def _copies(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.earlier():
            found.setdefault(self._listed[name].get("is", ""), []).append(name)
        return found

    @cached_property
    def _by_folder(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.earlier():
            found.setdefault(os.path.dirname(name), []).append(os.path.basename(name))
        return found

    def unclaimed(self) -> set[str]:
        """The contents (SHA-256) that earlier exports of this kind wrote, and that this one has not claimed."""
        return self._copies.keys() - set(self.claimed.values())

    def copy_of(self, digests: Collection[str]) -> str | None:
        """Name of a file that an earlier export of this kind wrote with one of these contents, and that is still as it wrote it."""
        found = (name for digest in sorted(digests) for name in self._copies.get(digest, ()))
        return next((name for name in found if self._is_unchanged(name)), None)

    def beside(self, name: str) -> list[str]:
        """The names, without the folder, of what earlier exports of this kind wrote beside a file and what belongs to it."""
        folder, base = os.path.split(name)
        if folder not in self._companions:
            self._companions[folder] = Companions(self._by_folder.get(folder, []))
        return self._companions[folder].of(base)

    def keep(self, name: str) -> bool:
        """Keep a file as an earlier export wrote it, if it still exists."""
        return self.keep_existing(name, self._listed.get(name, {}).get("is", ""))

    def finish(self) -> int:
        """Delete stale files and write the manifest; returns the number of files deleted."""
        stale = [n for n in self.earlier() if n not in self.claimed and n not in self._failed]
        if not self.dry_run:
            for name in stale:
                with self._errors(name):
                    recover(str(self.folder / name))  # a stop may have left it aside
        gone = [n for n in stale if self._is_unchanged(n)]
        if self.dry_run:
            return len(gone)
        for folder in {self.folder, *((self.folder / name).parent for name in (*self._listed, *self.claimed))}:
            remove_left_over(str(folder))
        for name in gone:
            with self._errors(name):
                remove_file(str(self.folder / name), partial(_has_digest, digest=self._listed[name].get("is")))
                for parent in (self.folder / name).parents:
                    if parent == self.folder or any(parent.iterdir()):
                        break
                    parent.rmdir()
        now = self._read_manifest() | self._listed  # another export may have worked here meanwhile
        rows = {n: r for n, r in now.items() if n not in stale}
        for name, digest in self.claimed.items():
            if name in self._theirs and name not in now:
                continue
            kind = self.kind if self._listed.get(name, {}).get("to", self.kind) == self.kind else _SEVERAL
            rows[name] = {"to": kind, "is": digest, "size": str((self.folder / name).lstat().st_size)}
        text = json.dumps({"kind": "facecluster export", "files": rows}, indent=0, sort_keys=True)
        with self._beside(MANIFEST, self.folder / MANIFEST) as beside:
            beside.write_bytes(text.encode())
            os.replace(beside, self.folder / MANIFEST)
            (self.folder / BEGUN).unlink(missing_ok=True)
        return len(gone)

    def _path_to_write(self, name: str, digest: str) -> Path | None:
        """The path of a file; None if it already has this content. Raises InputError if a file of the user is there."""
        path = self.folder / name
        self.claimed[name] = digest
        if not self.dry_run:
            recover(str(path))  # a stop may have left it aside
        if os.path.lexists(path):
            if self._current_digest(name) == digest:
                self._theirs.update([name] if name not in self._listed else [])
                return None
            if not self._is_unchanged(name):
                raise InputError(f"expected no file at {path}, found one that is not of an export: move it away, or choose another -o")
        self.written += 1
        return path

    def _is_unchanged(self, name: str) -> bool:
        """Whether a file exists just as an export wrote it."""
        return os.path.lexists(self.folder / name) and self._listed.get(name, {}).get("is") == self._current_digest(name)

    def _current_digest(self, name: str) -> str | None:
        return digest_of(self.folder / name)

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            found = e.strerror or e
            self.written -= name in self.claimed
            self.claimed.pop(name, None)
            self._failed.add(name)
            raise WriteError(f"expected to write {self.folder / name}, found: {found}. Correct that, or choose another -o") from e


def _has_digest(path: str, digest: str | None) -> bool:
    return digest is not None and digest_of(path) == digest


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        yield file


def json_text(value: Any) -> bytes:
    """JSON in ASCII, without spaces."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()


def listed(parts: Iterable[bytes], begin: bytes = b"[", end: bytes = b"]") -> Iterator[bytes]:
    """The parts of a list in JSON, some thousands of items at a time."""
    yield begin
    items, comma = iter(parts), b""
    while some := list(islice(items, _ITEMS)):
        yield comma + b",".join(some)
        comma = b","
    yield end
