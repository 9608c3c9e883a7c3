"""Follows faces from a photo that is no longer there to the photo that took its place: edited, turned, saved again, cropped a little.

A file whose picture is unchanged keeps its photo_id, so its faces need not be followed. Where the picture changed, boxes and vectors of the
faces tell whether two photos show the same (`edited_photos`). The vectors must agree a little where the new photo is at the place of the
old one or has nearly its perceptual hash, more where it has its name, else closely. An old photo is one of the run before that is no longer
at one of its places; a new one was not in that run. Photos are looked for by their looks alone only if no place shows them: so the
neighbour in a burst is not taken for a copy.

Odd inputs: a photo without faces has none to follow; without an earlier run nothing is followed; a photo at the old place that shows
something else is a new photo.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.decisions import read
from facecluster.people.carry_drawn import carry_drawn
from facecluster.people.edited_photos import LEAST_COSINE, Match, Photo, match_photos
from facecluster.people.runs import current_run, read_faces
from facecluster.people.thumbnails import Thumbnails
from facecluster.photos.followed import FOLLOWED_TABLE, PHOTO_CHARS, FacesOf, Followed, present_ids, read_followed
from facecluster.photos.places import current_photos, drop_places, past_photos
from facecluster.store import FACES, FOLLOWED, FaceIds, Store, table_of

MAX_BITS = 12  # of 64 in which the perceptual hashes of one picture may differ; unrelated ones differ in 32, standard deviation 4
BLOCK = 200  # old photos compared with all new ones at a time
MAX_TRIES = 32  # new photos that are laid over one old photo


def follow_faces(store: Store, made: Store, embeddings: str) -> int:
    """Write to the table `followed` of `made` which faces of photos that are gone or changed are which faces now; gives their number.

    Places of photos that are gone and were found elsewhere are dropped.

    Args:
        store: holds the runs and the journal.
        made: `store`, or an overlay of it; holds photos, faces and vectors, and gets the results.
        embeddings: table of the vectors.
    """
    run = current_run(store)
    if run is None:
        return 0
    faces = FaceIds.of(read_faces(store, run).ids)
    before = faces.starts(PHOTO_CHARS)
    said = {face for d in read(store).decisions for face in (*d.faces, *d.others)}
    known = FaceIds(np.union1d(before.keys, FaceIds.among([face[:PHOTO_CHARS] for face in said]).keys))
    now = current_photos(made, ["photo_id", "error"])
    now = now.filter(pc.is_null(now["error"]))
    missed, present = (FaceIds.among(now.filter(some)["photo_id"]).starts(PHOTO_CHARS) for some in (now["gone"], pc.invert(now["gone"])))
    followed = read_followed(made)
    at = {face: present_ids(face, followed, FacesOf(present)) for face in followed if face in faces or face in said}
    old = set(known.without(present)) - {face[:PHOTO_CHARS] for face, found in at.items() if found}
    old -= _superseded(old, followed, before)
    taken = {other[:PHOTO_CHARS] for face, found in at.items() if face in faces for other in found}
    new = set(present.without(before)) - taken  # also one that was known before an edit that was undone
    if not new:
        return 0
    places, moved = _pairs_by_place(made, known, new), old | set(missed[known.has(missed)])
    if not places and not moved:
        return 0
    photos = _read_photos(made, moved | new | {earlier for earlier, _, _ in places}, embeddings)
    found = _Found(photos, Thumbnails(made))
    found.match_all(places)
    for kind, before_it in (("name", moved), ("picture", old), ("faces", old)):
        found.match_all(_pairs_by_faces(photos, before_it, new - {b for _, b in found.matches}, kind))
    rows = found.faces()
    if made.holder("faces") is made:  # a dry run writes no faces
        rows += carry_drawn(made, [(photos[a], photos[b], m) for (a, b), m in found.matches.items()], embeddings)
    if rows:
        shard = f"{max(map(int, made.shards(FOLLOWED_TABLE)), default=-1) + 1:05d}"
        columns = dict(zip(FOLLOWED.names, map(list, zip(*rows, strict=True)), strict=True))
        _drop_old_places(made, {old for old, _ in found.matches})  # first: a run that is killed here finds the faces again
        made.write(FOLLOWED_TABLE, shard, table_of(FOLLOWED, columns), {"table": FOLLOWED_TABLE})
    return len(rows)


def _superseded(old: set[str], followed: Followed, before: Container[str]) -> set[str]:
    """Those of the photos `old` that another one of them took the place of: the last edit is what people saw, and what is edited next.

    Of photos whose edits were undone and made again, the one in `before`, the run before, is the last.
    """
    later: dict[str, set[str]] = defaultdict(set)
    for face in followed:
        if (photo := face[:PHOTO_CHARS]) in old:
            later[photo] |= {other[:PHOTO_CHARS] for other in present_ids(face, followed, FacesOf(old))} - {photo}
    return {p for p, others in later.items() if any(p not in later.get(q, ()) or (q in before and p not in before) for q in others)}


def _read_photos(store: Store, wanted: set[str], embeddings: str) -> dict[str, Photo]:
    """The photos whose ids begin with one of `wanted`, with all their faces that have a vector."""
    photos: dict[str, Photo] = defaultdict(Photo)
    prefixes = pa.array(sorted(wanted), pa.string())
    past = past_photos(store)
    past = past.filter(pc.is_in(pc.utf8_slice_codeunits(past["photo_id"], 0, PHOTO_CHARS), value_set=prefixes))
    for uri, photo_id, width, height, phash in zip(*(past[name].to_pylist() for name in past.column_names), strict=True):
        photo = photos[photo_id[:PHOTO_CHARS]]
        photo.width, photo.height, photo.phash = width or 0, height or 0, phash
        photo.uris.append(uri)
    boxes: dict[str, list[float]] = {}
    vectors: dict[str, NDArray[np.float32]] = {}
    for shard in store.shards("faces"):
        part = store.read("faces", shard, ["face_id", "box"]).cast(pa.schema([FACES.field("face_id"), FACES.field("box")]))
        part = part.filter(pc.is_in(pc.utf8_slice_codeunits(part["face_id"], 0, PHOTO_CHARS), value_set=prefixes))
        boxes.update(zip(part["face_id"].to_pylist(), part["box"].to_pylist(), strict=True))
    for shard in store.shards(embeddings):
        part = store.read(embeddings, shard, ["face_id", "embedding"])
        part = part.filter(pc.is_in(pc.utf8_slice_codeunits(part["face_id"], 0, PHOTO_CHARS), value_set=prefixes))
        dim = part.schema.field("embedding").type.list_size
        flat = np.asarray(pc.list_flatten(part["embedding"]), np.float32).reshape(part.num_rows, dim)
        vectors.update(zip(part["face_id"].to_pylist(), flat, strict=True))
    for face in sorted(boxes.keys() & vectors.keys()):
        photos[face[:PHOTO_CHARS]].ids.append(face)
    for photo in photos.values():
        if photo.ids:
            photo.boxes = np.array([boxes[face] for face in photo.ids], np.float64)
            photo.vectors = np.stack([vectors[face] for face in photo.ids])
    return photos


def _pairs_by_place(store: Store, old: Container[str], new: set[str]) -> list[tuple[str, str, str]]:
    """Pairs of an old photo and the new one that is where it was; a copy of the old one may be there still."""
    history: dict[str, list[str]] = defaultdict(list)
    past = past_photos(store)
    shown = pc.is_in(pc.utf8_slice_codeunits(past["photo_id"], 0, PHOTO_CHARS), value_set=pa.array(sorted(new), pa.string()))
    past = past.filter(pc.is_in(past["uri"], value_set=pc.unique(past["uri"].filter(shown))))
    for uri, photo_id in zip(past["uri"].to_pylist(), past["photo_id"].to_pylist(), strict=True):
        history[uri].append(photo_id[:PHOTO_CHARS])
    pairs = ((photo, last, "place") for *earlier, last in history.values() if last in new for photo in reversed(earlier))
    return [pair for pair in dict.fromkeys(pairs) if pair[0] in old and pair[0] != pair[1]]  # equal: an edit was undone


def _stem(uri: str) -> str:
    return os.path.splitext(uri.rsplit("/", 1)[-1])[0].casefold()


def turned_hashes(phash: int) -> list[int]:
    """The perceptual hash of a picture in the eight ways to turn it, nearly: mirrored, the DCT's odd coefficients change their signs."""
    bits = np.array([phash >> (63 - i) & 1 for i in range(64)], dtype=np.uint8).reshape(8, 8)
    odd = (np.arange(8) % 2 == 0).astype(np.uint8)  # the first coefficient that is kept is number 1
    mirrored = [way ^ (odd * across) for way in (bits, bits.T) for across in (0, 1)]
    ways = [way ^ (odd[:, None] * down) for way in mirrored for down in (0, 1)]
    return [int("".join(map(str, way.ravel())), 2) for way in ways]


def _pairs_by_faces(photos: Mapping[str, Photo], old: set[str], new: set[str], kind: str) -> Iterator[tuple[str, str, str]]:
    """Pairs of an old and a new photo of which two faces have a cosine of LEAST_COSINE[kind], and that are alike in the way of `kind`.

    "name": files of both have one name, whatever their folder and extension; "picture": the perceptual hashes are nearly equal, turned in
    any of eight ways; "faces": nothing else. Of one old photo at most MAX_TRIES, of the closest faces.
    """
    usable = {p for p in old | new if photos[p].ids and (kind != "picture" or photos[p].phash is not None)}
    mine, theirs = sorted(old & usable), sorted(new & usable)
    if not mine or not theirs:
        return
    looks = _turned([photos[p] for p in theirs]) if kind == "picture" else None
    names = [{_stem(uri) for uri in photos[p].uris} for p in theirs] if kind == "name" else []
    columns = np.concatenate([photos[p].vectors for p in theirs]).T
    firsts = _firsts(photos, theirs)
    for start in range(0, len(mine), BLOCK):
        part = mine[start : start + BLOCK]
        cosines = np.maximum.reduceat(np.concatenate([photos[p].vectors for p in part]) @ columns, firsts, axis=1)
        cosines = np.maximum.reduceat(cosines, _firsts(photos, part), axis=0)
        for i, photo in enumerate(part):
            near = np.flatnonzero(cosines[i] >= LEAST_COSINE[kind])
            if looks is not None:
                near = near[(np.bitwise_count(looks[near] ^ np.uint64(photos[photo].phash or 0)) <= MAX_BITS).any(axis=1)]
            elif names and len(near):
                own = {_stem(uri) for uri in photos[photo].uris}
                near = np.array([j for j in near.tolist() if not own.isdisjoint(names[j])], np.int64)
            for j in near[np.argsort(-cosines[i, near], kind="stable")[:MAX_TRIES]].tolist():
                yield photo, theirs[j], kind


def _firsts(photos: Mapping[str, Photo], keys: list[str]) -> NDArray[np.int64]:
    """The row of each photo's first face where the faces of these photos are rows one below the other."""
    return np.cumsum([0, *(len(photos[p].ids) for p in keys[:-1])])


def _turned(photos: list[Photo]) -> NDArray[np.uint64]:
    """The perceptual hashes (n, 8) of photos in the eight ways to turn them."""
    return np.array([turned_hashes(photo.phash or 0) for photo in photos], np.uint64).reshape(-1, 8)


class _Found:
    """Pairs of an old and a new photo that show the same. A new photo is in one; an old one in several only if copies of it were edited."""

    def __init__(self, photos: Mapping[str, Photo], thumbnails: Thumbnails) -> None:
        self.matches: dict[tuple[str, str], Match] = {}
        self._photos, self._thumbnails = photos, thumbnails

    def match_all(self, pairs: Iterable[tuple[str, str, str]]) -> None:
        """Add those of these pairs that show the same, the best first; of the photos that were at one place the last before the new one."""
        old, new = {o for o, _ in self.matches}, {n for _, n in self.matches}
        scored: list[tuple[float, str, str, str, Match]] = []
        for rank, (a, b, kind) in enumerate(dict.fromkeys(pairs)):
            one, two, pixels = self._photos[a], self._photos[b], partial(self._thumbnails.likeness, a, b)
            if b not in new and (a not in old or kind in ("place", "name")) and (match := match_photos(one, two, kind, pixels)) is not None:
                scored.append((rank if kind == "place" else -match.score, a, b, kind, match))
        for _, a, b, kind, match in sorted(scored, key=lambda s: s[:3]):
            if b not in new and (a not in old or kind in ("place", "name")):
                self.matches[a, b] = match
                old.add(a)
                new.add(b)

    def faces(self) -> list[tuple[str, str]]:
        """The face_ids of each old face and the new one."""
        pairs = [(self._photos[a], self._photos[b], m) for (a, b), m in sorted(self.matches.items(), key=lambda item: item[0])]
        return [(a.ids[i], b.ids[j]) for a, b, m in pairs for i, j in m.pairs]


def _drop_old_places(store: Store, photos: Iterable[str]) -> None:
    """The places of photos that were found elsewhere no longer count."""
    wanted = set(photos)
    now = current_photos(store, ["uri", "photo_id"])
    gone = now.filter(now["gone"])
    rows = zip(gone["uri"].to_pylist(), gone["photo_id"].to_pylist(), strict=True)
    drop_places(store, [uri for uri, photo in rows if photo[:PHOTO_CHARS] in wanted])
