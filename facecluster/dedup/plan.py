"""What is to be done with each file of each group, as rows: made from findings, written as CSV, read back when it is applied.

The CSV is for people too: they change `action` (keep or move) in any spreadsheet. What is moved, and whether a link takes its place, is
decided when the plan is applied, and all of it is checked again then.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime

from facecluster.dedup.find import Findings
from facecluster.dedup.groups import COPY, IN_BURST, KINDS, Group
from facecluster.dedup.keeper import choose_place
from facecluster.dedup.library import NO_TIME
from facecluster.dedup.places import Now
from facecluster.dedup.words import how_near
from facecluster.errors import InputError

KEEP, MOVE = "keep", "move"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A file of a group."""

    group: int  # number, from 1
    kind: str  # copy (same bytes), pixels (same pixels), near, burst; of the keeper: ''
    action: str  # KEEP or MOVE
    uri: str
    keeper: str  # uri of the file that stays in its place; '' for the keeper itself
    sha256: str
    keeper_sha256: str
    size: int  # bytes; 0 for a link and for a further name of a file that stands in the group
    width: int  # px, upright
    height: int
    format: str
    taken_at: str  # ISO 8601; '' if unknown
    why: str  # how near it is to the keeper
    reason: str  # why it is not the one that is kept, or can't be moved


@dataclass(slots=True)
class Plan:
    """Rows by group, the keeper of a group first."""

    rows: list[Row] = field(default_factory=list)
    files: int = 0  # in the store, before
    bytes: int = 0

    @property
    def moved(self) -> list[Row]:
        """The rows of files to be moved."""
        return [r for r in self.rows if r.action == MOVE]

    @property
    def saved(self) -> int:
        """Bytes of the files to be moved."""
        return sum(r.size for r in self.moved)

    def counts(self) -> dict[str, int]:
        """Files that are not keepers, by kind, the surest first. Links and further names of a file are no files of their own."""
        kinds = [r.kind for r in self.rows if r.kind and r.size]
        return {kind: kinds.count(kind) for kind in KINDS if kind in kinds}


def make_plan(found: Findings, *, bursts: bool = False) -> Plan:
    """Decide on every file of every group.

    Args:
        found: what `find` gave.
        bursts: move the photos of a burst that are not kept, too.
    """
    photos = found.photos
    plan = Plan(files=sum(len(p) for p in photos.places), bytes=sum(p.size for places in photos.places for p in places))
    grouped = {p for g in found.copies for p in (g.keeper, *(m.photo for m in g.members))}
    several = [Group(p) for p in range(len(photos)) if p not in grouped and len(photos.places[p]) > 1]
    number = 0
    for group in sorted([*found.copies, *several], key=lambda g: photos.places[g.keeper][0].uri) + found.bursts:
        rows = _rows(found, group, number + 1, bursts)
        if len(rows) > 1:
            plan.rows += rows
            number += 1
    return plan


def _rows(found: Findings, group: Group, number: int, bursts: bool) -> list[Row]:
    photos, burst = found.photos, any(m.kind == IN_BURST for m in group.members)
    places = found.places.of(group.keeper)
    if not places:
        return []
    keeper, dropped = choose_place([p.place for p in places if not p.link] or [p.place for p in places], found.facts)
    file = next(p.file for p in places if p.place.uri == keeper.uri)
    taken = {p: _time(int(photos.taken[p])) for p in (group.keeper, *(m.photo for m in group.members))}

    def row(photo: int, now: Now, kind: str, why: str, reason: str) -> Row:
        kept = now.place.uri == keeper.uri
        another_name = not kept and now.file is not None and now.file == file
        bound = now.bound or ("it is the kept file under another name" if another_name else "")
        free = not bound and (kind != IN_BURST or bursts)
        return Row(
            group=number, kind="" if kept else kind, action=MOVE if free and not kept else KEEP, uri=now.place.uri,
            keeper="" if kept else keeper.uri, sha256=photos.ids[photo], keeper_sha256="" if kept else photos.ids[group.keeper],
            size=now.place.size if kept else 0 if another_name else now.size,
            width=int(photos.width[photo]), height=int(photos.height[photo]), format=photos.formats[photo],
            taken_at=taken[photo], why=why, reason=f"stays: {bound}" if bound and not kept else reason,
        )  # fmt: skip

    rows = [row(group.keeper, now, COPY, "", "") for now in places if now.place.uri == keeper.uri]
    if not burst:  # copies of a burst's photos stand in groups of their own
        others = (now for now in places if now.place.uri != keeper.uri)
        rows += [row(group.keeper, now, COPY, "the same bytes", dropped.get(now.place.uri, "")) for now in others]
    for member in group.members:
        why = how_near(found, group.keeper, member)
        its = found.places.of(member.photo)
        if burst and its:  # the file that stands for it is the one that its copies' group keeps
            best = choose_place([p.place for p in its if not p.link] or [p.place for p in its], found.facts)[0]
            its = [now for now in its if now.place.uri == best.uri]
        rows += [row(member.photo, now, member.kind, why, member.dropped) for now in its]
    return rows


def _time(seconds: int) -> str:
    return "" if seconds == NO_TIME else datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()


COLUMNS = tuple(f.name for f in fields(Row))


def to_csv(rows: Sequence[Row]) -> str:
    """Rows as CSV (RFC 4180)."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows([getattr(row, name) for name in COLUMNS] for row in rows)
    return out.getvalue()


def from_csv(text: str, source: str) -> list[Row]:
    """Rows from CSV, also as spreadsheets save it (semicolons or tabs, another order of columns, more columns).

    Raises:
        InputError: a column is missing, or a row can't be understood; names the line of `source`.
    """
    text = text.removeprefix("\ufeff")
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = []
    try:
        missing = [c for c in ("action", "uri", "keeper", "sha256", "keeper_sha256") if c not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"expected a plan with a column {missing[0]!r}, found none in {source}: make it with 'facecluster dedup'")
        for found in reader:
            rows.append(_row(found, f"line {reader.line_num} of {source}"))
    except csv.Error as e:
        raise InputError(f"expected a plan as CSV, found line {reader.line_num} of {source} that is none: {e}. Make the plan anew") from e
    return rows


def _row(found: dict[str, str | None], where: str) -> Row:
    values = {name: found.get(name) or "" for name in COLUMNS}
    action = values["action"].strip().lower()
    if action not in (KEEP, MOVE):
        raise InputError(f"expected the action keep or move, found {values['action']!r} in {where}: put it right")
    hashes = values["sha256"], values["keeper_sha256"] or "0" * 64
    if action == MOVE and not (values["uri"] and values["keeper"] and all(re.fullmatch("[0-9a-f]{64}", h) for h in hashes)):
        raise InputError(f"expected uri, keeper and their sha256 of a file to move, found {where} without: make the plan anew")
    numbers = {name: int(values[name]) if re.fullmatch(r"\d+", values[name]) else 0 for name in ("group", "size", "width", "height")}
    words = {name: values[name] for name in COLUMNS if name not in numbers and name != "action"}
    return Row(action=action, **numbers, **words)  # type: ignore[arg-type]
