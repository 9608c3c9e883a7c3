"""STAGE: links -> identities. HDBSCAN on the neighbour graph (`hierarchy`), then a pass that joins groups (`joining`), then one that gives
small groups to large ones (`attaching`). With an earlier grouping, what is new is added to it (`growing`).

A link counts by how far its cosine lies above what the best stranger of the two faces would reach in this collection (`strangers`), so
one setting serves small and large collections, alike and unlike people. HDBSCAN finds the dense groups; `joining` puts together what
it cut too fine. All this is done three times (_LOOKS): who is a stranger to whom is known better each time.

Odd inputs: a missing neighbour (-1) is no edge; copies of a face (distance 0) count as 1e-6 apart, since a sparse matrix takes a zero
for a missing edge; a face without any neighbour in reach is nobody (-1). One face alone is nobody too.

The graph falls into pieces. They are bridged at the distance of the cut, not at infinity: bridged at infinity every piece is born so
early that it is never split (docs/decisions.md).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.grouping.attachment import attach_small, attach_weak
from facecluster.grouping.average_linkage import Joiner, Pairs
from facecluster.grouping.candidate_edges import links_worth_a_look
from facecluster.grouping.cluster_sums import summed
from facecluster.grouping.cohort import COHORT, Strangers, content, fixed, strangers, usual
from facecluster.grouping.constraints import constrained
from facecluster.grouping.hierarchy import dense_groups, forest, steps
from facecluster.grouping.incremental import kept, settled
from facecluster.store import IDENTITIES, ShardResult, Stamp, Store, links_schema, table_of

METHOD = 3  # of grouping; a store that an older one grouped is grouped anew
SURENESS = ("sure", "even")  # settings that say how sure what is, not who is with whom
_NEAR = 1e-6  # the least distance of the cut
_ROWS = 1 << 15  # faces at a time
# strangers that a face is measured against after each grouping but the last: the first, with the strangers of the card, leaves people in
# pieces, and those who stand twice among the strangers seem no more alike than strangers
_LOOKS = (1_000, COHORT, 0)
_WITNESSES = 0.6  # sd of a face's place that e times as many faces in its group are worth (fitted with `sure`)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifyConfig:
    """What decides the groups. Margins are in sd of the cosines of strangers, so that they mean the same for every model."""

    margin: float = 0.7  # sd above the best stranger's expected cosine from which a link counts
    merge: float = 1.2  # sd above the base that two groups must have
    alone: float = 0.85  # share of the best stranger's reach that they must have besides, less the more their faces vary
    unlike: float = (
        0.32  # sd more for groups of three faces and more, a sd that they are unliker to each other than in themselves (`joining`)
    )
    attach: float = 0.3  # sd more that a small group must have to go to a large one, where only large ones are compared (`attaching`)
    min_samples: int = 2  # neighbours that make a place dense
    min_cluster_size: int = 2  # faces that make a person
    same_photo: float = 1.0  # sd that two faces of one photo must be more alike than others
    min_quality: float = 0.0  # faces under it found and bridge no people, but may join them
    stranger_mean: float = 0.035  # cosine of two strangers, from the model's card
    stranger_sd: float = 0.115
    sure: float = 1.6  # log-odds that a face is its group's person, a sd of its place in the group (fitted; decisions.md)
    even: float = 1.2  # log-odds of that at place 0

    def stamp(self, inputs: str) -> Stamp:
        return {"table": "identities", "method": METHOD, "inputs": inputs, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Groups:
    """Identities of n faces: struct of arrays."""

    labels: NDArray[np.int32]  # (n,) 0, 1, ... by falling size; -1 = nobody
    place: NDArray[np.float32]  # (n,) sd that a face lies above what joins its group, and more the more faces that has; NaN for nobody
    probabilities: NDArray[np.float32]  # (n,) 0 to 1; 0 for nobody
    outlier_scores: NDArray[np.float32]  # (n,) GLOSH, 0 to 1


def group(
    vectors: NDArray[np.floating], neighbours: NDArray[np.integer], similarity: NDArray[np.floating], config: IdentifyConfig, *,
    photos: NDArray[np.integer] | None = None, weak: NDArray[np.bool_] | None = None,
    must: Pairs | None = None, cannot: Pairs | None = None, before: NDArray[np.integer] | None = None,
) -> Groups:  # fmt: skip
    """Group faces into people.

    Args:
        vectors: (n, dim), rows of length 1.
        neighbours: (n, k) row numbers by falling similarity, -1 = none.
        similarity: (n, k) cosines.
        config: see there.
        photos: (n,) number of the photo of each face: two faces of one photo are rarely one person.
        weak: (n,) faces too poor to found or to bridge people; they may join them.
        must: (m, 2) rows that are one person.
        cannot: (c, 2) rows that are not; without effect where `must` holds the two together.
        before: (n,) groups that are there already and stay, but for what `must` and `cannot` say; -1 = none: see `growing`.
    """
    n = len(vectors)
    x = np.ascontiguousarray(vectors, dtype=np.float32)
    photo = None if photos is None else np.asarray(photos, dtype=np.int64)
    mean, sd = config.stranger_mean, config.stranger_sd
    around, labels, glosh = usual(n, mean=mean, sd=sd), np.full(n, -1, dtype=np.int64), np.zeros(n)
    contents = _told_apart(content(x), cannot)
    was = None if before is None else np.asarray(before, dtype=np.int64)
    if was is not None and n > 1:
        around = strangers(x, np.where(was < 0, was.max(initial=-1) + 1 + np.arange(n), was), mean=mean, sd=sd)
    for cohort in () if n < 2 else _LOOKS if was is None else _LOOKS[-1:]:
        source, target, above = links_worth_a_look(neighbours, similarity, around, photo, config.same_photo)
        every = source, target
        if weak is not None and weak.any():
            strong = ~(weak[source] | weak[target])
            source, target, above = source[strong], target[strong], above[strong]
        labels, glosh = _hierarchy(n, source, target, above, around, config)
        joiner = Joiner(around, config.merge, config.alone, cannot, photo, config.same_photo, contents, unlike=config.unlike)
        labels = constrained(labels if was is None else kept(labels, was), must, cannot, x, joiner)
        if was is not None:
            joiner = replace(joiner, settled=settled(was, labels))
        labels = joiner.join(x, labels, source, target, above)
        if cohort:
            around = strangers(x, labels, mean=mean, sd=sd, cohort=cohort)
            continue
        labels = attach_small(joiner, x, labels, source, target, config.attach, weak)
        if weak is not None and weak.any():
            labels = attach_weak(joiner, x, labels, weak, *every)
    people = _by_size(labels, config.min_cluster_size)
    place = _place(x, people, around, config)
    sure = np.where(people >= 0, 1 / (1 + np.exp(-np.clip(config.sure * np.nan_to_num(place) + config.even, -700, 700))), 0)
    return Groups(people, place.astype(np.float32), sure.astype(np.float32), glosh.astype(np.float32))


def _told_apart(contents: NDArray[np.uint64], cannot: Pairs | None) -> NDArray[np.uint64]:
    """Numbers (n,) of faces by what they are, and by what they must not be with: of two copies one may be held apart from somebody."""
    out = contents.copy()
    if cannot is None:
        return out
    for one, other in ((0, 1), (1, 0)):
        np.add.at(out, cannot[:, one], contents[cannot[:, other]] * np.uint64(0x9E3779B97F4A7C15))
    return out


def _hierarchy(
    n: int, source: NDArray[np.int32], target: NDArray[np.int32], above: NDArray[np.float32], around: Strangers, config: IdentifyConfig
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """HDBSCAN's groups (n,), -1 = none, and outlier scores (n,).

    The distance of two faces is 1 - cosine, moved by how much the best strangers of the two differ from the collection's mean.
    """
    middle = math.fsum(around.level.tolist()) / n
    cut = int(steps(np.array(max(1 - middle - config.margin * around.sd, 2 * _NEAR))))
    distance = np.empty(len(above), dtype=np.int32)
    for i in range(0, len(above), _ROWS):
        distance[i : i + _ROWS] = steps(1 - middle - above[i : i + _ROWS].astype(np.float64))
    near = distance <= cut  # what is farther decides nothing
    tree = forest(n, source[near], target[near], distance[near], cut, config.min_samples)
    return dense_groups(n, *tree, cut, config.min_cluster_size)


def _by_size(group: NDArray[np.int64], least: int) -> NDArray[np.int32]:
    """Number groups 0, 1, ... by falling size, ties by their first face; groups under `least` faces are nobody."""
    _, first, inverse, sizes = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    number = np.full(len(sizes), -1, dtype=np.int32)
    kept = order[sizes[order] >= least]
    number[kept] = np.arange(len(kept), dtype=np.int32)
    return np.asarray(number[inverse], dtype=np.int32)


def _place(x: NDArray[np.float32], labels: NDArray[np.int32], around: Strangers, config: IdentifyConfig) -> NDArray[np.float64]:
    """(n,) how far, in sd, a face's mean cosine to the *others* of its group lies above what joins them; NaN for nobody.

    The same mean says more if it is one over more faces: _WITNESSES * log(faces / 2) is added.
    """
    out = np.full(len(x), np.nan)
    inside = np.flatnonzero(labels >= 0)
    if not len(inside):
        return out
    sums, sizes = summed(x, labels), np.bincount(labels[inside])
    for i in range(0, len(inside), _ROWS):
        faces = inside[i : i + _ROWS]
        own, mine = fixed(x[faces]), labels[faces]
        rest = (sums[mine] - own) / np.maximum(sizes[mine] - 1, 1)[:, None]
        cosine = np.einsum("ij,ij->i", own, rest)
        asked = around.base[faces] + config.merge * around.sd + config.alone * around.reach[faces] * np.linalg.norm(rest, axis=1)
        out[faces] = (cosine - asked) / around.sd + _WITNESSES * np.log(sizes[mine] / 2)
    return out


def identify(
    store: Store, vectors: NDArray[np.floating], links: str, table: str, config: IdentifyConfig, *,
    photos: NDArray[np.integer] | None = None, weak: NDArray[np.bool_] | None = None,
    must: Pairs | None = None, cannot: Pairs | None = None, before: NDArray[np.integer] | None = None,
    grown: Mapping[str, Any] | None = None, anew: bool = False,
) -> ShardResult:  # fmt: skip
    """Write the identities of the faces in `links` (whose rows `vectors` follows) to `table`; the rest is as in `group`.

    `grown` is noted in the stamp: how the groups were come by. Groups that are up to date are left as they are, but with `anew` those that
    were made from earlier ones (kept).
    """
    shards = store.shards(links)
    inputs = str((store.stamp(links, shards[0]) or {}).get("inputs"))
    rules = [np.asarray(a, dtype=np.int64) for a in (photos, weak, must, cannot) if a is not None]
    stamp = dict(config.stamp(inputs))
    if rules:
        stamp["rules"] = hashlib.sha256(b"|".join(a.tobytes() for a in rules)).hexdigest()[:16]
    found = store.stamp(table, "00000") if store.shards(table) == ["00000"] else None
    kept_before = bool(found and found.get("grown", {}).get("kept"))
    if found is not None and not (anew and kept_before):
        other = {k for k in {*stamp, *found} - {"grown"} if found.get(k) != stamp.get(k)}
        if not other:
            return ShardResult(stage="identify", shard="all", faces=len(vectors), skipped=True)
        if kept_before and other <= {*SURENESS}:
            _reread(store, table, found, config)
            return ShardResult(stage="identify", shard="all", faces=len(vectors))
    ids, neighbours, similarity = read_links(store, links)
    groups = group(vectors, neighbours, similarity, config, photos=photos, weak=weak, must=must, cannot=cannot, before=before)
    columns = {
        "face_id": ids, "identity": groups.labels, "probability": groups.probabilities, "outlier_score": groups.outlier_scores,
    }  # fmt: skip
    if grown is not None:
        stamp["grown"] = dict(grown)
    store.write(table, "00000", table_of(IDENTITIES, columns), stamp)
    return ShardResult(stage="identify", shard="all", faces=len(vectors))


def _reread(store: Store, table: str, found: Stamp, config: IdentifyConfig) -> None:
    """State the probabilities of the groups in `table` as `config` says; who is with whom stays."""
    data = store.read_all(table, IDENTITIES)
    p = np.clip(data["probability"].to_numpy().astype(np.float64), 1e-7, 1 - 1e-7)
    place = (np.log(p / (1 - p)) - found["even"]) / found["sure"]
    sure = np.where(data["identity"].to_numpy() >= 0, 1 / (1 + np.exp(-np.clip(config.sure * place + config.even, -700, 700))), 0)
    at = data.schema.get_field_index("probability")
    data = data.set_column(at, data.schema.field(at), pa.array(sure.astype(np.float32)))
    store.write(table, "00000", data.combine_chunks(), {**found, "sure": config.sure, "even": config.even})


def read_links(store: Store, links: str) -> tuple[pa.Array, NDArray[np.int32], NDArray[np.float32]]:
    """face_ids (n,), neighbours (n, k) and similarity (n, k) of a table of links."""
    k = store.read(links, store.shards(links)[0]).schema.field("neighbours").type.list_size
    data = store.read_all(links, links_schema(k))
    arrays = [data[c].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, k) for c in ("neighbours", "similarity")]
    return data["face_id"].combine_chunks(), arrays[0], arrays[1]
