"""STAGE: links -> identities. HDBSCAN on the neighbour graph, then a pass that joins groups. The only file that imports hdbscan.

Odd inputs: a missing neighbour (-1) is no edge; copies of a face (distance 0) count as 1e-6 apart, since a sparse matrix takes a zero
for a missing edge; a face without any neighbour in reach is nobody (-1). One face alone is nobody too.

The graph falls into pieces. They are bridged at the distance of the cut, not at infinity: bridged at infinity every piece is born so
early that it is never split (docs/decisions.md).
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

with warnings.catch_warnings():  # hdbscan 0.8.44 has invalid escape sequences in its docstrings
    warnings.simplefilter("ignore")
    from hdbscan import hdbscan_
    from hdbscan._hdbscan_linkage import label
    from hdbscan._hdbscan_tree import outlier_scores

from facecluster.tables import IDENTITIES, ShardResult, Stamp, Store, links_schema, table_of

_NEAR = 1e-6  # distance of copies
_GHOSTS = 4  # points of a group far from all: without it a collection of one person has no group at all


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifyConfig:
    """What decides the groups."""

    cut: float = 0.45  # cosine under which two faces are not linked
    merge: float = 0.55  # cosine of two groups' means from which they are one
    min_samples: int = 2  # neighbours that make a place dense
    min_cluster_size: int = 2  # faces that make a person

    def stamp(self, inputs: str) -> Stamp:
        return {"table": "identities", "inputs": inputs, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Groups:
    """Identities of n faces: struct of arrays."""

    labels: NDArray[np.int32]  # (n,) 0, 1, ... by falling size; -1 = nobody
    probabilities: NDArray[np.float32]  # (n,) 0 to 1; 0 for nobody
    outlier_scores: NDArray[np.float32]  # (n,) GLOSH, 0 to 1


def group(
    vectors: NDArray[np.floating], neighbours: NDArray[np.integer], similarity: NDArray[np.floating], config: IdentifyConfig
) -> Groups:
    """Group faces into people.

    Args:
        vectors: (n, dim), rows of length 1.
        neighbours: (n, k) row numbers by falling similarity, -1 = none.
        similarity: (n, k) cosines.
        config: see there.
    """
    n = len(vectors)
    labels, glosh = np.full(n, -1, dtype=np.int64), np.zeros(n)
    if n > 1:
        tree = label(_spanning_tree(neighbours, similarity, config))
        found, _, _, condensed, _ = hdbscan_._tree_to_labels(None, tree, config.min_cluster_size)
        labels, glosh = found[:n].astype(np.int64), outlier_scores(condensed)[:n]
    x = np.asarray(vectors, dtype=np.float32)
    labels = _by_size(_merge(x, labels, neighbours, config.merge), config.min_cluster_size)
    return Groups(labels, _membership(x, labels, config.cut), np.nan_to_num(glosh).astype(np.float32))


def _spanning_tree(neighbours: NDArray[np.integer], similarity: NDArray[np.floating], config: IdentifyConfig) -> NDArray[np.float64]:
    """Minimum spanning tree of the mutual reachability graph (Campello et al., 2013): rows from, to, distance; by distance.

    Every piece hangs at the cut distance, on a group of ghosts: in a chain, two strangers that meet first would look like a group.
    """
    n, k = neighbours.shape
    cut = 1 - config.cut
    distance = np.maximum(1 - similarity.astype(np.float64), _NEAR)
    core = distance[:, min(config.min_samples, k) - 1]
    source, target = np.repeat(np.arange(n), k), neighbours.ravel()
    real = target >= 0
    source, target = source[real], target[real]
    reach = np.maximum(np.maximum(core[source], core[target]), distance.ravel()[real])
    near = reach <= cut
    low, high = np.minimum(source, target)[near], np.maximum(source, target)[near]
    # an edge seen from both ends is one edge, with one weight: summing duplicates would double it
    key, first = np.unique(low * n + high, return_index=True)
    graph = coo_matrix((reach[near][first], (key // n, key % n)), shape=(n, n)).tocsr()
    forest = minimum_spanning_tree(graph).tocoo()
    pieces, piece = connected_components(forest, directed=False)
    heads = np.unique(piece, return_index=True)[1]  # one face of each piece
    ghosts = np.arange(n, n + _GHOSTS)
    rows = [
        np.c_[forest.row, forest.col, forest.data],
        np.c_[ghosts[:-1], ghosts[1:], np.full(_GHOSTS - 1, _NEAR)],
        np.c_[heads, np.full(pieces, n), np.full(pieces, cut)],
    ]
    tree = np.concatenate(rows).astype(np.float64)
    return tree[np.lexsort((tree[:, 1], tree[:, 0], tree[:, 2]))]


def _merge(x: NDArray[np.float32], labels: NDArray[np.int64], neighbours: NDArray[np.integer], least: float) -> NDArray[np.int64]:
    """Join groups, single faces among them, that are each other's nearest and whose means have a cosine of `least` and more.

    HDBSCAN's groups are pure but cut too fine where people have many faces. Groups are compared where the graph links them.
    """
    n, k = neighbours.shape
    group = labels.copy()
    alone = group < 0
    group[alone] = labels.max(initial=-1) + 1 + np.arange(alone.sum())
    source, target = np.repeat(np.arange(n), k), neighbours.ravel()
    source, target = source[target >= 0], target[target >= 0]
    while True:
        group = np.unique(group, return_inverse=True)[1]
        count = int(group.max(initial=-1)) + 1
        means = np.zeros((count, x.shape[1]), dtype=np.float64)
        np.add.at(means, group, x)
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
        a, b = group[source], group[target]
        pairs = np.unique(np.r_[a * count + b, b * count + a][np.r_[a != b, a != b]])
        a, b = pairs // count, pairs % count
        cosine = np.einsum("ij,ij->i", means[a], means[b]).round(6)
        order = np.lexsort((b, -cosine, a))
        best = np.full(count, -1)
        firsts = order[np.unique(a[order], return_index=True)[1]]
        strong = firsts[cosine[firsts] >= least]
        best[a[strong]] = b[strong]
        mutual = np.flatnonzero((best >= 0) & (best[best] == np.arange(count)) & (np.arange(count) < best))
        if not len(mutual):
            return np.asarray(group, dtype=np.int64)
        renamed = np.arange(count)
        renamed[best[mutual]] = mutual
        group = renamed[group]


def _by_size(group: NDArray[np.int64], least: int) -> NDArray[np.int32]:
    """Number groups 0, 1, ... by falling size, ties by their first face; groups under `least` faces are nobody."""
    _, first, inverse, sizes = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    number = np.full(len(sizes), -1, dtype=np.int32)
    kept = order[sizes[order] >= least]
    number[kept] = np.arange(len(kept), dtype=np.int32)
    return np.asarray(number[inverse], dtype=np.int32)


def _membership(x: NDArray[np.float32], labels: NDArray[np.int32], cut: float) -> NDArray[np.float32]:
    """How sure a face belongs to its group, 0 to 1: half at the cosine of the cut to the mean of the *other* faces, logistic, slope 10."""
    out = np.zeros(len(x), dtype=np.float32)
    inside = np.flatnonzero(labels >= 0)
    if not len(inside):
        return out
    own, mine = x[inside].astype(np.float64), labels[inside]
    sums = np.zeros((int(mine.max()) + 1, x.shape[1]))
    np.add.at(sums, mine, own)
    rest = sums[mine] - own
    cosine = (own * rest).sum(axis=1) / np.maximum(np.linalg.norm(rest, axis=1), 1e-12)
    out[inside] = 1 / (1 + np.exp(-10 * (cosine - cut)))
    return out


def identify(store: Store, vectors: NDArray[np.floating], links: str, table: str, config: IdentifyConfig) -> ShardResult:
    """Write the identities of the faces in `links` (whose rows `vectors` follows) to `table`."""
    shards = store.shards(links)
    inputs = str((store.stamp(links, shards[0]) or {}).get("inputs"))
    stamp = config.stamp(inputs)
    if store.shards(table) == ["00000"] and store.stamp(table, "00000") == dict(stamp):
        return ShardResult(stage="identify", shard="all", faces=len(vectors), skipped=True)
    first = store.read(links, shards[0])
    k = first.schema.field("neighbours").type.list_size
    data = store.read_all(links, links_schema(k))
    arrays = [data[c].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, k) for c in ("neighbours", "similarity")]
    groups = group(vectors, arrays[0], arrays[1], config)
    columns = {
        "face_id": data["face_id"].combine_chunks(), "identity": groups.labels,
        "probability": groups.probabilities, "outlier_score": groups.outlier_scores,
    }  # fmt: skip
    store.write(table, "00000", table_of(IDENTITIES, columns), stamp)
    return ShardResult(stage="identify", shard="all", faces=len(vectors))
