"""The faces of a new photo, found and embedded with the settings of a store.

Odd input: a photo without faces gives empty arrays; a photo that can't be used raises PhotoError.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster import geometry
from facecluster.faces.detect import DetectConfig, detect_faces, face_quality, open_for_search
from facecluster.faces.embed import EmbedConfig, embed_faces
from facecluster.photos.images import content_id, read_file
from facecluster.photos.video import check_no_video
from facecluster.store import Store


@dataclass(frozen=True, slots=True)
class Probe:
    """The faces of a new photo: struct of arrays (n,), highest score first."""

    uri: str
    photo_id: str  # SHA-256 of the bytes
    boxes: NDArray[np.float32]  # (n, 4) x, y, w, h in px of the upright photo
    scores: NDArray[np.float32]
    quality: NDArray[np.float32]  # 0 to 1
    vectors: NDArray[np.float32]  # (n, dim), rows of length 1


def detect_config(store: Store) -> DetectConfig:
    """The settings with which the store's faces were found."""
    shards = store.shards("faces")
    stamp = store.stamp("faces", shards[0]) if shards else None
    names = {"threshold": "threshold", "max_side": "max_side", "min_side": "min_side", "detector_name": "detector"}
    return DetectConfig(**{field: stamp[name] for name, field in names.items() if name in stamp}) if stamp else DetectConfig()


def probe_photo(uri: str, detect: DetectConfig, embed: EmbedConfig, *, device: str = "auto") -> Probe:
    """Find, align and embed the faces of a photo. Raises PhotoError if it can't be used."""
    check_no_video(uri)
    return probe_data(read_file(uri), uri, detect, embed, device=device)


def probe_data(data: bytes, uri: str, detect: DetectConfig, embed: EmbedConfig, *, device: str = "auto") -> Probe:
    """The same for the bytes of a photo; `uri` says where they are from."""
    photo = open_for_search(data, uri, detect)
    found = detect_faces(photo.pixels, detect, scale=photo.scale, device=device)
    crops = geometry.align(photo.pixels, found.landmarks)
    sharpness, yaw = geometry.sharpness(crops), geometry.yaw(found.landmarks)
    quality = face_quality(found.scores, found.boxes[:, 2:].min(axis=1, initial=np.inf), sharpness, yaw)
    vectors = embed_faces(crops, embed, device=device)
    return Probe(uri, content_id(data), found.boxes / np.float32(photo.scale), found.scores, quality, vectors)
