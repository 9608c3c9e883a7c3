"""`facecluster upgrade`: write a store of an earlier version in today's format.

Shards get the columns that today's have (null where nobody measured them) and digests; their rows and stamps stay. Files and folders get
the modes that new ones have. What is done already is skipped, so an upgrade that was stopped goes on where it was.

Odd inputs: a damaged shard ends it with the line that every command says of it; what other programs put into the store gets the same modes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from facecluster.check.shards import kind_of, tables
from facecluster.errors import StoreError
from facecluster.permissions import PRIVATE_FILE, PRIVATE_FOLDER
from facecluster.store import Store, in_schema
from facecluster.store.digest import check_footer, read_footer

_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What was written anew, or in a dry run would be."""

    shards: int  # looked at
    written: int  # of these
    modes: int  # files and folders that other users could read


def upgrade(store: Store, *, dry_run: bool = False, tick: Callable[[int, int], None] = lambda done, total: None) -> Upgraded:
    """Write what an earlier version wrote as this one writes it.

    Args:
        store: on a disk or an object store; the caller holds its lock, but for a dry run.
        dry_run: only count.
        tick: called after each shard with how many were looked at, and of how many.

    Raises:
        StoreError: a shard is damaged or of a newer version, or can't be written.
    """
    every = [(table, shard) for table, shards in tables(store).items() for shard in shards]
    written = 0
    for done, (table, shard) in enumerate(every, start=1):
        found = store.read(table, shard)
        wanted = _as_today(table, found)
        if not _is_sealed(store, table, shard) or found.column_names != wanted.column_names:
            written += 1
            if not dry_run:
                store.write(table, shard, wanted, store.stamp(table, shard) or {})
        tick(done, len(every))
    open_to_others = list(_open_to_others(store)) if store.is_local else []
    for path in open_to_others if not dry_run else ():
        _make_private(path)
    return Upgraded(len(every), written, len(open_to_others))


def _as_today(table: str, found: pa.Table) -> pa.Table:
    """The rows of a shard with the columns of today's schema; columns that it does not name come after them."""
    kind = kind_of(table)
    if kind is None or kind.schema is None:
        return found
    more = [name for name in found.column_names if name not in kind.schema.names]
    whole = in_schema(kind.schema, found)
    for name in more:
        whole = whole.append_column(found.schema.field(name), found[name])
    return whole


def _is_sealed(store: Store, table: str, shard: str) -> bool:
    if store.cipher is not None:  # every version that encrypts writes digests
        return True
    with store.fs.open(store.shard_path(table, shard), "rb") as f:
        return check_footer(read_footer(f))


def _open_to_others(store: Store) -> Iterator[str]:
    """The folders and files of a store, itself among them, that other users may enter, read or write; links are left out."""
    for folder, _, names in os.walk(store.root):
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            if not os.path.islink(path) and os.lstat(path).st_mode & _OTHERS:
                yield path


def _make_private(path: str) -> None:
    try:
        os.chmod(path, PRIVATE_FOLDER if stat.S_ISDIR(os.lstat(path).st_mode) else PRIVATE_FILE)
    except FileNotFoundError:  # another program removed it
        return
    except OSError as e:
        raise StoreError(f"expected to change the mode of {path}, found: {e.strerror}. Its owner can: upgrade as that user") from e
