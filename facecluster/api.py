"""The array-level API for scripts: names that stay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facecluster import detect, embed, geometry, identify, link
from facecluster.models.registry import card_of


def detect_faces(
    image: NDArray[np.uint8], *, threshold: float | None = None, device: str = "auto"
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Find the faces of an image (h, w, 3) RGB 0..255.

    Returns:
        boxes (n, 4) as x, y, w, h and landmarks (n, 5, 2) as x, y in px of the image; scores (n,), 0 to 1, falling.
    """
    faces = detect.detect_faces(image, detect.DetectConfig(threshold=threshold), device=device)
    return faces.boxes, faces.landmarks, faces.scores


def align_faces(image: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Cut faces with landmarks (n, 5, 2) out of an image (h, w, 3), upright and scaled: (n, 112, 112, 3)."""
    return geometry.align(image, landmarks)


def embed_faces(crops: NDArray[np.uint8], model: str = "bundled", *, device: str = "auto") -> NDArray[np.float32]:
    """Embed aligned faces: (n, 112, 112, 3) RGB 0..255 -> (n, dim), rows of length 1. Raises ModelError for an unknown model."""
    return embed.embed_faces(crops, embed.EmbedConfig(model=model), device=device)


def group_faces(
    vectors: NDArray[np.floating], *, cut: float | None = None, merge: float | None = None, k: int = 64, model: str = "bundled"
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Group vectors (n, dim), rows of length 1, into people; where to cut comes from the model's card unless given (cosines).

    Returns:
        labels (n,), 0, 1, ... by falling size, -1 = nobody; and probabilities (n,), 0 to 1.
    """
    card = card_of(model)
    config = identify.IdentifyConfig(cut=card.cut if cut is None else cut, merge=card.merge if merge is None else merge)
    neighbours, similarity = link.nearest(vectors, k)
    groups = identify.group(vectors, neighbours, similarity, config)
    return groups.labels, groups.probabilities
