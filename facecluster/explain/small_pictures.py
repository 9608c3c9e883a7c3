"""Small pictures of where a model looks, for pages that hold many of them."""

from __future__ import annotations

from collections.abc import Sequence

from facecluster.errors import StoreError
from facecluster.explain.face_maps import FaceMaps
from facecluster.explain.overlay import overlay
from facecluster.photos.images import decode_crop

_SCALE = 2  # px of the picture for a px of the crop


class SmallPictures:
    """Of one model, which is loaded when the first face is asked for."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._maps: FaceMaps | None = None

    def __call__(self, crops: Sequence[bytes]) -> list[bytes]:
        """WebP pictures (224x224) of crops as stored; b"" for a crop that can't be opened. Raises ModelError: the model can't be loaded."""
        return [self._picture(crop) for crop in crops]

    def _picture(self, crop: bytes) -> bytes:
        """One face at a time: its picture does not depend on the others."""
        try:
            pixels = decode_crop(crop)
        except StoreError:
            return b""
        self._maps = self._maps or FaceMaps(self.model)
        return overlay(pixels, self._maps(pixels[None])[0], scale=_SCALE, kind="WEBP")
