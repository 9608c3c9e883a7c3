"""STORE/people.csv: a row for each person, where the user may write names.

The file is compared with the copy of what was written last, runs/people.csv. A row whose name differs from the copy is a decision to name
the person; an emptied name removes the name; `ignored` set to yes ignores the person. An unchanged row is no decision, even if the person
was renamed elsewhere meanwhile; neither is a deleted row. After the edits are read, the file is written again.

Odd inputs: a row of a retired id, in a file that was saved over a newer one, is compared with what the last run with that id wrote. A
changed row of an unknown person is skipped with a note. A file without the columns person_id and name is an InputError and
stays as it is. If the copy is missing, all names in the file count as new.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from facecluster.decisions import clean_name
from facecluster.errors import InputError
from facecluster.evaluation.csv_file import Sheet, listed, read_sheet
from facecluster.people.runs import People
from facecluster.store import Store

FILE = "people.csv"
LAST_WRITTEN = ("runs", "people.csv")
COLUMNS = ("person_id", "name", "faces", "ignored")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")  # text that a spreadsheet could run as a formula gets an apostrophe before it
_YES, _NO = ("yes", "true", "1", "x", "ja", "oui", "si", "sí"), ("", "no", "false", "0", "nein", "non")


@dataclass(frozen=True, slots=True)
class Edit:
    """The user's changes in one row."""

    person_id: str
    name: str | None  # None = unchanged; '' = removed
    ignored: bool | None  # None = unchanged


def render(people: People) -> bytes:
    """The bytes of the file for these people; ignored people come last."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for i in sorted(range(len(people.faces)), key=lambda i: people.ignored[i]):
        name = people.names[i] or ""
        guarded = "'" + name if name.startswith(_FORMULA) else name
        writer.writerow([people.person_ids[i], guarded, people.faces[i], "yes" if people.ignored[i] else ""])
    return ("\ufeff" + out.getvalue()).encode()  # without a byte order mark Excel reads UTF-8 as another encoding


def write(store: Store, people: People) -> None:
    """Write the file, then the copy that it is compared with: in this order a crash between the two leaves no row that looks edited.

    A file that has these bytes already is not written.
    """
    data = render(people)
    for parts in ((FILE,), LAST_WRITTEN):
        if _bytes(store, *parts) != data:
            store.write_bytes(data, *parts)


def refresh(store: Store, people: People) -> bool:
    """Write the file, unless the user has edited it since it was written; False if so."""
    data = _bytes(store, FILE)
    if data is not None and data != _bytes(store, *LAST_WRITTEN):
        return False
    write(store, people)
    return True


def read_edits(store: Store, known: People) -> tuple[list[Edit], list[str]]:
    """The user's changes since the file was written, and notes. `known` are the people with their present names.

    Raises:
        InputError: the file is not a table with these columns.
    """
    data, written = _bytes(store, FILE), _bytes(store, *LAST_WRITTEN)
    if data is None or data == written or not data.strip():
        return [], []
    path = store.path(FILE) if store.is_local else f"{store.url.rstrip('/')}/{FILE}"
    sheet = read_sheet(path)
    base = _rows(read_sheet(path[: -len(FILE)] + "/".join(LAST_WRITTEN))) if written else {}
    past = {r.person_id: (r.name or "", r.ignored) for r in known.retired}
    found, unknown = [], []
    # a row of a retired id, in a file that was open during a run, comes first: what the person's own row says counts
    for person, (name, ignored) in sorted(_rows(sheet).items(), key=lambda row: row[0] in known.person_ids):
        was = base.get(person, past.get(person, ("", False)))
        if (name, ignored) == was:
            continue
        i = known.index(person)
        if i is None:
            unknown.append(person)
            continue
        new_name = name if name != was[0] and name != (known.names[i] or "") else None
        new_ignored = ignored if ignored != was[1] and ignored != known.ignored[i] else None
        if new_name is not None or new_ignored is not None:
            found.append(Edit(person, new_name, new_ignored))
    notes = [f"{FILE} has changed rows of unknown people, which are skipped: {listed(unknown[:5])}"] if unknown else []
    return found, notes


def _rows(sheet: Sheet) -> dict[str, tuple[str, bool]]:
    """person_id -> (name, ignored)."""
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
    except UnicodeEncodeError:  # spreadsheets on Windows may save as cp1252
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
