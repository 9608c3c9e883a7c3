"""STAGE: files -> photos and faces. Opens each photo once, finds and aligns its faces, and keeps the crops; no later stage opens photos.

The faces of a shard are written before its photos, so if a shard of photos exists, both are complete. A photo that can't be used is a row
with `error`. A photo whose bytes or picture are already in the store (moved, copied, written to by another program) gets a row with the
photo_id that it has there, but is not searched again. A photo that the user had forgotten gets no row, and forgotten faces get none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facecluster import geometry
from facecluster.errors import PhotoError
from facecluster.faces.left_out import drop_files, without_forgotten, without_forgotten_faces
from facecluster.faces.stale_vectors import drop_stale_vectors
from facecluster.faces.tracks import Tracks
from facecluster.models.folder import BUNDLED
from facecluster.models.on_demand import best_device, load_detector, load_embedder
from facecluster.models.search import WORK_SIDE
from facecluster.photos.ahead import computed_ahead
from facecluster.photos.archives.uris import Range
from facecluster.photos.fingerprint import LOOKS_TABLE, fingerprint_photo, looks_stamp, looks_table
from facecluster.photos.forgotten import read_forgotten
from facecluster.photos.images import Photo, content_id, decode_crop, encode_crop, local_path, open_photo, read_file
from facecluster.photos.lost import LOST
from facecluster.photos.origin import ORIGINS_STAMP, ORIGINS_TABLE, origin_of, origins_table
from facecluster.photos.picture_hashes import phash, picture_hash
from facecluster.photos.sidecar import sidecar_orientation
from facecluster.photos.video import Video, is_video_name, looks, open_video
from facecluster.store import FACES, FILES, PHOTOS, ShardResult, Stamp, Store, table_of_rows

if TYPE_CHECKING:
    from facecluster.models.onnx_detector import FaceFinder

KEPT = "detector"  # key of a stamp: photos that an earlier detector searched keep the faces it found, and the names these have
VIDEO_SECONDS = 2.0
PHOTOS_TOGETHER = 16  # photos that are searched together, at most
CPU_PIXELS = 16_000_000  # of the photos that a processor searches together, unless one alone has more

_Decoded: TypeAlias = tuple[dict[str, Any], Photo | Video | None]  # row of a photo, and what it shows, if that can be told


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectConfig:
    """Settings that decide which faces are found, and how their crops look."""

    detector: str = BUNDLED  # or the name of a detector in the user's folder, or the path of a card
    threshold: float | None = None  # minimum score of a face, 0 to 1; None: that of the model card
    # px, at least WORK_SIDE; photos of twice this and more are reduced to between once and twice this (a JPEG of 4000 px is decoded at half
    # its size at once), long ones less. It decides how sharp crops are, and how closely large photos can be searched for small faces.
    max_side: int = 2000
    min_side: float = 16.0  # px of the whole photo; smaller faces are left out
    video_seconds: float = VIDEO_SECONDS  # between two looks at a video; it is also looked at where the scene changes

    def __post_init__(self) -> None:
        if not self.video_seconds > 0:
            raise ValueError(f"expected video_seconds above 0, found {self.video_seconds}")
        if self.max_side < WORK_SIDE:
            raise ValueError(f"expected max_side of at least {WORK_SIDE} px, found {self.max_side}: photos are searched at that size")

    def stamp(self) -> Stamp:
        detector = _detector(self.detector, "cpu")
        threshold = detector.threshold if self.threshold is None else self.threshold
        settings: dict[str, Any] = {"threshold": threshold, "max_side": self.max_side, "min_side": self.min_side}
        if self.video_seconds != VIDEO_SECONDS:  # stores from before have stamps without it
            settings["video_seconds"] = self.video_seconds
        if self.detector != BUNDLED:
            settings["detector_name"] = self.detector
        return {"table": "faces", "detector": detector.fingerprint, **settings}


@dataclass(frozen=True, slots=True)
class Faces:
    """Faces of one photo: struct of arrays."""

    boxes: NDArray[np.float32]  # (n, 4) x, y, w, h in px of the image
    landmarks: NDArray[np.float32]  # (n, 5, 2) px
    scores: NDArray[np.float32]  # (n,) 0 to 1, falling
    turn: int = 0  # degrees clockwise by which the image must be turned for its faces to be upright: 0, 90, 180, 270


@lru_cache(maxsize=2)
def _detector(detector: str, device: str) -> FaceFinder:
    return load_detector(detector, device)


def open_for_search(data: bytes, uri: str, config: DetectConfig) -> Photo:
    """Decode a photo as large as its search and its crops need it, turned as its sidecar or else its EXIF says. Raises PhotoError."""
    path = local_path(uri)
    orientation = None if path is None else sidecar_orientation(path)
    return open_photo(data, max_side=config.max_side, min_short=config.max_side // 2, exact=False, orientation=orientation)


def detect_faces(image: NDArray[np.uint8], config: DetectConfig | None = None, *, scale: float = 1.0, device: str = "auto") -> Faces:
    """Find the faces of an image (h, w, 3) RGB 0..255, highest score first; `scale` is px of the image a px of the whole photo."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected an image (h, w, 3) uint8, found {image.shape} {image.dtype}")
    return _detect([image], config or DetectConfig(), [scale], device)[0]


def _detect(images: Sequence[NDArray[np.uint8]], config: DetectConfig, scales: Sequence[float], device: str) -> list[Faces]:
    detector = _detector(config.detector, best_device(device))  # the one of the stamp, if it is a processor's
    out = []
    for (found, turn), scale in zip(detector.search(images, threshold=config.threshold), scales, strict=True):
        keep = found.boxes[:, 2:].min(axis=1, initial=np.inf) >= config.min_side * scale
        out.append(Faces(found.boxes[keep], found.landmarks[keep], found.scores[keep], turn))
    return out


def face_quality(scores: NDArray[Any], sides: NDArray[Any], sharp: NDArray[Any], yaw: NDArray[Any]) -> NDArray[np.float32]:
    """Quality of faces (n,), 0 to 1: score x size (1 from 80 px) x sharpness (1 from 8) x cosine of the yaw."""
    front = np.maximum(0, np.cos(np.radians(yaw)))
    return np.asarray(scores * np.minimum(1, sides / 80) * np.minimum(1, sharp / 8) * front, dtype=np.float32)


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

    `threads` threads read and decode photos ahead. At most a few photos are in memory, however large the shard is. Several are searched
    together: many small pictures take less time in one batch.
    """
    stamp = config.stamp()
    if store.is_done("photos", shard, {**stamp, "table": "photos"}, kept=KEPT) and store.exists("faces", f"part-{shard}.parquet"):
        return ShardResult(stage="detect", shard=shard, skipped=True)
    photos: list[dict[str, Any]] = []
    faces: list[dict[str, Any]] = []
    seen = _SeenPhotos()
    turns: dict[str, int] = {}
    forgotten, left_out = read_forgotten(store), list[str]()
    decoded = without_forgotten(_decoded(store.read("files", shard).to_pylist(), config, threads), forgotten, left_out, tick)
    for batch in searched_together(decoded, best_device(device)):
        new: dict[str, Photo] = {}
        videos: dict[str, Video] = {}
        row_of: dict[str, dict[str, Any]] = {}
        for row, photo in batch:
            if seen.recognise(row) is None and photo is not None:
                seen.add(row)
                row_of[row["photo_id"]] = row
                if isinstance(photo, Video):
                    videos[row["photo_id"]] = photo
                else:
                    new[row["photo_id"]] = photo
        found = _detect([p.pixels for p in new.values()], config, [p.scale for p in new.values()], device)
        for (photo_id, photo), of_photo in zip(new.items(), found, strict=True):
            rows = without_forgotten_faces(face_rows(photo_id, photo, of_photo), row_of[photo_id], forgotten)
            faces += rows
            seen.faces[photo_id] = len(rows)
            turns[photo_id] = of_photo.turn
        failed = {}
        for photo_id, video in videos.items():
            rows, failed[photo_id] = _video_rows(photo_id, video, config, device)
            rows = without_forgotten_faces(rows, row_of[photo_id], forgotten)
            faces += rows
            seen.faces[photo_id] = len(rows)
        for row, photo in batch:
            if photo is not None:
                row |= {"faces": seen.faces[row["photo_id"]], "turn": turns.get(row["photo_id"]), "error": failed.get(row["photo_id"])}
            photos.append(row)
            if tick:
                tick(1)
    drop_files(store, shard, left_out, forgotten)
    _write_for_dedup(store, shard, photos)
    drop_stale_vectors(store, shard, [row["face_id"] for row in faces])
    store.write("faces", shard, table_of_rows(FACES, faces), stamp)
    store.write("photos", shard, table_of_rows(PHOTOS, photos), {**stamp, "table": "photos"})
    return ShardResult(
        stage="detect", shard=shard, photos=len(photos), faces=len(faces), failed=sum(p["error"] is not None for p in photos)
    )


def _write_for_dedup(store: Store, shard: str, photos: list[dict[str, Any]]) -> None:
    """Write the fingerprints and origins of the photos that are new, so that `dedup` opens none of them again."""
    looks = {row["photo_id"]: row["look"] for row in photos if row.get("look")}
    store.write(LOOKS_TABLE, shard, looks_table([look | {"photo_id": photo_id} for photo_id, look in looks.items()]), looks_stamp())
    origins = {row["content"]: row["origin"] for row in photos if row.get("origin")}
    store.write(ORIGINS_TABLE, shard, origins_table(origins), ORIGINS_STAMP)


class _SeenPhotos:
    """The photos that a shard has met, and those that each of its files may be."""

    def __init__(self) -> None:
        self.faces: dict[str, int] = {}  # how many, by photo_id
        self._ids: dict[str, str] = {}  # photo_id by content, and by picture

    def recognise(self, row: dict[str, Any]) -> str | None:
        """Set the photo_id of a row to that of the photo with its bytes or, without one, with its picture; None if none has its faces."""
        columns = [row.pop(name) or [] for name in ("known", "known_faces", "known_photos", "known_pictures")]
        contents, counts, photos, pictures = (*columns[:2], columns[2] or columns[0], columns[3])
        ids, counted = dict(zip(contents, photos, strict=True)), dict[str, int](zip(photos, counts, strict=True))
        same_picture = dict(zip(pictures, photos, strict=False))
        own, picture = row["content"], row["picture"]
        found = self._ids.get(own) or ids.get(own) or (self._ids.get(picture) or same_picture.get(picture) if picture else None)
        if found is None or (count := self.faces.get(found, counted.get(found, 0))) == LOST:
            row["photo_id"] = found or row["photo_id"]
            return None
        row["photo_id"], row["faces"], self.faces[found] = found, count, count
        return found

    def add(self, row: dict[str, Any]) -> None:
        """Remember a photo that is new."""
        self._ids[row["content"]] = self._ids[row["picture"]] = row["photo_id"]
        self.faces[row["photo_id"]] = 0


def _decoded(files: list[dict[str, Any]], config: DetectConfig, threads: int) -> Iterator[_Decoded]:
    """Rows of photos and decoded photos (videos are only opened), in order, decoded a few ahead of the caller."""
    return computed_ahead(partial(_decode, config=config), files, threads)


def searched_together(decoded: Iterator[_Decoded], device: str) -> Iterator[list[_Decoded]]:
    """Rows and photos, in order, in the lists in which a device searches them."""
    if device != "cpu":
        yield from iter(lambda: list(islice(decoded, PHOTOS_TOGETHER)), [])
        return
    batch: list[_Decoded] = []
    pixels = 0
    for row, photo in decoded:
        size = photo.pixels.shape[0] * photo.pixels.shape[1] if isinstance(photo, Photo) else 0
        if batch and pixels + size > CPU_PIXELS:
            yield batch
            batch, pixels = [], 0
        batch.append((row, photo))
        pixels += size
        if len(batch) == PHOTOS_TOGETHER:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _decode(file: dict[str, Any], config: DetectConfig) -> _Decoded:
    row = dict.fromkeys([*FILES.names, *PHOTOS.names]) | file | {"photo_id": "", "faces": 0}
    if file.get("error"):  # found by the search, as of a damaged archive
        return row, None
    try:
        if is_video_name(file["uri"]):
            video = open_video(file["uri"])
            facts = {k: getattr(video, k) for k in ("content", "picture", "size", "format", "width", "height", "taken_at")}
            return row | facts | {"photo_id": video.content}, video
        offset = file.get("offset")
        data = read_file(file["uri"], None if offset is None else Range(offset, file["size"], file["mtime_ns"]))
        row["photo_id"] = row["content"] = content_id(data)
        row["size"] = len(data)
        photo = open_for_search(data, file["uri"], config)
    except PhotoError as e:
        return row | {"error": str(e)}, None
    row |= {k: getattr(photo, k) for k in ("format", "width", "height", "orientation", "taken_at")}
    if dict(zip(file["known"] or (), file["known_faces"] or (), strict=False)).get(row["content"], LOST) == LOST:
        row |= {"look": fingerprint_photo(photo.pixels), "origin": origin_of(data)}
    return row | {"phash": phash(photo.pixels), "picture": picture_hash(photo)}, photo


def _video_rows(photo_id: str, video: Video, config: DetectConfig, device: str) -> tuple[list[dict[str, Any]], str | None]:
    """A row for each track of a video, and why it could not be used."""
    embedder = load_embedder("bundled", best_device(device))
    tracks = Tracks()
    try:
        for look in looks(video, config.video_seconds, config.max_side):
            found = _detect([look.picture.pixels], config, [look.picture.scale], device)[0]
            rows = [row | {"at_ms": look.at_ms} for row in face_rows(photo_id, look.picture, found)]
            vectors = embedder.embed(np.stack([decode_crop(row["crop"]) for row in rows]), mirror=False) if rows else np.zeros((0, 1))
            tracks.add(rows, vectors, cut=look.cut)
    except PhotoError as e:
        return [], str(e)
    except Exception as e:  # decoders raise nearly anything on damaged files
        return [], f"expected a whole {video.format} video, found a damaged one: {' '.join(str(e).split())[:200] or type(e).__name__}"
    return [row | {"face_id": f"{photo_id[:24]}-{i:04x}"} for i, row in enumerate(tracks.rows())], None


def face_rows(photo_id: str, photo: Photo, found: Faces) -> list[dict[str, Any]]:
    """The rows of `faces` for what was found in a photo, in px of its pixels."""
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
