"""An ONNX file as an embedder: aligned faces to vectors of length 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facecluster.errors import ModelError
from facecluster.geometry import CROP
from facecluster.models.card import Card
from facecluster.models.onnx_session import OnnxSession

_BATCH = 32  # faces a forward pass


class OnnxEmbedder:
    """A model for the embed stage; see `facecluster.models.registry.Embedder`."""

    def __init__(self, card_path: Path, card: Card, device: str = "cpu", inner: Sequence[str] = ()) -> None:
        """The weights lie beside the card. `inner`: values inside the graph that `look` gives too.

        Raises:
            ModelError: they can't be used, or do not fit the card.
        """
        assert card.input is not None
        self.card, self.side = card, card.input.size
        self.session = OnnxSession(card_path.with_suffix(".onnx"), card.input, device, card.sha256, inner)
        self._inner = len(inner)
        if self.session.size not in (None, (self.side, self.side)):
            expected = f"expected pictures of {self.side} px, as the card {card_path} says"
            raise ModelError(f"{expected}, found weights that take {self.session.size}: correct the card")

    def embed(self, crops: NDArray[np.uint8], *, mirror: bool = True) -> NDArray[np.float32]:
        """As `Embedder.embed` says. A network that wants another size than 112 px gets the same face, resized."""
        _check(crops)
        out = np.zeros((len(crops), self.card.dim), dtype=np.float32)
        for i in range(0, len(crops), _BATCH):
            faces = resized(crops[i : i + _BATCH], self.side)
            total = self._run(faces)[0].astype(np.float64)
            if mirror:
                total = total + self._run(np.ascontiguousarray(faces[:, :, ::-1]))[0]
            length = np.linalg.norm(total, axis=1, keepdims=True)
            out[i : i + _BATCH] = total / np.maximum(length, 1e-12)
        return out

    def look(self, crops: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Of crops (n, 112, 112, 3) RGB 0 to 255, as they are: vectors (n, dim), not normalised, and the inner values (n, ...)."""
        _check(crops)
        return self._run(resized(crops, self.side))

    def _run(self, faces: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Vectors (n, dim), and the inner values if there are any."""
        step = 1 if self.session.one_by_one else _BATCH
        found: list[list[NDArray[np.float32]]] = []
        for i in range(0, len(faces), step):
            values = self.session.run(faces[i : i + step])
            inner = values[len(values) - self._inner :]
            found.append([values[0].reshape(len(faces[i : i + step]), -1), *inner])
        vectors, *rest = (np.concatenate(parts) for parts in zip(*found, strict=True))
        if vectors.shape != (len(faces), self.card.dim) or not np.isfinite(vectors).all():
            state = "" if np.isfinite(vectors).all() else ", some not finite"
            expected = f"expected vectors ({len(faces)}, {self.card.dim}) of the model {self.card.name}"
            raise ModelError(f"{expected}, found {vectors.shape}{state}: correct its card")
        return [vectors, *rest]


def _check(crops: NDArray[np.uint8]) -> None:
    if crops.ndim != 4 or crops.shape[1:] != (CROP, CROP, 3) or crops.dtype != np.uint8:
        raise ValueError(f"expected crops (n, {CROP}, {CROP}, 3) uint8, found {crops.shape} {crops.dtype}")


def resized(faces: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Square pictures (n, h, h, 3) at another size."""
    if side == faces.shape[1]:
        return faces
    planes = torch.from_numpy(np.ascontiguousarray(faces)).permute(0, 3, 1, 2)
    changed = torch.nn.functional.interpolate(planes, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return np.ascontiguousarray(changed.permute(0, 2, 3, 1).numpy())
