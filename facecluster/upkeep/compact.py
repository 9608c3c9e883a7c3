"""`facecluster compact`: few large shards in place of many small ones. What a table says stays the same, in the same order.

Neighbouring shards that were made with the same settings become one, under the name of the last (of tables by content, the first that
detection does not use): rows of a place follow each other, and the last counts. `compacting.json` holds the plan, with the numbers of rows:
by these a compaction that was stopped knows what is done. Until the end the old shards stay, so rows may stand twice meanwhile, of which
one counts. Of the old shards those of `files` go first: else a run would take their photos for new.

Odd inputs: a shard that is not finished, or was made with other settings than its neighbours, stays as it is. If shards have changed since
the plan was made, it is made anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from facecluster.check.shards import kind_of, tables
from facecluster.errors import StoreError
from facecluster.people import all_runs, current_run
from facecluster.photos.fingerprint import LOOKS_TABLE
from facecluster.photos.origin import ORIGINS_TABLE
from facecluster.store import COMPACTING, Store, in_schema

MOST_ROWS = 4096  # photos, of a shard that is made
MOST_BYTES = 64 << 20  # of all tables of these photos
_OF_PHOTOS = ("files", "photos", "faces")  # whose shards of one name belong together, with those of embeddings and attributes
_BY_CONTENT = (LOOKS_TABLE, ORIGINS_TABLE, "dedup/pixels", "dedup/traces")
_LATE = "late-"


@dataclass(frozen=True, slots=True)
class Merge:
    """Shards that become one."""

    shards: list[str]  # in their order
    into: str  # one of them
    rows: dict[str, int]  # by table: of all of the shards


@dataclass(slots=True)
class Compacted:
    """What was done, or in a dry run would be."""

    before: int  # shards
    after: int
    merges: list[Merge] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)  # that were removed


def compact(
    store: Store, *, keep_runs: int | None = None, dry_run: bool = False, tick: Callable[[int, int], None] = lambda done, total: None
) -> Compacted:  # fmt: skip
    """Merge the small shards of a store.

    Args:
        store: on a disk or an object store; the caller holds its lock, but for a dry run.
        keep_runs: how many of the newest runs to keep, and the current one; None: all.
        dry_run: change nothing.
        tick: called after each merge with how many are done, and of how many.

    Raises:
        StoreError: a shard is damaged, or can't be written.
    """
    before = _count(store)
    if not dry_run:
        _go_on(store)
    plan = _plan(store)
    removed = _old_runs(store, keep_runs)
    gone = sum((len(merge.shards) - 1) * len(merge.rows) for merge in plan)
    if dry_run:
        return Compacted(before, before - gone, plan, removed)
    if plan:
        store.write_bytes(json.dumps({"merges": [asdict(merge) for merge in plan]}).encode(), COMPACTING)
        _do(store, plan, tick)
    for number in removed:
        _remove_run(store, number)
    return Compacted(before, _count(store), plan, removed)


def _count(store: Store) -> int:
    return sum(len(shards) for table, shards in tables(store).items() if not table.startswith("runs/"))


def _go_on(store: Store) -> None:
    """Finish a compaction that was stopped, if its plan still fits."""
    if not store.exists(COMPACTING):
        return
    try:
        rows = json.loads(store.read_bytes(COMPACTING))["merges"]
        plan = [Merge([str(s) for s in row["shards"]], str(row["into"]), {str(t): int(n) for t, n in row["rows"].items()}) for row in rows]
        fits = all(kind_of(table) is not None for merge in plan for table in merge.rows) and all(m.into in m.shards for m in plan)
    except (ValueError, KeyError, TypeError, AttributeError):
        plan, fits = [], False
    _do(store, plan if fits else [], lambda done, total: None)


def _do(store: Store, plan: list[Merge], tick: Callable[[int, int], None]) -> None:
    for done, merge in enumerate(plan, start=1):
        if all([_merged(store, table, merge) for table in merge.rows]):
            for table in sorted(merge.rows, key=lambda table: table != "files"):
                for shard in merge.shards:
                    if shard != merge.into and shard in store.shards(table):
                        store.fs.rm_file(store.shard_path(table, shard))
        tick(done, len(plan))
    store.fs.rm_file(store.path(COMPACTING))


def _merged(store: Store, table: str, merge: Merge) -> bool:
    """Write the merged shard of a table, unless it is there; False if the shards are no longer those of the plan."""
    there = store.shards(table)
    if merge.into in there and _rows(store, table, merge.into) == merge.rows[table]:
        return True
    if not {*merge.shards} <= {*there}:
        return False
    stamps = [store.stamp(table, shard) for shard in merge.shards]
    parts = [_read(store, table, shard) for shard in merge.shards]
    if any(stamp != stamps[0] for stamp in stamps) or sum(map(len, parts)) != merge.rows[table]:
        return False
    store.write(table, merge.into, pa.concat_tables(parts).combine_chunks(), stamps[0] or {})
    return True


def _read(store: Store, table: str, shard: str) -> pa.Table:
    kind, found = kind_of(table), store.read(table, shard)
    found = found if kind is None or kind.schema is None else in_schema(kind.schema, found)
    return found.replace_schema_metadata(None)


def _rows(store: Store, table: str, shard: str) -> int:
    try:
        with store.fs.open(store.shard_path(table, shard), "rb") as f:
            return int(pq.read_metadata(f).num_rows)
    except (*store.io_errors, pa.ArrowException):
        return len(store.read(table, shard))  # says what is wrong with it


def _plan(store: Store) -> list[Merge]:
    found = tables(store)
    of_photos = [t for t in found if t in _OF_PHOTOS or t.startswith(("embeddings/", "attributes/"))]
    plan = list(_merges(store, of_photos, sorted({*found.get("files", ()), *found.get("photos", ())}), _OF_PHOTOS))
    for table in [table for table in _BY_CONTENT if table in found]:
        plan += _merges(store, [table], [s for s in found[table] if not s.startswith(_LATE)], (table,))
        late = [s for s in found[table] if s.startswith(_LATE)]
        if late and late == [f"{_LATE}{i:05d}" for i in range(len(late))]:  # the next one gets the number of those that are there
            merges = list(_merges(store, [table], late, (table,), first=True))
            plan += merges if len(merges) == 1 and merges[0].shards == late else []
    return plan


def _merges(store: Store, names: list[str], shards: list[str], needed: tuple[str, ...], *, first: bool = False) -> Iterator[Merge]:
    """Neighbours among shards that may become one: made with the same settings in each of the tables, all of them finished."""
    there = {table: {*store.shards(table)} for table in names}
    group: list[str] = []
    made: tuple[str, ...] = ()
    rows: dict[str, int] = {}
    size = 0

    def whole() -> Iterator[Merge]:
        if len(group) > 1:
            yield Merge(list(group), group[0 if first else -1], dict(rows))

    for shard in shards:
        its = [table for table in names if shard in there[table]]
        settings = tuple(f"{table} {json.dumps(store.stamp(table, shard), sort_keys=True)}" for table in its)
        counts = {table: _rows(store, table, shard) for table in its}
        more = sum(int(store.fs.size(store.shard_path(table, shard)) or 0) for table in its)
        if not {*needed} <= {*its}:
            yield from whole()
            group, rows, size = [], {}, 0
            continue
        most = max(rows.get(needed[0], 0) + counts[needed[0]], 0)
        if settings != made or most > MOST_ROWS or size + more > MOST_BYTES:
            yield from whole()
            group, rows, size = [], {}, 0
        made = settings
        group.append(shard)
        rows = {table: rows.get(table, 0) + counts[table] for table in its}
        size += more
    yield from whole()


def _old_runs(store: Store, keep: int | None) -> list[int]:
    """Numbers of the runs that are not among the newest, nor the current one."""
    if keep is None:
        return []
    if keep < 1:
        raise StoreError(f"expected a number of runs to keep of 1 or more, found {keep}: choose another")
    now = current_run(store)
    numbers = sorted(run.number for run in all_runs(store))
    return [number for number in numbers[:-keep] if now is not None and number != now.number]


def _remove_run(store: Store, number: int) -> None:
    """Remove a run; without its run.json, which goes first, it is not there."""
    folder = f"runs/{number:05d}"
    store.fs.rm_file(store.path(folder, "run.json"))
    store.fs.rm(store.path(folder), recursive=True)
