"""STORE/people.csv: a row for each person, where the user may write names.

The rule: what is there is compared with what was written last (runs/people.csv has it). A row whose name differs is a decision: the
person is called that; an emptied name takes the name away; `ignored` set to yes ignores the person. Rows that are as they were written
say nothing, whatever was decided elsewhere since, and a row that was deleted says nothing. Only then the file is written anew.

Odd inputs: a row of nobody known is noted and passed over; a file that is no table with the columns person_id and name is an InputError,
and stays as it is. A file that was never written by a run is taken as if all of its names were new.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from facecluster.decisions import clean_name
from facecluster.errors import InputError
from facecluster.evaluation.sheet import Sheet, listed, read_sheet
from facecluster.people.runs import People
from facecluster.store import Store

FILE = "people.csv"
WRITTEN = ("runs", "people.csv")
COLUMNS = ("person_id", "name", "faces", "ignored")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")  # what a spreadsheet could take for a formula is led by an apostrophe
_YES, _NO = ("yes", "true", "1", "x", "ja", "oui", "si", "sí"), ("", "no", "false", "0", "nein", "non")


@dataclass(frozen=True, slots=True)
class Edit:
    """What the user changed in a row."""

    person_id: str
    name: str | None  # None = as it was; '' = taken away
    ignored: bool | None


def render(people: People) -> bytes:
    """The file for these people; those that are ignored come last."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for i in sorted(range(len(people.faces)), key=lambda i: people.ignored[i]):
        name = people.names[i] or ""
        guarded = "'" + name if name.startswith(_FORMULA) else name
        writer.writerow([people.person_ids[i], guarded, people.faces[i], "yes" if people.ignored[i] else ""])
    return ("\ufeff" + out.getvalue()).encode()  # Excel takes UTF-8 for another encoding without the mark


def write(store: Store, people: People) -> None:
    """Write the file, unless it is that already; then what it is compared with: after a crash between the two nothing looks edited."""
    data = render(people)
    for parts in ((FILE,), WRITTEN):
        if _bytes(store, *parts) != data:
            store.write_bytes(data, *parts)


def refresh(store: Store, people: People) -> bool:
    """Write the file for another run; False, and nothing is written, if the user has changed it since."""
    data = _bytes(store, FILE)
    if data is not None and data != _bytes(store, *WRITTEN):
        return False
    write(store, people)
    return True


def edits(store: Store, known: People) -> tuple[list[Edit], list[str]]:
    """What the user changed since the file was written, as to the people `known` as they are called now; and notes.

    Raises:
        InputError: the file is no such table.
    """
    data, written = _bytes(store, FILE), _bytes(store, *WRITTEN)
    if data is None or data == written or not data.strip():
        return [], []
    path = store.path(FILE) if store.is_local else f"{store.url.rstrip('/')}/{FILE}"
    sheet = read_sheet(path)
    base = _rows(read_sheet(path[: -len(FILE)] + "/".join(WRITTEN))) if written else {}
    places = {person: i for i, person in enumerate(known.person_ids)}
    found, strangers = [], []
    for person, (name, ignored) in _rows(sheet).items():
        was = base.get(person, ("", False))
        if (name, ignored) == was:
            continue
        if person not in places:
            strangers.append(person)
            continue
        i = places[person]
        new_name = name if name != was[0] and name != (known.names[i] or "") else None
        new_ignored = ignored if ignored != was[1] and ignored != known.ignored[i] else None
        if new_name is not None or new_ignored is not None:
            found.append(Edit(person, new_name, new_ignored))
    notes = [f"{FILE} has changed rows of people who are not there, which are passed over: {listed(strangers[:5])}"] if strangers else []
    return found, notes


def _rows(sheet: Sheet) -> dict[str, tuple[str, bool]]:
    """Name and `ignored` by person_id."""
    key, name, ignored = (sheet.find(column) for column in ("person_id", "name", "ignored"))
    if key is None or name is None:
        raise InputError(
            f"expected the columns person_id and name in {sheet.source}, found {listed(sheet.header)}: put them back, or delete the file"
        )
    rows: dict[str, tuple[str, bool]] = {}
    for row, line in zip(sheet.rows, sheet.lines, strict=True):
        if row[key] in rows and row[key]:
            raise InputError(f"expected each person once in {sheet.source}, found {row[key]} again in line {line}: delete one of the rows")
        if row[key]:
            rows[row[key]] = (_name(row[name]), _flag(row[ignored], sheet, line) if ignored is not None else False)
    return rows


def _name(cell: str) -> str:
    try:
        cell.encode()
    except UnicodeEncodeError:  # spreadsheets on Windows write in their own encoding
        cell = cell.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return clean_name(cell[1:] if cell[:1] == "'" and cell[1:].startswith(_FORMULA) else cell)


def _flag(cell: str, sheet: Sheet, line: int) -> bool:
    if cell.casefold() not in (*_YES, *_NO):
        raise InputError(f"expected yes or nothing as ignored in line {line} of {sheet.source}, found {cell!r}: correct it")
    return cell.casefold() in _YES


def _bytes(store: Store, *parts: str) -> bytes | None:
    try:
        return bytes(store.fs.cat_file(store.path(*parts)))
    except FileNotFoundError:
        return None
