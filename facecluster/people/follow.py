"""Follows faces from a photo that is no longer there to the photo that took its place: edited, turned, saved again, cropped a little.

A file whose picture is unchanged keeps its photo_id, so its faces need not be followed. Where the picture changed, the faces of the old and
the new photo are laid over each other: the old boxes are turned in eight ways, and scaled and shifted so that a face of the old photo
lies on one of the new. Two photos show the same if most boxes then overlap and their vectors agree: at the same place a little, at a
place of the same name more, elsewhere closely. An old photo is one of the run before that is no longer at one of its places; a new one
was not in that run. Photos are looked for by their looks alone only if no place shows them: so the neighbour in a burst is not taken for
a copy.

Odd inputs: a photo without faces has none to follow; without an earlier run nothing is followed; a photo at the old place that shows
something else is a new photo.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.decisions import read
from facecluster.geometry import iou, turn_boxes
from facecluster.people.face_ids import FOLLOWED_TABLE, PHOTO_CHARS, FacesOf, present_ids, read_followed
from facecluster.people.runs import current_run, read_faces
from facecluster.photos.places import current_photos, drop_places, past_photos
from facecluster.store import FACES, FOLLOWED, Store, table_of

OVERLAP = 0.4  # intersection over union from which an old and a new box are one face
LEAST_COSINE = {"place": 0.6, "name": 0.85, "look": 0.95}  # of the most similar pair of faces, by what speaks for two photos
MIN_SHARE = {"place": 0.5, "name": 0.5, "look": 0.8}  # of the faces that both photos may show, those that overlap
CROP = 0.6  # share of the old photo's area that the new one must still show
BORDER = 0.05  # share of the new photo's area that may lie outside the old one
BLOCK = 2_000  # old faces compared with all new ones at a time


@dataclass(slots=True)
class _Photo:
    """A photo and its faces: struct of arrays."""

    width: int = 0  # px
    height: int = 0
    uris: list[str] = field(default_factory=list)  # where it is, or was
    ids: list[str] = field(default_factory=list)  # of its faces
    boxes: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))  # px
    vectors: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 1), np.float32))


@dataclass(frozen=True, slots=True)
class _Match:
    """The faces of two photos that lie on each other."""

    pairs: list[tuple[int, int]]  # faces of the old and of the new photo
    score: float  # sum of their cosines


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
    before = read_faces(store, run).ids
    said = [face for d in read(store).decisions for face in (*d.faces, *d.others)]
    now = current_photos(made, ["uri", "photo_id", "error"])
    now = now.filter(pc.is_null(now["error"]))
    missed = {photo[:PHOTO_CHARS] for photo in now.filter(now["gone"])["photo_id"].to_pylist()}
    present = {photo[:PHOTO_CHARS] for photo in now.filter(pc.invert(now["gone"]))["photo_id"].to_pylist()}
    followed = read_followed(made)
    at = {face: present_ids(face, followed, FacesOf(present)) for face in (*before, *said)}
    known = {face[:PHOTO_CHARS] for face in at}
    old = known - {face[:PHOTO_CHARS] for face, found in at.items() if found}
    taken = {other[:PHOTO_CHARS] for found in at.values() for other in found}
    new = present - {face[:PHOTO_CHARS] for face in before} - taken
    if not new:
        return 0
    places, moved = _pairs_by_place(made, known, new), old | (missed & known)
    if not places and not moved:
        return 0
    photos = _read_photos(made, moved | new | {earlier for earlier, _, _ in places}, embeddings)
    found = _Found(photos)
    for pairs in (places, _pairs_by_name(photos, moved, new), _pairs_by_look(photos, old, new)):
        found.match_all(pairs)
    rows = found.faces()
    if rows:
        shard = f"{max(map(int, made.shards(FOLLOWED_TABLE)), default=-1) + 1:05d}"
        columns = dict(zip(FOLLOWED.names, map(list, zip(*rows, strict=True)), strict=True))
        made.write(FOLLOWED_TABLE, shard, table_of(FOLLOWED, columns), {"table": FOLLOWED_TABLE})
        _drop_old_places(made, {old for old, _ in found.matches})
    return len(rows)


def _read_photos(store: Store, wanted: set[str], embeddings: str) -> dict[str, _Photo]:
    """The photos whose ids begin with one of `wanted`, with all their faces that have a vector."""
    photos: dict[str, _Photo] = defaultdict(_Photo)
    past = past_photos(store)
    for uri, photo_id, width, height in zip(*(past[name].to_pylist() for name in past.column_names), strict=True):
        if (key := photo_id[:PHOTO_CHARS]) in wanted:
            photo = photos[key]
            photo.width, photo.height = width or 0, height or 0
            photo.uris.append(uri)
    prefixes = pa.array(sorted(wanted), pa.string())
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


def _pairs_by_place(store: Store, old: set[str], new: set[str]) -> list[tuple[str, str, str]]:
    """Pairs of an old photo and the new one that is where it was; a copy of the old one may be there still."""
    history: dict[str, list[str]] = defaultdict(list)
    past = past_photos(store)
    for uri, photo_id in zip(past["uri"].to_pylist(), past["photo_id"].to_pylist(), strict=True):
        history[uri].append(photo_id[:PHOTO_CHARS])
    pairs = ((photo, last, "place") for *earlier, last in history.values() if last in new for photo in reversed(earlier))
    return [pair for pair in dict.fromkeys(pairs) if pair[0] in old]


def _pairs_by_name(photos: Mapping[str, _Photo], old: set[str], new: set[str]) -> Iterator[tuple[str, str, str]]:
    """Pairs of an old and a new photo whose files have one name, whatever their folder and extension."""
    named: dict[str, list[str]] = defaultdict(list)
    for photo in sorted(new):
        for stem in sorted({_stem(uri) for uri in photos[photo].uris}):
            named[stem].append(photo)
    for photo in sorted(old):
        for stem in sorted({_stem(uri) for uri in photos[photo].uris}):
            yield from ((photo, other, "name") for other in named[stem])


def _stem(uri: str) -> str:
    return os.path.splitext(uri.rsplit("/", 1)[-1])[0].casefold()


def _pairs_by_look(photos: Mapping[str, _Photo], old: set[str], new: set[str]) -> Iterator[tuple[str, str, str]]:
    """Pairs of an old and a new photo that have faces of nearly equal vectors."""
    owners = [photo for photo in sorted(new) for _ in photos[photo].ids]
    theirs = [photos[photo].vectors for photo in sorted(new) if photos[photo].ids]
    mine = [(photo, vector) for photo in sorted(old) for vector in photos[photo].vectors]
    if not theirs or not mine:
        return
    columns = np.concatenate(theirs).T
    for start in range(0, len(mine), BLOCK):
        part = mine[start : start + BLOCK]
        cosines = np.stack([vector for _, vector in part]) @ columns
        for i, j in zip(*np.nonzero(cosines >= LEAST_COSINE["look"]), strict=True):
            yield part[int(i)][0], owners[int(j)], "look"


class _Found:
    """Pairs of an old and a new photo that show the same. A new photo is in one; an old one in several only if copies of it were edited."""

    def __init__(self, photos: Mapping[str, _Photo]) -> None:
        self.matches: dict[tuple[str, str], _Match] = {}
        self._photos = photos

    def match_all(self, pairs: Iterable[tuple[str, str, str]]) -> None:
        """Add those of these pairs that show the same, the best first."""
        old, new = {o for o, _ in self.matches}, {n for _, n in self.matches}
        scored: list[tuple[float, str, str, str, _Match]] = []
        for a, b, kind in dict.fromkeys(pairs):
            one, two = self._photos[a], self._photos[b]
            if b not in new and (a not in old or kind != "look") and (match := match_photos(one, two, kind)) is not None:
                scored.append((-match.score, a, b, kind, match))
        for _, a, b, kind, match in sorted(scored, key=lambda s: s[:3]):
            if b not in new and (a not in old or kind != "look"):
                self.matches[a, b] = match
                old.add(a)
                new.add(b)

    def faces(self) -> list[tuple[str, str]]:
        """The face_ids of each old face and the new one."""
        pairs = [(self._photos[a], self._photos[b], m) for (a, b), m in sorted(self.matches.items(), key=lambda item: item[0])]
        return [(a.ids[i], b.ids[j]) for a, b, m in pairs for i, j in m.pairs]


def match_photos(old: _Photo, new: _Photo, kind: str) -> _Match | None:
    """The faces that two photos share if they show the same; `kind`: what speaks for it, a key of LEAST_COSINE."""
    if not old.ids or not new.ids or not (old.width and old.height and new.width and new.height):
        return None
    cosines = np.asarray(old.vectors @ new.vectors.T, np.float64)
    if cosines.max() < LEAST_COSINE[kind]:
        return None
    anchors = [divmod(int(k), len(new.ids)) for k in np.argsort(-cosines, axis=None)[:8]]
    best: _Match | None = None
    for turn in range(1, 9):
        boxes = turn_boxes(old.boxes, turn, old.width, old.height)
        width, height = (old.height, old.width) if turn >= 5 else (old.width, old.height)
        for laid in _laid_over(boxes, width, height, new, anchors):
            match = _overlap(laid, new, cosines, kind)
            if match is not None and (best is None or match.score > best.score):
                best = match
    return best


def _laid_over(
    boxes: NDArray[np.float64], width: int, height: int, new: _Photo, anchors: Sequence[tuple[int, int]]
) -> Iterator[NDArray[np.float64]]:
    """Old boxes (n, 4) in px of the new photo, for each way to lay the old picture over it that leaves most of it in view."""
    ways = [(new.width / width, np.zeros(2))] if abs(math.log(width * new.height / (height * new.width))) < 0.03 else []
    for i, j in anchors:
        scale = float(np.sqrt(np.prod(new.boxes[j, 2:]) / max(float(np.prod(boxes[i, 2:])), 1e-9)))
        old_centre, new_centre = boxes[i, :2] + boxes[i, 2:] / 2, new.boxes[j, :2] + new.boxes[j, 2:] / 2
        ways.append((scale, new_centre - scale * old_centre))
    for scale, shift in ways:
        size, frame = scale * np.array([width, height]), np.array([new.width, new.height])
        seen = np.prod(np.clip(np.minimum(shift + size, frame) - np.maximum(shift, 0), 0, None))
        if seen >= CROP * np.prod(size) and seen >= (1 - BORDER) * np.prod(frame):
            yield np.c_[boxes[:, :2] * scale + shift, boxes[:, 2:] * scale]


def _overlap(laid: NDArray[np.float64], new: _Photo, cosines: NDArray[np.float64], kind: str) -> _Match | None:
    """The faces that overlap, greedily; None if they are too few or their vectors differ too much."""
    overlap = iou(laid, new.boxes)
    centres = laid[:, :2] + laid[:, 2:] / 2
    inside = int(((centres >= 0) & (centres < (new.width, new.height))).all(axis=1).sum())
    pairs: list[tuple[int, int]] = []
    while overlap.size and overlap.max() >= OVERLAP:
        i, j = divmod(int(overlap.argmax()), overlap.shape[1])
        pairs.append((i, j))
        overlap[i], overlap[:, j] = -1, -1
    likeness = [float(cosines[i, j]) for i, j in pairs]
    enough = pairs and len(pairs) >= MIN_SHARE[kind] * min(inside, len(new.ids)) and max(likeness) >= LEAST_COSINE[kind]
    return _Match(pairs, sum(likeness)) if enough else None


def _drop_old_places(store: Store, photos: Iterable[str]) -> None:
    """The places of photos that were found elsewhere no longer count."""
    wanted = set(photos)
    now = current_photos(store, ["uri", "photo_id"])
    gone = now.filter(now["gone"])
    rows = zip(gone["uri"].to_pylist(), gone["photo_id"].to_pylist(), strict=True)
    drop_places(store, [uri for uri, photo in rows if photo[:PHOTO_CHARS] in wanted])
