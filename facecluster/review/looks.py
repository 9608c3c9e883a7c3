"""Pictures of where the model looks on a face, made when the page asks for one. The first loads torch and the network.

One is made at a time, since others of the same page wait for the same processor; the last ones are kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from facecluster.photos.images import decode_crop

if TYPE_CHECKING:
    from facecluster.explain import FaceMaps

_KEPT = 512  # pictures: about 90 kB each


class Looks:
    """Pictures by the face_id, of one model."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._lock = threading.Lock()
        self._maps: FaceMaps | None = None
        self._made: OrderedDict[str, bytes] = OrderedDict()

    def picture(self, face: str, crop: bytes) -> bytes:
        """The picture of a face, whose crop is given as stored: a PNG. Raises ModelError if the model can't be loaded."""
        from facecluster.explain import FaceMaps, overlay  # with torch, which takes seconds: most users never ask

        with self._lock:
            if face not in self._made:
                self._maps = self._maps or FaceMaps(self.model)
                pixels = decode_crop(crop)
                self._made[face] = overlay(pixels, self._maps(np.ascontiguousarray(pixels[None]))[0])
            self._made.move_to_end(face)
            if len(self._made) > _KEPT:
                self._made.popitem(last=False)
            return self._made[face]
