"""Average linkage on the neighbour graph: merges clusters that HDBSCAN has cut too fine.

Clusters a and b are one person if the mean cosine over all pairs of their faces exceeds

    base + merge * sd + impostor_weight * reach * |mean vector of a| * |mean vector of b|
         + separation_penalty * max(0, mean within a and b - mean between them - _APART sd) * (1 - 2 / faces of the smaller)
         + same_photo_penalty * sd * share of photos that both are in

`base`, `reach` and `sd` come from the cohort (cohort.py): they say how similar different people are in this collection. The last term
expects the best impostor. It shrinks with the lengths of the two mean vectors: the more the faces of a cluster vary, the shorter their
mean, and the nearer to 0 is a mean over pairs.

A round merges all pairs of clusters that are each other's best candidate. Rounds repeat until no pair exceeds the bound.

Ties: of two equally similar candidates the one with the lower content key wins (cohort.content_keys), so the result does not depend on
the order of the faces. Similarities are rounded to a millionth before they are compared.

Edges come in shards, and a round is one task a shard: it compares the pairs of clusters that changed (linked_pairs.py), and gives those
that exceed the bound. Which merge is decided in one place, with arrays of one entry a cluster. A pair may stand in several shards.

Cost, for n faces, m edges and dim numbers a vector: a round looks at all pairs of linked clusters (at most m) and measures those that
changed, at most m log m + m dim. After _PATIENT rounds a cluster accepts every cluster whose best candidate it is, not one a round: a
thousand faces that wait for one large cluster would take a thousand rounds. It ends after 2 log n rounds more. A million generated faces
take 28 rounds.

Odd inputs: two clusters with a cannot-link between them are never merged. constraints.py handles must-links, and cannot-links inside a
cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facecluster.grouping.candidate_edges import EdgeShard
from facecluster.grouping.cluster_sums import ClusterSums, Rows, shared_photos
from facecluster.grouping.cohort import CohortStats, content_keys
from facecluster.grouping.face_vectors import Vectors
from facecluster.grouping.linked_pairs import FINE, PairRule, fine, measure_pairs, pair_keys, renew_pairs, start_pairs
from facecluster.grouping.work import Crew, LocalCrew, Stored, load

Ints = NDArray[np.int64]
Pairs = NDArray[np.integer]  # (m, 2) rows
Likely = tuple[Rows, Rows, Rows]  # pairs of clusters a < b that exceed the bound, and by how much, in millionths
_PATIENT = 64  # rounds of one merge a cluster


@dataclass(frozen=True, slots=True)
class AverageLinkage:
    """The rule that merges two clusters, and the pairs that it must not merge. `merge` and the penalties are in sd of the cohort."""

    cohort: CohortStats
    merge: float
    impostor_weight: float
    cannot: Pairs | None = None
    photos: Ints | None = None  # (n,) photo of each face
    same_photo_penalty: float = 0.0  # sd: two groups that share photos must be that much more alike
    contents: NDArray[np.uint64] | None = None  # (n,) content keys of the faces, if they are known
    fixed_faces: NDArray[np.bool_] | None = None  # (n,) faces of earlier clusters, which must not merge with each other (incremental.py)
    # sd more for each sd beyond _APART that two groups are less alike to each other than within themselves
    separation_penalty: float = 0.0
    crew: Crew = field(default_factory=LocalCrew)  # does the work

    def merge_clusters(self, x: Vectors, labels: Ints, edges: Sequence[EdgeShard], name: str = "linkage") -> Ints:
        """Merge clusters; returns labels (n,) from 0 of faces that start in the clusters `labels` (n,).

        Only clusters with an edge between them are compared. The margin of an edge between two single faces says all about them; it is
        less what sharing a photo costs. `name` is the place of the work on the crew's shelf.
        """
        shelf = self.crew.shelf
        done = shelf.find(f"{name}/labels")
        if done is not None:
            return np.array(load(done))
        group = compact_labels(labels).astype(np.int32)
        own = self.sums(x, group, f"{name}/sums")
        count = len(own.contents)
        into = np.arange(count, dtype=np.int32)
        view = own.shelved(shelf, f"{name}/0/own")
        pairs, likely = self._start(own, view, group, edges, f"{name}/0")
        for turn in range(_PATIENT + 2 * count.bit_length()):
            to, gone, sure = _mutual(*likely, own.contents, crowd=turn >= _PATIENT)
            if sure < len(gone):
                to, gone = self._allowed(into[group], to, gone, sure)
            if not len(gone):
                break
            own.merge(to, gone, view, self.crew, f"{name}/{turn}/sums")
            shelf.drop(view.dropped())
            view = own.shelved(shelf, f"{name}/{turn + 1}/own")
            into[gone] = to
            into = into[into]
            changed = np.zeros(count, dtype=bool)
            changed[to] = changed[gone] = True
            pairs, fresh = self._renewed(own, view, into[group], into, changed, pairs, f"{name}/{turn + 1}")
            same = ~(changed[likely[0]] | changed[likely[1]])
            likely = tuple(np.concatenate([old[same], new]) for old, new in zip(likely, fresh, strict=True))  # type: ignore[assignment]
        shelf.drop([*pairs, *own.tables, *view.dropped()])
        out = compact_labels(into[group])
        shelf.keep(f"{name}/labels", out)
        return out

    def compare(
        self, x: Vectors, group: NDArray[np.integer], source: NDArray[np.integer], target: NDArray[np.integer]
    ) -> tuple[Ints, Ints, NDArray[np.float64]]:
        """Pairs of linked groups a < b, and how far their mean cosine lies above what is asked; groups (n,) are 0, 1, ... without a gap."""
        edge = EdgeShard(source.astype(np.int32), target.astype(np.int32), np.zeros(0, dtype=np.float32))
        a, b, excess, _ = self.measured(x, np.asarray(group, dtype=np.int32), [edge])
        return a.astype(np.int64), b.astype(np.int64), excess

    def measured(
        self, x: Vectors, group: Rows, edges: Sequence[EdgeShard], name: str = "measured",
        loose: NDArray[np.bool_] | None = None, takes: NDArray[np.bool_] | None = None, own: ClusterSums | None = None,
    ) -> tuple[Rows, Rows, NDArray[np.float64], ClusterSums]:  # fmt: skip
        """Each pair a < b of linked groups once, but for those that must not be one; how far their mean cosine lies above what is asked, in
        steps of a millionth; and all groups (n,). With `loose` and `takes` (g,), only pairs of one of either. `own`: the groups' sums, if
        they are known."""
        own, parts = self._measure(x, group, edges, name, loose, takes, own)
        found = [np.concatenate(rows) for rows in zip(*map(load, parts), strict=True)]
        a, b = found[0].astype(np.int32), found[1].astype(np.int32)
        _, first = np.unique(pair_keys(a, b, len(own.contents)), return_index=True)  # a pair that several shards have seen
        a, b, excess, unlike = a[first], b[first], found[2][first], found[3][first]
        return a, b, self._without_photos(own, group, a, b, excess, unlike) / FINE, own

    def measured_by_shard(
        self, x: Vectors, group: Rows, edges: Sequence[EdgeShard], name: str = "measured"
    ) -> Iterator[tuple[Ints, Ints, NDArray[np.float64]]]:
        """What `compare` gives, a shard of edges at a time: a pair may stand in several."""
        own, parts = self._measure(x, group, edges, name)
        for part in parts:
            a, b, excess, unlike = load(part)
            pairs = a.astype(np.int32), b.astype(np.int32)
            yield a.astype(np.int64), b.astype(np.int64), self._without_photos(own, group, *pairs, excess, unlike) / FINE

    def _measure(
        self, x: Vectors, group: Rows, edges: Sequence[EdgeShard], name: str, loose: NDArray[np.bool_] | None = None,
        takes: NDArray[np.bool_] | None = None, own: ClusterSums | None = None,
    ) -> tuple[ClusterSums, list[Stored]]:  # fmt: skip
        shelf = self.crew.shelf
        own = self.sums(x, group, f"{name}/sums") if own is None else own
        view, rule = own.shelved(shelf, f"{name}/own"), self._rule(group, len(own.contents), name)
        sides = None if loose is None or takes is None else (shelf.keep(f"{name}/loose", loose), shelf.keep(f"{name}/takes", takes))
        grouped = shelf.keep(f"{name}/group", group)
        calls = [(shelf, f"{name}/{i}", view, grouped, shard, rule, sides) for i, shard in enumerate(edges)]
        return own, [part for (part,) in self.crew.map(measure_pairs, calls)]

    def content_keys_of(self, x: Vectors) -> NDArray[np.uint64]:
        """The content key of each face (cohort.content_keys)."""
        return content_keys(x, self.crew) if self.contents is None else self.contents

    def excess_of(self, x: Vectors, rows: Ints, others: Ints) -> float:
        """How far the mean cosine of two sets of faces exceeds the bound; photos that they share do not count."""
        base, reach = (float(v[rows].mean() + v[others].mean()) / 2 for v in (self.cohort.base, self.cohort.reach))
        one, other = x[rows].mean(axis=0, dtype=np.float64), x[others].mean(axis=0, dtype=np.float64)
        asked = base + self.merge * self.cohort.sd + self.impostor_weight * reach * float(np.linalg.norm(one) * np.linalg.norm(other))
        return float(one @ other) - asked

    def sums(self, x: Vectors, group: Rows, name: str) -> ClusterSums:
        """The sums of groups (n,), 0, 1, ... without a gap; `name` is their place on the crew's shelf."""
        return ClusterSums.of(x, group, self.cohort, self.content_keys_of(x), self.crew, name)

    def _rule(self, group: Rows, count: int, name: str) -> PairRule:
        """What tasks need to know to compare the groups (n,), of which there are `count`."""
        shelf = self.crew.shelf
        barred = None if self.cannot is None or not len(self.cannot) else shelf.keep(f"{name}/barred", self._barred(group, count))
        held = None if self.fixed_faces is None else shelf.keep(f"{name}/held", self.held(group, count))
        return PairRule(self.cohort.sd, self.merge, self.impostor_weight, self.separation_penalty, barred, held)

    def _start(
        self, own: ClusterSums, view: ClusterSums, group: Rows, edges: Sequence[EdgeShard], name: str
    ) -> tuple[list[Stored], Likely]:
        """The pairs of linked clusters by shards, and those that exceed the bound; `view` is what tasks see of the clusters."""
        shelf = self.crew.shelf
        rule = self._rule(group, len(own.contents), name)
        grouped = shelf.keep(f"{name}/group", group)
        found = self.crew.map(start_pairs, [(shelf, f"{name}/{i}", view, grouped, shard, rule) for i, shard in enumerate(edges)])
        shelf.drop([grouped])
        return [pairs for pairs, _ in found], self._likely(own, group, [load(likely) for _, likely in found])

    def _renewed(
        self, own: ClusterSums, view: ClusterSums, group: Rows, into: Rows, changed: NDArray[np.bool_], pairs: list[Stored], name: str
    ) -> tuple[list[Stored], Likely]:
        """The pairs after some groups changed, and of the changed ones those that exceed the bound."""
        shelf = self.crew.shelf
        rule = self._rule(group, len(own.contents), name)
        moved = shelf.keep(f"{name}/into", into), shelf.keep(f"{name}/changed", changed)
        calls = [(shelf, f"{name}/{i}", view, part, *moved, rule) for i, part in enumerate(pairs)]
        found = self.crew.map(renew_pairs, calls)
        shelf.drop([*pairs, *moved])
        return [part for part, _ in found], self._likely(own, group, [load(likely) for _, likely in found])

    def _likely(self, own: ClusterSums, group: Rows, parts: Sequence[NDArray[np.float64]]) -> Likely:
        """The pairs of all shards that exceed the bound, also for what photos they share."""
        if not parts:
            none = np.zeros(0, dtype=np.int32)
            return none, none, none
        found = [np.concatenate(rows) for rows in zip(*parts, strict=True)]
        a, b = found[0].astype(np.int32), found[1].astype(np.int32)
        excess = self._without_photos(own, group, a, b, found[2], found[3])
        keep = excess >= 0
        return a[keep], b[keep], excess[keep]

    def _without_photos(
        self, own: ClusterSums, group: Rows, a: Rows, b: Rows, excess: NDArray[np.float64], unlike: NDArray[np.float64]
    ) -> Rows:
        """The excess of pairs in millionths, less what the photos that they share cost; copies (`unlike` is 0) cost nothing."""
        if self.photos is not None and self.same_photo_penalty:
            at, sizes = np.flatnonzero((unlike > 0) & (excess >= 0)), load(own.sizes)
            share = shared_photos(self.photos, group, a[at], b[at]) / np.minimum(sizes[a[at]], sizes[b[at]])
            excess = excess.copy()
            excess[at] -= self.same_photo_penalty * self.cohort.sd * np.minimum(1, share)
        return fine(excess)

    def _allowed(self, group: Rows, to: Rows, gone: Rows, sure: int) -> tuple[Rows, Rows]:
        """Which of the clusters `gone` may merge into `to` at once. The first `sure` are mutual bests. Of the others, those stay that would
        meet a cluster there which they must not merge with."""
        count = int(group.max()) + 1
        root = np.arange(count, dtype=np.int32)
        root[gone] = to
        waits = np.zeros(count, dtype=bool)
        waits[gone[sure:]] = True
        bad = np.zeros(count, dtype=bool)
        if self.cannot is not None and len(self.cannot):
            a, b = group[self.cannot[:, 0]], group[self.cannot[:, 1]]
            met = (a != b) & (root[a] == root[b])
            bad[np.r_[a[met], b[met]]] = True
        held = np.flatnonzero(self.held(group, count))
        bad[held] |= np.bincount(root[held], minlength=count)[root[held]] > 1
        stays = (bad & waits)[gone]
        return to[~stays], gone[~stays]

    def held(self, group: NDArray[np.integer], count: int) -> NDArray[np.bool_]:
        """Which clusters (count,) hold fixed faces and must not merge with each other; `group` (n,) is the cluster of each face."""
        out = np.zeros(count, dtype=bool)
        if self.fixed_faces is not None:
            out[group[self.fixed_faces]] = True
        return out

    def _barred(self, group: Rows, count: int) -> Ints:
        assert self.cannot is not None
        return pair_keys(group[self.cannot[:, 0]], group[self.cannot[:, 1]], count)


def dots(rows: NDArray[np.float64], a: Ints, b: Ints) -> NDArray[np.float64]:
    """Dot products of rows a[i] and b[i], a block at a time: the whole would be gigabytes."""
    out = np.empty(len(a))
    for i in range(0, len(a), 1 << 16):
        part = slice(i, i + (1 << 16))
        out[part] = np.einsum("ij,ij->i", rows[a[part]], rows[b[part]])
    return out


def _mutual(a: Rows, b: Rows, excess: Rows, contents: NDArray[np.uint64], *, crowd: bool) -> tuple[Rows, Rows, int]:
    """Of pairs that exceed the bound, those that are each other's best candidate: lower and higher numbers, and how many pairs there are.

    With `crowd`, clusters follow whose best candidate is in such a pair, though they are not its best.
    """
    count = len(contents)
    ends, others, score = np.r_[a, b], np.r_[b, a], np.r_[excess, excess]
    most = np.full(count, -1, dtype=np.int32)
    np.maximum.at(most, ends, score)
    alike = np.flatnonzero(score == most[ends])
    ends, others = ends[alike], others[alike]
    low = np.full(count, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(low, ends, contents[others])
    alike = np.flatnonzero(contents[others] == low[ends])
    best = np.full(count + 1, count, dtype=np.int32)  # the last: of no group
    np.minimum.at(best, ends[alike], others[alike])
    number = np.arange(count, dtype=np.int32)
    mutual = best[best[:count]] == number
    high_end = number[mutual & (number > best[:count])]
    if not crowd:
        return best[high_end], high_end, len(high_end)
    root = number.copy()
    root[high_end] = best[high_end]
    waiting = number[~mutual & np.r_[mutual, False][best[:count]]]
    return np.r_[best[high_end], root[best[waiting]]], np.r_[high_end, waiting], len(high_end)


def compact_labels(labels: NDArray[np.integer]) -> Ints:
    """Labels renumbered 0, 1, ... in the order of their values."""
    numbers: Ints = np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return numbers
