"""Which photo of a group is kept (the keeper): rules in order, each of which drops the photos that are not as good as the best by it.

The reason for dropping a photo is the first rule that it fails, in words that name both values. Rules are not weighted against each other:
their order in COPY_RULES and BURST_RULES is the whole policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facecluster.dedup.copy_check import Relation
from facecluster.dedup.fingerprints import Fingerprints
from facecluster.dedup.folders import folder_rank, format_bytes, named_like_copy
from facecluster.dedup.store_photos import NO_TIME, PhotoFile, Photos

GREY = 4.0  # mean of max(R, G, B) - min(R, G, B), 0 to 255: grey photos have below 2
# lossless formats, cameras' formats, the web's, and one of 256 colours
_FORMATS = {"PNG": 3, "TIFF": 3, "BMP": 3, "JPEG": 2, "HEIF": 2, "AVIF": 2, "WEBP": 1, "GIF": 0}


@dataclass(slots=True)
class PhotoFacts:
    """The values that the rules compare, by number of the photo. `relation` is empty for the photo that all others are compared with."""

    photos: Photos
    fingerprints: Fingerprints
    prefer: Sequence[str] = ()  # folders, see folders.absolute_folder, the most preferred first
    protect: Sequence[str] = ()  # folders
    relation: Mapping[int, Relation] = field(default_factory=dict)  # of a photo to the one of its group that all are compared with
    eyes: Mapping[int, float] = field(default_factory=dict)  # see eye_openness.openness; only photos with faces

    def preferred(self, photo: int) -> float:
        return -min(folder_rank(f.uri, self.prefer) for f in self.photos.files[photo])

    def scale(self, photo: int) -> float:
        """Resolution of the part that all photos of the group show, relative to the photo that all are compared with."""
        relation = self.relation.get(photo)
        return relation.scale if relation else 1.0

    def coverage(self, photo: int) -> float:
        """How much of the scene is in the picture, relative to the one that all are compared with."""
        relation = self.relation.get(photo)
        return (1 - relation.extra_a) / max(1 - relation.extra_b, 0.1) if relation else 1.0

    def without_caption(self, photo: int) -> float:
        """1 for photos without the caption of the one that all are compared with, 0 for those like it, -1 for a caption of their own."""
        relation = self.relation.get(photo)
        return float((0, 1, -1)[relation.captioned]) if relation else 0.0

    def resolution(self, photo: int) -> float:
        return float(np.sqrt(float(self.photos.width[photo]) * float(self.photos.height[photo])))

    def shape(self, photo: int) -> str:
        return f"{self.photos.width[photo]}x{self.photos.height[photo]}"

    def colour(self, photo: int) -> float:
        return float(self.fingerprints.colour[photo])

    def has_time(self, photo: int) -> float:
        return float(self.photos.taken[photo] != NO_TIME)

    def open_eyes(self, photo: int) -> float:
        return self.eyes.get(photo, 0.0)

    def original_name(self, photo: int) -> float:
        return float(not all(named_like_copy(f.uri) for f in self.photos.files[photo]))


@dataclass(frozen=True, slots=True)
class Rule:
    """Keeps the photos whose value is at least `share` times the best, less `slack`."""

    value: Callable[[PhotoFacts, int], float]
    says: Callable[[PhotoFacts, int, int], str]  # why the first photo is dropped in favour of the second
    share: float = 1.0
    slack: float = 0.0


def _of(values: Callable[[PhotoFacts], NDArray[np.float32]]) -> Callable[[PhotoFacts, int], float]:
    return lambda facts, photo: float(values(facts)[photo])


_PREFERRED = Rule(PhotoFacts.preferred, lambda f, a, b: "the other is in a folder that you prefer")
_BYTES = Rule(
    lambda f, p: float(f.photos.size[p]),
    lambda f, a, b: f"more compressed: {format_bytes(int(f.photos.size[a]))} against {format_bytes(int(f.photos.size[b]))}",
    share=0.98,
)
_NAMES = (
    Rule(PhotoFacts.original_name, lambda f, a, b: "named like a copy"),
    Rule(lambda f, p: -min(len(q.uri) for q in f.photos.files[p]), lambda f, a, b: "as good; its path is longer"),
    Rule(lambda f, p: -p, lambda f, a, b: "as good in all"),
)
COPY_RULES: tuple[Rule, ...] = (
    _PREFERRED,
    Rule(PhotoFacts.scale, lambda f, a, b: f"smaller: {f.shape(a)} against {f.shape(b)}", share=0.67),
    Rule(PhotoFacts.coverage, lambda f, a, b: "cropped: it shows less", slack=0.03),
    Rule(PhotoFacts.without_caption, lambda f, a, b: "text was written over it, or beside it"),
    Rule(PhotoFacts.scale, lambda f, a, b: f"smaller: {f.shape(a)} against {f.shape(b)}", share=0.97),
    Rule(PhotoFacts.colour, lambda f, a, b: "without colour", share=0.5, slack=GREY),
    Rule(PhotoFacts.has_time, lambda f, a, b: "without a time"),
    Rule(lambda f, p: _FORMATS.get(f.photos.formats[p], 1), lambda f, a, b: f"{f.photos.formats[a]} against {f.photos.formats[b]}"),
    _BYTES,
    Rule(_of(lambda f: f.photos.quality), lambda f, a, b: "faces of less quality", slack=0.02),
    *_NAMES,
)
BURST_RULES: tuple[Rule, ...] = (
    _PREFERRED,
    Rule(PhotoFacts.open_eyes, lambda f, a, b: "eyes less open" if a in f.eyes else "no face found", share=0.6),
    Rule(_of(lambda f: f.photos.quality), lambda f, a, b: "faces of less quality", slack=0.05),
    Rule(_of(lambda f: f.photos.face_sharpness), lambda f, a, b: "faces less sharp", share=0.9),
    Rule(_of(lambda f: f.fingerprints.sharpness), lambda f, a, b: "less sharp", share=0.95),
    Rule(PhotoFacts.resolution, lambda f, a, b: f"smaller: {f.shape(a)} against {f.shape(b)}", share=0.97),
    _BYTES,
    *_NAMES,
)


def choose_keeper(among: Sequence[int], rules: Sequence[Rule], facts: PhotoFacts) -> tuple[int, dict[int, str]]:
    """The photo to keep, and why each of the others is not it."""
    left, dropped = list(among), dict[int, Rule]()
    for rule in rules:
        values = {photo: rule.value(facts, photo) for photo in left}
        best = max(values.values())
        for photo in [p for p in left if values[p] < best * (rule.share if best > 0 else 1) - rule.slack]:
            left.remove(photo)
            dropped[photo] = rule
        if len(left) == 1:
            break
    return left[0], {photo: rule.says(facts, photo, left[0]) for photo, rule in dropped.items()}


def choose_file(files: Sequence[PhotoFile], facts: PhotoFacts) -> tuple[PhotoFile, dict[str, str]]:
    """The file to keep among files of the same bytes, and by uri why the others are not it."""
    rules: list[tuple[Callable[[PhotoFile], float], str]] = [
        (lambda f: folder_rank(f.uri, facts.prefer), "the other is in a folder that you prefer"),
        (lambda f: -(folder_rank(f.uri, facts.protect) < len(facts.protect)), "the other is protected"),
        (lambda f: named_like_copy(f.uri), "named like a copy"),
        (lambda f: len(f.uri), "its path is longer"),
        (lambda f: f.mtime_ns, "newer"),
    ]
    keys = {f.uri: [value(f) for value, _ in rules] for f in files}
    best = min(files, key=lambda f: (keys[f.uri], f.uri))
    reasons = {}
    for file in files:
        if file is not best:
            differs = (words for mine, its, (_, words) in zip(keys[file.uri], keys[best.uri], rules, strict=True) if mine != its)
            reasons[file.uri] = next(differs, "the same in all but its name")
    return best, reasons
