"""CSV files of users: separated by , or ; or tab, columns in any order, UTF-8 or not, with or without a byte order mark, or
UTF-16 with one.

Odd inputs (no file, no header, no rows, a row with more or fewer cells than the header, a duplicate column) are an InputError of one
line. Empty lines are skipped. Bytes that are not UTF-8 are decoded as in os.fsdecode, so that they can name a file.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import fsspec

from facecluster.errors import InputError
from facecluster.photos.images import local_path

_GUARDED = ("=", "+", "-", "@", "\t", "\r", "\n", "'")  # starts of what report/text.py and people/people_csv.py put an apostrophe before
VALUES = 40  # figures are broken down by a column if it has at most this many values, and at most 5 or a fifth of the rows


@dataclass(frozen=True, slots=True)
class Sheet:
    """A CSV file. Rows have as many cells as the header, without spaces around them; `lines` has the line number of each row."""

    source: str
    header: list[str]
    rows: list[list[str]]
    lines: list[int]

    def find(self, *names: str) -> int | None:
        """Index of the first of these columns (in lower case) that exists."""
        header = [h.lower() for h in self.header]
        return next((header.index(n) for n in names if n in header), None)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows that could not be used, for one reason."""

    reason: str
    rows: int
    example: str  # the first of them


@dataclass(slots=True)
class Tally:
    """Counts the rows that are left out, by reason."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, example: str) -> None:
        """Count one row."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        self.examples.setdefault(reason, example)

    def result(self) -> list[LeftOut]:
        """The reasons, most frequent first."""
        return [LeftOut(r, n, self.examples[r]) for r, n in sorted(self.counts.items(), key=lambda item: -item[1])]


def read_text(path: str) -> str:
    """A text file by path or URL. Raises InputError if it can't be read."""
    place = local_path(path)
    try:
        if place is None:
            with fsspec.open(path, "rb") as f:
                data = bytes(f.read())
        else:
            with open(os.path.expanduser(place), "rb") as f:
                data = f.read()
    except Exception as e:  # every remote filesystem has its own exceptions
        reason = (e.strerror if isinstance(e, OSError) else None) or str(e) or type(e).__name__
        raise InputError(f"expected a readable text file, found {path!r}: {reason}. Check the path") from e
    return decoded(data)


def decoded(data: bytes) -> str:
    """The text of a file: UTF-8, other bytes as in os.fsdecode, or UTF-16 with a mark."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # Excel's "Unicode text"
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "surrogateescape")


def read_sheet(path: str) -> Sheet:
    """Read a CSV file with a header. Raises InputError if it can't be read as one."""
    return sheet_of(read_text(path), path)


def sheet_of(text: str, path: str, *, as_is: bool = False) -> Sheet:
    """The text of a CSV file with a header; `path` is for messages. Raises InputError if it can't be read as one.

    `as_is`: cells keep the apostrophe that guards them (see `unguarded`), as some of them are written again.
    """
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    rows, lines = [], []
    try:
        for row in reader:
            cells = [cell.strip() if as_is else unguarded(cell.strip()) for cell in row]
            if not any(cells):
                continue
            if not header:
                header = cells
            elif len(cells) != len(header):
                raise InputError(
                    f"expected {len(header)} cells in each row of {path}, found {len(cells)} in line {reader.line_num}: correct the line"
                )
            else:
                rows.append(cells)
                lines.append(reader.line_num)
    except csv.Error as e:
        raise InputError(f"expected CSV in {path}, found in line {reader.line_num}: {e}. Correct the line") from e
    twice = [name for name, n in Counter(h.lower() for h in header).items() if n > 1 and name]
    if twice:
        raise InputError(f"expected each column of {path} once, found {twice[0]!r} twice: rename or delete one")
    if not rows:
        raise InputError(f"expected a header and rows in {path}, found {'a header alone' if header else 'nothing'}: fill it in")
    return Sheet(path, header, rows, lines)


def unguarded(cell: str) -> str:
    """A cell without the apostrophe that facecluster's own CSV files have before what a spreadsheet could run as a formula."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in _GUARDED else cell


def listed(names: Iterable[str]) -> str:
    """Names for a message: 'a, b, c'."""
    return ", ".join(names) or "nothing"


def group_columns(sheet: Sheet, wanted: Sequence[str], own: Collection[str]) -> tuple[dict[str, int], list[str]]:
    """Index of each column that figures are broken down by, and the names of columns with too many values for that.

    Args:
        sheet: the file.
        wanted: names of columns; if empty, all columns with few values, except `own`.
        own: names, in lower case, of columns with another meaning.

    Raises:
        InputError: there is no such column.
    """
    others = {name: i for i, name in enumerate(sheet.header) if name and name.lower() not in own}
    missing = [name for name in wanted if name not in others]
    if missing:
        raise InputError(f"expected a column {missing[0]!r} in {sheet.source}, found {listed(others)}: name one of them with --group")
    if wanted:
        return {name: others[name] for name in wanted}, []
    most = min(VALUES, max(5, len(sheet.rows) // 5))
    few = {name: i for name, i in others.items() if len({row[i] for row in sheet.rows} - {""}) <= most}
    return few, [name for name in others if name not in few]
