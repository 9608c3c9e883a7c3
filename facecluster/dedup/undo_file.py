"""The undo file: a line of JSON for each file that is moved or linked, written to the disk before the file is touched.

The first line gives the kind and format of the undo file. With a key, each line has a code that only this key makes (HMAC-SHA-256), over
the line and all before it: a file that was made for another store, or changed since, is not undone. A last line that was cut off when the
machine stopped belongs to a file that was not touched.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from facecluster.errors import InputError
from facecluster.store import Store
from facecluster.store.replace_file import sync_folder

KIND = "facecluster undo"
KEY = ("dedup", "undo.key")  # where a store has its secret
FORMAT = 2  # 1: without codes
_MOST = 100  # undo files of one second


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
    trusted: bool = field(default=True, compare=False)  # not in the file: whether it says so itself that it was made here


class UndoFile:
    """Writes an undo file. The file is created with the first entry, so there is none if nothing is done.

    `key` is the secret of the store; without it lines have no codes.
    """

    def __init__(self, path: str, key: bytes | None = None) -> None:
        self.path = path
        self.entries = 0
        self._code = None if key is None else hmac.new(key, digestmod=hashlib.sha256)
        self._handle: int | None = None

    def add(self, entry: UndoEntry) -> None:
        """Write an entry; it is on the disk when this returns."""
        if self._handle is None:
            self._handle = self._open()
            created = datetime.now(UTC).isoformat(timespec="seconds")
            self._write({"kind": KIND, "format": 1 if self._code is None else FORMAT, "created": created})
        self._write({name: value for name, value in asdict(entry).items() if name != "trusted"})
        self.entries += 1

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self) -> int:
        try:
            os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
            handle = self._create()
        except OSError as e:
            raise InputError(
                f"expected to create the undo file {self.path!r}, found: {e.strerror}. Nothing was moved; choose another folder with --out"
            ) from e
        sync_folder(os.path.dirname(os.path.abspath(self.path)))
        return handle

    def _create(self) -> int:
        """Create the file; where another command of the same second has made one, the name goes on with -2, -3, ..."""
        stem, ending = os.path.splitext(self.path)
        for number in range(2, _MOST + 2):
            with suppress(FileExistsError):
                return os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            self.path = f"{stem}-{number}{ending}"
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    def _write(self, value: dict[str, Any]) -> None:
        assert self._handle is not None
        if self._code is not None:
            self._code.update(json.dumps(value).encode())
            value = value | {"code": self._code.hexdigest()}
        line = json.dumps(value).encode() + b"\n"  # ASCII: any file name, and no line break inside a line
        try:
            while line:
                line = line[os.write(self._handle, line) :]
            os.fsync(self._handle)
        except OSError as e:
            raise InputError(
                f"expected to write the undo file {self.path!r}, found: {e.strerror}. Free some space; what was done can be undone"
            ) from e


def read_undo_file(path: str, key: bytes | None = None) -> list[UndoEntry]:
    """The entries of an undo file. With a `key`, those of a file without codes, as older versions wrote it, are not `trusted`.

    Raises:
        InputError: it is no undo file, or its codes are not of this key.
    """
    trusted, code = True, None if key is None else hmac.new(key, digestmod=hashlib.sha256)
    try:
        with open(path, "rb") as f:
            lines = f.read().split(b"\n")
    except OSError as e:
        raise InputError(f"expected an undo file at {path!r}, found: {e.strerror}. 'facecluster dedup' prints where it writes them") from e
    entries = []
    for number, line in enumerate(lines[:-1]):  # text after the last line break was cut off
        try:
            value = json.loads(line)
            said = value.pop("code", None)
            if number == 0 and said is None:
                trusted, code = key is None, None
            if code is not None:
                code.update(json.dumps(value).encode())
                if not hmac.compare_digest(code.hexdigest(), str(said)):
                    raise InputError(
                        f"expected an undo file of this store, found {path!r}, whose line {number + 1} was written for another store or "
                        "changed since: choose another file"
                    )
            if number == 0:
                if value["kind"] != KIND or value["format"] > FORMAT:
                    raise ValueError("it has another kind or a newer format")
            else:
                entries.append(UndoEntry(**value | {"trusted": trusted}))
        except (ValueError, TypeError, KeyError, AttributeError) as e:
            raise InputError(f"expected an undo file, found another line {number + 1} in {path!r}: {e}. Choose another file") from e
    if len(lines) < 2:
        raise InputError(f"expected an undo file, found {path!r} empty: choose another")
    return entries


def without_lines(data: bytes, key: bytes, goes: Callable[[dict[str, Any]], bool]) -> tuple[bytes, int]:
    """The bytes of an undo file without some of its lines, and how many went. Codes are made anew if those before were of this key."""
    old, new = (hmac.new(key, digestmod=hashlib.sha256) for _ in range(2))
    trusted, kept, total = True, list[bytes](), 0
    for line in data.split(b"\n"):
        try:
            value = dict(json.loads(line))
        except (ValueError, TypeError):  # nothing, or cut off
            kept.append(line)
            continue
        said = value.pop("code", None)
        old.update(json.dumps(value).encode())
        trusted = trusted and hmac.compare_digest(old.hexdigest(), str(said))
        if goes(value):
            total += 1
            continue
        new.update(json.dumps(value).encode())
        kept.append(json.dumps(value | {"code": new.hexdigest()}).encode() if trusted else line)
    return b"\n".join(kept), total


def store_key(store: Store, *, make: bool = True) -> bytes:
    """The secret of a store for the codes of its undo files; made if there is none, or with `make` off a passing one."""
    try:
        return store.read_bytes(*KEY)
    except FileNotFoundError:
        key = secrets.token_bytes(32)
        if make:
            store.write_bytes(key, *KEY)
        return key
