"""store.json: that a folder is a store, of which format, and, if it is encrypted, with which key (by its id) and how.

Odd inputs: a folder without it is a store that is not encrypted, as parts of a dry run are; one that can't be read now is a StoreError.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from facecluster.errors import AT_ANOTHER_TIME, StoreError, may_pass, shell
from facecluster.permissions import make_private_folder
from facecluster.store.cipher import HEAD, PARQUET_MARK, Cipher, file_key_id
from facecluster.store.line_digest import is_as_written, with_sum
from facecluster.store.stamps import FORMAT

if TYPE_CHECKING:
    from facecluster.store.store import Store

STORE_FILE = "store.json"
KIND = "facecluster store"
TEMPORARY = re.compile(r"\..*\.tmp|.+\.[0-9a-f]{8}\.tmp")  # files that a command writes before it gives them their names
ENCRYPTED_FORMAT = 2  # of a store that is encrypted: versions that know no encryption refuse it
ENCRYPTING, DECRYPTING = "encrypting", "decrypting"  # states of a store that is being converted
_CIPHER = "AES-256-GCM"
_WRAPPED, _TAIL = re.compile(rb'"masterKeyID":"([0-9a-f]{16})"'), 1 << 12
_KEY_ID, _STORE_ID = re.compile(r"[0-9a-f]{16}"), re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Encryption:
    """How a store is encrypted."""

    key_id: str
    state: str = ""  # '': all of it is; ENCRYPTING, DECRYPTING: some of it


_known: dict[str, tuple[object, Encryption | None, str]] = {}  # by URL: what the file was when it was read, what it said


def contents(encryption: Encryption | None = None, store_id: str = "") -> bytes:
    """The bytes of the file. `store_id`: by which its shards are known, 32 hex digits; '' for a store of an earlier version."""
    found: dict[str, Any] = {"kind": KIND, "format": FORMAT} | ({"id": store_id} if store_id else {})
    if encryption is not None:
        found["format"] = ENCRYPTED_FORMAT
        found["encryption"] = {"cipher": _CIPHER, "key": encryption.key_id}
        found["encryption"] |= {"state": encryption.state} if encryption.state else {}
    return with_sum(json.dumps(found).encode())


def parse(data: bytes, url: str) -> Encryption | None:
    """What the file says of encryption.

    Raises:
        ValueError: it is no JSON.
        StoreError: it is not of a store, or of a newer one.
    """
    found = json.loads(data)
    if not isinstance(found, dict) or found.get("kind") != KIND or not isinstance(found.get("format"), int):
        raise StoreError(f"expected a facecluster store at {url}, found a {STORE_FILE} of something else: choose another folder")
    said = found.get("encryption")
    if found["format"] > (FORMAT if said is None else ENCRYPTED_FORMAT):
        raise StoreError(f"expected a store of format {FORMAT} or older, found {found['format']}: install a newer facecluster")
    if said is None:
        return None
    if not isinstance(said, dict) or said.get("cipher") != _CIPHER or not _KEY_ID.fullmatch(str(said.get("key"))):
        raise StoreError(f"expected a store encrypted with {_CIPHER} at {url}, found another way: install a newer facecluster")
    if said.get("state", "") not in ("", ENCRYPTING, DECRYPTING):
        raise StoreError(f"expected an encrypted store at {url}, found one in an unknown state: install a newer facecluster")
    return Encryption(said["key"], said.get("state", ""))


def encryption_of(store: Store, *, afresh: bool = False) -> Encryption | None:
    """How a store is encrypted; None if it is not. Read again when the file has changed; on an object store with `afresh` only."""
    return _facts(store, afresh)[0]


def id_of(store: Store) -> str:
    """The id of a store, 32 hex digits; '' if an earlier version made it."""
    return _facts(store, False)[1]


def _facts(store: Store, afresh: bool) -> tuple[Encryption | None, str]:
    path = store.path(STORE_FILE)
    state: object = None
    if store.is_local:
        try:
            facts = os.stat(path)
            state = facts.st_mtime_ns, facts.st_size, facts.st_ino
        except (FileNotFoundError, NotADirectoryError):
            return None, ""
        except (OSError, ValueError) as e:
            raise _unreadable(store, e) from e
    if store.url in _known and _known[store.url][0] == state and not afresh:
        return _known[store.url][1:]
    found = _read(store, path)
    _known[store.url] = state, *found
    return found


def _read(store: Store, path: str) -> tuple[Encryption | None, str]:
    try:
        data = store.fs.cat_file(path)
        encryption, said = parse(data, store.url), str(json.loads(data).get("id", ""))
        return encryption, said if _STORE_ID.fullmatch(said) and is_as_written(data) else ""
    except (FileNotFoundError, NotADirectoryError, ValueError, StoreError):  # not of a store: `check` says so, and commands begin with it
        return None, ""
    except store.io_errors as e:  # must not pass for a store that is not encrypted
        raise _unreadable(store, e) from e


def _unreadable(store: Store, error: BaseException) -> StoreError:
    hint = AT_ANOTHER_TIME if may_pass(error) else "Restore it or choose another store"
    return StoreError(f"expected a readable {STORE_FILE} in {store.url}, found: {one_line(error)}. {hint}")


def find_key_id(store: Store) -> str | None:
    """The id of the key with which files of a store are encrypted, as they say; None if none is. For a store whose store.json is lost."""
    store.fs.invalidate_cache()
    for path in sorted(map(str, store.fs.find(store.root))):
        head, size = store.fs.cat_file(path, start=0, end=HEAD), store.fs.size(path)
        if (found := file_key_id(head)) is not None:
            return found
        if head.startswith(PARQUET_MARK) and (said := _WRAPPED.search(store.fs.cat_file(path, start=max(size - _TAIL, 0), end=size))):
            return said[1].decode()
    return None


def needs_sealing(path: str) -> bool:
    """Whether a file of an encrypted store, by its path there, is encrypted as `write_bytes` does."""
    name = path.rsplit("/", 1)[-1]
    journal = path == "decisions.jsonl" or path.startswith("decisions/")
    return not (path == STORE_FILE or journal or name.endswith(".lock") or TEMPORARY.fullmatch(name) or fnmatchcase(path, "review-*.html"))


def refuse_half(encryption: Encryption, url: str) -> None:
    """Raise StoreError if a store is being converted, or was stopped in it."""
    if encryption.state:
        command = "encrypt" if encryption.state == ENCRYPTING else "decrypt"
        found = f"one half {command}ed"
        raise StoreError(f"expected a whole store, found {found}: finish it with 'facecluster {command} {shell(url)}'")


def check_store(store: Store) -> None:
    """As `Store.check`."""
    _need_name(store)
    store.fs.invalidate_cache()
    try:
        found = parse(store.fs.cat_file(store.path(STORE_FILE)), store.url)
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"expected a store at {store.url}, found none: make one with 'facecluster run PHOTOS -o {store.url}'") from None
    except StoreError:
        raise
    except store.io_errors as e:
        raise _unreadable(store, e) from e
    encryption_of(store, afresh=True)
    if found is not None:
        refuse_half(found, store.url)
        Cipher(found.key_id, store.url).check()


def create_store(store: Store, key_id: str | None = None) -> None:
    """As `Store.create`."""
    _need_name(store)
    try:
        if store.exists(STORE_FILE):
            store.check()
            if key_id is not None and store.cipher is None:
                hint = f"'facecluster encrypt {shell(store.url)}' encrypts it"
                raise StoreError(f"expected an encrypted store at {store.url}, found one that is not: {hint}")
            return
        if key_id is not None:
            Cipher(key_id, store.url).check()
        _need_room(store)
        if store.is_local:
            make_private_folder(store.root)
        else:
            store.fs.makedirs(store.root, exist_ok=True)
        store.write_raw(contents(Encryption(key_id) if key_id else None, uuid.uuid4().hex), STORE_FILE)
        encryption_of(store, afresh=True)
    except StoreError:
        raise
    except store.io_errors as e:
        raise StoreError(f"expected to write a store at {store.url}, found: {one_line(e)}. Choose another folder with -o") from e


def _need_room(store: Store) -> None:
    if store.fs.exists(store.root) and not store.fs.isdir(store.root):
        raise StoreError(f"expected a folder for the store, found a file: {store.url}. Choose another folder with -o")
    if store.fs.isdir(store.root) and any(not TEMPORARY.fullmatch(name) for name in _names_in_root(store)):
        raise StoreError(f"expected a store or an empty folder, found other files in {store.url}: choose another folder with -o")
    if _lacks_bucket(store):
        raise StoreError(f"expected a bucket for {store.url}, found none: make it first, or choose another folder with -o")


def _names_in_root(store: Store) -> list[str]:
    return [str(path).rstrip("/").rsplit("/", 1)[-1] for path in store.fs.ls(store.root, detail=False)]


def _need_name(store: Store) -> None:
    if not store.url:  # an empty path would mean the current folder
        raise StoreError("expected the name of a store, found an empty one: name a folder")


def _lacks_bucket(store: Store) -> bool:
    """Whether the store is in a bucket that does not exist. Creating folders would create the bucket, which others could see."""
    bucket = store.root.split("/")[0]
    if store.is_local or not bucket:
        return False
    try:
        return not store.fs.exists(bucket)
    except PermissionError:  # the user may have the right to write, but not to list
        return False


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
