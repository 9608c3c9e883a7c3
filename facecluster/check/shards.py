"""The shards of a store: each is read, and compared with its digest, the schema of its table, and the shards that it belongs to."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facecluster.check.findings import AGAIN, Finding, Repair, one_line
from facecluster.errors import StoreError
from facecluster.people.runs import BOX, PEOPLE, RETIRED
from facecluster.photos.followed import FOLLOWED_TABLE
from facecluster.photos.forgotten import TABLE as FORGOTTEN_TABLE
from facecluster.photos.lost import places_without_faces
from facecluster.photos.places import GONE_TABLE
from facecluster.store import ARCHIVES, FACES, FILES, FOLLOWED, GONE, IDENTITIES, PHOTOS, Store, in_schema, stamp_of
from facecluster.store.cipher import is_encrypted_parquet
from facecluster.store.digest import DamageError, check_file, read_parquet
from facecluster.store.stamps import misplaced, store_in
from facecluster.store.store_file import id_of

_RUN_AGAIN = "'facecluster run' with the photos in their places makes it anew"
_CLUSTER = "'facecluster cluster' makes it anew; names are in the journal"
_NO_RUN = "That run is lost. 'facecluster cluster' makes a new one; names are in the journal"
_SCRATCH = "It is of work that goes on without it"


@dataclass(frozen=True, slots=True)
class Kind:
    """The shards of a kind of table, by a pattern of its name."""

    pattern: str
    schema: pa.Schema | None  # None: of several forms
    next: str
    repair: Repair = Repair.ASIDE


KINDS = (
    Kind("files", FILES, "'facecluster run' lists the photos anew"),
    Kind("archives", ARCHIVES, "'facecluster run' lists archives anew"),
    Kind("photos", PHOTOS, _RUN_AGAIN),
    Kind("faces", FACES, _RUN_AGAIN),
    Kind("embeddings/*", None, "'facecluster run' makes it anew"),
    Kind(GONE_TABLE, GONE, "'facecluster run' finds what is gone anew; what you pruned counts again: prune it again"),
    Kind(FOLLOWED_TABLE, FOLLOWED, "What you said of photos before they were edited is lost, unless a copy of the store has this file"),
    Kind("stand_ins", None, _CLUSTER),
    Kind(FORGOTTEN_TABLE, None, "Take it from a copy of the store: without it 'run' would bring back what was forgotten", Repair.NOTHING),
    Kind("links/*", None, _CLUSTER),
    Kind("identities/*", IDENTITIES, _CLUSTER),
    Kind("runs/*/identities", pa.schema([*IDENTITIES, BOX]), _NO_RUN),
    Kind("runs/*/people", PEOPLE, _NO_RUN),
    Kind("runs/*/retired", RETIRED, "Ids that were retired before that run are no longer known"),
    Kind("known/*", None, "Known people of these pictures are lost: give them again with 'facecluster known'"),
    Kind("suppressed/*", None, "Take it from a copy of the store: without it forgotten people come in as new ones", Repair.NOTHING),
    Kind("attributes/*", None, "'facecluster attributes' makes it anew"),
    Kind("dedup/*", None, "'facecluster run' and 'dedup' make it anew"),
    Kind("linking*", None, _SCRATCH),
    Kind("grouping*", None, _SCRATCH),
)


def tables(store: Store) -> dict[str, list[str]]:
    """The tables of a store and the names of their shards; folders with a report or an export, and damaged files, are left out."""
    found: dict[str, list[str]] = {}
    store.fs.invalidate_cache()
    for path in sorted(map(str, store.fs.find(store.root))):
        inside = path[len(store.root) + 1 :]
        table, _, name = inside.rpartition("/")
        if kind_of(table) and name.startswith("part-") and name.endswith(".parquet"):
            found.setdefault(table, []).append(name[5:-8])
    return found


def kind_of(table: str) -> Kind | None:
    """What kind of table a folder of the store is; None: another folder."""
    return next((kind for kind in KINDS if fnmatchcase(table, kind.pattern)), None)


def check_shards(store: Store, found: dict[str, list[str]], tick: Callable[[int, int], None]) -> Iterator[Finding]:
    """Read every shard. `tick` is called after each with how many were read, and of how many."""
    every = [(table, shard) for table, shards in found.items() for shard in shards]
    for done, (table, shard) in enumerate(every, start=1):
        yield from _check_shard(store, table, shard)
        tick(done, len(every))


def _check_shard(store: Store, table: str, shard: str) -> Iterator[Finding]:
    kind, path = kind_of(table), f"{table}/part-{shard}.parquet"
    assert kind is not None
    try:
        data = bytes(store.fs.cat_file(store.path(path)))
    except FileNotFoundError:  # deleted meanwhile
        return
    except store.io_errors as e:  # a fault of the disk or the network may pass: nothing is set aside for it
        yield Finding(path=path, problem=f"can't be read now: {one_line(e)}", next=AGAIN, repair=Repair.NOTHING)
        return
    try:
        cipher = store.cipher
        if cipher is not None and not is_encrypted_parquet(io.BytesIO(data)):
            raise DamageError("it is not encrypted, as all files of this store are")
        sealed = cipher is not None or check_file(data)  # what is encrypted is authenticated
        rows = read_parquet(io.BytesIO(data)) if cipher is None else cipher.read_parquet(io.BytesIO(data))
        stamp_of(rows.schema.metadata or {}, path)
        if elsewhere := misplaced(rows.schema.metadata or {}, table, shard):
            raise DamageError(f"{elsewhere}: it has been put in the place of another file")
        if kind.schema is not None:
            in_schema(kind.schema, rows)
        elif table.startswith("embeddings/"):
            _check_vectors(rows)
    except StoreError as e:  # of a newer format
        yield Finding(path=path, problem=one_line(e), next="Nothing is done to it", repair=Repair.NOTHING)
        return
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as e:  # the bytes are here: they are wrong
        why = f"it lacks {e}" if isinstance(e, KeyError) else one_line(e)
        yield Finding(path=path, problem=why, next=kind.next, repair=kind.repair)
        return
    written_in, here = store_in(rows.schema.metadata or {}), id_of(store)
    if written_in and here and written_in != here:
        text = f"Delete it, or put back the store's own. {kind.next}"
        yield Finding(path=path, problem="it was written in another store", next=text, repair=Repair.NOTHING)
    if not sealed:
        text = "an earlier version wrote it, without a digest: a changed bit in it may not be found"
        yield Finding(path=path, problem=text, next="--repair writes it again with one", repair=Repair.SEAL, serious=False)


def _check_vectors(data: pa.Table) -> None:
    vectors = data["embedding"].combine_chunks()
    flat = np.asarray(vectors.flatten(), np.float32)
    if not np.isfinite(flat).all() or data["face_id"].null_count:
        raise DamageError("numbers of its vectors are no numbers")


def check_references(store: Store, found: dict[str, list[str]], damaged: set[str]) -> Iterator[Finding]:
    """Shards that belong together: photos have their faces, vectors are of the faces of their shard, links of rows that are there."""

    def whole(table: str, shard: str) -> bool:
        return shard in found.get(table, ()) and f"{table}/part-{shard}.parquet" not in damaged

    bare = [shard for shard in found.get("photos", ()) if whole("photos", shard) and shard not in found.get("faces", ())]
    if not damaged and bare and not places_without_faces(store):  # found again in other shards
        bare = [shard for shard in bare if shard in found.get("files", ())]
    for shard in bare:
        path = f"faces/part-{shard}.parquet"
        yield Finding(path=path, problem="is missing beside its shard of photos", next=_RUN_AGAIN, repair=Repair.NOTHING)
    for table in [table for table in found if table.startswith("embeddings/")]:
        for shard in found[table]:
            path = f"{table}/part-{shard}.parquet"
            if whole(table, shard) and whole("faces", shard):
                a, b = (store.read(t, shard, ["face_id"])["face_id"].combine_chunks() for t in (table, "faces"))
                if not a.equals(b.cast(a.type)):
                    yield Finding(path=path, problem="is not of the faces of its shard", next=kind_next(table), repair=Repair.ASIDE)
    for table in [table for table in found if table.startswith("links/")]:
        yield from _check_links(store, table, found[table], damaged)


def _check_links(store: Store, table: str, shards: list[str], damaged: set[str]) -> Iterator[Finding]:
    if any(f"{table}/part-{shard}.parquet" in damaged for shard in shards):
        return
    rows, most, last = 0, -1, ""
    for shard in shards:
        data = store.read(table, shard, ["face_id", "neighbours"])
        rows += len(data)
        if len(data):
            most = max(most, pc.max(data["neighbours"].combine_chunks().flatten()).as_py())
            first, end = data["face_id"][0].as_py(), data["face_id"][-1].as_py()
            if first <= last:
                most = rows  # out of order
            last = end
    numbers = [f"{i:05d}" for i in range(len(shards))]
    if most >= rows or shards != numbers:
        yield Finding(path=table, problem="shards of it are missing", next=kind_next(table), repair=Repair.ASIDE)


def kind_next(table: str) -> str:
    """What makes a table again."""
    kind = kind_of(table)
    return kind.next if kind else ""
