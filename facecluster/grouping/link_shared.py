"""The full vectors of all faces in one file, for all tasks of a machine.

Where all may be in memory at a time they lie there as float32 and are mapped: one copy in the machine's memory, however many workers there
are. Else as float16, and a task reads part after part: that takes a third of the time that the tables of the work take, which are checked.

It is written anew by each run, so it need not survive a power cut, and deleted when the links are there. Without it (an encrypted store,
one on another machine, a disk with little room, Windows, which deletes no mapped file) each worker reads the tables.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.free_memory import give_memory_back
from facecluster.grouping.link_plan import BLOCK, LinkPlan, Tick, blocks
from facecluster.grouping.link_shuffle import read_vectors
from facecluster.permissions import make_private_folder, private_opener
from facecluster.store import ShardResult, Store
from facecluster.store.temporary_files import temporary_name

# whether all may be in memory: the file, which has no header, and its numbers
FILES: dict[bool, tuple[str, type[np.floating[Any]]]] = {True: ("vectors.f32", np.float32), False: ("vectors.f16", np.float16)}
_ROOM = 3_000  # bytes a face that stay free beside it: the tables of the work after it take about 2,400 with 64 neighbours a face


def can_share(store: Store, plan: LinkPlan) -> bool:
    """Whether there may be a file: nobody else can read it on the disk."""
    return os.name == "posix" and store.is_local and store.cipher is None


def share_vectors(shard: str, tick: Tick | None = None, *, store: Store, plan: LinkPlan) -> ShardResult:
    """Write the file; where that fails, or would leave too little room for the tables that come after it, there is none."""
    path, dtype = _file(store, plan)
    beside = temporary_name(path)
    try:
        make_private_folder(os.path.dirname(path), store.root)
        remove_shared(store, plan)
        if shutil.disk_usage(os.path.dirname(path)).free < plan.faces * (np.dtype(dtype).itemsize * plan.dim + _ROOM):
            return ShardResult(stage="link", shard=shard)
        with open(beside, "xb", opener=private_opener) as file:
            part = np.empty((min(plan.rows, plan.faces), plan.dim), dtype=dtype)
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
    """The vectors (n, dim) in the file, mapped; None if there is no whole one, or they may not all be in memory."""
    path, dtype = _file(store, plan)
    if not plan.whole:
        return None
    try:
        found = np.memmap(path, dtype=dtype, mode="r")
    except (OSError, ValueError):
        return None
    return found.reshape(plan.faces, plan.dim) if found.size == plan.faces * plan.dim else None


def read_shared(store: Store, plan: LinkPlan, rows: slice, into: NDArray[Any]) -> None:
    """Put the vectors of `rows`, which begin where a shard does, into an array (rows, dim): from the file, else from the tables."""
    path, dtype = _file(store, plan)
    row = np.dtype(dtype).itemsize * plan.dim
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == plan.faces * row:
                file.seek(rows.start * row)
                part = np.empty((BLOCK, plan.dim), dtype=dtype)
                for some in blocks(rows.stop - rows.start, BLOCK):
                    read = part[: some.stop - some.start]
                    if file.readinto(read.data.cast("B")) != read.nbytes:
                        raise EOFError
                    into[some] = read
                return
    except (OSError, EOFError):
        pass
    read_vectors(store, plan, rows, into)


def remove_shared(store: Store, plan: LinkPlan) -> None:
    """Delete the file, also one of a run that was stopped and had more memory or less."""
    if store.is_local:
        for name, _ in FILES.values():
            with suppress(OSError):
                os.unlink(store.path(plan.work(name)))


def _file(store: Store, plan: LinkPlan) -> tuple[str, type[np.floating[Any]]]:
    """Where it is, and what its numbers are."""
    name, dtype = FILES[plan.whole]
    return store.path(plan.work(name)), dtype
