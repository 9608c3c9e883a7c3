"""The store: a folder of Arrow tables in sharded Parquet, on any fsspec filesystem. docs/format.md describes it for other programs.

Shards are written atomically: to a temporary file, synced, then renamed (on object stores: one put request). The metadata of a shard has
a stamp under the key `facecluster`: the settings that the shard was made with. A second run skips the shards that are done.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import fsspec
import pyarrow as pa
from filelock import FileLock, Timeout
from fsspec.implementations.local import LocalFileSystem

from facecluster.errors import AT_ANOTHER_TIME, StampError, StoreError, may_pass, shell
from facecluster.language.said import say
from facecluster.permissions import make_private_folder, private_opener
from facecluster.store.cipher import Cipher, is_encrypted_parquet
from facecluster.store.digest import DamageError, read_metadata, read_parquet, sealed_parquet
from facecluster.store.line_digest import with_sum, without_sum
from facecluster.store.schemas import in_schema
from facecluster.store.stamps import FORMAT, PLACE_KEY, STAMP_KEY, Stamp, place, stamp_of
from facecluster.store.store_file import check_store, create_store, encryption_of, id_of, one_line
from facecluster.store.temporary_files import remove_left_over, replacing

_NOT_TIDIED = ("report", "damaged")  # folders of many files that are never written in place
FORGETTING = "forgetting.json"  # what `forget` is about to do; there only while it does
COMPACTING = "compacting.json"  # what `compact` is doing; there only while it does


def _opened(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Its filesystem and the path there. They are kept for absolute paths of this machine: a run asks thousands of times."""
    return _on_this_machine(url) if url.startswith("/") and "::" not in url else fsspec.core.url_to_fs(url)


@lru_cache(maxsize=16)
def _on_this_machine(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    fs, path = fsspec.core.url_to_fs(url)
    return fs, str(path)


@dataclass(frozen=True, slots=True)
class Store:
    """A store by its URL; cheap to create and to send to a worker."""

    url: str

    @property
    def fs(self) -> fsspec.AbstractFileSystem:
        try:
            return _opened(self.url)[0]
        except (ImportError, ValueError, OSError) as e:
            hint = "pip install 'facecluster[s3]'" if self.url.startswith("s3:") else "choose another URL, or install its fsspec package"
            raise StoreError(f"expected a URL that this machine can open, found {self.url}: {one_line(e)}. Next: {hint}") from e

    @property
    def io_errors(self) -> tuple[type[Exception], ...]:
        """Exceptions of reading and writing files: remote filesystems raise their own."""
        return (OSError, ValueError) if self.is_local else (Exception,)

    @property
    def root(self) -> str:
        return str(_opened(self.url)[1]).rstrip("/")

    @property
    def is_local(self) -> bool:
        return isinstance(self.fs, LocalFileSystem)

    def path(self, *parts: str) -> str:
        """Path of a file of the store on its filesystem.

        Raises:
            StoreError: it would lie outside the store, as a name from a file of somebody else's may say.
        """
        if any(step in ("", ".", "..") or "\0" in step for part in parts for step in part.split("/")):
            raise StoreError(f"expected a place in the store {self.url}, found {'/'.join(parts)!r}: a file of the store is damaged")
        return "/".join([self.root, *parts])

    def address(self, *parts: str) -> str:
        """Address of a file of the store for any process: an absolute path, or a URL."""
        path = self.path(*parts)
        return path if self.is_local else str(self.fs.unstrip_protocol(path))

    def shard_path(self, table: str, shard: str) -> str:
        """Path of a shard; the name of a table may contain a folder (embeddings/<model>)."""
        return self.path(table, f"part-{shard}.parquet")

    @property
    def cipher(self) -> Cipher | None:
        """What encrypts and opens the files of the store; None if it is not encrypted."""
        found = encryption_of(self)
        return None if found is None else Cipher(found.key_id, self.url)

    def holder(self, table: str) -> Store:
        """The store whose files of a table count."""
        return self

    def shards(self, table: str) -> list[str]:
        """Names of the shards of a table, sorted; temporary files of an interrupted run are not among them."""
        folder = self.path(table)
        if not self.fs.isdir(folder):
            return []
        self.fs.invalidate_cache(folder)
        names = (str(p).rsplit("/", 1)[-1] for p in self.fs.ls(folder, detail=False))
        return sorted(n[5:-8] for n in names if n.startswith("part-") and n.endswith(".parquet"))

    def exists(self, *parts: str) -> bool:
        """Whether a file of the store exists."""
        return bool(self.fs.exists(self.path(*parts)))

    # -- the store as a whole ---------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise StoreError unless the store exists, this version can read it, and its key is there if it is encrypted."""
        check_store(self)

    def create(self, key_id: str | None = None) -> None:
        """Create the store, or check it if it exists. A folder with other files is refused, and so is a bucket that does not exist.

        `key_id`: of the key with which it is encrypted; a store that exists and is not is refused.
        """
        create_store(self, key_id)

    def lock(self, *, forgetting: bool = False) -> AbstractContextManager[Any]:
        """Lock the store for one run (local stores only; the system releases it when a run is killed). `forgetting`: go on with one."""
        if not forgetting and self.exists(FORGETTING):
            raise StoreError(f"expected a whole store, found one half forgotten: finish it with 'facecluster forget {self.url} --yes'")
        if not self.is_local:
            return nullcontext()
        lock = FileLock(self.path("store.lock"), timeout=0)
        try:
            held = lock.acquire()
            self._tidy()
            return held
        except Timeout:
            text = say("expected a free store, found another run at work in %(url)s: wait for it to end, or stop it", url=self.url)
            raise StoreError(text) from None
        except OSError as e:
            raise StoreError(say("expected to write in the store, found: %(why)s. Check its permissions", why=str(e))) from e

    def _tidy(self) -> None:
        """Remove the temporary files of commands that were killed."""
        for folder, folders, _ in os.walk(self.root):
            folders[:] = [name for name in folders if name not in _NOT_TIDIED and not name.startswith(".")]
            remove_left_over(folder)

    # -- files and shards ---------------------------------------------------------------------------------------------------------

    def read_bytes(self, *parts: str) -> bytes:
        """The bytes of a file, opened if the store is encrypted; of a JSON object (`.json`) without its digest, which is compared.

        Raises:
            FileNotFoundError, OSError, ValueError: it is not there, can't be read, or has changed since it was written (DamageError).
            StoreError: the key is not there.
        """
        data, cipher = bytes(self.fs.cat_file(self.path(*parts))), self.cipher
        data = data if cipher is None else cipher.open(data, "/".join(parts))
        return without_sum(data) if parts[-1].endswith(".json") else data

    def write_bytes(self, data: bytes, *parts: str) -> None:
        """Write a file atomically, encrypted if the store is; a JSON object (`.json`) with its digest."""
        data, cipher = with_sum(data) if parts[-1].endswith(".json") else data, self.cipher
        self.write_raw(data if cipher is None else cipher.seal(data, "/".join(parts)), *parts)

    def write_raw(self, data: bytes, *parts: str) -> None:
        """Write a file atomically, as it is."""
        path = self.path(*parts)
        if not self.is_local:
            self.fs.pipe_file(path, data)
            return
        make_private_folder(os.path.dirname(path), self.root)
        with replacing(path, private_opener) as f:
            f.write(data)

    def write(self, table: str, shard: str, data: pa.Table, stamp: Stamp, *, packed: bool = True) -> None:
        """Write a shard with its stamp; not `packed`, numbers that are soon read again and then deleted cost less time and more disk."""
        said = json.dumps({"format": FORMAT, **stamp}, sort_keys=True)
        try:
            schema = data.schema.with_metadata({STAMP_KEY: said, PLACE_KEY: place(table, shard, id_of(self))})
            cipher, rows = self.cipher, data.cast(schema)
            seal = sealed_parquet if cipher is None else cipher.sealed_parquet
            self.write_raw(seal(rows, packed=packed), table, f"part-{shard}.parquet")
        except StoreError:
            raise
        except self.io_errors as e:
            path = self.shard_path(table, shard)
            raise StoreError(f"expected to write {path}, found: {one_line(e)}. Correct that and run again: finished shards are kept") from e

    def remove(self, table: str, keep: Collection[str] = ()) -> None:
        """Delete the shards of a table, except those in `keep`."""
        for shard in self.shards(table):
            if shard not in keep:
                self.fs.rm_file(self.shard_path(table, shard))

    def read(self, table: str, shard: str, columns: list[str] | None = None) -> pa.Table:
        """Read a shard, or some columns of it. Raises StoreError if it is missing or damaged."""
        path = self.shard_path(table, shard)
        try:
            with self._open(path) as f:
                found = self._open_parquet(f, columns)
                said = dict(found.schema.metadata or {STAMP_KEY: b"{}"})
                stamp_of(said, path)
                return found.replace_schema_metadata({key: value for key, value in said.items() if key != PLACE_KEY})
        except StoreError:
            raise
        except (*self.io_errors, pa.ArrowException) as e:
            raise self._damaged(path, e) from e

    def _open(self, path: str) -> Any:
        """A file, for reading: also one that another machine has written since this one listed its folder."""
        with suppress(FileNotFoundError):
            return self.fs.open(path, "rb")
        self.fs.invalidate_cache(path.rsplit("/", 1)[0])
        return self.fs.open(path, "rb")

    def _open_parquet(self, file: Any, columns: list[str] | None) -> pa.Table:
        cipher = self.cipher
        if cipher is None:
            return read_parquet(file, columns)
        _need_encrypted(file)
        return cipher.read_parquet(file, columns)

    def _damaged(self, path: str, error: BaseException) -> StoreError:
        repair = f"Next: 'facecluster check {shell(self.url)} --repair' says what is lost, and what can be made again"
        hint = AT_ANOTHER_TIME if may_pass(error) else repair
        return StoreError(f"expected a readable shard, found {path}: {one_line(error)}. {hint}")

    def read_all(self, table: str, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
        """All shards of a table as one, or some of its columns; columns that an older version did not write are null."""
        wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
        parts = []
        for shard in self.shards(table):
            try:
                parts.append(in_schema(wanted, self.read(table, shard, columns)))
            except (KeyError, pa.ArrowException) as e:
                raise self._damaged(self.shard_path(table, shard), e) from e
        return pa.concat_tables(parts) if parts else wanted.empty_table()

    def stamp(self, table: str, shard: str) -> dict[str, Any] | None:
        """The settings that a shard was made with; None if the shard does not exist."""
        path = self.shard_path(table, shard)
        try:
            with self._open(path) as f:
                if (cipher := self.cipher) is not None:
                    _need_encrypted(f)
                return stamp_of(read_metadata(f) if cipher is None else cipher.read_metadata(f), path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except StoreError:
            raise
        except (*self.io_errors, KeyError, pa.ArrowException) as e:
            raise self._damaged(path, e) from e

    def is_done(self, table: str, shard: str, stamp: Stamp, renewable: Collection[str] = (), kept: str | None = None) -> bool:
        """Whether a shard exists and was made with these settings. Raises StampError if it was made with others.

        A shard that differs only in settings named in `renewable` counts as not done, so that it is made again. One that differs in `kept`
        counts as done, whatever else differs: an earlier version of the tool made it, and it stays as it is.
        """
        found = self.stamp(table, shard)
        if found is None:
            return False
        wanted = json.loads(json.dumps(stamp))
        if found != wanted:
            keys = sorted(k for k in {*found, *wanted} if found.get(k) != wanted.get(k))
            if kept in keys:
                return True
            if set(keys) <= set(renewable):
                return False
            differ = ", ".join(f"{k} = {wanted.get(k)!r} (found {found.get(k)!r})" for k in keys)
            raise StampError(
                f"expected {self.shard_path(table, shard)} made with {differ}: use those settings again, or another store (-o)"
            )
        return True

    def finished_shards(
        self, stamps: Mapping[str, Stamp], present: Collection[str] = (), renewable: Collection[str] = (), kept: str | None = None
    ) -> list[str]:
        """Names of the shards that exist in all of some tables, sorted.

        Args:
            stamps: the tables, and the settings that each of their shards must have been made with.
            present: tables in which a shard must exist, with any settings.
            renewable: settings that may differ; a shard with such a difference is not finished.
            kept: a setting that may differ, and everything else with it; a shard with such a difference is finished.

        Raises:
            StampError: a shard of one of the tables was made with other settings.
        """
        shards = {table: self.shards(table) for table in (*stamps, *present)}
        whole = {table: set(names) for table, names in shards.items()}
        with ThreadPoolExecutor(16) as pool:  # one request each; on object stores most of the time is waiting
            apply = map if self.is_local else pool.map
            for table, stamp in stamps.items():
                done = apply(partial(self.is_done, table, stamp=stamp, renewable=renewable, kept=kept), shards[table])
                whole[table] = {shard for shard, is_done in zip(shards[table], done, strict=True) if is_done}
        return sorted(set.intersection(*whole.values()))


def _need_encrypted(file: Any) -> None:
    if not is_encrypted_parquet(file):
        raise DamageError("it is not encrypted, as all files of this store are")
