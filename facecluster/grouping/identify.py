"""STAGE: links -> identities. Groups the faces of a neighbour graph into people.

The default algorithm, "facecluster", takes three steps. HDBSCAN finds the dense clusters (hierarchy.py). Average linkage merges those
that HDBSCAN has cut too fine (average_linkage.py). Attachment gives small clusters to the large ones they belong to (attachment.py).
Faces that come in later are added to an earlier grouping (incremental.py).

An edge counts by its margin: how far its cosine lies above what the best impostor of the two faces is expected to reach in this
collection (cohort.py). So one setting serves small and large collections, and people who look alike or not. Margins, HDBSCAN and average
linkage run in three rounds (_COHORT_SIZES), each with a better cohort, since each knows better who is another person. Attachment follows
the last round. An earlier grouping is extended in one round.

The algorithm "hdbscan" is there for comparison: the library hdbscan makes the tree of the last round, from the same edges, and its
selection is the result (hdbscan_library.py, with the known limits of the library). There is no average linkage and no attachment. User
decisions hold. Probabilities are the library's membership strengths, not fitted: 1 for the densest faces of a group, and 1 for a face
that the library calls noise and that only a decision puts into a group. Outlier scores are the library's. Faces of low quality (`weak`)
have no edges, so they stay without a group. Incremental grouping does not exist: all faces are grouped each time.

Odd inputs: a missing neighbour (-1) is no edge. Copies of a face (distance 0) count as 1e-6 apart, since a sparse matrix takes a zero for
a missing edge. A face without a neighbour in reach, or the only face, has no group (-1).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.errors import ArgumentError
from facecluster.grouping.attachment import place_leftovers
from facecluster.grouping.average_linkage import AverageLinkage, Pairs
from facecluster.grouping.candidate_edges import candidate_edges
from facecluster.grouping.cohort import COHORT_SIZE, CohortStats, cohort_stats, content_keys, prior_stats
from facecluster.grouping.constraints import constrained, constrained_keys
from facecluster.grouping.groups import Groups
from facecluster.grouping.hierarchy import excess_of_mass_clusters
from facecluster.grouping.incremental import core_faces, keep_previous
from facecluster.grouping.probability import face_margins, margins_of, membership_probabilities
from facecluster.grouping.same_photo import lesser_twins
from facecluster.grouping.subset import neighbours_within, pairs_within, recognisable, rows_of_pairs
from facecluster.grouping.trees import ClusterTree, cluster_tree, labels_by_size
from facecluster.store import IDENTITIES, ShardResult, Stamp, Store, links_schema, table_of

METHOD = 5  # version of the default algorithm: a store grouped by an older one is grouped from the start
ALGORITHMS = ("facecluster", "hdbscan")
CONFIDENCE_KEYS = ("sure", "even")  # stamp keys of the settings that change the stated probabilities and not the groups
# faces in the cohort that follows each round; 0: the last round. The first round has the model card's figures, which leave people in
# several clusters; a person with two faces in the cohort would make other people seem more similar than they are, so it starts small
_COHORT_SIZES = (1_000, COHORT_SIZE, 0)
_STAMP_KEYS = {  # of fields that were renamed: stamps keep the first name, so that older stores stay up to date
    "impostor_weight": "alone", "separation_penalty": "unlike", "attach_margin": "attach",
    "impostor_mean": "stranger_mean", "impostor_sd": "stranger_sd", "confidence_slope": "sure", "confidence_intercept": "even",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifyConfig:
    """Settings of the grouping. Margins are in sd of the cosines between different people, so they mean the same for every model."""

    algorithm: str = "facecluster"  # or "hdbscan": the library's clusters alone, for comparison
    margin: float = 0.7  # sd above the expected cosine of the best impostor, from which an edge counts
    merge: float = 1.2  # sd above the cohort's base that the mean cosine of two clusters must reach
    impostor_weight: float = 0.85  # share of the expected best impostor that is added to that bound; less the more their faces vary
    # sd added to the bound of clusters of three faces or more, for each sd that they are less similar to each other than inside
    separation_penalty: float = 0.32
    attach_margin: float = 0.3  # sd more that a small cluster needs to be attached to a large one (attachment.py)
    min_samples: int = 2  # the core distance of a face is the distance to its min_samples-th neighbour
    min_cluster_size: int = 2  # faces of a person
    same_photo_odds: float = 0.001  # prior odds that two faces of one photo are one person (a collage, a mirror; docs/decisions.md)
    pair_evidence: float = 2.4  # log-odds of one person that 1 sd of cosine is worth, from the model's card: slope x impostor_sd
    min_quality: float = 0.0  # faces below it start and connect no groups, but may join one
    min_recognisability: float = 0.5  # faces below it are in no group and in no cohort, unless the user says whose they are
    impostor_mean: float = 0.035  # cosine of two different people, from the model's card
    impostor_sd: float = 0.115
    confidence_slope: float = 2.1  # log-odds that a face is its group's person, for each sd of its margin (fitted; docs/decisions.md)
    confidence_intercept: float = 0.4  # the log-odds at margin 0

    @property
    def same_photo_penalty(self) -> float:
        """By how many sd two faces of one photo must be more similar than others: what outweighs the prior odds."""
        return -math.log(self.same_photo_odds) / self.pair_evidence

    @classmethod
    def from_stamp(cls, settings: Mapping[str, Any]) -> IdentifyConfig:
        """The settings of a stamp, whatever version wrote it: what it lacks has its default, what is no setting now is left out."""
        keys = {f.name: _STAMP_KEYS.get(f.name, f.name) for f in fields(cls)}
        return cls(**{name: settings[key] for name, key in keys.items() if key in settings})

    def stamp(self, inputs: str) -> Stamp:
        """The settings as stores keep them. The default algorithm is not named: stores that were grouped before it had a name are of it."""
        settings = {_STAMP_KEYS.get(name, name): value for name, value in asdict(self).items()}
        if self.algorithm == ALGORITHMS[0]:
            del settings["algorithm"]
        return {"table": "identities", "method": METHOD, "inputs": inputs, **settings}


def group(
    vectors: NDArray[np.floating], neighbours: NDArray[np.integer], similarity: NDArray[np.floating], config: IdentifyConfig, *,
    photos: NDArray[np.integer] | None = None, weak: NDArray[np.bool_] | None = None,
    must: Pairs | None = None, cannot: Pairs | None = None, before: NDArray[np.integer] | None = None,
    recognisability: NDArray[np.floating] | None = None,
) -> Groups:  # fmt: skip
    """Group faces into people.

    Args:
        vectors: (n, dim), rows of length 1.
        neighbours: (n, k) rows of the most similar faces, most similar first; -1 = none.
        similarity: (n, k) cosines.
        config: settings.
        photos: (n,) number of each face's photo: two faces of one photo are rarely one person.
        weak: (n,) faces of low quality: they start and connect no groups, but may join one.
        must: (m, 2) must-links: pairs of rows that are one person.
        cannot: (c, 2) cannot-links: pairs of rows that are two people. No effect on faces that must-links hold together.
        before: (n,) earlier labels, which stay except for `must` and `cannot`; -1 = new. See incremental.py.
        recognisability: (n,) of the faces, 0 to 1; None = not known. It changes the probabilities, not the groups.

    Raises:
        ArgumentError: an unknown algorithm, or `before` with the algorithm "hdbscan".
    """
    _check_algorithm(config, before)
    n, x = len(vectors), np.ascontiguousarray(vectors, dtype=np.float32)
    photo = None if photos is None else np.asarray(photos, dtype=np.int64)
    old = None if before is None else np.asarray(before, dtype=np.int64)
    weak = weak if weak is not None and weak.any() else None
    labels, scores, strengths, tree = np.full(n, -1, dtype=np.int64), np.zeros(n), None, None
    contents, cohort = constrained_keys(content_keys(x), cannot), _first_cohort(x, old, config)
    said = rows_of_pairs(must, n) if old is None else rows_of_pairs(must, n) | (old >= 0)  # faces that stay where they are
    for cohort_size in () if n < 2 else _COHORT_SIZES if old is None else _COHORT_SIZES[-1:]:
        source, target, above = candidate_edges(neighbours, similarity, cohort, photo, config.same_photo_penalty)
        every = source, target
        if weak is not None:
            strong = ~(weak[source] | weak[target])
            source, target, above = source[strong], target[strong], above[strong]
        tree = cluster_tree(source, target, above, cohort, config.margin, config.min_samples, config.min_cluster_size)
        linkage = _linkage(cohort, config, cannot, photo, contents)
        if config.algorithm == "hdbscan" and not cohort_size:
            labels, strengths, scores = _library_clusters(tree)
            labels = constrained(labels, must, cannot, x, linkage)
            break
        labels, scores = excess_of_mass_clusters(n, tree.source, tree.target, tree.length, tree.cut, tree.min_cluster_size)
        labels = constrained(labels if old is None else keep_previous(labels, old), must, cannot, x, linkage)
        if old is not None:
            linkage = replace(linkage, fixed_faces=core_faces(old, labels))
        labels = linkage.merge_clusters(x, labels, source, target, above)
        if cohort_size:
            cohort = cohort_stats(x, labels, mean=config.impostor_mean, sd=config.impostor_sd, cohort_size=cohort_size)
            continue
        labels = place_leftovers(linkage, x, labels, (source, target, above), config.attach_margin, said, weak, every)
    people = labels_by_size(labels, config.min_cluster_size)
    margins = face_margins(x, people, cohort, config.merge, config.impostor_weight, recognisability)
    margins[lesser_twins(_linkage(cohort, config, None, photo, contents), x, people, said)[0]] -= config.same_photo_penalty
    probabilities = membership_probabilities(margins, people, config.confidence_slope, config.confidence_intercept)
    if strengths is not None:
        probabilities = np.where(people >= 0, strengths, 0).astype(np.float32)
    return Groups(people, margins.astype(np.float32), probabilities, scores.astype(np.float32), tree)


def group_kept(
    keep: NDArray[np.bool_], vectors: NDArray[np.floating], neighbours: NDArray[np.integer], similarity: NDArray[np.floating],
    config: IdentifyConfig, *, photos: NDArray[np.integer] | None = None, weak: NDArray[np.bool_] | None = None,
    must: Pairs | None = None, cannot: Pairs | None = None, before: NDArray[np.integer] | None = None,
    recognisability: NDArray[np.floating] | None = None,
) -> Groups:  # fmt: skip
    """Group the faces `keep` (n,) alone; the other arguments and the result are those of `group`. The tree is of the kept faces."""
    if keep.all():
        return group(
            vectors, neighbours, similarity, config, photos=photos, weak=weak, must=must, cannot=cannot, before=before,
            recognisability=recognisability,
        )  # fmt: skip
    part = [None if a is None else np.asarray(a)[keep] for a in (photos, weak, before, recognisability)]
    found = group(
        np.asarray(vectors)[keep], neighbours_within(keep, neighbours), np.asarray(similarity)[keep], config, photos=part[0], weak=part[1],
        must=pairs_within(keep, must), cannot=pairs_within(keep, cannot), before=part[2],
        recognisability=part[3],
    )  # fmt: skip
    n = len(keep)
    labels, margins = np.full(n, -1, np.int32), np.full(n, np.nan, np.float32)
    probabilities, scores = np.zeros(n, np.float32), np.zeros(n, np.float32)
    for whole, of_part in zip(
        (labels, margins, probabilities, scores), (found.labels, found.margins, found.probabilities, found.outlier_scores), strict=True
    ):
        whole[keep] = of_part
    return Groups(labels, margins, probabilities, scores, found.tree)


def _check_algorithm(config: IdentifyConfig, before: NDArray[np.integer] | None) -> None:
    if config.algorithm not in ALGORITHMS:
        raise ArgumentError(f"expected the algorithm 'facecluster' or 'hdbscan', found {config.algorithm!r}: choose one of the two")
    if before is not None and config.algorithm == "hdbscan":
        raise ArgumentError(
            "expected no earlier labels (before) with the algorithm 'hdbscan', which groups all faces each time, found some: leave them "
            "out, or use the algorithm 'facecluster'"
        )


def _first_cohort(x: NDArray[np.float32], before: NDArray[np.int64] | None, config: IdentifyConfig) -> CohortStats:
    """The model card's figures; or, after an earlier grouping, those of a cohort that its labels give."""
    n, mean, sd = len(x), config.impostor_mean, config.impostor_sd
    if before is None or n < 2:
        return prior_stats(n, mean=mean, sd=sd)
    return cohort_stats(x, np.where(before < 0, before.max(initial=-1) + 1 + np.arange(n), before), mean=mean, sd=sd)


def _linkage(
    cohort: CohortStats, config: IdentifyConfig, cannot: Pairs | None, photos: NDArray[np.int64] | None, contents: NDArray[np.uint64]
) -> AverageLinkage:
    return AverageLinkage(
        cohort, config.merge, config.impostor_weight, cannot, photos, config.same_photo_penalty, contents,
        separation_penalty=config.separation_penalty,
    )  # fmt: skip


def _library_clusters(tree: ClusterTree) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """The library's labels (n,), -1 = noise; its membership strengths (n,), 1 for noise: a decision may put it into a group; GLOSH (n,)."""
    from facecluster.grouping import hdbscan_library  # takes seconds to load

    linkage = hdbscan_library.linkage_of(tree.edges_with_auxiliary_points(tree.min_cluster_size))
    labels, strengths, scores = hdbscan_library.selected_clusters(linkage, tree.n, tree.min_cluster_size)
    return labels, np.where(labels < 0, 1.0, strengths), scores


def identify(
    store: Store, vectors: NDArray[np.floating], links: str, table: str, config: IdentifyConfig, *,
    photos: NDArray[np.integer] | None = None, weak: NDArray[np.bool_] | None = None,
    must: Pairs | None = None, cannot: Pairs | None = None, before: NDArray[np.integer] | None = None,
    recognisability: NDArray[np.floating] | None = None, history: Mapping[str, Any] | None = None, full: bool = False,
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
    """
    shards = store.shards(links)
    inputs = str((store.stamp(links, shards[0]) or {}).get("inputs"))
    keep = recognisable(recognisability, must, config.min_recognisability, len(vectors))
    rules = [np.asarray(a, dtype=np.int64) for a in (photos, weak, must, cannot, None if keep.all() else keep) if a is not None]
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
    ids, neighbours, similarity = read_links(store, links)
    given: dict[str, Any] = {"photos": photos, "weak": weak, "must": must, "cannot": cannot, "before": before}
    given["recognisability"] = recognisability
    groups = group_kept(keep, vectors, neighbours, similarity, config, **given)
    columns = {
        "face_id": ids, "identity": groups.labels, "probability": groups.probabilities, "outlier_score": groups.outlier_scores,
        "recognisability": recognisability,
    }  # fmt: skip
    if history is not None:
        stamp["grown"] = dict(history)
    store.write(table, "00000", table_of(IDENTITIES, columns), stamp)
    return ShardResult(stage="identify", shard="all", faces=len(vectors))


def _rewrite_probabilities(store: Store, table: str, found: Stamp, config: IdentifyConfig) -> None:
    """Write the probabilities that `config` gives to the groups in `table`; the groups stay."""
    data = store.read_all(table, IDENTITIES)
    margins = margins_of(data["probability"].to_numpy(), found["sure"], found["even"])
    probability = membership_probabilities(margins, data["identity"].to_numpy(), config.confidence_slope, config.confidence_intercept)
    at = data.schema.get_field_index("probability")
    data = data.set_column(at, data.schema.field(at), pa.array(probability))
    store.write(table, "00000", data.combine_chunks(), {**found, "sure": config.confidence_slope, "even": config.confidence_intercept})


def read_links(store: Store, links: str) -> tuple[pa.Array, NDArray[np.int32], NDArray[np.float32]]:
    """face_ids (n,), neighbours (n, k) and similarity (n, k) of a table of links."""
    k = store.read(links, store.shards(links)[0]).schema.field("neighbours").type.list_size
    data = store.read_all(links, links_schema(k))
    arrays = [data[c].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, k) for c in ("neighbours", "similarity")]
    return data["face_id"].combine_chunks(), arrays[0], arrays[1]
