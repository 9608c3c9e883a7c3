"""Small pictures of where a model looks, for pages that hold many of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facecluster.errors import StoreError
from facecluster.explain.face_maps import FaceMaps
from facecluster.explain.overlay import overlay
from facecluster.photos.images import decode_crop

_SCALE = 2  # px of the picture for a px of the crop


class SmallPictures:
    """Of one model; it is loaded when the first face is asked for."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._maps: FaceMaps | None = None

    def __call__(self, crops: Sequence[bytes]) -> list[bytes]:
        """WebP pictures (224x224) of crops as stored; b"" for a crop that can't be opened. Raises ModelError: the model can't be loaded."""
        self._maps = self._maps or FaceMaps(self.model)
        found = [b""] * len(crops)
        opened = {}
        for i, crop in enumerate(crops):
            try:
                opened[i] = decode_crop(crop)
            except StoreError:
                continue
        if opened:
            maps = self._maps(np.stack(list(opened.values())))
            for (i, pixels), one in zip(opened.items(), maps, strict=True):
                found[i] = overlay(pixels, one, scale=_SCALE, kind="WEBP")
        return found
