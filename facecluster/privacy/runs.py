"""Runs, identities and links without what is forgotten. Groups keep their order; the numbers of those who are gone are closed up.

The parts of a run are written in such an order that a forgetting that is stopped in between goes on: people before identities, by whose
number of groups it is known whether the people were done; run.json last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.people import People, Run, read_people
from facecluster.people.runs import RETIRED, write_facts
from facecluster.privacy.forget_plan import Bools, ForgetPlan
from facecluster.store import Stamp, Store, table_of


def groups_left(identity: NDArray[np.integer], gone: Bools) -> list[int]:
    """Numbers of the groups (n,) that keep faces, in order; those without a face before are not among them."""
    return [int(group) for group in np.unique(identity[~gone & (identity >= 0)])]


def change_identities(store: Store, table: str, plan: ForgetPlan, write: bool) -> int:
    """Take faces out of a table of identities; gives their number."""
    total = 0
    for shard in store.shards(table):
        gone = plan.of_faces(store.read(table, shard, ["face_id"])["face_id"])
        total += int(gone.sum())
        if gone.any() and write:
            data = store.read(table, shard)
            identity = np.asarray(data["identity"], np.int64)
            left = groups_left(identity, gone)
            number = np.full(int(identity.max(initial=-1)) + 2, -1, np.int32)  # the last: nobody
            number[left] = np.arange(len(left), dtype=np.int32)
            data = data.filter(pa.array(~gone))
            at = data.column_names.index("identity")
            data = data.set_column(at, data.schema.field(at), pa.array(number[identity[~gone]]))
            store.write(table, shard, data, changed_stamp(store.stamp(table, shard) or {}, plan, int(gone.sum())))
    return total


def changed_stamp(stamp: Stamp, plan: ForgetPlan, removed: int) -> dict[str, Any]:
    """The stamp of identities after faces were taken out, by which the next grouping goes on from these groups, however many went."""
    grown = stamp.get("grown")
    if not removed or not isinstance(grown, dict) or grown.get("vectors") not in plan.digests:
        return dict(stamp)
    said = int(grown["said"]) - sum(number < int(grown["said"]) for number in plan.said)
    return {**stamp, "grown": {**grown, "vectors": plan.digests[grown["vectors"]], "said": said}}


def change_run(store: Store, run: Run, plan: ForgetPlan, write: bool) -> int:
    """Take faces, people and names out of a run; gives the number of faces and people."""
    people = read_people(store, run)
    identity, gone = _faces(store, run, plan)
    left = groups_left(identity, gone)
    if gone.any() and len(people.faces) == int(identity.max(initial=-1)) + 1:
        sizes = np.bincount(identity[~gone & (identity >= 0)], minlength=len(people.faces)).tolist()
        ids, names = [people.person_ids[i] for i in left], [people.names[i] for i in left]
        changed = People(ids, names, [sizes[i] for i in left], [people.ignored[i] for i in left], people.retired)
    else:
        changed = people
    changed = _without_names(changed, plan)
    facts = _facts(run, changed, len(gone) - int(gone.sum()), plan)
    if write:
        if changed.table() != people.table():
            store.write(f"{run.folder}/people", "00000", changed.table(), {"table": "people", "run": run.number})
        if changed.retired != people.retired:
            columns = {name: [getattr(r, name) for r in changed.retired] for name in RETIRED.names}
            store.write(f"{run.folder}/retired", "00000", table_of(RETIRED, columns), {"table": "retired", "run": run.number})
        change_identities(store, run.identities, plan, write=True)
        if facts != run:
            write_facts(store, facts)
    return int(gone.sum()) + len(people.faces) - len(changed.faces)


def _faces(store: Store, run: Run, plan: ForgetPlan) -> tuple[NDArray[np.int64], Bools]:
    """The group of each face of a run (n,), and which of them go."""
    parts = [store.read(run.identities, shard, ["face_id", "identity"]) for shard in store.shards(run.identities)]
    identity = [np.asarray(part["identity"], np.int64) for part in parts]
    gone = [plan.of_faces(part["face_id"]) for part in parts]
    return np.concatenate([np.zeros(0, np.int64), *identity]), np.concatenate([np.zeros(0, bool), *gone])


def _without_names(people: People, plan: ForgetPlan) -> People:
    """People without the names of those who go, and without their retired ids."""
    retired = []
    for r in people.retired:
        faces = tuple(face for face in r.faces if not plan.has_face(face))
        now = None if r.now in plan.people else r.now
        if r.person_id not in plan.people and (faces or now is not None):
            retired.append(replace(r, faces=faces, now=now, name=None if plan.has_name(r.name) else r.name))
    return replace(people, names=[None if plan.has_name(name) else name for name in people.names], retired=retired)


def _facts(run: Run, people: People, faces: int, plan: ForgetPlan) -> Run:
    """run.json after `people` and `faces` (their number) are what is left."""

    def stays(item: Any) -> bool:
        return not any(plan.has_label(label) for label in ([item] if isinstance(item, str) else item))

    churn = {key: [item for item in value if stays(item)] if isinstance(value, list) else value for key, value in run.churn.items()}
    removed = run.counts.get("faces", faces) - faces
    named = sum(name is not None for name in people.names)
    counts = {**run.counts, "faces": faces, "people": len(people.faces), "named": named} if removed else run.counts
    return replace(run, churn=churn, counts=counts, settings=changed_stamp(run.settings, plan, removed))


def change_links(store: Store, table: str, plan: ForgetPlan, write: bool) -> int:
    """Take faces out of a table of links. One of several shards goes as a whole: the next grouping makes it anew."""
    shards = store.shards(table)
    gone = [plan.of_faces(store.read(table, shard, ["face_id"])["face_id"]) for shard in shards]
    total = int(sum(part.sum() for part in gone))
    if total and write and len(shards) > 1:
        store.remove(table)
    elif total and write:
        data = store.read(table, shards[0])
        store.write(table, shards[0], _linked(data, gone[0]), store.stamp(table, shards[0]) or {})
    return total


def _linked(data: pa.Table, gone: Bools) -> pa.Table:
    """Rows of links that stay, with the new numbers of their neighbours; at the end none in the place of those that go."""
    number = np.full(len(gone) + 1, -1, np.int32)  # the last: no neighbour
    number[np.flatnonzero(~gone)] = np.arange(int((~gone).sum()), dtype=np.int32)
    data = data.filter(pa.array(~gone))
    width = data.schema.field("neighbours").type.list_size
    lists: Mapping[str, NDArray[Any]] = {
        name: np.asarray(pc.list_flatten(data[name])).reshape(-1, width) for name in ("neighbours", "similarity")
    }
    neighbours = number[lists["neighbours"]]
    order = np.argsort(neighbours < 0, axis=1, kind="stable")
    similarity = np.where(neighbours < 0, np.float32(-2), lists["similarity"])
    new = {"neighbours": np.take_along_axis(neighbours, order, 1), "similarity": np.take_along_axis(similarity, order, 1)}
    for name, values in new.items():
        at = data.column_names.index(name)
        field = data.schema.field(at)
        flat = pa.array(values.reshape(-1), field.type.value_type)
        data = data.set_column(at, field, pa.FixedSizeListArray.from_arrays(flat, type=field.type))
    return data
