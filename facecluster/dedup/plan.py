"""The plan: a row for each file of each group with the action keep or move; written as CSV, and read back to be applied.

The user may change `action` in any spreadsheet. Where files are moved to, and whether a link replaces them, is decided when the plan is
applied; every row is checked again then.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime

from facecluster.dedup.explain import explain_keeper, explain_match
from facecluster.dedup.file_locations import FileLocation
from facecluster.dedup.find import Findings
from facecluster.dedup.groups import COPY, IN_BURST, KINDS, Group
from facecluster.dedup.keeper import choose_file
from facecluster.dedup.store_photos import NO_TIME
from facecluster.errors import InputError
from facecluster.language.said import say

KEEP, MOVE = "keep", "move"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A file of a group. The fields are the columns of the CSV."""

    group: int  # number, from 1
    kind: str  # copy (same bytes), pixels (same pixels), near (near-duplicate), burst; '' for the keeper
    action: str  # KEEP or MOVE
    uri: str
    keeper: str  # uri of the file that is kept for it; '' for the keeper itself
    sha256: str
    keeper_sha256: str
    size: int  # bytes; 0 for a link, and for a further name of a file in the group
    width: int  # px, upright
    height: int
    format: str
    taken_at: str  # ISO 8601; '' if unknown
    why: str  # how similar it is to the keeper
    reason: str  # why it is not the keeper, or can't be moved; of a keeper of copies what speaks for it


@dataclass(slots=True)
class Plan:
    """Rows by group, the keeper first."""

    rows: list[Row] = field(default_factory=list)
    files: int = 0  # in the store
    bytes: int = 0  # of these files

    @property
    def moved(self) -> list[Row]:
        """The rows of files to be moved."""
        return [r for r in self.rows if r.action == MOVE]

    @property
    def saved(self) -> int:
        """Bytes of the files to be moved."""
        return sum(r.size for r in self.moved)

    def counts(self) -> dict[str, int]:
        """Number of files that are not keepers, by kind, the most certain kind first. Links and further names of a file do not count."""
        kinds = [r.kind for r in self.rows if r.kind and r.size]
        return {kind: kinds.count(kind) for kind in KINDS if kind in kinds}


def make_plan(found: Findings, *, bursts: bool = False) -> Plan:
    """Decide about every file of every group.

    Args:
        found: from `find_duplicates`.
        bursts: also move the photos of bursts that are not kept.
    """
    photos = found.photos
    plan = Plan(files=sum(len(files) for files in photos.files), bytes=sum(f.size for files in photos.files for f in files))
    grouped = {p for g in found.copies for p in (g.keeper, *(m.photo for m in g.members))}
    several = [Group(p) for p in range(len(photos)) if p not in grouped and len(photos.files[p]) > 1]
    number = 0
    for group in sorted([*found.copies, *several], key=lambda g: photos.files[g.keeper][0].uri) + found.bursts:
        rows = _rows(found, group, number + 1, bursts)
        if len(rows) > 1:
            plan.rows += rows
            number += 1
    return plan


def _rows(found: Findings, group: Group, number: int, bursts: bool) -> list[Row]:
    photos, burst = found.photos, any(m.kind == IN_BURST for m in group.members)
    locations = found.locations.of(group.keeper)
    if not locations:
        return []
    keeper, reasons = choose_file([at.file for at in locations if not at.link] or [at.file for at in locations], found.facts)
    inode = next(at.inode for at in locations if at.file.uri == keeper.uri)
    taken = {p: _time(int(photos.taken[p])) for p in (group.keeper, *(m.photo for m in group.members))}

    def row(photo: int, at: FileLocation, kind: str, why: str, reason: str) -> Row:
        kept = at.file.uri == keeper.uri
        another_name = not kept and at.inode is not None and at.inode == inode
        immovable = at.immovable or (say("it is the kept file under another name") if another_name else "")
        movable = not immovable and (kind != IN_BURST or bursts)
        return Row(
            group=number, kind="" if kept else kind, action=MOVE if movable and not kept else KEEP, uri=at.file.uri,
            keeper="" if kept else keeper.uri, sha256=photos.ids[photo], keeper_sha256="" if kept else photos.ids[group.keeper],
            size=at.file.size if kept else 0 if another_name else at.size,
            width=int(photos.width[photo]), height=int(photos.height[photo]), format=photos.formats[photo],
            taken_at=taken[photo], why=why, reason=say("stays: %(why)s", why=immovable) if immovable and not kept else reason,
        )  # fmt: skip

    worth = "" if burst else explain_keeper(found, group.keeper)
    rows = [row(group.keeper, at, COPY, "", worth) for at in locations if at.file.uri == keeper.uri]
    if not burst:  # copies of a burst's photos have groups of their own
        others = (at for at in locations if at.file.uri != keeper.uri)
        rows += [row(group.keeper, at, COPY, say("the same bytes"), reasons.get(at.file.uri, "")) for at in others]
    for member in group.members:
        why = explain_match(found, group.keeper, member)
        its = found.locations.of(member.photo)
        if burst and its:  # only the file that the group of its copies keeps
            best = choose_file([at.file for at in its if not at.link] or [at.file for at in its], found.facts)[0]
            its = [at for at in its if at.file.uri == best.uri]
        rows += [row(member.photo, at, member.kind, why, member.reason) for at in its]
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
    """Rows from CSV, also as spreadsheets save it: semicolons or tabs, columns in another order, more columns.

    Raises:
        InputError: a column is missing, or a row can't be read; the message names the line of `source`.
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
        raise InputError(f"expected a plan as CSV, found another line {reader.line_num} in {source}: {e}. Make the plan again") from e
    return rows


def _row(found: dict[str, str | None], where: str) -> Row:
    values = {name: found.get(name) or "" for name in COLUMNS}
    action = values["action"].strip().lower()
    if action not in (KEEP, MOVE):
        raise InputError(f"expected the action keep or move, found {values['action']!r} in {where}: correct it")
    hashes = values["sha256"], values["keeper_sha256"] or "0" * 64
    if action == MOVE and not (values["uri"] and values["keeper"] and all(re.fullmatch("[0-9a-f]{64}", h) for h in hashes)):
        raise InputError(f"expected uri, keeper and their sha256 of a file to move, found {where} without: make the plan again")
    numbers = {name: int(values[name]) if re.fullmatch(r"\d+", values[name]) else 0 for name in ("group", "size", "width", "height")}
    words = {name: values[name] for name in COLUMNS if name not in numbers and name != "action"}
    return Row(action=action, **numbers, **words)  # type: ignore[arg-type]
