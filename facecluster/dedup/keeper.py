"""Which photo of a group is kept: rules in order, each leaving those that are as good as the best by it, until one is left.

What a photo is dropped for is the first rule that it fails, in words that name both values. No rule weighs another: the order is the whole
policy, and it stands in NEAR and BURST.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facecluster.dedup.folders import looks_copied, rank, shown_bytes
from facecluster.dedup.judge import Relation
from facecluster.dedup.library import NO_TIME, Looks, Photos, Place

GREY = 4.0  # mean distance of the colours, 0 to 255: grey photos have below 2
# lossless ones, cameras', the web's, and one of 256 colours
_FORMATS = {"PNG": 3, "TIFF": 3, "BMP": 3, "JPEG": 2, "HEIF": 2, "AVIF": 2, "WEBP": 1, "GIF": 0}


@dataclass(slots=True)
class Facts:
    """What the rules look at: photos by number."""

    photos: Photos
    looks: Looks
    prefer: Sequence[str] = ()  # folders, see folders.absolute, the dearest first
    protect: Sequence[str] = ()
    relation: Mapping[int, Relation] = field(default_factory=dict)  # of photos to one of their group, which is not in it itself
    eyes: Mapping[int, float] = field(default_factory=dict)  # how open they are, see eyes.openness; only of photos with faces

    def preferred(self, photo: int) -> float:
        return -min(rank(p.uri, self.prefer) for p in self.photos.places[photo])

    def detail(self, photo: int) -> float:
        """Pixels along a side, for what all show."""
        relation = self.relation.get(photo)
        return relation.scale if relation else 1.0

    def content(self, photo: int) -> float:
        """How much is in the picture; 1 for the one that all are compared with."""
        relation = self.relation.get(photo)
        return (1 - relation.more_a) / max(1 - relation.more_b, 0.1) if relation else 1.0

    def clean(self, photo: int) -> float:
        """1 for photos without the text of the one that all are compared with, 0 for those like it, -1 for those with text of their own."""
        relation = self.relation.get(photo)
        return float((0, 1, -1)[relation.written]) if relation else 0.0

    def resolution(self, photo: int) -> float:
        return float(np.sqrt(float(self.photos.width[photo]) * float(self.photos.height[photo])))

    def shape(self, photo: int) -> str:
        return f"{self.photos.width[photo]}x{self.photos.height[photo]}"

    def colour(self, photo: int) -> float:
        return float(self.looks.colour[photo])

    def dated(self, photo: int) -> float:
        return float(self.photos.taken[photo] != NO_TIME)

    def open_eyes(self, photo: int) -> float:
        return self.eyes.get(photo, 0.0)

    def named(self, photo: int) -> float:
        return float(not all(looks_copied(p.uri) for p in self.photos.places[photo]))


@dataclass(frozen=True, slots=True)
class Rule:
    """Leaves the photos whose value is at least `share` times the best, less `slack`."""

    value: Callable[[Facts, int], float]
    says: Callable[[Facts, int, int], str]  # why the first is dropped for the second
    share: float = 1.0
    slack: float = 0.0


def _of(values: Callable[[Facts], NDArray[np.float32]]) -> Callable[[Facts, int], float]:
    return lambda facts, photo: float(values(facts)[photo])


_PREFERRED = Rule(Facts.preferred, lambda f, a, b: "the other is in a folder that you prefer")
_BYTES = Rule(
    lambda f, p: float(f.photos.size[p]),
    lambda f, a, b: f"more compressed: {shown_bytes(int(f.photos.size[a]))} against {shown_bytes(int(f.photos.size[b]))}",
    share=0.98,
)
_NAMES = (
    Rule(Facts.named, lambda f, a, b: "named like a copy"),
    Rule(lambda f, p: -min(len(q.uri) for q in f.photos.places[p]), lambda f, a, b: "as good; its path is longer"),
    Rule(lambda f, p: -p, lambda f, a, b: "as good in all"),
)
NEAR: tuple[Rule, ...] = (
    _PREFERRED,
    Rule(Facts.detail, lambda f, a, b: f"smaller: {f.shape(a)} against {f.shape(b)}", share=0.67),
    Rule(Facts.content, lambda f, a, b: "cropped: it shows less", slack=0.03),
    Rule(Facts.clean, lambda f, a, b: "something was written over it, or beside it"),
    Rule(Facts.detail, lambda f, a, b: f"smaller: {f.shape(a)} against {f.shape(b)}", share=0.97),
    Rule(Facts.colour, lambda f, a, b: "without colour", share=0.5, slack=GREY),
    Rule(Facts.dated, lambda f, a, b: "does not know when it was taken"),
    Rule(lambda f, p: _FORMATS.get(f.photos.formats[p], 1), lambda f, a, b: f"{f.photos.formats[a]} against {f.photos.formats[b]}"),
    _BYTES,
    Rule(_of(lambda f: f.photos.quality), lambda f, a, b: "faces of less quality", slack=0.02),
    *_NAMES,
)
BURST: tuple[Rule, ...] = (
    _PREFERRED,
    Rule(Facts.open_eyes, lambda f, a, b: "eyes less open" if a in f.eyes else "no face found", share=0.6),
    Rule(_of(lambda f: f.photos.quality), lambda f, a, b: "faces of less quality", slack=0.05),
    Rule(_of(lambda f: f.photos.face_sharpness), lambda f, a, b: "faces less sharp", share=0.9),
    Rule(_of(lambda f: f.looks.sharpness), lambda f, a, b: "less sharp", share=0.95),
    Rule(Facts.resolution, lambda f, a, b: f"smaller: {f.shape(a)} against {f.shape(b)}", share=0.97),
    _BYTES,
    *_NAMES,
)


def choose(among: Sequence[int], rules: Sequence[Rule], facts: Facts) -> tuple[int, dict[int, str]]:
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


def choose_place(places: Sequence[Place], facts: Facts) -> tuple[Place, dict[str, str]]:
    """The file to keep among files of the same bytes, and by uri why the others are not it."""
    rules: list[tuple[Callable[[Place], float], str]] = [
        (lambda p: rank(p.uri, facts.prefer), "the other is in a folder that you prefer"),
        (lambda p: -(rank(p.uri, facts.protect) < len(facts.protect)), "the other is protected"),
        (lambda p: looks_copied(p.uri), "named like a copy"),
        (lambda p: len(p.uri), "its path is longer"),
        (lambda p: p.mtime_ns, "newer"),
    ]
    keys = {p.uri: [value(p) for value, _ in rules] for p in places}
    best = min(places, key=lambda p: (keys[p.uri], p.uri))
    said = {}
    for place in places:
        if place is not best:
            differs = (words for mine, its, (_, words) in zip(keys[place.uri], keys[best.uri], rules, strict=True) if mine != its)
            said[place.uri] = next(differs, "the same in all but its name")
    return best, said
