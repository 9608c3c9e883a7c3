"""Which photo of a group is kept (the keeper): rules in order, each of which drops the photos that are not as good as the best by it.

The reason for dropping a photo is the first rule that it fails, in words that name both values. Rules are not weighted against each other:
their order in COPY_RULES and BURST_RULES is the whole policy. Of copies the picture comes first (size, the whole of it, nothing written
over), then the camera's own file and what it holds, then how much compression took away, and bytes last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.dedup.edited import say_edited
from facecluster.dedup.folders import folder_rank
from facecluster.dedup.photo_facts import CAMERA_NAMED, INTACT, LOSSLESS, PhotoFacts
from facecluster.dedup.store_photos import PhotoFile
from facecluster.language import mark
from facecluster.language.said import Bytes, say
from facecluster.photos.copy_names import named_like_copy

GREY = 4.0  # mean of max(R, G, B) - min(R, G, B), 0 to 255: grey photos have below 2
# of pictures of the same quality: without loss; cameras' formats and the newer ones, which nobody makes JPEGs into; JPEG; the web's
_FORMATS = {"PNG": 3.0, "TIFF": 3.0, "BMP": 3.0, "HEIF": 2.5, "JXL": 2.5, "AVIF": 2.5, "JPEG": 2.0, "WEBP": 1.0, "GIF": 0.0}


@dataclass(frozen=True, slots=True)
class Rule:
    """Keeps the photos whose value is at least `share` times the best, less `slack`."""

    value: Callable[[PhotoFacts, int], float]
    says: Callable[[PhotoFacts, int, int], str]  # why the first photo is dropped in favour of the second
    share: float = 1.0
    slack: float = 0.0


def _of(values: Callable[[PhotoFacts], NDArray[np.float32]]) -> Callable[[PhotoFacts, int], float]:
    return lambda facts, photo: float(values(facts)[photo])


def _format(facts: PhotoFacts, photo: int) -> str:
    return facts.photos.formats[photo] or say("another format")


def _less_camera(facts: PhotoFacts, photo: int, kept: int) -> str:
    name = facts.origins.of(kept).camera
    if facts.camera(photo) == CAMERA_NAMED:
        edited = say_edited(facts.origins.of(photo).edited)
        return say("not the camera's own file: %(edited)s; the other is that of %(camera)s", edited=edited, camera=name)
    if facts.camera(kept) == INTACT:
        return say("without the camera; the other is the file of %(camera)s", camera=name)
    return say("without the camera, %(camera)s", camera=name)


def _less_quality(facts: PhotoFacts, photo: int, kept: int) -> str:
    mine, its = facts.quality(photo), facts.quality(kept)
    values = {"quality": round(mine), "other": say("without loss") if its == LOSSLESS else round(its)}
    if facts.was_jpeg(photo):
        return say("more compressed: worth a JPEG of quality %(quality)s that it was before, against %(other)s", **values)
    return say("more compressed: worth a JPEG of quality %(quality)s, against %(other)s", **values)


def _was_jpeg(facts: PhotoFacts, photo: int, kept: int) -> str:
    quality = round(facts.traces.of(photo).quality)
    if facts.origins.of(photo).quality:
        return say("a JPEG of quality %(quality)s saved again", quality=quality)
    return say("made from a JPEG of quality %(quality)s: a %(format)s adds nothing", quality=quality, format=_format(facts, photo))


def _smaller(facts: PhotoFacts, photo: int, kept: int) -> str:
    shapes = {"mine": facts.shape(photo), "other": facts.shape(kept)}
    if facts.enlarged(photo):
        return say("enlarged: %(mine)s against %(other)s", **shapes)
    return say("smaller: %(mine)s against %(other)s", **shapes)


def _less_resolution(facts: PhotoFacts, photo: int, kept: int) -> str:
    return say("smaller: %(mine)s against %(other)s", mine=facts.shape(photo), other=facts.shape(kept))


def _lesser_format(facts: PhotoFacts, photo: int, kept: int) -> str:
    return say("%(mine)s against %(other)s", mine=_format(facts, photo), other=_format(facts, kept))


def _fewer_bits(facts: PhotoFacts, photo: int, kept: int) -> str:
    if facts.bits(photo) < 8:
        return say("256 colours")
    return say("%(mine)s bits a channel against %(other)s", mine=round(facts.bits(photo)), other=round(facts.bits(kept)))


def _less_detail(facts: PhotoFacts, photo: int, kept: int) -> str:
    share = 100 * facts.traces.of(photo).detail / max(facts.traces.of(kept).detail, 0.01)
    return say("has lost fine detail: %(share)s %% of the other's", share=round(share))


def _has(what: Callable[[PhotoFacts, int], float], words: str) -> Rule:
    return Rule(what, lambda f, a, b: say(words))


_PREFERRED = Rule(PhotoFacts.preferred, lambda f, a, b: say("the other is in a folder that you prefer"))
_BYTES = Rule(
    PhotoFacts.worth,
    lambda f, a, b: say(
        "more compressed: %(mine)s against %(other)s", mine=Bytes(f.photos.size[a]), other=Bytes(f.photos.size[b])
    ),
    share=0.98,
)
_NAMES = (
    Rule(PhotoFacts.original_name, lambda f, a, b: say("named like a copy")),
    Rule(lambda f, p: -min(len(q.uri) for q in f.photos.files[p]), lambda f, a, b: say("as good; its path is longer")),
    Rule(lambda f, p: -p, lambda f, a, b: say("as good in all")),
)
COPY_RULES: tuple[Rule, ...] = (
    _PREFERRED,
    Rule(PhotoFacts.scale, _smaller, share=0.67),
    Rule(PhotoFacts.coverage, lambda f, a, b: say("cropped: it shows less"), slack=0.03),
    Rule(PhotoFacts.without_caption, lambda f, a, b: say("text was written over it, or beside it")),
    Rule(PhotoFacts.scale, _smaller, share=0.97),
    Rule(_of(lambda f: f.fingerprints.colour), lambda f, a, b: say("without colour"), share=0.5, slack=GREY),
    Rule(lambda f, p: float(not f.enlarged(p)), _smaller),
    Rule(PhotoFacts.camera, _less_camera),
    _has(lambda f, p: f.origins.of(p).raw, mark("developed; the other is the RAW photo")),
    _has(lambda f, p: f.origins.of(p).place, mark("without the place")),
    _has(PhotoFacts.has_motion, mark("without the film of a live or motion photo")),
    _has(lambda f, p: f.origins.of(p).depth, mark("without the depth map or HDR gain map")),
    _has(PhotoFacts.has_time, mark("without a time")),
    _has(lambda f, p: f.origins.of(p).maker_note, mark("without the camera's notes")),
    _has(PhotoFacts.has_sidecar, mark("without a sidecar beside it")),
    Rule(
        PhotoFacts.bits,
        _fewer_bits,
    ),
    Rule(PhotoFacts.quality, _less_quality, slack=3),
    Rule(
        lambda f, p: f.traces.of(p).detail,
        _less_detail,
        share=0.9, slack=0.6,  # after the quality: the rounding of a JPEG can add what looks like detail
    ),
    Rule(lambda f, p: float(not f.was_jpeg(p)), _was_jpeg),
    Rule(lambda f, p: _FORMATS.get(f.photos.formats[p], 1.0), _lesser_format),
    Rule(lambda f, p: float(not (f.origins.of(p).jfif and f.origins.of(p).camera)), lambda f, a, b: say("saved again by a program")),
    _BYTES,
    Rule(_of(lambda f: f.photos.quality), lambda f, a, b: say("faces of less quality"), slack=0.02),
    *_NAMES,
)  # fmt: skip
BURST_RULES: tuple[Rule, ...] = (
    _PREFERRED,
    Rule(PhotoFacts.open_eyes, lambda f, a, b: say("eyes less open") if a in f.eyes else say("no face found"), share=0.6),
    Rule(_of(lambda f: f.photos.quality), lambda f, a, b: say("faces of less quality"), slack=0.05),
    Rule(_of(lambda f: f.photos.face_sharpness), lambda f, a, b: say("faces less sharp"), share=0.9),
    Rule(_of(lambda f: f.fingerprints.sharpness), lambda f, a, b: say("less sharp"), share=0.95),
    Rule(PhotoFacts.resolution, _less_resolution, share=0.97),
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
        (lambda f: folder_rank(f.uri, facts.prefer), say("the other is in a folder that you prefer")),
        (lambda f: -(folder_rank(f.uri, facts.protect) < len(facts.protect)), say("the other is protected")),
        (lambda f: -facts.origins.has_film(f), say("without the film of a live photo beside it")),
        (lambda f: -facts.origins.has_sidecar(f), say("without a sidecar beside it")),
        (lambda f: named_like_copy(f.uri), say("named like a copy")),
        (lambda f: len(f.uri), say("its path is longer")),
        (lambda f: f.mtime_ns, say("newer")),
    ]
    keys = {f.uri: [value(f) for value, _ in rules] for f in files}
    best = min(files, key=lambda f: (keys[f.uri], f.uri))
    reasons = {}
    for file in files:
        if file is not best:
            differs = (words for mine, its, (_, words) in zip(keys[file.uri], keys[best.uri], rules, strict=True) if mine != its)
            reasons[file.uri] = next(differs, say("the same in all but its name"))
    return best, reasons
