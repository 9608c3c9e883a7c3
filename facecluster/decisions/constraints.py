"""Resolved decisions -> must-links and cannot-links between the faces of a store. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from facecluster.decisions.linked_faces import LinkedFaces
from facecluster.decisions.replay import CORE_FACES, ResolvedDecisions
from facecluster.grouping.face_vectors import FaceVectors

SIMILAR_NAMES = 50  # a name gets cannot-links to this many other names, the most similar ones; less similar people are not joined anyway


def constraint_pairs(
    resolved: ResolvedDecisions, rows: Mapping[str, int], vectors: NDArray[np.floating] | FaceVectors, told: Collection[str] = ()
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Must-links (m, 2) and cannot-links (c, 2) as row numbers, for the faces in `rows` (face_id -> row of `vectors`, (n, dim)).

    The faces of a set are linked in a chain. A face with a name is linked with itself if it is alone in its set, or among `told`: the user
    has said whose it is. Two separate sets get one cannot-link, because must-links carry it to all other faces. The CORE_FACES faces of an
    ignored person stay together where nothing else that was said forbids it.
    """
    links = _with_ignored(resolved)
    sets: dict[str, list[int]] = {}
    for face in sorted(links.parent):
        if face in rows:
            sets.setdefault(links.root(face), []).append(rows[face])
    must = [pair for members in sets.values() for pair in zip(sorted(members)[:-1], sorted(members)[1:], strict=True)]
    cannot = {tuple(sorted((sets[a][0], sets[b][0]))) for a in sets for b in links.cannot_link.get(a, ()) if b in sets}
    named = sorted((root for root in sets if root in links.name), key=lambda root: sets[root][0])
    alone = {sets[root][0] for root in named if len(sets[root]) == 1 and links.name[root]}
    said = {rows[face] for face in told if face in rows and links.is_named(face)}
    must += [(row, row) for row in sorted(alone | said)]
    cannot |= _name_cannot_links([sets[root] for root in named], [links.name[root] for root in named], vectors)
    shaped = (np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2) for pairs in (must, cannot))
    return next(shaped), next(shaped)


def _with_ignored(resolved: ResolvedDecisions) -> LinkedFaces:
    """The links of decisions, and those of ignored people: only a grouping needs these, and they end with the ignoring."""
    if not resolved.ignored:
        return resolved.links
    links = resolved.links.copy()
    for faces in resolved.hidden:
        links.link_all(faces[:CORE_FACES])
    return links


def _name_cannot_links(
    sets: Sequence[Sequence[int]], names: Sequence[str], vectors: NDArray[np.floating] | FaceVectors
) -> set[tuple[int, ...]]:
    """A pair of rows for each set and each of the SIMILAR_NAMES sets of other names whose mean vectors are most similar."""
    if len(sets) < 2:
        return set()
    means = np.stack([np.asarray(vectors[list(members)], dtype=np.float32).mean(axis=0) for members in sets])
    name_number = np.unique(names, return_inverse=True)[1]
    found: set[tuple[int, ...]] = set()
    for i, mean in enumerate(means):
        similarity = np.where(name_number == name_number[i], -np.inf, (means @ mean).round(6))
        for j in np.argsort(-similarity, kind="stable")[: min(SIMILAR_NAMES, int((name_number != name_number[i]).sum()))]:
            found.add(tuple(sorted((sets[i][0], sets[int(j)][0]))))
    return found
