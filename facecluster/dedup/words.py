"""Why two photos are in one group, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecluster.dedup.groups import IN_BURST, PIXELS, Member
from facecluster.dedup.hashing import turn_between
from facecluster.dedup.judge import LITTLE
from facecluster.dedup.keeper import GREY

if TYPE_CHECKING:
    from facecluster.dedup.find import Findings


def how_near(found: Findings, keeper: int, member: Member) -> str:
    """How near a photo is to its keeper, and in what they differ."""
    photos, relation = found.photos, member.relation
    if member.kind == IN_BURST:
        apart = abs(int(photos.taken[member.photo]) - int(photos.taken[keeper]))
        return f"taken {apart} s {'after' if photos.taken[member.photo] >= photos.taken[keeper] else 'before'} it, and alike"
    if relation is None:
        return ""
    if member.kind == PIXELS:
        return f"the same pixels; other metadata or packing ({_format(found, member.photo, keeper) or 'same format'})"
    said = [turn_between(*relation.turn)]
    if abs(relation.scale - 1) > 0.03:
        said.append(f"{round(100 * relation.scale)} % of its size")
    if relation.more_a > LITTLE:
        said.append(f"cropped to {round(100 * (1 - relation.more_a))} %")
    if relation.more_b > LITTLE:
        said.append(f"shows {round(100 * relation.more_b)} % more")
    colour = found.looks.colour[member.photo] - found.looks.colour[keeper]
    if abs(colour) > GREY and min(found.looks.colour[[member.photo, keeper]]) < GREY:
        said.append("in colour" if colour > 0 else "without colour")
    said.append(("", "without the text of the other", "with text over it or beside it")[relation.written])
    said.append(_format(found, member.photo, keeper))
    differs = f"differs by {relation.difference:.2f} of what copies may, in {relation.bits} of 63 bits of the hash"
    return "; ".join([", ".join(s for s in said if s) or "coded again", differs])


def _format(found: Findings, photo: int, keeper: int) -> str:
    mine, other = found.photos.formats[photo], found.photos.formats[keeper]
    return "" if mine == other else f"{mine} instead of {other}"
