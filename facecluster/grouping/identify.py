"""STAGE: links -> identities. HDBSCAN on the neighbour graph (`hierarchy`), then a pass that joins groups (`joining`), then one that gives
small groups to large ones (`attaching`). With an earlier grouping, what is new is added to it (`growing`).

A link counts by how far its cosine lies above what the best stranger of the two faces would reach in this collection (`strangers`), so
one setting serves small and large collections, alike and unlike people. HDBSCAN finds the dense groups; `joining` puts together what
it cut too fine. All this is done three times (_COHORT_SIZES): who is a stranger to whom is known better each time.

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
from facecluster.grouping.average_linkage import AverageLinkage, Pairs
from facecluster.grouping.candidate_edges import candidate_edges
from facecluster.grouping.cluster_sums import sums_by_cluster
from facecluster.grouping.cohort import COHORT_SIZE, CohortStats, cohort_stats, content_keys, prior_stats, to_grid
from facecluster.grouping.constraints import constrained
from facecluster.grouping.hierarchy import excess_of_mass_clusters, quantise, spanning_forest
from facecluster.grouping.incremental import core_faces, keep_previous
from facecluster.store import IDENTITIES, ShardResult, Stamp, Store, links_schema, table_of

METHOD = 3  # of grouping; a store that an older one grouped is grouped anew
CONFIDENCE_KEYS = ("sure", "even")  # of a stamp: settings of the stated probabilities, not of who is with whom
_NEAR = 1e-6  # the least distance of the cut
_ROWS = 1 << 15  # faces at a time
# strangers that a face is measured against after each grouping but the last: the first, with the strangers of the card, leaves people in
# pieces, and those who stand twice among the strangers seem no more alike than strangers
_COHORT_SIZES = (1_000, COHORT_SIZE, 0)
_FIRST_KEY = {
    "impostor_weight": "alone", "separation_penalty": "unlike", "attach_margin": "attach", "same_photo_penalty": "same_photo",
    "impostor_mean": "stranger_mean", "impostor_sd": "stranger_sd", "confidence_slope": "sure", "confidence_intercept": "even",
}  # fmt: skip
_WITNESSES = 0.6  # sd of a face's place that e times as many faces in its group are worth (fitted with `sure`)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifyConfig:
    """What decides the groups. Margins are in sd of the cosines of strangers, so that they mean the same for every model."""

    margin: float = 0.7  # sd above the best stranger's expected cosine from which a link counts
    merge: float = 1.2  # sd above the base that two groups must have
    impostor_weight: float = 0.85  # share of the best stranger's reach that they must have besides, less the more their faces vary
    separation_penalty: float = (
        0.32  # sd more for groups of three faces and more, a sd that they are unliker to each other than in themselves (`joining`)
    )
    attach_margin: float = 0.3  # sd more that a small group must have to go to a large one (`attachment`)
    min_samples: int = 2  # neighbours that make a place dense
    min_cluster_size: int = 2  # faces that make a person
    same_photo_penalty: float = 1.0  # sd that two faces of one photo must be more alike than others
    min_quality: float = 0.0  # faces under it found and bridge no people, but may join them
    impostor_mean: float = 0.035  # cosine of two strangers, from the model's card
    impostor_sd: float = 0.115
    confidence_slope: float = 1.6  # log-odds that a face is its group's person, a sd of its place in the group (fitted; decisions.md)
    confidence_intercept: float = 1.2  # log-odds of that at place 0

    def stamp(self, inputs: str) -> Stamp:
        """Settings as stores keep them; fields that have been renamed since keep their first key, so that older stores stay up to date."""
        settings = {_FIRST_KEY.get(name, name): value for name, value in asdict(self).items()}
        return {"table": "identities", "method": METHOD, "inputs": inputs, **settings}


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
    mean, sd = config.impostor_mean, config.impostor_sd
    cohort, labels, glosh = prior_stats(n, mean=mean, sd=sd), np.full(n, -1, dtype=np.int64), np.zeros(n)
    contents = _told_apart(content_keys(x), cannot)
    was = None if before is None else np.asarray(before, dtype=np.int64)
    if was is not None and n > 1:
        cohort = cohort_stats(x, np.where(was < 0, was.max(initial=-1) + 1 + np.arange(n), was), mean=mean, sd=sd)
    for cohort_size in () if n < 2 else _COHORT_SIZES if was is None else _COHORT_SIZES[-1:]:
        source, target, above = candidate_edges(neighbours, similarity, cohort, photo, config.same_photo_penalty)
        every = source, target
        if weak is not None and weak.any():
            strong = ~(weak[source] | weak[target])
            source, target, above = source[strong], target[strong], above[strong]
        labels, glosh = _hierarchy(n, source, target, above, cohort, config)
        linkage = AverageLinkage(
            cohort, config.merge, config.impostor_weight, cannot, photo, config.same_photo_penalty, contents,
            separation_penalty=config.separation_penalty,
        )  # fmt: skip
        labels = constrained(labels if was is None else keep_previous(labels, was), must, cannot, x, linkage)
        if was is not None:
            linkage = replace(linkage, fixed_faces=core_faces(was, labels))
        labels = linkage.merge_clusters(x, labels, source, target, above)
        if cohort_size:
            cohort = cohort_stats(x, labels, mean=mean, sd=sd, cohort_size=cohort_size)
            continue
        labels = attach_small(linkage, x, labels, source, target, config.attach_margin, weak)
        if weak is not None and weak.any():
            labels = attach_weak(linkage, x, labels, weak, *every)
    people = _by_size(labels, config.min_cluster_size)
    place = _place(x, people, cohort, config)
    return Groups(people, place.astype(np.float32), _probability(place, people, config), glosh.astype(np.float32))


def _probability(place: NDArray[np.float64], labels: NDArray[np.int32], config: IdentifyConfig) -> NDArray[np.float32]:
    """(n,) that a face is its group's person: logistic in its place there; 0 for nobody."""
    log_odds = config.confidence_slope * np.nan_to_num(place) + config.confidence_intercept
    return np.where(labels >= 0, 1 / (1 + np.exp(-np.clip(log_odds, -700, 700))), 0).astype(np.float32)


def _told_apart(contents: NDArray[np.uint64], cannot: Pairs | None) -> NDArray[np.uint64]:
    """Numbers (n,) of faces by what they are, and by what they must not be with: of two copies one may be held apart from somebody."""
    out = contents.copy()
    if cannot is None:
        return out
    for one, other in ((0, 1), (1, 0)):
        np.add.at(out, cannot[:, one], contents[cannot[:, other]] * np.uint64(0x9E3779B97F4A7C15))
    return out


def _hierarchy(
    n: int, source: NDArray[np.int32], target: NDArray[np.int32], above: NDArray[np.float32], cohort: CohortStats, config: IdentifyConfig
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """HDBSCAN's groups (n,), -1 = none, and outlier scores (n,).

    The distance of two faces is 1 - cosine, moved by how much the best strangers of the two differ from the collection's mean.
    """
    middle = math.fsum(cohort.level.tolist()) / n
    cut = int(quantise(np.array(max(1 - middle - config.margin * cohort.sd, 2 * _NEAR))))
    distance = np.empty(len(above), dtype=np.int32)
    for i in range(0, len(above), _ROWS):
        distance[i : i + _ROWS] = quantise(1 - middle - above[i : i + _ROWS].astype(np.float64))
    near = distance <= cut  # what is farther decides nothing
    tree = spanning_forest(n, source[near], target[near], distance[near], cut, config.min_samples)
    return excess_of_mass_clusters(n, *tree, cut, config.min_cluster_size)


def _by_size(group: NDArray[np.int64], least: int) -> NDArray[np.int32]:
    """Number groups 0, 1, ... by falling size, ties by their first face; groups under `least` faces are nobody."""
    _, first, inverse, sizes = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    number = np.full(len(sizes), -1, dtype=np.int32)
    kept = order[sizes[order] >= least]
    number[kept] = np.arange(len(kept), dtype=np.int32)
    return np.asarray(number[inverse], dtype=np.int32)


def _place(x: NDArray[np.float32], labels: NDArray[np.int32], cohort: CohortStats, config: IdentifyConfig) -> NDArray[np.float64]:
    """(n,) how far, in sd, a face's mean cosine to the *others* of its group lies above what joins them; NaN for nobody.

    The same mean says more if it is one over more faces: _WITNESSES * log(faces / 2) is added.
    """
    out = np.full(len(x), np.nan)
    inside = np.flatnonzero(labels >= 0)
    if not len(inside):
        return out
    sums, sizes = sums_by_cluster(x, labels), np.bincount(labels[inside])
    for i in range(0, len(inside), _ROWS):
        faces = inside[i : i + _ROWS]
        own, mine = to_grid(x[faces]), labels[faces]
        rest = (sums[mine] - own) / np.maximum(sizes[mine] - 1, 1)[:, None]
        cosine = np.einsum("ij,ij->i", own, rest)
        asked = cohort.base[faces] + config.merge * cohort.sd + config.impostor_weight * cohort.reach[faces] * np.linalg.norm(rest, axis=1)
        out[faces] = (cosine - asked) / cohort.sd + _WITNESSES * np.log(sizes[mine] / 2)
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
        if kept_before and other <= {*CONFIDENCE_KEYS}:
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
    probability = _probability(place, data["identity"].to_numpy(), config)
    at = data.schema.get_field_index("probability")
    data = data.set_column(at, data.schema.field(at), pa.array(probability))
    store.write(table, "00000", data.combine_chunks(), {**found, "sure": config.confidence_slope, "even": config.confidence_intercept})


def read_links(store: Store, links: str) -> tuple[pa.Array, NDArray[np.int32], NDArray[np.float32]]:
    """face_ids (n,), neighbours (n, k) and similarity (n, k) of a table of links."""
    k = store.read(links, store.shards(links)[0]).schema.field("neighbours").type.list_size
    data = store.read_all(links, links_schema(k))
    arrays = [data[c].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, k) for c in ("neighbours", "similarity")]
    return data["face_id"].combine_chunks(), arrays[0], arrays[1]
