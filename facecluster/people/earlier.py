"""What of an earlier grouping stays when a few faces have come in: see `facecluster.grouping.incremental`.

The grouping starts from the earlier one if it was made with the same settings, from the same vectors, at most a tenth of the faces came in
since all were grouped together, none is gone, and nothing that the user had said was taken back: what decisions had joined would else stay
joined without them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.decisions import Verdict, replay
from facecluster.grouping.cohort import content_keys
from facecluster.grouping.identify import CONFIDENCE_KEYS, IdentifyConfig
from facecluster.grouping.incremental import MAX_NEW_SHARE
from facecluster.people.content import translated
from facecluster.people.settle import Prepared
from facecluster.store import IDENTITIES, Store


@dataclass(frozen=True, slots=True)
class Earlier:
    """Where a grouping starts from."""

    groups: NDArray[np.int64] | None  # (n,) that are there, -1 = none; None: all faces are to be grouped
    grown: dict[str, Any]  # what to note in the stamp
    note: str = ""  # for the user


def earlier(
    store: Store, table: str, ids: Sequence[str], vectors: NDArray[np.floating], config: IdentifyConfig, prepared: Prepared, *, anew: bool
) -> Earlier:
    """Look whether the grouping may start from the one before.

    Args:
        store: where that is.
        table: of identities.
        ids: (n,) face_ids to be grouped, sorted.
        vectors: (n, dim) of them.
        config: of the grouping.
        prepared: what the user has decided.
        anew: group all.
    """
    numbers = content_keys(np.ascontiguousarray(vectors, dtype=np.float32))
    now: dict[str, Any] = {"kept": False, "changed": 0, "said": len(prepared.said), "vectors": _digest(ids, numbers)}
    stamp = (store.stamp(table, "00000") if store.shards(table) == ["00000"] else None) or {}
    noted, wanted = stamp.get("grown"), config.stamp("")
    if anew or not isinstance(noted, dict) or any(stamp.get(k) != v for k, v in wanted.items() if k not in ("inputs", *CONFIDENCE_KEYS)):
        return Earlier(None, now)
    data = store.read_all(table, IDENTITIES, ["face_id", "identity"])
    there = dict(zip(data["face_id"].to_pylist(), data["identity"].to_pylist(), strict=True))
    old = np.array([face in there for face in ids], dtype=bool)
    if old.sum() < len(there) or _digest([i for i in ids if i in there], numbers[old]) != noted.get("vectors"):
        return Earlier(None, now, "faces are gone, or have other vectors: all are grouped from the start")
    if (~old).sum() == 0 and not noted["kept"] and any(stamp.get(k) != wanted[k] for k in CONFIDENCE_KEYS):
        return Earlier(None, now)  # all grouped again, with other probabilities: the same groups
    said = prepared.said[: int(noted["said"])]
    if not _holds(replay(translated(said, ids, prepared.boxes)), prepared.verdict):
        return Earlier(None, now, "something you had said was taken back: all faces are grouped from the start")
    changed = int(noted["changed"]) + int((~old).sum())
    if changed > MAX_NEW_SHARE * len(ids):
        return Earlier(None, now)
    hint = f"the people who are there stay, and new faces join them ('facecluster cluster {store.url} --anew' groups all)"
    note = "" if old.all() else hint
    groups = np.array([there.get(face, -1) for face in ids], dtype=np.int64)
    return Earlier(groups, {**now, "kept": True, "changed": changed}, note)


def _digest(ids: Sequence[str], numbers: NDArray[np.uint64]) -> str:
    """Of faces and the numbers of their vectors, in whatever order."""
    named = np.array([int.from_bytes(hashlib.blake2b(i.encode(), digest_size=8).digest()) for i in ids], dtype=np.uint64)
    return f"{len(numbers)}-{int(((named | np.uint64(1)) * numbers).sum(dtype=np.uint64)):016x}"


def _holds(then: Verdict, now: Verdict) -> bool:
    """Whether faces that were tied together are so still, or are kept apart; and those that were kept apart are so still."""
    ties = now.ties

    def apart(a: str, b: str) -> bool:
        return ties.root(b) in ties.enemies.get(ties.root(a), ())

    for faces in then.together():
        roots = sorted({ties.root(face) for face in faces})
        if any(not apart(a, b) for i, a in enumerate(roots) for b in roots[:i]):
            return False
    return all(apart(a, b) for a, others in then.ties.enemies.items() for b in others)
