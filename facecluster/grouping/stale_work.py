"""Removes what groupings with other models left of their work when they were killed.

Each grouping clears the work of its own model. That of another model stays only while a grouping with it could go on there: none of the
tables that it is made from has changed since.
"""

from __future__ import annotations

from facecluster.errors import StoreError
from facecluster.grouping.link_large import remove_work
from facecluster.grouping.link_plan import WORK, work_folder
from facecluster.grouping.work import FolderShelf
from facecluster.photos.places import GONE_TABLE
from facecluster.store import Store
from facecluster.store.fingerprint import tables_hash


def state_of_faces(store: Store, embeddings: str, what: str) -> str:
    """A hash of the tables that work on the faces of a table of vectors is made from; `what`: "links" or "vectors"."""
    return tables_hash(store, (embeddings, "photos", GONE_TABLE), what)


def remove_stale_work(store: Store, model: str) -> None:
    """Remove the work of all models but `model` with which no grouping could go on. The store must be locked."""
    for other in _models(store, "linking") - {model}:
        links = f"links/{other}"
        if not _is_done(store, links) and not _can_go_on(store, links, state_of_faces(store, f"embeddings/{other}", "links")):
            remove_work(store, links)
    for other in _models(store, "grouping") - {model}:
        shelf, state = FolderShelf(store.address(f"grouping/{other}")), state_of_faces(store, f"embeddings/{other}", "vectors")[:16]
        shelf.clear(but=state if store.fs.isdir(store.path("grouping", other, state)) else "")


def _models(store: Store, folder: str) -> set[str]:
    """Names of the folders in a folder of the store."""
    path = store.path(folder)
    store.fs.invalidate_cache()
    found = store.fs.ls(path, detail=True) if store.fs.isdir(path) else []
    return {str(entry["name"]).rstrip("/").rsplit("/", 1)[-1] for entry in found if entry["type"] == "directory"}


def _is_done(store: Store, links: str) -> bool:
    """Whether the links were made: what is left is little, and says how."""
    work = work_folder(links)
    return bool(store.shards(f"{work}/done")) and not store.shards(f"{work}/plan")


def _can_go_on(store: Store, links: str, sources: str) -> bool:
    """Whether work that was begun is on the tables as they are, and of this version."""
    try:
        plan = f"{work_folder(links)}/plan"
        begun = [store.stamp(plan, shard) or {} for shard in store.shards(plan)]
    except StoreError:  # 'check' says so; work may be deleted
        return False
    return [(one.get("sources"), one.get("work")) for one in begun] == [(sources, WORK)]
