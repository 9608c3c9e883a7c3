"""STAGE: links -> identities. HDBSCAN on the neighbour graph, then a pass that joins groups. The only file that imports hdbscan.

A link counts by how far its cosine lies above what the best stranger of the two faces would reach in this collection (`strangers`), so
one setting serves small and large collections, alike and unlike people. HDBSCAN finds the dense groups; `joining` puts together what
it cut too fine and gives single faces to the group they clearly belong to.

Odd inputs: a missing neighbour (-1) is no edge; copies of a face (distance 0) count as 1e-6 apart, since a sparse matrix takes a zero
for a missing edge; a face without any neighbour in reach is nobody (-1). One face alone is nobody too.

The graph falls into pieces. They are bridged at the distance of the cut, not at infinity: bridged at infinity every piece is born so
early that it is never split (docs/decisions.md).
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, triu
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

with warnings.catch_warnings():  # hdbscan 0.8.44 has invalid escape sequences in its docstrings
    warnings.simplefilter("ignore")
    from hdbscan import hdbscan_
    from hdbscan._hdbscan_linkage import label
    from hdbscan._hdbscan_tree import outlier_scores

from facecluster.constraints import constrained
from facecluster.joining import Joiner, Pairs
from facecluster.strangers import Strangers, strangers, usual
from facecluster.tables import IDENTITIES, ShardResult, Stamp, Store, links_schema, table_of

_NEAR = 1e-6  # distance of copies
_GHOSTS = 4  # points of a group far from all: without it a collection of one person has no group at all
_SHIFT = 4.0  # makes what links stand above strangers positive: a sparse matrix takes a zero for a missing edge
_FLOOR = 1.5  # sd below the best stranger's level down to which links say which groups to compare


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifyConfig:
    """What decides the groups. Margins are in sd of the cosines of strangers, so that they mean the same for every model."""

    margin: float = 0.7  # sd above the best stranger's expected cosine from which a link counts
    merge: float = 1.2  # sd above the base that two groups must have
    alone: float = 0.85  # share of the best stranger's reach that they must have besides, less the more their faces vary
    min_samples: int = 2  # neighbours that make a place dense
    min_cluster_size: int = 2  # faces that make a person
    same_photo: float = 1.0  # sd that two faces of one photo must be more alike than others
    min_quality: float = 0.0  # faces under it found and bridge no people, but may join them
    stranger_mean: float = 0.035  # cosine of two strangers, from the model's card
    stranger_sd: float = 0.115
    sure: float = 1.5  # log-odds that a face is its group's person, a sd that it lies above what joins the group (fitted; decisions.md)
    even: float = 1.0  # log-odds of that for a face that lies just there

    def stamp(self, inputs: str) -> Stamp:
        return {"table": "identities", "inputs": inputs, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Groups:
    """Identities of n faces: struct of arrays."""

    labels: NDArray[np.int32]  # (n,) 0, 1, ... by falling size; -1 = nobody
    above: NDArray[np.float32]  # (n,) sd that a face lies above what joins its group; NaN for nobody
    probabilities: NDArray[np.float32]  # (n,) 0 to 1; 0 for nobody
    outlier_scores: NDArray[np.float32]  # (n,) GLOSH, 0 to 1


def group(
    vectors: NDArray[np.floating], neighbours: NDArray[np.integer], similarity: NDArray[np.floating], config: IdentifyConfig, *,
    photos: NDArray[np.integer] | None = None, weak: NDArray[np.bool_] | None = None,
    must: Pairs | None = None, cannot: Pairs | None = None,
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
    """
    n = len(vectors)
    x = np.ascontiguousarray(vectors, dtype=np.float32)
    photo = None if photos is None else np.asarray(photos, dtype=np.int64)
    mean, sd = config.stranger_mean, config.stranger_sd
    around, labels, glosh = usual(n, mean=mean, sd=sd), np.full(n, -1, dtype=np.int64), np.zeros(n)
    for last in (False, True) if n > 1 else ():  # the first time with the strangers of the card, to know those of the collection
        source, target, above = links_worth_a_look(neighbours, similarity, around, photo, config.same_photo)
        strong = np.ones(len(source), dtype=bool) if weak is None else ~(weak[source] | weak[target])
        labels, glosh = _hierarchy(_spanning_tree(n, source[strong], target[strong], above[strong], around, config), n, config)
        joiner = Joiner(around, config.merge, config.alone, cannot, photo, config.same_photo)
        labels = joiner.join(x, constrained(labels, must, cannot, x, joiner), source[strong], target[strong], above[strong])
        if not last:
            around = strangers(x, labels, mean=mean, sd=sd)
        elif weak is not None and weak.any():
            labels = joiner.attach(x, labels, np.flatnonzero(weak), source, target)
    people = _by_size(labels, config.min_cluster_size)
    above = _above(x, people, around, config)
    sure = np.where(people >= 0, 1 / (1 + np.exp(-np.clip(config.sure * np.nan_to_num(above) + config.even, -700, 700))), 0)
    return Groups(people, above.astype(np.float32), sure.astype(np.float32), np.nan_to_num(glosh).astype(np.float32))


def _hierarchy(tree: NDArray[np.float64], n: int, config: IdentifyConfig) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """HDBSCAN's groups (n,), -1 = none, and outlier scores (n,) from a spanning tree whose first n points are faces."""
    found, _, _, condensed, _ = hdbscan_._tree_to_labels(None, label(tree), config.min_cluster_size)
    return found[:n].astype(np.int64), outlier_scores(condensed)[:n]


def links_worth_a_look(
    neighbours: NDArray[np.integer],
    similarity: NDArray[np.floating],
    around: Strangers,
    photos: NDArray[np.integer] | None,
    same_photo: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Links worth a look: rows source < target, each pair once, and how far their cosine lies above the best stranger's."""
    n = len(neighbours)
    counts, ends, weights = [np.zeros(1, dtype=np.int64)], [], []
    for i in range(0, n, 1 << 16):
        block = slice(i, min(n, i + (1 << 16)))
        near, cosine = neighbours[block], similarity[block].astype(np.float64)
        rows = np.arange(block.start, block.stop)[:, None]
        above = cosine - (around.level[rows] + around.level[near]) / 2
        if photos is not None:
            # near-copies in one photo (a collage, a mirror, a screen) are one person all the same
            above -= np.where((photos[rows] == photos[near]) & (cosine < 0.9), same_photo * around.sd, 0.0)
        keep = (near >= 0) & (above >= -_FLOOR * around.sd)
        counts.append(keep.sum(axis=1))
        ends.append(near[keep])
        weights.append((above[keep] + _SHIFT).astype(np.float32))
    seen = csr_matrix((np.concatenate(weights), np.concatenate(ends), np.cumsum(np.concatenate(counts))), shape=(n, n))
    del ends, weights
    # a link seen from both ends is one link, with one weight: summing duplicates would double it
    both = triu(seen.maximum(seen.T.tocsr()), k=1, format="csr").tocoo()
    return both.row.astype(np.int64), both.col.astype(np.int64), both.data.astype(np.float64) - _SHIFT


def _spanning_tree(
    n: int, source: NDArray[np.int64], target: NDArray[np.int64], above: NDArray[np.float64], around: Strangers, config: IdentifyConfig
) -> NDArray[np.float64]:
    """Minimum spanning tree of the mutual reachability graph (Campello et al., 2013): rows from, to, distance; by distance.

    The distance is 1 - cosine, moved by how much the best strangers of the two faces differ from the collection's mean.
    Every piece hangs at the cut distance, on a group of ghosts: in a chain, two strangers that meet first would look like a group.
    """
    middle = float(around.level.mean())
    cut = max(1 - middle - config.margin * around.sd, 2 * _NEAR)
    distance = np.maximum(1 - middle - above, _NEAR).astype(np.float32)
    near = distance <= cut  # what is farther decides nothing
    source, target, distance = source[near], target[near], distance[near]
    core = _core(n, source, target, distance, config.min_samples)
    reach = np.maximum(np.maximum(core[source], core[target]), distance)
    near = reach <= cut
    graph = coo_matrix((reach[near], (source[near], target[near])), shape=(n, n)).tocsr()
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


def _core(
    n: int, source: NDArray[np.int64], target: NDArray[np.int64], distance: NDArray[np.float32], min_samples: int
) -> NDArray[np.float32]:
    """(n,) distance to the min_samples-th nearest linked face; infinite where there are fewer."""
    # positive float32 numbers are in the order of their bits: one sort by face, then distance
    keys = np.r_[source, target] << 32 | np.r_[distance, distance].view(np.uint32).astype(np.int64)
    keys.sort()
    starts = np.searchsorted(keys, np.arange(n + 1) << 32)
    at = starts[:-1] + min_samples - 1
    core = np.full(n, np.inf, dtype=np.float32)
    enough = at < starts[1:]
    core[enough] = (keys[at[enough]] & 0xFFFFFFFF).astype(np.uint32).view(np.float32)
    return core


def _by_size(group: NDArray[np.int64], least: int) -> NDArray[np.int32]:
    """Number groups 0, 1, ... by falling size, ties by their first face; groups under `least` faces are nobody."""
    _, first, inverse, sizes = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    number = np.full(len(sizes), -1, dtype=np.int32)
    kept = order[sizes[order] >= least]
    number[kept] = np.arange(len(kept), dtype=np.int32)
    return np.asarray(number[inverse], dtype=np.int32)


def _above(x: NDArray[np.float32], labels: NDArray[np.int32], around: Strangers, config: IdentifyConfig) -> NDArray[np.float64]:
    """(n,) how far, in sd, a face's mean cosine to the *others* of its group lies above what joins them; NaN for nobody."""
    out = np.full(len(x), np.nan)
    inside = np.flatnonzero(labels >= 0)
    if not len(inside):
        return out
    mine = labels[inside]
    sizes = np.bincount(mine)
    sums = np.zeros((len(sizes), x.shape[1]))
    np.add.at(sums, mine, x[inside].astype(np.float64))
    others = sizes[mine] - 1
    rest = (sums[mine] - x[inside]) / np.maximum(others, 1)[:, None]
    cosine = np.einsum("ij,ij->i", x[inside], rest)
    asked = around.base[inside] + config.merge * around.sd + config.alone * around.reach[inside] * np.linalg.norm(rest, axis=1)
    out[inside] = (cosine - asked) / around.sd
    return out


def identify(
    store: Store, vectors: NDArray[np.floating], links: str, table: str, config: IdentifyConfig, *,
    photos: NDArray[np.integer] | None = None, weak: NDArray[np.bool_] | None = None,
    must: Pairs | None = None, cannot: Pairs | None = None,
) -> ShardResult:  # fmt: skip
    """Write the identities of the faces in `links` (whose rows `vectors` follows) to `table`; the rest is as in `group`."""
    shards = store.shards(links)
    inputs = str((store.stamp(links, shards[0]) or {}).get("inputs"))
    rules = [np.asarray(a, dtype=np.int64) for a in (photos, weak, must, cannot) if a is not None]
    stamp = dict(config.stamp(inputs))
    if rules:
        stamp["rules"] = hashlib.sha256(b"|".join(a.tobytes() for a in rules)).hexdigest()[:16]
    if store.shards(table) == ["00000"] and store.stamp(table, "00000") == stamp:
        return ShardResult(stage="identify", shard="all", faces=len(vectors), skipped=True)
    ids, neighbours, similarity = read_links(store, links)
    groups = group(vectors, neighbours, similarity, config, photos=photos, weak=weak, must=must, cannot=cannot)
    columns = {
        "face_id": ids, "identity": groups.labels, "probability": groups.probabilities, "outlier_score": groups.outlier_scores,
    }  # fmt: skip
    store.write(table, "00000", table_of(IDENTITIES, columns), stamp)
    return ShardResult(stage="identify", shard="all", faces=len(vectors))


def read_links(store: Store, links: str) -> tuple[pa.Array, NDArray[np.int32], NDArray[np.float32]]:
    """face_ids (n,), neighbours (n, k) and similarity (n, k) of a table of links."""
    k = store.read(links, store.shards(links)[0]).schema.field("neighbours").type.list_size
    data = store.read_all(links, links_schema(k))
    arrays = [data[c].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, k) for c in ("neighbours", "similarity")]
    return data["face_id"].combine_chunks(), arrays[0], arrays[1]
