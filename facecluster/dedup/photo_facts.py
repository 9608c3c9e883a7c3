"""The values that the rules of keeper.py compare, by number of the photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from facecluster.dedup.copy_check import Relation
from facecluster.dedup.fingerprints import Fingerprints
from facecluster.dedup.folders import folder_rank
from facecluster.dedup.origins import Origins
from facecluster.dedup.pixel_traces import PixelTraces
from facecluster.dedup.store_photos import NO_TIME, Photos
from facecluster.photos.copy_names import named_like_copy

# how many bytes of a JPEG one byte is worth: at most so many times larger are JPEGs (quality 75 to 95) that were made from such a file
WORTH = {"HEIF": 6.0, "JXL": 4.0, "AVIF": 4.0, "WEBP": 1.5}
LOSSLESS = 100.0  # quality of a picture that was never compressed with loss
# bits a pixel of JPEGs by quality, means over photos: only their ratios count
_QUALITIES, _BITS = (10, 30, 50, 75, 85, 90, 95, 98, 100), (0.2, 0.4, 0.6, 0.95, 1.3, 1.65, 2.4, 3.6, 5.5)
INTACT, CAMERA_NAMED, NO_CAMERA = 2, 1, 0
_ENLARGED = 1.2  # times the sides of the camera's file


@dataclass(slots=True)
class PhotoFacts:
    """Values of photos, most of them relative to the group that is compared."""

    photos: Photos
    fingerprints: Fingerprints
    origins: Origins
    traces: PixelTraces
    prefer: Sequence[str] = ()  # folders, see folders.absolute_folder, the most preferred first
    protect: Sequence[str] = ()  # folders
    relation: Mapping[int, Relation] = field(default_factory=dict)  # of a photo to the one of its group that all are compared with
    group: Sequence[int] = ()  # that one and the others
    eyes: Mapping[int, float] = field(default_factory=dict)  # see eye_openness.openness; only photos with faces

    def preferred(self, photo: int) -> float:
        return -min(folder_rank(f.uri, self.prefer) for f in self.photos.files[photo])

    def given_scale(self, photo: int) -> float:
        """Resolution of the part that all photos of the group show, relative to the photo that all are compared with."""
        relation = self.relation.get(photo)
        return relation.scale if relation else 1.0

    def scale(self, photo: int) -> float:
        """The same, but that of the camera's file for a photo that was enlarged from it: a larger one with no more detail and no camera."""
        scale = self.given_scale(photo)
        return self.camera_scale() if self.enlarged(photo) else scale

    def enlarged(self, photo: int) -> bool:
        """Whether a photo is larger than the camera's file, is not the camera's itself, and has no detail for its size."""
        camera = self.camera_scale()
        larger = bool(camera) and self.given_scale(photo) > _ENLARGED * camera
        return larger and self.camera(photo) < INTACT and self.traces.of(photo).fills < 1

    def camera_scale(self) -> float:
        """The largest scale of a camera's own file in the group; 0 if there is none."""
        return max((self.given_scale(p) for p in self.group if self.camera(p) == INTACT), default=0.0)

    def coverage(self, photo: int) -> float:
        """How much of the scene is in the picture, relative to the one that all are compared with."""
        relation = self.relation.get(photo)
        return (1 - relation.extra_a) / max(1 - relation.extra_b, 0.1) if relation else 1.0

    def without_caption(self, photo: int) -> float:
        """1 for photos without the caption of the one that all are compared with, 0 for those like it, -1 for a caption of their own."""
        relation = self.relation.get(photo)
        return float((0, 1, -1)[relation.captioned]) if relation else 0.0

    def camera(self, photo: int) -> float:
        """INTACT: the camera's own file, as far as it says; CAMERA_NAMED: saved anew by a program; NO_CAMERA."""
        origin = self.origins.of(photo)
        return float((CAMERA_NAMED if origin.edited else INTACT) if origin.camera else NO_CAMERA)

    def has_motion(self, photo: int) -> float:
        return float(self.origins.of(photo).motion or any(map(self.origins.has_film, self.photos.files[photo])))

    def has_sidecar(self, photo: int) -> float:
        return float(any(map(self.origins.has_sidecar, self.photos.files[photo])))

    def bits(self, photo: int) -> float:
        """Bits a channel; 8 for what was a JPEG."""
        bits = self.origins.of(photo).bits
        return float(min(bits, 8) if bits > 8 and self.was_jpeg(photo) else bits)

    def was_jpeg(self, photo: int) -> bool:
        """Whether the pixels show that they were a JPEG, of less quality than the file itself is."""
        origin = self.origins.of(photo)
        trace = 0.0 if origin.raw else self.traces.of(photo).quality  # the preview in a RAW photo is a JPEG
        return bool(trace) and (not origin.quality or trace < origin.quality - 2)

    def quality(self, photo: int) -> float:
        """The quality of the JPEG that the picture is worth, 1 to 100: of the worse, if it was saved twice."""
        origin, trace = self.origins.of(photo), self.traces.of(photo).quality
        if origin.raw:
            return LOSSLESS
        if origin.quality:
            return min(origin.quality, trace or origin.quality)
        return trace or (LOSSLESS if origin.lossless else self._quality_by_bytes(photo))

    def _quality_by_bytes(self, photo: int) -> float:
        """Of a lossy format that does not tell: by its bytes against those of the largest JPEG of the group; without one 90."""
        jpegs = [p for p in self.group if self.origins.of(p).quality]
        if not jpegs:
            return 90.0
        jpeg = max(jpegs, key=lambda p: int(self.photos.size[p]))
        bits = np.interp(self.origins.of(jpeg).quality, _QUALITIES, _BITS) * self.worth(photo) / self.worth(jpeg)
        return float(np.interp(bits, _BITS, _QUALITIES))

    def worth(self, photo: int) -> float:
        """Bytes of a JPEG a pixel that the file is worth."""
        area = max(float(self.photos.width[photo]) * float(self.photos.height[photo]), 1.0)
        return WORTH.get(self.photos.formats[photo], 1.0) * float(self.photos.size[photo]) / area

    def resolution(self, photo: int) -> float:
        return float(np.sqrt(float(self.photos.width[photo]) * float(self.photos.height[photo])))

    def shape(self, photo: int) -> str:
        return f"{self.photos.width[photo]}x{self.photos.height[photo]}"

    def has_time(self, photo: int) -> float:
        return float(self.photos.taken[photo] != NO_TIME)

    def open_eyes(self, photo: int) -> float:
        return self.eyes.get(photo, 0.0)

    def original_name(self, photo: int) -> float:
        return float(not all(named_like_copy(f.uri) for f in self.photos.files[photo]))
