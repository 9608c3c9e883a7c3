"""Uncertainty of a grouping: how pure and how complete each person is, and questions to the user ranked by what their answers change.

There are three kinds of question, each about two faces:
  same    two clusters that may be one person
  split   one cluster that may be two people: the faces at its two ends
  photo   two faces of one photo in one cluster that are not copies of each other (a collage, a mirror)

Odd inputs: without clusters there are no questions. A single face takes part as a cluster of one if it may belong to a person. Pairs of
single faces are asked about too, after everything that changes more.

The probability that two clusters are one person follows from two things: by how much their mean cosine exceeds the bound of average
linkage, and how much less similar they are to each other than within themselves. The second counts the more, the larger the smaller
cluster is: a single face may be a poor one, but two large clusters of one person hardly ever differ that much. Completeness, purity and
these odds were fitted together (docs/decisions.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from facecluster.errors import InputError, shell
from facecluster.grouping.average_linkage import AverageLinkage, Ints, dots
from facecluster.grouping.candidate_edges import Links, edge_shards
from facecluster.grouping.cluster_sums import shared_photos
from facecluster.grouping.cohort import NEAR_COPY, cohort_stats, content_keys
from facecluster.grouping.face_vectors import Vectors, as_vectors
from facecluster.grouping.group import in_shards, kept_faces
from facecluster.grouping.identify import IdentifyConfig, stored_links
from facecluster.grouping.linked_pairs import pair_keys
from facecluster.grouping.shelved_vectors import crew_for, shelve_vectors
from facecluster.grouping.work import Crew, LocalCrew
from facecluster.photos.drawn import is_drawn
from facecluster.photos.frames import picture_numbers
from facecluster.store import IDENTITIES, FaceIds, Store

KINDS = ("same", "split", "photo")
# log-odds that two clusters are one person: the start, and what each term adds for 1 sd of the cohort
_ONE, _ABOVE = 4.4, 4.1  # for 1 sd above the bound
_LARGE_APART, _LARGE_ABOVE = -1.9, 1.8  # for 1 sd less similar than within; for 1 sd above; both times 1 - 2 / faces of the smaller
_ALONE, _ALONE_ABOVE = -3.1, -1.9  # two single faces; for 1 sd above between these
_HALVES = (1.8, 1.4)  # probability that the halves of a cluster, chosen to differ, are one person: logistic in the sd above the bound
_FLOOR = -1.5  # sd above the expected best impostor, from which two linked clusters may be one person
_ROWS = 1 << 16  # vectors that are added up at a time
_OPEN = 0.05  # ask if the expected answer is less certain than 1 minus this...
_OPEN_FACE = 0.2  # ...and for a single face only if joining is likelier than this: other single faces are countless


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Struct of arrays: over g people (by label), and over q questions, the most useful first."""

    purity: NDArray[np.float64]  # (g,) expected share of the cluster's faces that are its person, 0 to 1
    completeness: NDArray[np.float64]  # (g,) expected share of the person's faces in the cluster, of those that can be told
    kind: NDArray[np.int8]  # (q,) index into KINDS
    face_a: Ints  # (q,) rows
    face_b: Ints  # (q,)
    probability: NDArray[np.float64]  # (q,) that the two faces are one person
    stake: Ints  # (q,) faces that move if the answer differs from what the grouping assumes
    resolved: NDArray[np.float64]  # (q,) share of faces without an open question once this question and all before it are answered

    @property
    def confidence(self) -> NDArray[np.float64]:
        """(g,) purity times completeness."""
        return self.purity * self.completeness


def assess(
    vectors: NDArray[np.floating], neighbours: NDArray[np.integer], similarity: NDArray[np.floating], labels: NDArray[np.integer],
    probabilities: NDArray[np.floating], config: IdentifyConfig, photos: NDArray[np.integer] | None = None,
) -> Uncertainty:  # fmt: skip
    """Assess `labels` (n,), -1 = nobody; the other arguments are those of `identify.group`.

    `margin` and `merge` of `config` decide who is grouped together, not who is one person: they do not change the probabilities here.
    """
    links = in_shards(neighbours, similarity)
    return assess_links(LocalCrew(), as_vectors(vectors), links, labels, probabilities, config, photos)


def assess_links(
    crew: Crew, x: Vectors, links: Sequence[Links], labels: NDArray[np.integer], probabilities: NDArray[np.floating],
    config: IdentifyConfig, photos: NDArray[np.integer] | None = None,
) -> Uncertainty:  # fmt: skip
    """`assess` for links in shards, which the crew looks at one by one: memory holds a few numbers a face, and the open pairs."""
    n, people = len(x), int(np.max(labels, initial=-1)) + 1
    if not people:
        none = np.zeros(0, dtype=np.int64)
        return Uncertainty(np.zeros(0), np.zeros(0), none.astype(np.int8), none, none, np.zeros(0), none, np.zeros(0))
    group = np.asarray(labels, dtype=np.int64).copy()
    group[group < 0] = people + np.arange((group < 0).sum())
    sizes = np.bincount(group)
    contents = content_keys(x, crew)
    cohort = cohort_stats(x, group, mean=config.impostor_mean, sd=config.impostor_sd, contents=contents, crew=crew)
    photo = None if photos is None else np.asarray(photos, dtype=np.int64)
    usual = IdentifyConfig()
    linkage = AverageLinkage(cohort, usual.merge, usual.impostor_weight, contents=contents, crew=crew)
    a, b, one = _open_pairs(linkage, x, group, sizes, links, photo, config.same_photo_odds)
    completeness = _complete(np.r_[a, b], np.r_[one, one], sizes[np.r_[b, a]] / sizes[np.r_[a, b]], people)
    best = _most_certain_faces(group, np.where(labels >= 0, probabilities, 1.0))
    ask = one >= np.where(np.minimum(sizes[a], sizes[b]) == 1, _OPEN_FACE, _OPEN)
    parts = [(np.zeros(ask.sum(), dtype=np.int8), best[a[ask]], best[b[ask]], one[ask], np.minimum(sizes[a], sizes[b])[ask])]
    end_a, end_b, whole, small = _halves(x, group, people, linkage, cohort.sd)
    ask = whole <= 1 - _OPEN
    parts.append((np.ones(ask.sum(), dtype=np.int8), end_a[ask], end_b[ask], whole[ask], small[ask]))
    if photo is not None:
        parts.append(_same_photo(x, np.asarray(labels), photo, np.asarray(probabilities, dtype=np.float64)))
    purity = np.bincount(group, np.where(labels >= 0, probabilities, 1.0))[:people] / sizes[:people]
    purity *= _at(whole + (1 - whole) * (1 - small / sizes[group[end_a]]), group[end_a], people)
    kind, face_a, face_b, p, stake = (np.concatenate(c) for c in zip(*parts, strict=True))
    worth = stake * np.where(kind == 0, p, 1 - p)  # faces that the answer is expected to move
    order = np.lexsort((face_b, face_a, -worth.round(9)))
    resolved = _resolved(group[face_a[order]], group[face_b[order]], sizes, n)
    return Uncertainty(purity, completeness, kind[order], face_a[order], face_b[order], p[order], stake[order], resolved)


def assess_store(store: Store, embeddings: str, links: str, identities: str, config: IdentifyConfig) -> tuple[FaceIds, Ints, Uncertainty]:
    """Face ids, their identities and the uncertainty about them, from tables of a store.

    Raises:
        InputError: identities and links are of different faces; group again.
    """
    with crew_for(store, embeddings) as crew:
        ids, vectors = shelve_vectors(crew, store, embeddings)
        linked, shards = stored_links(store, links)
        table = store.read_all(identities, IDENTITIES).sort_by("face_id")
        if linked != ids and len(linked) < len(ids) and is_drawn(ids.without(linked)).all():  # drawn since the grouping
            vectors, ids = replace(vectors, rows=ids.rows_of(linked)), linked
        if linked != ids or FaceIds.of(table["face_id"]) != ids:
            what = f"expected people of the faces now in {store.url}, found others"
            raise InputError(f"{what}: run 'facecluster cluster {shell(store.url)}' first")
        labels, probabilities = (table[c].to_numpy() for c in ("identity", "probability"))
        photos = picture_numbers(store, ids)
        clear = np.nan_to_num(np.asarray(table["recognisability"].to_numpy(), np.float64), nan=1.0)
        keep = (clear >= config.min_recognisability) | (labels >= 0)  # nothing is asked about faces that nobody can tell
        rows, (some, kept_links) = np.flatnonzero(keep), kept_faces(crew, keep, vectors, shards)
        found = assess_links(crew, some, kept_links, labels[rows], probabilities[rows], config, photos[rows])
        return ids, labels, replace(found, face_a=rows[found.face_a], face_b=rows[found.face_b])


def _open_pairs(
    linkage: AverageLinkage, x: Vectors, group: Ints, sizes: Ints, links: Sequence[Links], photo: Ints | None, same_photo_odds: float
) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """Pairs of linked clusters a < b that are one person with a probability of _OPEN or more, and that probability.

    The others are left out: hundreds of unlikely candidates would add up to a person, though none of them is.
    """
    sd, found = linkage.cohort.sd, []
    edges = edge_shards(linkage.crew, "edges", links, linkage.cohort, None, 0.0, floor=_FLOOR)
    for a, b, excess in linkage.measured_by_shard(x, group.astype(np.int32), edges):
        log_odds = one_person_log_odds(excess / sd, _separation(x, group, sizes, a, b) / sd, sizes[a], sizes[b])
        if photo is not None:
            shared = shared_photos(photo, group.astype(np.int32), a.astype(np.int32), b.astype(np.int32))
            log_odds += np.log(same_photo_odds) * np.minimum(1, shared / np.minimum(sizes[a], sizes[b]))
        one = _logistic(log_odds, (1, 0))
        likely = one >= _OPEN
        found.append((a[likely], b[likely], one[likely]))
    a, b, one = (np.concatenate(part) for part in zip(*found, strict=True))
    first = np.unique(pair_keys(a, b, len(sizes)), return_index=True)[1]  # a pair may stand in several shards
    return a[first], b[first], one[first]


def _complete(group: Ints, likely: NDArray[np.float64], more: NDArray[np.float64], people: int) -> NDArray[np.float64]:
    """Expected share (people,) of a person's faces that are in its cluster.

    Each other cluster belongs to the same person with probability `likely` (m,), independently, and has `more` (m,) times the faces.
    Since E[1 / (1 + M)] is the integral of E[v^M] over 0 < v < 1, it is that of the product of all (1 - p + p v^more).
    """
    at = group < people
    group, likely, more = group[at], np.minimum(likely[at], 1 - 1e-12), more[at]
    out = np.zeros(people)
    nodes, weights = np.polynomial.legendre.leggauss(24)
    for v, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        terms = np.log1p(likely * (v**more - 1))
        out += weight * np.exp(np.bincount(group, terms, minlength=people))
    return out


def one_person_log_odds(above: NDArray[np.float64], apart: NDArray[np.float64], size_a: Ints, size_b: Ints) -> NDArray[np.float64]:
    """Log-odds that two clusters of these sizes are one person, if no photo shows both."""
    smaller, alone = np.minimum(size_a, size_b), np.maximum(size_a, size_b) == 1
    large = np.maximum(0, 1 - 2 / smaller)
    log_odds = _ONE + _ABOVE * above + large * (_LARGE_APART * apart + _LARGE_ABOVE * above) + alone * (_ALONE + _ALONE_ABOVE * above)
    return np.asarray(log_odds)


def _separation(x: Vectors, group: Ints, sizes: Ints, a: Ints, b: Ints) -> NDArray[np.float64]:
    """How much lower the mean cosine between clusters a and b is than within them; 0 if one has fewer than three faces."""
    out = np.zeros(len(a))
    pick = np.flatnonzero(np.minimum(sizes[a], sizes[b]) > 2)
    use, at = np.unique(np.r_[a[pick], b[pick]], return_inverse=True)
    if not len(pick):
        return out
    number = np.full(len(sizes), -1)
    number[use] = np.arange(len(use))
    rows = np.flatnonzero(number[group] >= 0)
    rows, n = rows[np.argsort(number[group[rows]], kind="stable")], sizes[use]
    sums, ends = np.empty((len(use), x.shape[1])), np.cumsum(n)
    cuts = np.unique(np.r_[np.searchsorted(ends, np.arange(0, len(rows), _ROWS), "right"), len(use)]).tolist()
    for first, last in pairwise(cuts):
        some = rows[ends[first] - n[first] : ends[last - 1]]
        fold = csr_matrix((np.ones(len(some)), (number[group[some]] - first, np.arange(len(some)))), shape=(last - first, len(some)))
        sums[first:last] = fold @ x[some].astype(np.float64)
    within = (np.einsum("ij,ij->i", sums, sums) - n) / (n * (n - 1))
    one, two = at.reshape(2, -1)
    out[pick] = (within[one] + within[two]) / 2 - dots(sums, one, two) / (n[one] * n[two])
    return out


def _logistic(z: NDArray[np.float64], fit: tuple[float, float]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(fit[0] * z + fit[1], -40, 40))))


def _at(values: NDArray[np.float64], where: Ints, count: int) -> NDArray[np.float64]:
    out = np.ones(count)
    out[where] = values
    return out


def _most_certain_faces(group: Ints, probabilities: NDArray[np.floating]) -> Ints:
    """The face with the highest probability of each cluster."""
    order = np.lexsort((np.arange(len(group)), -np.asarray(probabilities), group))
    return np.asarray(order[np.unique(group[order], return_index=True)[1]], dtype=np.int64)


def _halves(
    x: Vectors, group: Ints, people: int, linkage: AverageLinkage, sd: float
) -> tuple[Ints, Ints, NDArray[np.float64], Ints]:
    """For each cluster of four faces or more: a face at either end, the probability that its halves are one person, faces of the smaller.

    The halves are the two sides of the mean along the first principal direction.
    """
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(people + 1))
    found = []
    for i in range(people):
        rows = order[starts[i] : starts[i + 1]]
        if len(rows) < 4:
            continue
        from_mean = x[rows].astype(np.float64) - x[rows].mean(axis=0)
        axis = np.ones(len(rows)) if len(rows) < 3 else _principal(from_mean)
        side = axis > 0
        if side.all() or not side.any():
            continue
        excess = linkage.excess_of(x, rows[side], rows[~side])
        found.append((rows[axis.argmax()], rows[axis.argmin()], excess / sd, min(int(side.sum()), int((~side).sum()))))
    if not found:
        none = np.zeros(0, dtype=np.int64)
        return none, none, np.zeros(0), none
    a, b, z, small = (np.array(c) for c in zip(*found, strict=True))
    return a, b, _logistic(z, _HALVES), small


def _principal(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coordinates along the first principal direction, by power iteration from the row that is farthest out; its sign follows that row."""
    direction = centred[np.einsum("ij,ij->i", centred, centred).argmax()].copy()
    for _ in range(12):
        direction = centred.T @ (centred @ direction)
        direction /= max(float(np.linalg.norm(direction)), 1e-12)
    return np.asarray(centred @ direction)


def _same_photo(
    x: Vectors, labels: NDArray[np.integer], photo: Ints, probabilities: NDArray[np.float64]
) -> tuple[NDArray[np.int8], Ints, Ints, NDArray[np.float64], Ints]:
    """Pairs of faces of one photo in one cluster, and the probability that they are one person: that of the face which fits less well,
    which knows what sharing a photo means (same_photo.py)."""
    order = np.lexsort((np.arange(len(labels)), photo, labels))
    first, second = order[:-1], order[1:]
    pick = (labels[first] == labels[second]) & (photo[first] == photo[second]) & (labels[first] >= 0)
    a, b = first[pick].astype(np.int64), second[pick].astype(np.int64)
    differ = np.einsum("ij,ij->i", x[a], x[b]) < NEAR_COPY
    a, b = a[differ], b[differ]
    return np.full(len(a), 2, dtype=np.int8), a, b, np.minimum(probabilities[a], probabilities[b]), np.ones(len(a), dtype=np.int64)


def _resolved(a: Ints, b: Ints, sizes: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Share of faces, after each question, whose cluster no later question is about."""
    if not len(a):
        return np.zeros(0)
    last = np.full(len(sizes), -1)
    np.maximum.at(last, a, np.arange(len(a)))
    np.maximum.at(last, b, np.arange(len(a)))
    closed = np.bincount(last[last >= 0], sizes[last >= 0], minlength=len(a))
    return np.asarray((sizes[last < 0].sum() + np.cumsum(closed)) / n)
