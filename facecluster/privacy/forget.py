"""Forgets people, photos and faces of a store: writes down what goes, frees every place of it, and gives a receipt.

Each step can be done again, so a forgetting that is killed goes on with the next call, to the same tables. Nothing can be taken back.
The user's photos are never touched.

Odd inputs: a forgetting that was stopped is finished first, whatever is asked.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from facecluster import __version__
from facecluster.photos.forgotten import TABLE, add_marks, read_forgotten
from facecluster.privacy.files import output_folders
from facecluster.privacy.forget_plan import ForgetPlan, read_plan, write_plan
from facecluster.privacy.make_plan import make_plan, mark_of_words
from facecluster.privacy.places import free_all, is_known
from facecluster.store import FORGETTING, FORMAT, Store
from facecluster.store.copies import read_copies

_MOST = 1 << 28  # bytes of a file of the user's in the store that is looked through


def preview(store: Store, who: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """What forgetting would take out of a store, as its receipt, and a line for each of the user's words. Nothing is written.

    Args:
        store: an existing store.
        who: face_ids, places or photo_ids of photos, lasting ids or names of people.

    Raises:
        InputError: a word means nothing, or several things.
    """
    plan, lines = make_plan(store, who)
    return receipt_of(store, plan), lines


def forget(store: Store, who: Sequence[str]) -> list[dict[str, Any]]:
    """Forget; gives the receipts: one, or two if another forgetting had been stopped. The store must be locked.

    Args:
        store: an existing store.
        who: as for `preview`; none: only finish what was stopped.

    Raises:
        InputError: a word means nothing, or several things; then nothing is changed, except that what was stopped is finished.
        StoreError: the store can't be read or written.
    """
    receipts = []
    stopped = read_plan(store)
    if stopped is not None:
        receipts.append(carry_out(store, stopped))
    if who and (stopped is None or stopped.asked != mark_of_words(read_forgotten(store), who)):
        plan, _ = make_plan(store, who)
        write_plan(store, plan)
        receipts.append(carry_out(store, plan))
    return receipts


def carry_out(store: Store, plan: ForgetPlan) -> dict[str, Any]:
    """Do what a plan says that was written down; gives the receipt, which is kept."""
    salt = bytes.fromhex(plan.salt)
    add_marks(store, salt, [bytes.fromhex(mark) for mark in plan.marks])
    free_all(store, plan, write=True)
    receipt = receipt_of(store, plan)
    name = f"receipt-{plan.at.replace('-', '').replace(':', '')}-{plan.id}.json"
    store.write_bytes(json.dumps(receipt, indent=1, ensure_ascii=False).encode("utf-8", "surrogateescape"), TABLE, name)
    store.fs.rm_file(store.path(FORGETTING))
    return receipt


def receipt_of(store: Store, plan: ForgetPlan) -> dict[str, Any]:
    """What was taken out, and what lies elsewhere; without names, ids and vectors."""
    return {
        "kind": "facecluster receipt", "format": FORMAT, "id": plan.id, "at": plan.at, "version": __version__,
        "forgotten": plan.forgotten, "removed": plan.counts, "left": sorted(_left(store, plan)),
        "copies": [dict(row) for row in read_copies(store)], "temporary": sorted(map(str, _temporary())),
    }  # fmt: skip


def _left(store: Store, plan: ForgetPlan) -> Iterator[str]:
    """Files in the store that are not facecluster's and hold a name, an id or a path that goes; or are too large to be looked through."""
    if not store.is_local:
        return
    needles = [form for text in (*plan.names, *plan.faces, *plan.photos, *plan.uris) for form in _forms(text)]
    outputs = {path for _, paths in output_folders(store) for path in paths}  # go as a whole
    for folder, _, names in os.walk(store.root):
        for name in names:
            path = Path(folder, name)
            inside = path.relative_to(store.root).as_posix()
            if not is_known(inside) and path not in outputs and path.is_file() and not path.is_symlink():
                if path.stat().st_size > _MOST or any(needle in data for data in [path.read_bytes()] for needle in needles):
                    yield inside


def _forms(text: str) -> set[bytes]:
    """A text as files may hold it."""
    return {text.encode("utf-8", "surrogatepass"), text.encode("utf-16-le", "surrogatepass"), json.dumps(text)[1:-1].encode()}


def _temporary() -> Iterator[Path]:
    """Temporary folders of this user's commands that are at work, or were killed: what is in them may be of any store."""
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError:  # none can be written, so that no command is at work there
        return
    user = getattr(os, "getuid", int)()  # Windows says 0 of every file
    for path in folder.glob("facecluster-*"):
        with suppress(FileNotFoundError):  # a command that is at work removes its own
            if path.is_dir() and path.lstat().st_uid == user:
                yield path


def is_stopped(store: Store) -> bool:
    """Whether a forgetting was stopped half way."""
    return store.exists(FORGETTING)

