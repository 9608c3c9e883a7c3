"""Explains in words why two photos are in one group, and what speaks for the one that stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecluster.dedup.copy_check import MIN_BAR_SHARE
from facecluster.dedup.groups import IN_BURST, PIXELS, Member
from facecluster.dedup.keeper import GREY
from facecluster.dedup.photo_facts import INTACT
from facecluster.photos.perceptual_hash import describe_turn

if TYPE_CHECKING:
    from facecluster.dedup.find import Findings

FIGURES = "; difference "  # begins what is said in figures about a copy


def explain_match(found: Findings, keeper: int, member: Member) -> str:
    """How similar a photo is to its keeper, and in what they differ."""
    photos, relation = found.photos, member.relation
    if member.kind == IN_BURST:
        apart = abs(int(photos.taken[member.photo]) - int(photos.taken[keeper]))
        return f"taken {apart} s {'after' if photos.taken[member.photo] >= photos.taken[keeper] else 'before'} it, and alike"
    if relation is None:
        return ""
    if member.kind == PIXELS:
        return f"the same pixels; other metadata or compression ({_format(found, member.photo, keeper) or 'same format'})"
    said = [describe_turn(*relation.turn)]
    if abs(relation.scale - 1) > 0.03:
        said.append(f"{round(100 * relation.scale)} % of its size")
    if relation.extra_a > MIN_BAR_SHARE:
        said.append(f"cropped to {round(100 * (1 - relation.extra_a))} %")
    if relation.extra_b > MIN_BAR_SHARE:
        said.append(f"shows {round(100 * relation.extra_b)} % more")
    colour = found.fingerprints.colour[member.photo] - found.fingerprints.colour[keeper]
    if abs(colour) > GREY and min(found.fingerprints.colour[[member.photo, keeper]]) < GREY:
        said.append("in colour" if colour > 0 else "without colour")
    said.append(("", "without the text of the other", "with text over it or beside it")[relation.captioned])
    said.append(_format(found, member.photo, keeper))
    differs = f"{relation.difference:.2f} of the limit for copies; {relation.bits} of 63 bits of the hash differ"
    return FIGURES.join([", ".join(s for s in said if s) or "compressed again", differs])


def explain_keeper(found: Findings, keeper: int) -> str:
    """What the photo that stays is, in one line."""
    photos, facts = found.photos, found.facts
    origin = facts.origins.of(keeper)
    said = []
    if origin.camera:
        said.append(f"the file of {origin.camera}" if facts.camera(keeper) == INTACT else f"{origin.camera}, {origin.edited}")
    said += [words for has, words in (
        (origin.raw, "RAW"), (origin.place, "with its place"), (facts.has_motion(keeper), "with its film"),
        (origin.depth, "with its HDR gain map or depth map"), (facts.has_sidecar(keeper), "with a sidecar"),
        (origin.bits > 8 and not origin.raw, f"{origin.bits} bits a channel"),
    ) if has]  # fmt: skip
    quality = f" of quality {origin.quality:.0f}" if origin.quality else ""
    said.append(f"{photos.width[keeper]}x{photos.height[keeper]} {photos.formats[keeper]}{quality}")
    return "kept: " + ", ".join(said)


def _format(found: Findings, photo: int, keeper: int) -> str:
    mine, other = found.photos.formats[photo], found.photos.formats[keeper]
    return "" if mine == other else f"{mine} instead of {other}"
