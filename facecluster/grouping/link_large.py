"""Has the links of a large collection made, step by step. Each step is a set of tasks that read tables and write tables.

A run that was stopped goes on: what is in the tables is done. The tables of the work are in the store (linking/MODEL) until the links are
there; then only the quantiser and the note of what was done (`done`) stay, until the collection is small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from facecluster.grouping.link_audit import compare_sample, recall
from facecluster.grouping.link_hops import closer_links
from facecluster.grouping.link_plan import EXACT_SEARCH, LinkPlan, Run, Task, work_folder
from facecluster.grouping.link_shared import can_share, remove_shared, share_vectors
from facecluster.grouping.link_shuffle import gather, inputs_of, scatter
from facecluster.grouping.link_tasks import encode_vectors, pack_lists, search_lists, train_quantiser
from facecluster.grouping.link_turned import merge_links, turn_links
from facecluster.language.english import plural
from facecluster.store import ShardResult, Stamp, Store

_WORK = (
    "plan", "order", "scattered", "vectors", "sample", "probes", "entries", "lists", "found", "least", "turned", "merged", "nearest",
    "audit", "audited",
)  # fmt: skip
_EMPTY = pa.Table.from_batches([], pa.schema([pa.field("none", pa.int8())]))  # pa.array would load pandas
_ONE = "00000"


@dataclass(frozen=True, slots=True)
class Linked:
    """What `link` did."""

    faces: int
    method: str  # EXACT_SEARCH, or as in LinkPlan
    lists: int = 0  # of the inverted file
    probes: int = 0
    found: float | None = None  # share of a sample's exact neighbours from `same_person` on that the links hold; None: not measured
    sample: int = 0  # faces
    same_person: float = 0.0  # cosine
    skipped: bool = False  # the links were there

    def lines(self) -> list[str]:
        """What was chosen and how good it is, for the user; nothing if the links were there."""
        if self.skipped:
            return []
        if self.method == EXACT_SEARCH:
            return [f"links: {self.method} search of {plural(self.faces, 'face')}"]
        lines = [f"links: {self.method} of {self.faces:,} faces, {self.probes} of {self.lists:,} lists for each"]
        if self.found is not None:
            share = f"{self.found:.3f}".removeprefix("0")
            level = f"{self.same_person:.2f}".removeprefix("0")
            lines.append(f"links: {share} of the exact neighbours from a cosine of {level} on found, on a sample of {self.sample:,}")
        return lines


def run_here(what: str, total: int, names: Sequence[str], task: Task, *, gpu: bool = False) -> list[ShardResult]:
    """Do a task for each of `names` in this process."""
    return [task(name) for name in names]


def link_large(store: Store, plan: LinkPlan, write_order: Callable[[], list[str]], run: Run) -> Linked:
    """Make the links that are not there yet.

    Args:
        store: holds the vectors and gets the links.
        plan: what to do.
        write_order: writes where each face goes; returns the names of the groups of shards.
        run: has tasks done.
    """
    done = store.stamp(plan.work("done"), _ONE) if store.shards(plan.work("done")) else None
    if done is not None and _made(done) == (plan.sources, plan.faces, plan.decides):
        if _linked(store, plan, done["links"]) == plan.shards():
            return _result(plan, done["found"], done["sample"], skipped=True)
    begun = store.shards(plan.work("plan")) == [_ONE] and store.stamp(plan.work("plan"), _ONE) == dict(plan.stamp("plan"))
    if not begun:
        _clear(store, plan, (*_WORK, "quantiser", "done"))
        remove_shared(store, plan)
        store.write(plan.work("plan"), _ONE, _EMPTY, plan.stamp("plan"))
    do = partial(_do, store, plan, run)
    if missing := _missing(store, plan.work("sample"), plan.tasks):
        groups = write_order()
        there = set(store.shards(plan.work("scattered")))
        do("faces read", scatter, [g for g in groups if not {f"{task}-{g}" for task in plan.tasks} <= there])
        do("faces put in order", gather, missing)
    _clear(store, plan, ("order", "scattered"))
    stamp: Stamp = {"table": "links", "inputs": inputs_of(store, plan), **plan.decides}
    linked = _linked(store, plan, stamp)
    if linked != plan.shards():
        do("", share_vectors, [_ONE] if can_share(store, plan) else [])
        if missing := [task for task in plan.tasks if _missing(store, plan.work("least"), plan.shards(task))]:
            do("", train_quantiser, _missing(store, plan.work("quantiser"), [_ONE]))
            if lists := _missing(store, plan.work("lists"), plan.list_parts):
                there = set(store.shards(plan.work("entries")))
                do("faces coded", encode_vectors, [t for t in plan.tasks if not {f"{part}-{t}" for part in plan.list_parts} <= there])
                do("", pack_lists, lists)
            _clear(store, plan, ("entries",))
            do("faces searched for", search_lists, missing, gpu=plan.gpu)
        there = set(store.shards(plan.work("turned")))
        do("", turn_links, [task for task in plan.tasks if not {f"{end}-{task}" for end in plan.tasks} <= there])
        do("", merge_links, [t for t in plan.tasks if _missing(store, plan.work("merged"), plan.shards(t))])
        store.remove(plan.links, linked)
        do("faces linked", partial(closer_links, stamp=stamp), [t for t in plan.tasks if not set(plan.shards(t)) <= set(linked)])
    remove_shared(store, plan)
    do("", compare_sample, _missing(store, plan.work("audited"), plan.tasks))
    found, sample = recall(store, plan)
    _clear(store, plan, [name for name in _WORK if name != "plan"])
    note = {**plan.stamp("done"), "links": stamp, "found": found, "sample": sample}
    store.write(plan.work("done"), _ONE, _EMPTY, note)
    _clear(store, plan, ("plan",))
    return _result(plan, found, sample)


def remove_work(store: Store, links: str) -> None:
    """Remove all that is left of the work on a table of links, of which no more is needed: also of work that was stopped."""
    folder = store.path(*work_folder(links).split("/"))
    store.fs.invalidate_cache()
    if store.fs.isdir(folder):
        store.fs.rm(folder, recursive=True)


def _do(store: Store, plan: LinkPlan, run: Run, what: str, task: Task, names: Sequence[str], *, gpu: bool = False) -> None:
    if names:
        run(what, plan.faces, names, partial(task, store=store, plan=plan), gpu=gpu)


def _missing(store: Store, table: str, names: Sequence[str]) -> list[str]:
    there = set(store.shards(table))
    return [name for name in names if name not in there]


def _made(done: Stamp) -> tuple[object, ...]:
    return done["sources"], done["faces"], {key: done.get(key) for key in ("k", "method", "lists", "probes", "hops")}


def _linked(store: Store, plan: LinkPlan, stamp: Stamp) -> list[str]:
    """The shards of links that are there, made with this stamp."""
    return [shard for shard in store.shards(plan.links) if store.stamp(plan.links, shard) == dict(stamp)]


def _clear(store: Store, plan: LinkPlan, names: Sequence[str]) -> None:
    for name in names:
        if store.shards(plan.work(name)):
            store.remove(plan.work(name))


def _result(plan: LinkPlan, found: float | None, sample: int, *, skipped: bool = False) -> Linked:
    return Linked(plan.faces, plan.method, plan.lists, plan.probes, found, sample, plan.same_person, skipped)
