"""Whether the faces of two photos that seem copies look the same, by the photos themselves: thumbnails are too small to show a blink.

Both photos are opened at up to 2000 px; the boxes of their faces are registered and compared block by block, as in `compare`. A caption may
lie over a face. So if one of the photos has a caption over it, the only question is whether it lies on eyes: then it is no caption but a
blink.

Odd input: photos without faces, with faces too small to compare, or that can't be opened, pass the check.
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
from facecluster.dedup.copy_check import Relation
from facecluster.dedup.store_photos import Photos, open_file
from facecluster.errors import PhotoError
from facecluster.photos.perceptual_hash import apply_turn, apply_turn_to_box
from facecluster.photos.registration import register_pictures
from facecluster.store import Store

MAX_SIDE = 2000  # px
MIN_FACE = 32  # px of a face in the smaller of the two photos
SIDE = 48  # px at which faces are compared
# Limit of the worst block of a face: copies .21 in 98 of 100 (JPEG 50, half the size, cropped, turned), shut eyes .34 and up in 3 of 4
LIMIT = 0.27
EYES = (0.15, 0.65)  # of a box from its top: where the eyes are
# Share of the blocks with letters. On the benchmark's first half none of 194 photos with captions had more on eyes, both blinks had all
MAX_ON_EYES = 0.5
_HALVES = ((0, True), (0, False), (1, True), (1, False))  # (across or down, the first half or the second)
_MARGIN = 0.1  # of a box, added at each side
_CACHED = 12  # opened photos, 4 MB each


Box = tuple[float, float, float, float]  # left, top, right, bottom


class FaceCheck:
    """Compares the faces of photos by number."""

    def __init__(self, store: Store, photos: Photos, which: Set[int]) -> None:
        """Reads the boxes of the photos that `same` will be asked about."""
        self._photos = photos
        wanted = pa.array(sorted({photos.pictures[p] for p in which if photos.faces[p]}), pa.string())
        found: dict[str, dict[str, list[float]]] = {}
        for shard in store.shards("faces") if len(wanted) else []:
            table = store.read("faces", shard, ["face_id", "photo_id", "box"])
            for row in table.filter(pc.is_in(table["photo_id"], value_set=wanted)).to_pylist():
                found.setdefault(row["photo_id"], {})[row["face_id"]] = row["box"]
        self._boxes = {p: list(found[photos.pictures[p]].values()) for p in which if photos.pictures[p] in found}
        self._opened: OrderedDict[int, NDArray[np.uint8] | None] = OrderedDict()
        self._results: dict[tuple[int, int], bool] = {}

    def same(self, a: int, b: int, relation: Relation) -> bool:
        """Whether no face differs between a and b; `relation` is that of b to a."""
        key = min(a, b), max(a, b)
        if key not in self._results:
            self._results[key] = not self._on_eyes(a, b, relation) if relation.caption_blocks else self._faces_match(a, b, relation)
        return self._results[key]

    def _on_eyes(self, a: int, b: int, relation: Relation) -> bool:
        """Whether most blocks of the caption lie on eyes, in some half of the photo: the other half may hold a real caption besides."""
        boxes = self._boxes_in_a(a, b, relation, (0.0, -EYES[0], 0.0, EYES[1] - 1))
        blocks = relation.caption_blocks
        on = [any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in boxes) for x, y in blocks]
        halves = [[is_on for is_on, block in zip(on, blocks, strict=True) if (block[axis] < 0.5) == low] for axis, low in _HALVES]
        return any(sum(half) > MAX_ON_EYES * len(half) for half in halves)

    def _boxes_in_a(self, a: int, b: int, relation: Relation, margin: Box) -> list[Box]:
        one = self._scaled_boxes(a, relation.turn[0], margin)
        left, width, top, height = relation.placement
        two = self._scaled_boxes(b, relation.turn[1], margin)
        return one + [(left + width * x0, top + height * y0, left + width * x1, top + height * y1) for x0, y0, x1, y1 in two]

    def _faces_match(self, a: int, b: int, relation: Relation) -> bool:
        boxes = self._boxes_in_a(a, b, relation, (_MARGIN,) * 4)
        if not boxes:
            return True
        one, two = self._pixels(a), self._pixels(b)
        if one is None or two is None:
            return True
        one, two = apply_turn(one, relation.turn[0]), apply_turn(two, relation.turn[1])
        left, width, top, height = relation.placement
        for box in boxes:  # shares of a
            in_b = (box[0] - left) / width, (box[1] - top) / height, (box[2] - left) / width, (box[3] - top) / height
            first, second = _cut(one, box), _cut(two, in_b)
            if first is None or second is None:
                continue
            found = register_pictures(first, second, (0, 1, 0, 1), side=min(SIDE, max(first.shape), max(second.shape)))
            if found is None or worst_block(found) > LIMIT:
                return False
        return True

    def _scaled_boxes(self, photo: int, turn: int, margin: Box) -> list[Box]:
        """The boxes of a photo's faces with a margin (shares of them), after the turn, as shares of the photo's sides."""
        wide, high = float(self._photos.width[photo]), float(self._photos.height[photo])
        found = []
        for x, y, w, h in self._boxes.get(photo, []):
            box = (x - margin[0] * w) / wide, (y - margin[1] * h) / high, (x + w + margin[2] * w) / wide, (y + h + margin[3] * h) / high
            found.append(apply_turn_to_box(box, turn))
        return found

    def _pixels(self, photo: int) -> NDArray[np.uint8] | None:
        """The photo, grey; None if it can't be opened."""
        if photo not in self._opened:
            self._opened[photo] = self._open(photo)
            if len(self._opened) > _CACHED:
                self._opened.popitem(last=False)
        self._opened.move_to_end(photo)
        return self._opened[photo]

    def _open(self, photo: int) -> NDArray[np.uint8] | None:
        try:
            return np.asarray(Image.fromarray(open_file(self._photos, photo, MAX_SIDE).pixels).convert("L"))
        except PhotoError:
            return None


def _cut(picture: NDArray[np.uint8], box: tuple[float, float, float, float]) -> NDArray[np.uint8] | None:
    """The part of a picture in a box (shares); None if it is too small, or not wholly in the picture."""
    height, width = picture.shape
    if min(box[0], box[1]) < -0.002 or max(box[2], box[3]) > 1.002:
        return None
    rows, columns = (slice(max(0, round(low * n)), round(up * n)) for low, up, n in ((box[1], box[3], height), (box[0], box[2], width)))
    part = picture[rows, columns]
    return part if min(part.shape) >= MIN_FACE else None
