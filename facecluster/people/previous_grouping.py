"""The groups of an earlier run that an incremental grouping starts from: see `facecluster.grouping.incremental`.

A grouping starts from the earlier one if all of this holds: it had the same settings and the same vectors; at most a tenth of the faces
(MAX_NEW_SHARE) are new, have other vectors because their photo was edited, or are gone, since all faces were grouped together; no decision
was undone. After an undo the faces that the decision had joined would stay joined, so all faces are grouped again.
A face of a photo that was edited stays in its group, under its new face_id.

The earlier vectors are known by a digest alone. What faces that are gone, or had another photo, add to it is computed from their vectors,
which stay in the store. If they are not there any more, all faces are grouped again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.decisions import ResolvedDecisions, replay
from facecluster.errors import shell
from facecluster.grouping.cohort import content_keys
from facecluster.grouping.face_vectors import FaceVectors, as_vectors
from facecluster.grouping.identify import CONFIDENCE_KEYS, IdentifyConfig
from facecluster.grouping.incremental import MAX_NEW_SHARE
from facecluster.grouping.link_shuffle import lists_of
from facecluster.grouping.work import Crew
from facecluster.people.face_ids import with_current_ids
from facecluster.people.reconcile import PreparedDecisions
from facecluster.photos.followed import Followed, present_ids
from facecluster.store import IDENTITIES, FaceIds, Store


@dataclass(frozen=True, slots=True)
class PreviousGrouping:
    """The start of a grouping."""

    groups: NDArray[np.int64] | None  # (n,) earlier group of each face, -1 = none; None: all faces are grouped from the start
    history: dict[str, Any]  # entry `grown` of the stamp: kept, changed, said, vectors; docs/format.md explains them
    note: str = ""  # for the user


def find_previous_grouping(
    store: Store, table: str, ids: Sequence[str], vectors: NDArray[np.floating] | FaceVectors, config: IdentifyConfig,
    prepared: PreparedDecisions, *, embedded: str, full: bool, crew: Crew | None = None,
) -> PreviousGrouping:  # fmt: skip
    """The earlier groups, if the grouping may start from them.

    Args:
        store: holds the earlier grouping.
        table: its table of identities.
        ids: (n,) face_ids to be grouped, sorted.
        vectors: (n, dim) their vectors.
        config: settings of the grouping.
        prepared: the user's decisions.
        embedded: the table of vectors, those of photos that are gone among them.
        full: group all faces from the start.
        crew: looks at the vectors.
    """
    keys = content_keys(as_vectors(vectors), crew)
    fresh: dict[str, Any] = {"kept": False, "changed": 0, "said": len(prepared.decisions), "vectors": _digest(FaceIds.of(ids), keys)}
    stamp = (store.stamp(table, "00000") if store.shards(table) == ["00000"] else None) or {}
    history, wanted = stamp.get("grown"), config.stamp("")
    settings = {"algorithm": None, **wanted}.items()  # the default algorithm is not in a stamp
    if full or not isinstance(history, dict) or any(stamp.get(k) != v for k, v in settings if k not in ("inputs", *CONFIDENCE_KEYS)):
        return PreviousGrouping(None, fresh)
    if config.algorithm == "hdbscan":  # groups all faces each time
        return PreviousGrouping(None, fresh)
    data = store.read_all(table, IDENTITIES, ["face_id", "identity"])
    earlier, ids = FaceIds.of(data["face_id"]), FaceIds.of(ids)
    at = _earlier_rows(ids, earlier, prepared.followed)
    changed = _changed(store, embedded, ids, keys, earlier, at, str(history.get("vectors")))
    if changed is None:
        return PreviousGrouping(None, fresh, "faces are gone, or have other vectors: all faces are grouped from the start")
    if changed == 0 and not history["kept"] and any(stamp.get(k) != wanted[k] for k in CONFIDENCE_KEYS):
        return PreviousGrouping(None, fresh)  # a full grouping with other probabilities gives the same groups
    journal = prepared.decisions[: int(history["said"])]
    if not _still_holds(replay(with_current_ids(journal, ids, prepared.boxes, prepared.meant)), prepared.resolved):
        return PreviousGrouping(None, fresh, "an earlier decision no longer holds: all faces are grouped from the start")
    total = int(history["changed"]) + changed
    if total > MAX_NEW_SHARE * len(ids):
        return PreviousGrouping(None, fresh)
    join = ", and new faces join them" if (at < 0).any() else ""
    hint = f"the people of the earlier run stay{join} ('facecluster cluster {shell(store.url)} --full' groups all)"
    groups = np.append(np.asarray(data["identity"], np.int64), -1)[at]
    return PreviousGrouping(groups, {**fresh, "kept": True, "changed": total}, hint if changed else "")


def _earlier_rows(ids: FaceIds, earlier: FaceIds, followed: Followed) -> NDArray[np.int64]:
    """The row that each face had in the earlier grouping, perhaps under the face_id of a photo that was edited since; -1 = none."""
    at = earlier.rows_of(ids)
    for row in np.flatnonzero(~ids.has(earlier)).tolist() if followed else ():
        for now in present_ids(earlier[row], followed, ids)[:1]:
            if at[ids.rows[now]] < 0 or now not in earlier:
                at[ids.rows[now]] = row
    return at


def _changed(
    store: Store, embedded: str, ids: FaceIds, keys: NDArray[np.uint64], earlier: FaceIds, at: NDArray[np.int64], digest: str
) -> int | None:  # fmt: skip
    """How many faces are new, have other vectors than their face of the earlier grouping had, or are gone. None: that is not known.

    Args:
        store: holds the vectors.
        embedded: their table.
        ids: (n,) face_ids now.
        keys: (n,) content keys of their vectors.
        earlier: (m,) face_ids of the earlier grouping.
        at: (n,) the row in `earlier` of each face, -1 = none.
        digest: of `earlier` and their vectors then.
    """
    old = at >= 0
    gone = np.ones(len(earlier), dtype=bool)
    gone[at[old]] = False
    if not gone.any() and _digest(earlier[at[old]], keys[old]) == digest:
        return int((~old).sum())
    then = np.zeros(len(earlier), dtype=np.uint64)
    then[at[old]] = keys[old]
    known = ids.has(earlier)
    rows, found = _stored_keys(store, embedded, earlier, np.flatnonzero(~known))
    then[rows], known[rows] = found, True
    if not known.all() or _digest(earlier, then) != digest:
        return None
    return int((~old).sum() + (keys[old] != then[at[old]]).sum() + gone.sum())


def _stored_keys(
    store: Store, embedded: str, earlier: FaceIds, wanted: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:  # fmt: skip
    """Rows among `wanted` of `earlier` whose vectors are in a table of the store, and the content keys of these vectors."""
    searched = FaceIds.of(earlier[wanted])
    rows, keys = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)]
    for shard in store.shards(embedded) if len(wanted) else ():
        here = searched.rows_of(store.read(embedded, shard, ["face_id"])["face_id"])
        if (here >= 0).any():
            vectors = lists_of(store.read(embedded, shard, ["embedding"]), "embedding")[here >= 0]
            rows.append(wanted[here[here >= 0]])
            keys.append(content_keys(as_vectors(vectors)))
    return np.concatenate(rows), np.concatenate(keys)


def digest_without(store: Store, embedded: str, earlier: FaceIds, digest: str, gone: NDArray[np.bool_]) -> str | None:
    """The entry `vectors` of `history` without some faces, whose vectors are still in the store. None: it is not of these vectors.

    Args:
        store: holds the vectors.
        embedded: their table, those of photos that are gone among them.
        earlier: (m,) faces of the grouping.
        digest: the entry as it is.
        gone: (m,) faces that go.
    """
    rows, found = _stored_keys(store, embedded, earlier, np.arange(len(earlier)))
    keys, known = np.zeros(len(earlier), dtype=np.uint64), np.zeros(len(earlier), dtype=bool)
    keys[rows], known[rows] = found, True
    if not known.all() or _digest(earlier, keys) != digest:
        return None
    left = np.flatnonzero(~gone)
    return _digest(earlier[left], keys[left])


def _digest(ids: FaceIds, keys: NDArray[np.uint64]) -> str:
    """A digest of faces and the content keys of their vectors; it does not depend on their order."""
    blake2b = hashlib.blake2b
    named = np.frombuffer(b"".join([blake2b(i, digest_size=8).digest() for i in ids.keys.tolist()]), dtype=">u8").astype(np.uint64)
    return f"{len(keys)}-{int(((named | np.uint64(1)) * keys).sum(dtype=np.uint64)):016x}"


def _still_holds(then: ResolvedDecisions, now: ResolvedDecisions) -> bool:
    """Whether all cannot-links of `then` hold, and every must-link set is still linked, or kept apart by cannot-links."""
    links = now.links

    def apart(a: str, b: str) -> bool:
        return links.root(b) in links.cannot_link.get(links.root(a), ())

    for faces in then.must_link_sets():
        roots = sorted({links.root(face) for face in faces})
        if any(not apart(a, b) for i, a in enumerate(roots) for b in roots[:i]):
            return False
    return all(apart(a, b) for a, others in then.links.cannot_link.items() for b in others)
