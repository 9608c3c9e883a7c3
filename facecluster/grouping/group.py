"""Groups the faces of a neighbour graph into people.

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
a missing edge. A face without a neighbour in reach, or the only face, has no group (-1); unless the user has said whose it is: such a face
is a group of one, with probability 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facecluster.errors import ArgumentError
from facecluster.grouping.attachment import place_leftovers
from facecluster.grouping.average_linkage import AverageLinkage, Pairs
from facecluster.grouping.candidate_edges import KeptLinks, Links, LinkShard, edge_shards, edges_at
from facecluster.grouping.cohort import COHORT_SIZE, CohortStats, cohort_stats, content_keys, prior_stats
from facecluster.grouping.constraints import constrained, constrained_keys
from facecluster.grouping.face_vectors import FaceVectors, Vectors, as_vectors
from facecluster.grouping.groups import Groups
from facecluster.grouping.hierarchy import excess_of_mass_clusters
from facecluster.grouping.identify_config import ALGORITHMS, IdentifyConfig
from facecluster.grouping.incremental import core_faces, keep_previous
from facecluster.grouping.probability import face_margins, impure_groups, membership_probabilities
from facecluster.grouping.same_photo import lesser_twins
from facecluster.grouping.subset import pairs_within, rows_of_pairs
from facecluster.grouping.trees import ClusterTree, cluster_tree, labels_by_size
from facecluster.grouping.work import Crew, LocalCrew, load

Tick = Callable[[int], None]

STEPS = 12  # of a grouping from the start: edges, tree, linkage, cohort or the rest, of three rounds
SHARD_ROWS = 1 << 15  # faces of a shard of links in memory
# faces in the cohort that follows each round; 0: the last round. The first round has the model card's figures, which leave people in
# several clusters; a person with two faces in the cohort would make other people seem more similar than they are, so it starts small
_COHORT_SIZES = (1_000, COHORT_SIZE, 0)
_SURE = 20.0  # margin, sd, of a face that is a group of one because the user has said whose it is


def group(
    vectors: NDArray[np.floating] | FaceVectors, neighbours: NDArray[np.integer], similarity: NDArray[np.floating],
    config: IdentifyConfig, *, photos: NDArray[np.integer] | None = None, weak: NDArray[np.bool_] | None = None,
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
        must: (m, 2) must-links: pairs of rows that are one person; a row with itself: the user has said whose it is, its probability is 1.
        cannot: (c, 2) cannot-links: pairs of rows that are two people. No effect on faces that must-links hold together.
        before: (n,) earlier labels, which stay except for `must` and `cannot`; -1 = new. See incremental.py.
        recognisability: (n,) of the faces, 0 to 1; None = not known. It changes the probabilities, and so which groups are kept.

    Raises:
        ArgumentError: an unknown algorithm, or `before` with the algorithm "hdbscan".
    """
    return group_links(
        as_vectors(vectors), in_shards(neighbours, similarity), config, photos=photos, weak=weak, must=must, cannot=cannot, before=before,
        recognisability=recognisability,
    )  # fmt: skip


def group_links(
    x: Vectors, links: Sequence[Links], config: IdentifyConfig, *, photos: NDArray[np.integer] | None = None,
    weak: NDArray[np.bool_] | None = None, must: Pairs | None = None, cannot: Pairs | None = None,
    before: NDArray[np.integer] | None = None, recognisability: NDArray[np.floating] | None = None,
    crew: Crew | None = None, tick: Tick | None = None,
) -> Groups:  # fmt: skip
    """`group` for links in shards, whose first rows rise from 0 without a gap. The result is the same for any shards and any crew.

    `tick` is told of each of the STEPS that is done.
    """
    done = (lambda n: None) if tick is None else tick
    _check_algorithm(config, before)
    crew = LocalCrew() if crew is None else crew
    n = len(x)
    photo = None if photos is None else np.asarray(photos, dtype=np.int64)
    old = None if before is None else np.asarray(before, dtype=np.int64)
    weak = weak if weak is not None and weak.any() else None
    labels, scores, strengths, tree = np.full(n, -1, dtype=np.int64), np.zeros(n), None, None
    plain = content_keys(x, crew)
    contents, cohort = constrained_keys(plain, cannot), _first_cohort(x, old, config, plain, crew)
    told = rows_of_pairs(must, n)  # faces of whom the user has said whose they are
    named, must = (None, None) if must is None else (must[must[:, 0] == must[:, 1]], must[must[:, 0] != must[:, 1]])
    kept = np.zeros(n, dtype=bool) if old is None else old >= 0
    said = rows_of_pairs(must, n) | kept  # faces that stay where they are
    rule = _linkage(cohort, config, cannot, photo, contents, crew)
    for turn, cohort_size in enumerate(() if n < 2 else _COHORT_SIZES if old is None else _COHORT_SIZES[-1:]):
        made = crew.shelf.find(f"{turn}/linkage/labels") if cohort_size else None
        if made is not None:  # of a round that was done before the grouping was stopped
            labels = np.array(load(made))
            done(3)
        else:
            every = edge_shards(crew, f"{turn}/edges", links, cohort, photo, config.same_photo_penalty)
            edges = every if weak is None else edges_at(crew, f"{turn}/strong", every, ~weak, both=True)
            done(1)
            tree = cluster_tree(crew, f"{turn}/tree", edges, cohort, config.margin, config.min_samples, config.min_cluster_size)
            done(1)
            linkage = replace(rule, cohort=cohort)
            if config.algorithm == "hdbscan" and not cohort_size:
                labels, strengths, scores = _library_clusters(tree)
                labels = constrained(labels, must, cannot, x, linkage)
                break
            labels, scores = excess_of_mass_clusters(n, tree.source, tree.target, tree.length, tree.cut, tree.min_cluster_size)
            labels = constrained(labels if old is None else keep_previous(labels, old), must, cannot, x, linkage)
            if old is not None:
                linkage = replace(linkage, fixed_faces=core_faces(old, labels))
            labels = linkage.merge_clusters(x, labels, edges, f"{turn}/linkage")
            done(1)
            if cohort_size:
                crew.shelf.drop(part for shard in [*every, *edges] for part in shard)
        if not cohort_size:
            labels = place_leftovers(linkage, x, labels, edges, config.attach_margin, said, weak, every)
            done(1)
            break
        cohort = cohort_stats(
            x, labels, mean=config.impostor_mean, sd=config.impostor_sd, cohort_size=cohort_size, contents=plain, crew=crew,
            name=f"{turn}/cohort",
        )  # fmt: skip
        done(1)
    people, margins = _people(x, labels, replace(rule, cohort=cohort, cannot=None), config, said, told, kept, recognisability)
    probabilities = membership_probabilities(margins, people, config.confidence_slope, config.confidence_intercept)
    if strengths is not None:
        probabilities = np.where(people >= 0, strengths, 0).astype(np.float32)
    probabilities[rows_of_pairs(named, n) & (people >= 0)] = 1
    return Groups(people, margins.astype(np.float32), probabilities, scores.astype(np.float32), tree)


def _people(
    x: Vectors, labels: NDArray[np.integer], linkage: AverageLinkage, config: IdentifyConfig, said: NDArray[np.bool_],
    told: NDArray[np.bool_], kept: NDArray[np.bool_], recognisability: NDArray[np.floating] | None,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:  # fmt: skip
    """The people (n,) of clusters by falling size, without those that are expected to be nobody; and the margins (n,) of their faces.

    `told` are faces of whom the user has said whose they are: one without a cluster is a person alone. `kept` are those of groups before.
    """
    labels = np.where(told & (labels < 0), labels.max(initial=-1) + 1 + np.arange(len(x)), labels)
    people = labels_by_size(labels, config.min_cluster_size, told)
    margins = _margins(x, people, linkage, config, said, recognisability)
    if config.algorithm == "hdbscan":
        return people, margins
    impure = impure_groups(margins, people, told | kept, config.min_purity)
    margins[impure] = np.nan
    return labels_by_size(np.where(impure, -1, people), config.min_cluster_size, told), margins


def _margins(
    x: Vectors, people: NDArray[np.integer], linkage: AverageLinkage, config: IdentifyConfig, said: NDArray[np.bool_],
    recognisability: NDArray[np.floating] | None,
) -> NDArray[np.float64]:  # fmt: skip
    """How far (n,) each face lies above what joins its group, sd; of two faces of one photo in it the lesser one gets the penalty."""
    margins = face_margins(x, people, linkage.cohort, config.merge, config.impostor_weight, recognisability, linkage.crew)
    margins[lesser_twins(linkage, x, people, said, "people")[0]] -= config.same_photo_penalty
    inside = people >= 0
    margins[inside & (np.bincount(people[inside], minlength=1)[people] == 1)] = _SURE  # the user's word alone
    return margins


def group_kept(
    keep: NDArray[np.bool_], vectors: NDArray[np.floating], neighbours: NDArray[np.integer], similarity: NDArray[np.floating],
    config: IdentifyConfig, *, photos: NDArray[np.integer] | None = None, weak: NDArray[np.bool_] | None = None,
    must: Pairs | None = None, cannot: Pairs | None = None, before: NDArray[np.integer] | None = None,
    recognisability: NDArray[np.floating] | None = None,
) -> Groups:  # fmt: skip
    """Group the faces `keep` (n,) alone; the other arguments and the result are those of `group`. The tree is of the kept faces."""
    return group_kept_links(
        keep, as_vectors(vectors), in_shards(neighbours, similarity), config, photos=photos, weak=weak, must=must, cannot=cannot,
        before=before, recognisability=recognisability,
    )  # fmt: skip


def group_kept_links(
    keep: NDArray[np.bool_], x: Vectors, links: Sequence[Links], config: IdentifyConfig, *, photos: NDArray[np.integer] | None = None,
    weak: NDArray[np.bool_] | None = None, must: Pairs | None = None, cannot: Pairs | None = None,
    before: NDArray[np.integer] | None = None, recognisability: NDArray[np.floating] | None = None,
    crew: Crew | None = None, tick: Tick | None = None,
) -> Groups:  # fmt: skip
    """`group_kept` for links in shards, as in `group_links`."""
    if keep.all():
        return group_links(
            x, links, config, photos=photos, weak=weak, must=must, cannot=cannot, before=before, recognisability=recognisability,
            crew=crew, tick=tick,
        )  # fmt: skip
    crew = LocalCrew() if crew is None else crew
    some, among = kept_faces(crew, keep, x, links)
    part = [None if a is None else np.asarray(a)[keep] for a in (photos, weak, before, recognisability)]
    found = group_links(
        some, among, config, photos=part[0], weak=part[1],
        must=pairs_within(keep, must), cannot=pairs_within(keep, cannot), before=part[2], recognisability=part[3],
        crew=crew, tick=tick,
    )  # fmt: skip
    n = len(keep)
    labels, margins = np.full(n, -1, np.int32), np.full(n, np.nan, np.float32)
    probabilities, scores = np.zeros(n, np.float32), np.zeros(n, np.float32)
    for whole, of_part in zip(
        (labels, margins, probabilities, scores), (found.labels, found.margins, found.probabilities, found.outlier_scores), strict=True
    ):
        whole[keep] = of_part
    return Groups(labels, margins, probabilities, scores, found.tree)


def kept_faces(crew: Crew, keep: NDArray[np.bool_], x: Vectors, links: Sequence[Links]) -> tuple[Vectors, list[Links]]:
    """The vectors of the faces `keep` (n,), and the links among them."""
    if isinstance(x, FaceVectors):
        rows = np.flatnonzero(keep)
        some: Vectors = replace(x, rows=crew.shelf.keep("kept/rows", rows if x.rows is None else load(x.rows)[rows]))
    else:
        some = x[keep]
    number = np.append(np.where(keep, np.cumsum(keep) - 1, -1), -1).astype(np.int32)  # the last: of a missing neighbour
    numbers, first = crew.shelf.keep("kept/numbers", number), np.append(0, np.cumsum(keep))
    return some, [KeptLinks(int(first[shard.start]), shard, numbers) for shard in links]


def in_shards(neighbours: NDArray[np.integer], similarity: NDArray[np.floating]) -> list[Links]:
    """Links (n, k) as shards in memory."""
    starts = range(0, len(neighbours), SHARD_ROWS)
    return [LinkShard(i, neighbours[i : i + SHARD_ROWS], similarity[i : i + SHARD_ROWS]) for i in starts]


def _check_algorithm(config: IdentifyConfig, before: NDArray[np.integer] | None) -> None:
    if config.algorithm not in ALGORITHMS:
        raise ArgumentError(f"expected the algorithm 'facecluster' or 'hdbscan', found {config.algorithm!r}: choose one of the two")
    if before is not None and config.algorithm == "hdbscan":
        raise ArgumentError(
            "expected no earlier labels (before) with the algorithm 'hdbscan', which groups all faces each time, found some: leave them "
            "out, or use the algorithm 'facecluster'"
        )


def _first_cohort(
    x: Vectors, before: NDArray[np.int64] | None, config: IdentifyConfig, contents: NDArray[np.uint64], crew: Crew
) -> CohortStats:
    """The model card's figures; or, after an earlier grouping, those of a cohort that its labels give."""
    n, mean, sd = len(x), config.impostor_mean, config.impostor_sd
    if before is None or n < 2:
        return prior_stats(n, mean=mean, sd=sd)
    labels = np.where(before < 0, before.max(initial=-1) + 1 + np.arange(n), before)
    return cohort_stats(x, labels, mean=mean, sd=sd, contents=contents, crew=crew, name="first")


def _linkage(
    cohort: CohortStats, config: IdentifyConfig, cannot: Pairs | None, photos: NDArray[np.int64] | None, contents: NDArray[np.uint64],
    crew: Crew,
) -> AverageLinkage:  # fmt: skip
    return AverageLinkage(
        cohort, config.merge, config.impostor_weight, cannot, photos, config.same_photo_penalty, contents,
        separation_penalty=config.separation_penalty, crew=crew,
    )  # fmt: skip


def _library_clusters(tree: ClusterTree) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """The library's labels (n,), -1 = noise; its membership strengths (n,), 1 for noise: a decision may put it into a group; GLOSH (n,)."""
    from facecluster.grouping import hdbscan_library  # takes seconds to load

    linkage = hdbscan_library.linkage_of(tree.edges_with_auxiliary_points(tree.min_cluster_size))
    labels, strengths, scores = hdbscan_library.selected_clusters(linkage, tree.n, tree.min_cluster_size)
    return labels, np.where(labels < 0, 1.0, strengths), scores
