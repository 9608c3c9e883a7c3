"""Keys of encrypted stores: 256 random bits, written as 64 hex digits, and an id by which a key is known without saying what it is.

A key comes from the variable FACECLUSTER_KEY, from the file that FACECLUSTER_KEY_FILE names, or from the system's keyring (package
`keyring`), in this order. Each may hold several keys, one a line; the id in store.json says which counts. Every process looks for itself:
a key never stands in a task, so no Dask scheduler sees one.
Odd inputs: what is no key is a StoreError, which never shows it.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facecluster.errors import InputError, StoreError, shell
from facecluster.permissions import private_opener

VARIABLE, FILE_VARIABLE = "FACECLUSTER_KEY", "FACECLUSTER_KEY_FILE"
KEYRING = "keyring"  # in the place of a file: the system's keyring
_SERVICE, _BYTES, _MOST = "facecluster", 32, 1 << 16
_FORM = "64 hex digits, as 'facecluster encrypt --new-key FILE' writes them"


def key_id(key: bytes) -> str:
    """The id of a key: 16 hex digits, of HMAC-SHA-256."""
    return hmac.digest(key, b"facecluster key id", hashlib.sha256).hex()[:16]


def key_of(wanted: str, url: str) -> bytes:
    """The key of an id.

    Args:
        wanted: the id.
        url: of the store, for the message.

    Raises:
        StoreError: no place has it, or what is there is no key.
    """
    found: list[str] = []
    for key, where in _offered():
        if key_id(key) == wanted:
            return key
        found.append(f"key {key_id(key)} in {where}")
    kept = _in_keyring(wanted)
    if kept is not None:
        return kept
    have = "; ".join(found[:3]) or "none"
    hint = f"set {FILE_VARIABLE} to the path of the file that has it, on every machine that works on the store"
    raise StoreError(f"expected the key {wanted} of the encrypted store {url}, found {have}: {hint}")


def first_key() -> bytes:
    """The first key that is there, for a new store. Raises StoreError if there is none."""
    for key, _ in _offered():
        return key
    last = _in_keyring("last")
    if last is not None:
        return last
    hint = f"make one with 'facecluster encrypt --new-key FILE', and set {FILE_VARIABLE} to that file"
    raise StoreError(f"expected a key in {FILE_VARIABLE} or {VARIABLE}, found none: {hint}")


def make_key(where: str) -> str:
    """Make a new key and keep it in a new file that its owner alone can read, or in the keyring; gives its id.

    Raises:
        InputError: there is a file, it can't be written, or there is no keyring.
    """
    key = secrets.token_bytes(_BYTES)
    if where == KEYRING:
        ring = _keyring()
        if ring is None:
            raise InputError("expected the package keyring, found none: pip install 'facecluster[keyring]', or name a file")
        try:
            for name in (key_id(key), "last"):
                ring.set_password(_SERVICE, name, key.hex())
        except Exception as e:  # each backend raises its own
            raise InputError(f"expected a keyring that can keep a key, found: {' '.join(str(e).split())}. Name a file instead") from e
        return key_id(key)
    path = Path(where).expanduser()
    try:
        with open(path, "x", opener=private_opener, encoding="ascii") as file:
            file.write(key.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise InputError(f"expected a new file for the key, found {path}: name another, so that no key is lost") from None
    except OSError as e:
        raise InputError(f"expected to write the key to {path}, found: {e.strerror}. Name another file") from e
    return key_id(key)


def _offered() -> Iterator[tuple[bytes, str]]:
    """The keys of the variable and of the file, and where each is."""
    if text := os.environ.get(VARIABLE):
        yield from ((key, VARIABLE) for key in _parse(text, VARIABLE))
    if name := os.environ.get(FILE_VARIABLE):
        place = f"the file {name} ({FILE_VARIABLE})"
        try:
            with open(os.path.expanduser(name), "rb") as file:
                text = file.read(_MOST).decode("ascii", "replace")
        except OSError as e:
            raise StoreError(f"expected a key in {place}, found: {e.strerror}. Next: export {FILE_VARIABLE}={shell('PATH')}") from e
        yield from ((key, place) for key in _parse(text, place))


def _parse(text: str, where: str) -> list[bytes]:
    found = []
    for word in text.split():
        try:
            key = bytes.fromhex(word)
        except ValueError:
            key = b""
        if len(key) != _BYTES:
            raise StoreError(f"expected a key in {where} ({_FORM}), found {len(word):,} characters of something else: correct it")
        found.append(key)
    return found


def _in_keyring(name: str) -> bytes | None:
    ring = _keyring()
    if ring is None:
        return None
    try:
        text = ring.get_password(_SERVICE, name)
    except Exception:  # locked, or there is no backend: each raises its own
        return None
    return _parse(text, "the keyring")[0] if text and text.strip() else None


def _keyring() -> Any:
    try:
        return importlib.import_module("keyring")
    except ImportError:
        return None
