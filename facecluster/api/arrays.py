"""The array-level API for scripts: names that stay."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster import geometry
from facecluster.faces import detect, embed
from facecluster.grouping import identify, link
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
    vectors: NDArray[np.floating], *, margin: float | None = None, merge: float | None = None, k: int = 64, model: str = "bundled",
    photos: NDArray[np.integer] | None = None, before: NDArray[np.integer] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:  # fmt: skip
    """Group vectors (n, dim), rows of length 1, into people.

    Args:
        vectors: (n, dim).
        margin: how far above the best stranger of two faces their cosine must lie for a link to count, in sd of strangers' cosines.
        merge: how far above strangers two large groups must lie to be one, in sd.
        k: neighbours looked at for each face.
        model: whose card says how alike strangers are; what counts in collections too small to tell.
        photos: (n,) number of the photo that each face is in, if known: two faces of one photo are rarely one person.
        before: (n,) labels of an earlier call, -1 for what is new: groups that are there stay whole and apart, what is new joins or founds
            groups. None groups all.

    Returns:
        labels (n,), 0, 1, ... by falling size, -1 = nobody; and probabilities (n,), 0 to 1.
    """
    card = card_of(model)
    changes: dict[str, Any] = {name: value for name, value in (("margin", margin), ("merge", merge)) if value is not None}
    config = identify.IdentifyConfig(impostor_mean=card.impostor_mean, impostor_sd=card.impostor_sd, **changes)
    groups = identify.group(vectors, *link.nearest(vectors, k), config, photos=photos, before=before)
    return groups.labels, groups.probabilities
