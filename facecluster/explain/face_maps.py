"""Maps of where an embedder looks: from inside of a network with attention, of any other by covering parts of the face.

A map is (side, side), not negative, with sum 1. It is the mean of those of the face and of its mirror image, turned back, as the vector is.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from facecluster.geometry import CROP
from facecluster.models.attention_maps import METHODS, SHIPPED, trace
from facecluster.models.registry import Embedder, load_embedder, load_network

OCCLUSION = "occlusion"
GRID = 7  # patches a side of the occlusion map
_BATCH = 16  # faces: gradients of attention take memory


class FaceMaps:
    """Where a model looks.

    Attributes:
        method: that is used: OCCLUSION if the model has no attention.
    """

    def __init__(self, model: str = "bundled", *, method: str = SHIPPED, device: str = "cpu") -> None:
        """`method`: one of models.attention_maps.METHODS, or OCCLUSION. Raises ModelError if the model can't be loaded."""
        self._network = None if method == OCCLUSION else load_network(model)
        self.method = OCCLUSION if self._network is None else method
        self._embedder = load_embedder(model, device) if self._network is None else None

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Maps of aligned faces (n, 112, 112, 3) RGB: (n, side, side)."""
        parts = [crops[i : i + _BATCH] for i in range(0, len(crops), _BATCH)]
        one = self._attention if self._embedder is None else lambda faces: occlusion_maps(self._embedder, faces)
        return np.concatenate([one(part) for part in parts]) if parts else np.zeros((0, GRID, GRID))

    def _attention(self, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
        assert self._network is not None
        images = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float()
        straight, mirrored = (self._one_way(faces) for faces in (images, images.flip(3)))
        return (straight + mirrored[:, :, ::-1]) / 2

    def _one_way(self, images: torch.Tensor) -> NDArray[np.float64]:
        assert self._network is not None
        found = trace(self._network, images)
        target = torch.nn.functional.normalize(found.vectors.detach())
        return np.asarray(found.maps(METHODS[self.method](found, target)).detach().double().numpy())


def occlusion_maps(embedder: Embedder, crops: NDArray[np.uint8], side: int = GRID) -> NDArray[np.float64]:
    """How far the vector of each face moves when a patch is covered with the face's mean colour, as maps (n, side, side) with sum 1."""
    moved = occlusion_effects(embedder, crops, side).clip(min=0) + 1e-12
    return np.asarray(moved / moved.sum(axis=(1, 2), keepdims=True))


def occlusion_effects(embedder: Embedder, crops: NDArray[np.uint8], side: int = GRID) -> NDArray[np.float64]:
    """1 - cosine of the vectors of each face with and without a patch, for side x side patches: (n, side, side)."""
    edges = np.linspace(0, CROP, side + 1).round().astype(int)
    mean = crops.mean(axis=(1, 2), keepdims=True).round().astype(np.uint8)
    whole = embedder.embed(crops)
    moved = np.zeros((len(crops), side, side))
    for row in range(side):
        for column in range(side):
            covered = crops.copy()
            covered[:, edges[row] : edges[row + 1], edges[column] : edges[column + 1]] = mean
            moved[:, row, column] = 1 - (embedder.embed(covered) * whole).sum(axis=1)
    return moved
