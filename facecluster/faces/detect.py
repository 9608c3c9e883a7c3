"""STAGE: files -> photos and faces. Opens each photo once, finds and aligns its faces, and keeps the crops; no later stage opens photos.

The faces of a shard are written before its photos, so if a shard of photos exists, both are complete. A photo that can't be used is a row
with `error`. A photo whose content is already in the store (moved, copied) gets a row, but is not searched again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster import geometry
from facecluster.errors import PhotoError
from facecluster.models.detector import Detector
from facecluster.models.registry import best_device
from facecluster.photos.images import Photo, content_id, encode_crop, open_photo, phash, read_file
from facecluster.store import FACES, PHOTOS, ShardResult, Stamp, Store, table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectConfig:
    """Settings that decide which faces are found, and how their crops look."""

    threshold: float | None = None  # minimum score of a face, 0 to 1; None: that of the model card
    max_side: int = 2000  # px; larger photos are reduced to this first (JPEG decodes a 4000 px photo directly at half its size)
    min_side: float = 16.0  # px of the reduced photo; smaller faces are left out

    def stamp(self) -> Stamp:
        detector = _detector("cpu")
        threshold = detector.threshold if self.threshold is None else self.threshold
        settings = {"threshold": threshold, "max_side": self.max_side, "min_side": self.min_side}
        return {"table": "faces", "detector": detector.fingerprint, **settings}


@dataclass(frozen=True, slots=True)
class Faces:
    """Faces of one photo: struct of arrays."""

    boxes: NDArray[np.float32]  # (n, 4) x, y, w, h in px of the image
    landmarks: NDArray[np.float32]  # (n, 5, 2) px
    scores: NDArray[np.float32]  # (n,) 0 to 1, falling


@lru_cache(maxsize=2)
def _detector(device: str) -> Detector:
    return Detector.load(device=best_device(device))


def detect_faces(image: NDArray[np.uint8], config: DetectConfig | None = None, *, device: str = "auto") -> Faces:
    """Find the faces of an image (h, w, 3) RGB 0..255, highest score first."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected an image (h, w, 3) uint8, found {image.shape} {image.dtype}")
    config = config or DetectConfig()
    boxes, landmarks, scores = _detector(device).detect(image, threshold=config.threshold)
    keep = boxes[:, 2:].min(axis=1) >= config.min_side if len(boxes) else np.zeros(0, dtype=bool)
    return Faces(boxes[keep], landmarks[keep], scores[keep])


def face_quality(scores: NDArray[Any], sides: NDArray[Any], sharp: NDArray[Any], yaw: NDArray[Any]) -> NDArray[np.float32]:
    """Quality of faces (n,), 0 to 1: score x size (1 from 80 px) x sharpness (1 from 8) x cosine of the yaw."""
    return np.asarray(scores * np.minimum(1, sides / 80) * np.minimum(1, sharp / 8) * np.cos(np.radians(yaw)), dtype=np.float32)


def detect_shard(
    shard: str,
    tick: Callable[[int], None] | None = None,
    *,
    store: Store,
    config: DetectConfig,
    device: str = "auto",
    threads: int = 2,
) -> ShardResult:
    """Detect the faces of one shard of `files`; a shard that is already done with this config is skipped.

    `threads` threads read and decode photos ahead. At most a few photos of `max_side` are in memory, however large the shard is.
    """
    stamp = config.stamp()
    if store.is_done("photos", shard, {**stamp, "table": "photos"}) and store.exists("faces", f"part-{shard}.parquet"):
        return ShardResult(stage="detect", shard=shard, skipped=True)
    photos: list[dict[str, Any]] = []
    faces: list[dict[str, Any]] = []
    seen: dict[str, int] = {}  # numbers of faces by photo_id
    for row, photo in _decoded(store.read("files", shard).to_pylist(), config.max_side, threads):
        known = dict(zip(row.pop("known"), row.pop("known_faces"), strict=True)) | seen
        if photo is not None and row["photo_id"] not in known:
            found = _face_rows(row["photo_id"], photo, config, device)
            known[row["photo_id"]] = seen[row["photo_id"]] = len(found)
            faces += found
        photos.append(row if photo is None else row | {"faces": known[row["photo_id"]]})
        if tick:
            tick(1)
    store.write("faces", shard, _table(FACES, faces), stamp)
    store.write("photos", shard, _table(PHOTOS, photos), {**stamp, "table": "photos"})
    return ShardResult(
        stage="detect", shard=shard, photos=len(photos), faces=len(faces), failed=sum(p["error"] is not None for p in photos)
    )


def _decoded(files: list[dict[str, Any]], max_side: int, threads: int) -> Iterator[tuple[dict[str, Any], Photo | None]]:
    """Rows of photos and decoded photos, in order, decoded a few ahead of the caller."""
    pool = ThreadPoolExecutor(threads)
    ahead: deque[Future[tuple[dict[str, Any], Photo | None]]] = deque()
    try:
        for file in files:
            ahead.append(pool.submit(_decode, file, max_side))
            if len(ahead) > 2 * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _decode(file: dict[str, Any], max_side: int) -> tuple[dict[str, Any], Photo | None]:
    row = dict.fromkeys(PHOTOS.names) | file | {"photo_id": "", "faces": 0}
    try:
        data = read_file(file["uri"])
        row["photo_id"] = content_id(data)
        row["size"] = len(data)
        photo = open_photo(data, max_side=max_side)
    except PhotoError as e:
        return row | {"error": str(e)}, None
    row |= {k: getattr(photo, k) for k in ("format", "width", "height", "orientation", "taken_at")}
    return row | {"phash": phash(photo.pixels)}, photo


def _face_rows(photo_id: str, photo: Photo, config: DetectConfig, device: str) -> list[dict[str, Any]]:
    found = detect_faces(photo.pixels, config, device=device)
    if not len(found.scores):
        return []
    crops = geometry.align(photo.pixels, found.landmarks)
    sharp, yaw = geometry.sharpness(crops), geometry.yaw(found.landmarks)
    quality = face_quality(found.scores, found.boxes[:, 2:].min(axis=1), sharp, yaw)
    # stored boxes and landmarks are in px of the full photo
    boxes, landmarks = found.boxes / photo.scale, found.landmarks.reshape(-1, 10) / photo.scale
    return [
        {
            "face_id": f"{photo_id[:24]}-{i:04x}", "photo_id": photo_id, "box": boxes[i], "landmarks": landmarks[i],
            "score": found.scores[i], "sharpness": sharp[i], "yaw": yaw[i], "quality": quality[i], "crop": encode_crop(crops[i]),
        }
        for i in range(len(crops))
    ]  # fmt: skip


def _table(schema: pa.Schema, rows: list[dict[str, Any]]) -> pa.Table:
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in schema.names}
    for name in ("box", "landmarks"):
        if name in columns:
            width = schema.field(name).type.list_size
            columns[name] = np.array(columns[name], dtype=np.float32).reshape(-1, width)
    return table_of(schema, columns)
