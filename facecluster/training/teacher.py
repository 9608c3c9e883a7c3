"""Who teaches: any embedder, and values inside its graph if it is in an ONNX file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from facecluster.errors import ModelError
from facecluster.models.card import card_of
from facecluster.models.folder import card_path
from facecluster.models.onnx_embedder import OnnxEmbedder
from facecluster.models.registry import Embedder, best_device, load_embedder
from facecluster.training.faces import Crops


class Teacher:
    """A model to learn from.

    Attributes:
        embedder: the model.
    """

    def __init__(self, model: str, inner: Sequence[str] = (), device: str = "cpu") -> None:
        """`inner`: names of values in its graph. Raises ModelError: it can't be loaded, or has no such values."""
        self._onnx: OnnxEmbedder | None = None
        if inner:
            card = card_of(model)
            if card.input is None:
                raise ModelError(f"expected a teacher in an ONNX file for its inner maps, found {model}: choose another, or no maps")
            self._onnx = OnnxEmbedder(card_path(model), card, best_device(device), inner)
        self.embedder: Embedder = self._onnx or load_embedder(model, device)

    def look(self, crops: Crops) -> list[Tensor]:
        """Of crops (n, 112, 112, 3): vectors (n, dim), of any length, and the inner values (n, ...)."""
        found = self._onnx.look(crops) if self._onnx is not None else [self.embedder.embed(crops, mirror=False)]
        return [torch.from_numpy(np.ascontiguousarray(value)) for value in found]
