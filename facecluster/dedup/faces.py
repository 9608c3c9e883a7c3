"""The third look: do the faces of two photos that seem copies look the same? By the photos themselves, since thumbnails hide a blink.

Both photos are opened at up to 2000 px, and what lies in the boxes of the faces is laid over each other and compared as in the second look.
A caption may lie over a face, so where one was written over one of the photos it is only asked whether it lies on eyes: what seems to be
letters there is a blink.
Odd input: photos without faces, with faces too small to tell, or that can't be opened, have nothing against being copies.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Set

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from facecluster.dedup.compare import worst_block
from facecluster.dedup.hashing import turned, turned_box
from facecluster.dedup.judge import Relation
from facecluster.dedup.library import Photos
from facecluster.dedup.register import lay
from facecluster.errors import PhotoError
from facecluster.photos.images import content_id, open_photo, read_file
from facecluster.store import Store

MAX_SIDE = 2000  # px
LEAST = 32  # px of a face in the smaller of the two
SIDE = 48  # px at which faces are compared
# Worst block of a face: of copies .21 in 98 of 100 (JPEG 50, half the size, cropped, turned), with the eyes shut .34 and up in 3 of 4
LIMIT = 0.27
EYES = (0.15, 0.65)  # of a box from its top: where the eyes are
# Of the blocks with letters. On the benchmark's first half none of 194 photos with captions had more on eyes, both blinks had all
ON_EYES = 0.5
_HALVES = ((0, True), (0, False), (1, True), (1, False))  # across or down, the first half or the second
_AROUND = 0.1  # of a box, added at each side
_KEPT = 12  # opened photos, 4 MB each


Box = tuple[float, float, float, float]  # left, top, right, bottom


class Faces:
    """Compares the faces of photos by number."""

    def __init__(self, store: Store, photos: Photos, which: Set[int]) -> None:
        """Reads the boxes of the photos that will be asked for."""
        self._photos = photos
        number = {photos.ids[p]: p for p in which if photos.faces[p]}
        wanted = pa.array(sorted(number), pa.string())
        found: dict[int, dict[str, list[float]]] = {}
        for shard in store.shards("faces") if number else []:
            table = store.read("faces", shard, ["face_id", "photo_id", "box"])
            for row in table.filter(pc.is_in(table["photo_id"], value_set=wanted)).to_pylist():
                found.setdefault(number[row["photo_id"]], {})[row["face_id"]] = row["box"]
        self._boxes = {photo: list(boxes.values()) for photo, boxes in found.items()}
        self._open: OrderedDict[int, NDArray[np.uint8] | None] = OrderedDict()
        self._said: dict[tuple[int, int], bool] = {}

    def same(self, a: int, b: int, relation: Relation) -> bool:
        """Whether no face differs between a and b, which are related so."""
        key = min(a, b), max(a, b)
        if key not in self._said:
            self._said[key] = not self._on_eyes(a, b, relation) if relation.marks else self._look(a, b, relation)
        return self._said[key]

    def _on_eyes(self, a: int, b: int, relation: Relation) -> bool:
        """Whether what was written over lies on eyes for the most part, in some half of the photo: below there may be a caption besides."""
        boxes = self._both(a, b, relation, (0.0, -EYES[0], 0.0, EYES[1] - 1))
        on = [any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in boxes) for x, y in relation.marks]
        halves = [[is_on for is_on, mark in zip(on, relation.marks, strict=True) if (mark[axis] < 0.5) == low] for axis, low in _HALVES]
        return any(sum(half) > ON_EYES * len(half) for half in halves)

    def _both(self, a: int, b: int, relation: Relation, room: Box) -> list[Box]:
        return [*self._shares(a, relation.turn[0], None, relation, room), *self._shares(b, relation.turn[1], b, relation, room)]

    def _look(self, a: int, b: int, relation: Relation) -> bool:
        boxes = self._both(a, b, relation, (_AROUND,) * 4)
        if not boxes:
            return True
        one, two = self._pixels(a), self._pixels(b)
        if one is None or two is None:
            return True
        one, two = turned(one, relation.turn[0]), turned(two, relation.turn[1])
        left, width, top, height = relation.place
        for box in boxes:  # shares of a
            in_b = (box[0] - left) / width, (box[1] - top) / height, (box[2] - left) / width, (box[3] - top) / height
            first, second = _cut(one, box), _cut(two, in_b)
            if first is None or second is None:
                continue
            laid = lay(first, second, (0, 1, 0, 1), side=min(SIDE, max(first.shape), max(second.shape)))
            if laid is None or worst_block(laid) > LIMIT:
                return False
        return True

    def _shares(self, photo: int, turn: int, second: int | None, relation: Relation, room: Box) -> list[Box]:
        """The boxes of a photo's faces with some room (shares of them), in the common form, as shares of the first photo."""
        wide, high = float(self._photos.width[photo]), float(self._photos.height[photo])
        found = []
        for x, y, w, h in self._boxes.get(photo, []):
            box = (x - room[0] * w) / wide, (y - room[1] * h) / high, (x + w + room[2] * w) / wide, (y + h + room[3] * h) / high
            box = turned_box(box, turn)
            if second is not None:
                left, width, top, height = relation.place
                box = left + width * box[0], top + height * box[1], left + width * box[2], top + height * box[3]
            found.append(box)
        return found

    def _pixels(self, photo: int) -> NDArray[np.uint8] | None:
        """The photo, grey; None if it can't be opened."""
        if photo not in self._open:
            self._open[photo] = self._read(photo)
            if len(self._open) > _KEPT:
                self._open.popitem(last=False)
        self._open.move_to_end(photo)
        return self._open[photo]

    def _read(self, photo: int) -> NDArray[np.uint8] | None:
        for place in self._photos.places[photo]:
            try:
                data = read_file(place.uri)
                if content_id(data) == self._photos.ids[photo]:
                    return np.asarray(Image.fromarray(open_photo(data, max_side=MAX_SIDE).pixels).convert("L"))
            except PhotoError:
                continue
        return None


def _cut(picture: NDArray[np.uint8], box: tuple[float, float, float, float]) -> NDArray[np.uint8] | None:
    """What lies in a box (shares); None if that is too small, or not wholly in the picture."""
    height, width = picture.shape
    if min(box[0], box[1]) < -0.002 or max(box[2], box[3]) > 1.002:
        return None
    rows, columns = (slice(max(0, round(low * n)), round(up * n)) for low, up, n in ((box[1], box[3], height), (box[0], box[2], width)))
    part = picture[rows, columns]
    return part if min(part.shape) >= LEAST else None
