"""Explains in words why two photos are in one group, and what speaks for the one that stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecluster.dedup.copy_check import MIN_BAR_SHARE
from facecluster.dedup.edited import say_edited
from facecluster.dedup.groups import IN_BURST, PIXELS, Member
from facecluster.dedup.keeper import GREY
from facecluster.dedup.photo_facts import INTACT
from facecluster.language.said import joined, say
from facecluster.photos.perceptual_hash import describe_turn

if TYPE_CHECKING:
    from facecluster.dedup.find import Findings

FIGURES = "; difference "  # begins what is said in figures about a copy


def explain_match(found: Findings, keeper: int, member: Member) -> str:
    """How similar a photo is to its keeper, and in what they differ."""
    photos, relation = found.photos, member.relation
    if member.kind == IN_BURST:
        apart = abs(int(photos.taken[member.photo]) - int(photos.taken[keeper]))
        later = photos.taken[member.photo] >= photos.taken[keeper]
        if later:
            return say("taken %(seconds)s s after it, and alike", seconds=apart)
        return say("taken %(seconds)s s before it, and alike", seconds=apart)
    if relation is None:
        return ""
    if member.kind == PIXELS:
        form = _format(found, member.photo, keeper) or say("same format")
        return say("the same pixels; other metadata or compression (%(format)s)", format=form)
    turn = describe_turn(*relation.turn)
    said: list[str] = [say(turn) if turn else ""]
    if abs(relation.scale - 1) > 0.03:
        said.append(say("%(share)s %% of its size", share=round(100 * relation.scale)))
    if relation.extra_a > MIN_BAR_SHARE:
        said.append(say("cropped to %(share)s %%", share=round(100 * (1 - relation.extra_a))))
    if relation.extra_b > MIN_BAR_SHARE:
        said.append(say("shows %(share)s %% more", share=round(100 * relation.extra_b)))
    colour = found.fingerprints.colour[member.photo] - found.fingerprints.colour[keeper]
    if abs(colour) > GREY and min(found.fingerprints.colour[[member.photo, keeper]]) < GREY:
        said.append(say("in colour") if colour > 0 else say("without colour"))
    said.append(("", say("without the text of the other"), say("with text over it or beside it"))[relation.captioned])
    said.append(_format(found, member.photo, keeper))
    how = joined(", ", [s for s in said if s]) if any(said) else say("compressed again")
    text = say(
        "%(share)s of the limit for copies; %(bits)s of 63 bits of the hash differ", share=float(relation.difference), bits=relation.bits
    )
    return joined(FIGURES, [how, text])


def explain_keeper(found: Findings, keeper: int) -> str:
    """What the photo that stays is, in one line."""
    photos, facts = found.photos, found.facts
    origin = facts.origins.of(keeper)
    said: list[str] = []
    if origin.camera:
        intact = facts.camera(keeper) == INTACT
        said += [say("the file of %(camera)s", camera=origin.camera)] if intact else [origin.camera, say_edited(origin.edited)]
    said += [words for has, words in (
        (origin.raw, "RAW"), (origin.place, say("with its place")), (facts.has_motion(keeper), say("with its film")),
        (origin.depth, say("with its HDR gain map or depth map")), (facts.has_sidecar(keeper), say("with a sidecar")),
        (origin.bits > 8 and not origin.raw, say("%(bits)s bits a channel", bits=int(origin.bits))),
    ) if has]  # fmt: skip
    shape = f"{photos.width[keeper]}x{photos.height[keeper]} {photos.formats[keeper]}"
    said.append(say("%(shape)s of quality %(quality)s", shape=shape, quality=round(origin.quality)) if origin.quality else shape)
    return say("kept: %(what)s", what=joined(", ", said))


def _format(found: Findings, photo: int, keeper: int) -> str:
    mine, other = found.photos.formats[photo], found.photos.formats[keeper]
    return "" if mine == other else say("%(mine)s instead of %(other)s", mine=mine, other=other)
