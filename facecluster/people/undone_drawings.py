"""Drawn faces that the user took back, in the photos that show the same picture now.

A photo that was edited since has another id. That it took the other's place is known from its faces (`followed`), or from its place, if the
pictures look alike.

Odd inputs: a photo without another face that was moved, cropped or turned is not known again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from facecluster.decisions import Decision
from facecluster.people.drawn_faces import is_seen, taken_back
from facecluster.people.follow import MAX_BITS
from facecluster.photos.followed import PHOTO_CHARS, later_ids, read_followed
from facecluster.photos.places import past_photos
from facecluster.store import Store

Box = tuple[float, ...]
_ASPECT = 0.02  # by which the shapes of two photos may differ, relative, so that a place in one is that in the other


@dataclass(frozen=True, slots=True)
class UndoneDrawings:
    """What was taken back in some photos, by the first PHOTO_CHARS of their ids."""

    boxes: Mapping[str, list[Box]]  # px of the photo
    names: Mapping[str, set[str]]  # casefolded, of the faces that were drawn before the photo was edited

    def has(self, photo_id: str, box: Sequence[float], name: str) -> bool:
        """Whether a region with a name in a photo is one of them."""
        key = photo_id[:PHOTO_CHARS]
        return is_seen(box, self.boxes.get(key, ())) or name.casefold() in self.names.get(key, ())


@dataclass(frozen=True, slots=True)
class _Look:
    """A photo as it was seen at a place."""

    photo: str  # the first PHOTO_CHARS of its id
    width: int
    height: int
    phash: int | None


def undone_drawings(store: Store, decisions: Sequence[Decision]) -> UndoneDrawings:
    """The drawings in a store's photos that `decisions`, of its whole journal, took back alone: not with all else of one import."""
    boxes: dict[str, list[Box]] = defaultdict(list)
    names: dict[str, set[str]] = defaultdict(set)
    gone = taken_back(decisions)
    for face, box in gone.items():
        boxes[face[:PHOTO_CHARS]].append(box)
    if not gone:
        return UndoneDrawings(boxes, names)
    called: dict[str, set[str]] = defaultdict(set)
    for d in decisions:
        if d.act == "name" and d.name:
            for face in gone.keys() & {*d.faces}:
                called[face].add(d.name.casefold())
    past = _Past(store)
    later = _later_photos(store, {face[:PHOTO_CHARS] for face in gone}, past)
    sizes = {look.photo: look for look in past.looks_of(set().union(*later.values()))}
    for face, box in gone.items():
        old = face[:PHOTO_CHARS]
        for new in sorted(later[old] - {old}):
            names[new] |= called[face]
            if old in sizes and new in sizes and (laid := _laid(box, sizes[old], sizes[new])) is not None:
                boxes[new].append(laid)
    return UndoneDrawings(boxes, names)


class _Past:
    """What places have shown, in arrays: few of all looks are asked for."""

    def __init__(self, store: Store) -> None:
        self._table = past_photos(store)
        self._keys = pc.utf8_slice_codeunits(self._table["photo_id"], 0, PHOTO_CHARS)

    def looks_of(self, photos: Collection[str]) -> list[_Look]:
        """The looks at some photos, in order."""
        return [look for _, look in self._rows(pc.is_in(self._keys, value_set=pa.array(sorted(photos), pa.string())))]

    def histories_of(self, photos: Collection[str]) -> list[list[_Look]]:
        """What each place has shown, in order, where one of some photos was."""
        shown = self._table["uri"].filter(pc.is_in(self._keys, value_set=pa.array(sorted(photos), pa.string())))
        found: dict[str, list[_Look]] = defaultdict(list)
        for uri, look in self._rows(pc.is_in(self._table["uri"], value_set=pc.unique(shown))):
            found[uri].append(look)
        return list(found.values())

    def _rows(self, mask: pa.ChunkedArray) -> Iterator[tuple[str, _Look]]:
        part = self._table.filter(mask)
        for uri, photo_id, width, height, phash in zip(*(part[name].to_pylist() for name in part.column_names), strict=True):
            yield uri, _Look(photo_id[:PHOTO_CHARS], width or 0, height or 0, phash)


def _later_photos(store: Store, photos: Collection[str], past: _Past) -> dict[str, set[str]]:
    """For each of some photos those that took its place after an edit, one after the other, and the photo itself."""
    followed = read_followed(store)
    faces_of: dict[str, list[str]] = defaultdict(list)
    for face in followed:
        faces_of[face[:PHOTO_CHARS]].append(face)
    next_: dict[str, set[str]] = {}
    new = set(photos)
    while new:
        next_ |= {photo: {n[:PHOTO_CHARS] for face in faces_of[photo] for n in later_ids(face, followed)} for photo in new}
        for history in past.histories_of(new):
            for at, old in enumerate(history):
                if old.photo in new:
                    next_[old.photo] |= {later.photo for later in history[at + 1 :] if _alike(old, later)}
        new = set().union(*(next_[photo] for photo in new)) - next_.keys()
    found: dict[str, set[str]] = {}
    for photo in photos:
        chain = [photo]
        for one in chain:  # grows
            chain += sorted(next_[one] - {*chain})
        found[photo] = {*chain}
    return found


def _alike(old: _Look, new: _Look) -> bool:
    return old.phash is not None and new.phash is not None and (old.phash ^ new.phash).bit_count() <= MAX_BITS


def _laid(box: Box, old: _Look, new: _Look) -> Box | None:
    """The place in the new photo of a box in the old one; None if their shapes differ."""
    if min(old.width, old.height, new.width, new.height) <= 0:
        return None
    across, down = new.width / old.width, new.height / old.height
    if abs(across / down - 1) > _ASPECT:
        return None
    x, y, w, h = box
    return x * across, y * down, w * across, h * down
