"""The single steps, photo to people: images and arrays in, arrays out. Names and results that stay.

Odd inputs: an image without faces gives arrays of length 0, and these pass through all steps. What can't be used raises ArgumentError.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facecluster import geometry
from facecluster.api.arguments import as_number
from facecluster.api.groups import group
from facecluster.api.images import CropsLike, ImageLike, as_crops, as_landmarks, as_pixels
from facecluster.faces import detect, embed


def detect_faces(
    image: ImageLike, *, threshold: float | None = None, device: str = "auto"
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Find the faces of a photo.

    Args:
        image: a path, a PIL image, or an array (h, w, 3) RGB 0..255.
        threshold: score from which a face counts, 0 to 1; None for the model card's.
        device: "auto", "cpu", "cuda", ...

    Returns:
        boxes (n, 4) as x, y, w, h and landmarks (n, 5, 2) as x, y in px of the upright photo; scores (n,), 0 to 1, falling.
    """
    config = detect.DetectConfig(threshold=None if threshold is None else as_number(threshold, "threshold"))
    pixels = as_pixels(image, max_side=config.max_side)
    faces = detect.detect_faces(pixels.array, config, scale=pixels.scale, device=device)
    if pixels.scale == 1:
        return faces.boxes, faces.landmarks, faces.scores
    return faces.boxes / np.float32(pixels.scale), faces.landmarks / np.float32(pixels.scale), faces.scores


def align_faces(image: ImageLike, landmarks: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Cut faces out of a photo, upright and scaled: (n, 112, 112, 3).

    Args:
        image: the photo, as `detect_faces` got it.
        landmarks: (n, 5, 2) as `detect_faces` gives them.
    """
    pixels = as_pixels(image, max_side=detect.DetectConfig().max_side)
    return geometry.align(pixels.array, as_landmarks(landmarks) * pixels.scale)


def embed_faces(crops: CropsLike, model: str = "bundled", *, device: str = "auto") -> NDArray[np.float32]:
    """Embed aligned faces: their vectors (n, dim), rows of length 1.

    Args:
        crops: (n, 112, 112, 3) RGB 0..255, or a list of such PIL images.
        model: "bundled", or the path of a model card.
        device: "auto", "cpu", "cuda", ...

    Raises:
        ModelError: the model is unknown or damaged.
    """
    return embed.embed_faces(as_crops(crops), embed.EmbedConfig(model=model), device=device)


def group_faces(
    vectors: ArrayLike, *, margin: float | None = None, merge: float | None = None, k: int = 64, model: str = "bundled",
    photos: ArrayLike | None = None, before: ArrayLike | None = None, algorithm: str = "facecluster",
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:  # fmt: skip
    """Group vectors into people. `facecluster.group` does the same and tells more.

    Args:
        vectors: (n, dim); only their directions count.
        margin: how far the cosine of two faces must lie above that of their best impostor for a link to count, in sd of impostors'
            cosines.
        merge: how far above impostors two large groups must lie to be joined, in the same unit.
        k: neighbours looked at for each face.
        model: whose card says how alike two different people are; it counts in collections too small to tell.
        photos: (n,) the photo that each face is in, if known: two faces of one photo are rarely one person.
        before: (n,) labels of an earlier call, -1 for new faces: those groups stay whole and apart, and new faces join or found groups.
            None groups all.
        algorithm: see `facecluster.group`.

    Returns:
        labels (n,), 0, 1, ... by falling size, -1 = nobody; and probabilities (n,), 0 to 1.
    """
    found = group(vectors, margin=margin, merge=merge, k=k, model=model, photos=photos, before=before, algorithm=algorithm)
    return found.labels, found.probabilities
