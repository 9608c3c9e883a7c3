"""The full vectors of all faces in one file, which all tasks of a machine map: one copy in its memory, however many workers there are.

It is written anew by each run, so it need not survive a power cut, and deleted when the links are there. Without it (an encrypted store,
one on another machine, parts that don't fit into memory, a disk with little room, Windows, which deletes no mapped file) each worker has a
copy.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.free_memory import give_memory_back
from facecluster.grouping.link_plan import LinkPlan, Tick, blocks
from facecluster.grouping.link_shuffle import read_vectors
from facecluster.permissions import make_private_folder, private_opener
from facecluster.store import ShardResult, Store
from facecluster.store.temporary_files import temporary_name

FILE = "vectors.f32"  # float32, without a header
_ROOM = 3_000  # bytes a face that stay free beside it: the tables of the work after it take about 2,400 with 64 neighbours a face


def can_share(store: Store, plan: LinkPlan) -> bool:
    """Whether a file makes sense: all vectors may be in memory at a time, and nobody else can read them on the disk."""
    return os.name == "posix" and plan.held >= plan.faces and store.is_local and store.cipher is None


def share_vectors(shard: str, tick: Tick | None = None, *, store: Store, plan: LinkPlan) -> ShardResult:
    """Write the file; where that fails, or would leave too little room for the tables that come after it, there is none."""
    path = _path(store, plan)
    beside = temporary_name(path)
    try:
        make_private_folder(os.path.dirname(path), store.root)
        remove_shared(store, plan)
        if shutil.disk_usage(os.path.dirname(path)).free < plan.faces * (4 * plan.dim + _ROOM):
            return ShardResult(stage="link", shard=shard)
        with open(beside, "xb", opener=private_opener) as file:
            part = np.empty((min(plan.rows, plan.faces), plan.dim), dtype=np.float32)
            for rows in blocks(plan.faces, plan.rows):
                some = part[: rows.stop - rows.start]
                read_vectors(store, plan, rows, some)
                file.write(some.data)
        os.replace(beside, path)
    except OSError:
        remove_shared(store, plan)
    finally:
        with suppress(OSError):
            os.unlink(beside)
    give_memory_back()
    return ShardResult(stage="link", shard=shard)


def shared_vectors(store: Store, plan: LinkPlan) -> NDArray[Any] | None:
    """The vectors (n, dim) in the file, mapped; None if there is no whole one."""
    try:
        found = np.memmap(_path(store, plan), dtype=np.float32, mode="r")
    except (OSError, ValueError):
        return None
    return found.reshape(plan.faces, plan.dim) if found.size == plan.faces * plan.dim else None


def remove_shared(store: Store, plan: LinkPlan) -> None:
    """Delete the file."""
    if store.is_local:
        with suppress(OSError):
            os.unlink(_path(store, plan))


def _path(store: Store, plan: LinkPlan) -> str:
    return store.path(plan.work(FILE))
