"""STAGE: links -> identities. Groups the faces of a neighbour graph into people (group.py) and keeps who is whose."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster import __version__
from facecluster.grouping.average_linkage import Pairs
from facecluster.grouping.face_vectors import FaceVectors, as_vectors
from facecluster.grouping.group import STEPS, Tick, group, group_kept, group_kept_links
from facecluster.grouping.identify_config import ALGORITHMS, CONFIDENCE_KEYS, METHOD, IdentifyConfig
from facecluster.grouping.link_shuffle import lists_of
from facecluster.grouping.probability import margins_of, membership_probabilities
from facecluster.grouping.subset import recognisable
from facecluster.grouping.work import Crew, LocalCrew
from facecluster.store import IDENTITIES, FaceIds, ShardResult, Stamp, Store, links_schema, table_of

__all__ = [
    "ALGORITHMS", "CONFIDENCE_KEYS", "METHOD", "STEPS", "IdentifyConfig", "group", "group_kept", "identify", "read_links", "stored_links",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredLinks:
    """The links of a shard of a store."""

    start: int
    store: Store
    table: str
    shard: str

    def arrays(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        data = self.store.read(self.table, self.shard, ["neighbours", "similarity"])
        return lists_of(data, "neighbours"), lists_of(data, "similarity")


def identify(
    store: Store, vectors: NDArray[np.floating] | FaceVectors, links: str, table: str, config: IdentifyConfig, *,
    photos: NDArray[np.integer] | None = None, weak: NDArray[np.bool_] | None = None,
    must: Pairs | None = None, cannot: Pairs | None = None, before: NDArray[np.integer] | None = None,
    recognisability: NDArray[np.floating] | None = None, history: Mapping[str, Any] | None = None, full: bool = False,
    crew: Crew | None = None, tick: Tick | None = None,
) -> ShardResult:  # fmt: skip
    """Write the identities of the faces in the table `links` to the table `table`. Arguments that are not named here are those of `group`.

    Groups that are up to date are left as they are; except, with `full`, those of an incremental grouping.

    Args:
        store: holds the links and gets the identities.
        vectors: (n, dim), in the order of the faces in `links`.
        links: table to read.
        table: table to write.
        config: settings.
        recognisability: (n,) of the faces, 0 to 1; None = not known, all are grouped.
        history: how the groups came about; goes into the stamp, for the next incremental grouping.
        full: group all faces from the start, even if the groups are up to date by an incremental grouping.
        crew: does the work; the groups are the same whoever does it. Its shelf must be of these vectors alone.
        tick: told of each of the STEPS of a grouping that is done.
    """
    shards = store.shards(links)
    inputs = str((store.stamp(links, shards[0]) or {}).get("inputs"))
    keep = recognisable(recognisability, must, config.min_recognisability, len(vectors))
    told = (photos, weak, must, cannot, None if keep.all() else keep, _single(must))
    rules = [np.asarray(a, dtype=np.int64) for a in told if a is not None]
    stamp = dict(config.stamp(inputs))
    if rules:
        stamp["rules"] = hashlib.sha256(b"|".join(a.tobytes() for a in rules)).hexdigest()[:16]
    found = store.stamp(table, "00000") if store.shards(table) == ["00000"] else None
    incremental = bool(found and found.get("grown", {}).get("kept"))
    if found is not None and not (full and incremental):
        other = {k for k in {*stamp, *found} - {"grown"} if found.get(k) != stamp.get(k)}
        if not other:
            return ShardResult(stage="identify", shard="all", faces=len(vectors), skipped=True)
        if incremental and other <= {*CONFIDENCE_KEYS}:
            _rewrite_probabilities(store, table, found, config)
            return ShardResult(stage="identify", shard="all", faces=len(vectors))
    ids, stored = stored_links(store, links)
    given: dict[str, Any] = {"photos": photos, "weak": weak, "must": must, "cannot": cannot, "before": before}
    given["recognisability"] = recognisability
    crew = LocalCrew() if crew is None else crew.within(_work_name(stamp, before))
    groups = group_kept_links(keep, as_vectors(vectors), stored, config, crew=crew, tick=tick, **given)
    columns = {
        "face_id": ids.arrow(), "identity": groups.labels, "probability": groups.probabilities,
        "outlier_score": groups.outlier_scores, "recognisability": recognisability,
    }  # fmt: skip
    if history is not None:
        stamp["grown"] = dict(history)
    store.write(table, "00000", table_of(IDENTITIES, columns), stamp)
    return ShardResult(stage="identify", shard="all", faces=len(vectors))


def _single(must: Pairs | None) -> NDArray[np.int64] | None:
    """Rows of faces that are linked with themselves, if there are any: versions that made no group of one face did not tell them apart."""
    rows = np.zeros(0, np.int64) if must is None else must[must[:, 0] == must[:, 1], 0]
    return rows if len(rows) else None


def _work_name(stamp: Stamp, before: NDArray[np.integer] | None) -> str:
    """A name for the work of a grouping, which another one with other groups has not: by settings, rules, earlier groups, version."""
    digest = hashlib.sha256(json.dumps([__version__, stamp], sort_keys=True).encode())
    digest.update(b"" if before is None else np.asarray(before, dtype=np.int64).tobytes())
    return digest.hexdigest()[:16]


def _rewrite_probabilities(store: Store, table: str, found: Stamp, config: IdentifyConfig) -> None:
    """Write the probabilities that `config` gives to the groups in `table`; the groups stay, and so does a probability of 1."""
    data = store.read_all(table, IDENTITIES)
    was = data["probability"].to_numpy()
    margins = margins_of(was, found["sure"], found["even"])
    probability = membership_probabilities(margins, data["identity"].to_numpy(), config.confidence_slope, config.confidence_intercept)
    probability[was >= 1] = 1
    at = data.schema.get_field_index("probability")
    data = data.set_column(at, data.schema.field(at), pa.array(probability))
    store.write(table, "00000", data.combine_chunks(), {**found, "sure": config.confidence_slope, "even": config.confidence_intercept})


def stored_links(store: Store, table: str) -> tuple[FaceIds, list[StoredLinks]]:
    """face_ids (n,) of a table of links, and the links, which stay where they are."""
    shards = store.shards(table)
    parts = [FaceIds.of(store.read(table, shard, ["face_id"])["face_id"]).keys for shard in shards]
    starts = np.cumsum([0, *map(len, parts)]).tolist()
    stored = [StoredLinks(start, store, table, shard) for start, shard in zip(starts[:-1], shards, strict=True)]
    return FaceIds(np.concatenate([np.zeros(0, "S1"), *parts])), stored


def read_links(store: Store, links: str) -> tuple[pa.Array, NDArray[np.int32], NDArray[np.float32]]:
    """face_ids (n,), neighbours (n, k) and similarity (n, k) of a table of links."""
    k = store.read(links, store.shards(links)[0]).schema.field("neighbours").type.list_size
    data = store.read_all(links, links_schema(k))
    arrays = [data[c].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, k) for c in ("neighbours", "similarity")]
    return data["face_id"].combine_chunks(), arrays[0], arrays[1]
