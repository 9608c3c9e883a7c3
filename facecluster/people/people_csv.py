"""STORE/people.csv: a row for each person, where the user may write names.

The file is compared with the copy of what was written last, runs/people.csv. A row whose name differs from the copy is a decision to name
the person; an emptied name removes the name; `ignored` set to yes ignores the person. An unchanged row is no decision, even if the person
was renamed elsewhere meanwhile; neither is a deleted row. A file that was open elsewhere while a run took names in, and was saved over the
newer one, is compared with what that earlier run wrote: the names and ignorings since stay. After the edits are read, the file is written
again, with the columns that the user added. A file that was saved since it was read stays as it is: the next run takes its changes over.

Odd inputs: a row of a retired id, in a file that was saved over a newer one, is compared with what the last run with that id wrote. A
row of an unknown person that was changed, or has something in the user's own columns, is skipped, and the file is kept as
people.csv.theirs, with a note. A file without the columns person_id and name is an InputError and
stays as it is. If the copy is missing, all names in the file count as new.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

from facecluster.decisions import clean_name
from facecluster.errors import InputError, StoreError
from facecluster.evaluation.csv_file import Sheet, decoded, listed, sheet_of
from facecluster.people.runs import People, all_runs, read_people
from facecluster.store import Store
from facecluster.store.replace_file import recover, replace_file, tidy

FILE = "people.csv"
THEIRS = "people.csv.theirs"  # a file of the user's with rows of people who are no more
LAST_WRITTEN = ("runs", "people.csv")
COLUMNS = ("person_id", "name", "faces", "ignored")
_RUNS = 20  # earlier runs whose names a file that was saved late may have
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")  # text that a spreadsheet could run as a formula gets an apostrophe before it
_OURS = ("\ufeff" + ",".join(COLUMNS) + "\r\n").encode()  # beginning of a file without columns of the user's
Rows = dict[str, tuple[str, bool]]  # person_id -> name, whether ignored
_YES, _NO = ("yes", "true", "1", "x", "ja", "oui", "si", "sí"), ("", "no", "false", "0", "nein", "non")


@dataclass(frozen=True, slots=True)
class Edit:
    """The user's changes in one row."""

    person_id: str
    name: str | None  # None = unchanged; '' = removed
    ignored: bool | None  # None = unchanged


@dataclass(frozen=True, slots=True)
class UserFile:
    """The file as it was read."""

    data: bytes | None = None  # None: there is none
    edits: list[Edit] = field(default_factory=list)
    own: list[str] = field(default_factory=list)  # columns that the user added
    cells: dict[str, list[str]] = field(default_factory=dict)  # person_id -> their contents
    homeless: list[str] = field(default_factory=list)  # unknown people of whom the file says something
    notes: list[str] = field(default_factory=list)


def render(people: People, read: UserFile) -> bytes:
    """The bytes of the file for these people, with the user's own columns of the file that was read; ignored people come last."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*COLUMNS, *read.own])
    later = {people.former.get(person, person): cells for person, cells in read.cells.items()}
    for i in sorted(range(len(people.faces)), key=lambda i: people.ignored[i]):
        person, name = people.person_ids[i], people.names[i] or ""
        guarded = "'" + name if name.startswith(_FORMULA) else name
        cells = read.cells.get(person) or later.get(person) or [""] * len(read.own)
        writer.writerow([person, guarded, people.faces[i], "yes" if people.ignored[i] else "", *cells])
    return ("\ufeff" + out.getvalue()).encode("utf-8", "surrogateescape")  # without a mark Excel reads UTF-8 as another encoding


def write(store: Store, people: People, read: UserFile) -> list[str]:
    """Write the file, then the copy that it is compared with: in this order a crash between the two leaves no row that looks edited.

    A file that has these bytes already is not written; neither is one that no longer holds what was `read`. Gives notes.
    """
    data, notes = render(people, read), []
    if read.homeless and read.data is not None:
        store.write_bytes(read.data, THEIRS)
        rows = listed(read.homeless[:5])
        notes.append(f"{FILE} has rows of unknown people ({rows}), which are skipped: the file as it was is kept as {THEIRS}")
    if _bytes(store, FILE) != data:
        if store.is_local:
            replaced = _replace(store, data, read.data)
        elif replaced := _bytes(store, FILE) == read.data:
            store.write_bytes(data, FILE)
        if not replaced:
            return [*notes, f"{FILE} was saved meanwhile: it stays as it is, and its changes count with the next 'facecluster cluster'"]
    if _bytes(store, *LAST_WRITTEN) != data:
        store.write_bytes(data, *LAST_WRITTEN)
    return notes


def _replace(store: Store, data: bytes, expected: bytes | None) -> bool:
    """`replace_file` of the file, also if the store is encrypted."""
    cipher = store.cipher
    if cipher is None or expected is None:
        return replace_file(store.path(FILE), data if cipher is None else cipher.seal(data, FILE), expected)
    sealed = bytes(store.fs.cat_file(store.path(FILE)))
    return cipher.open(sealed, FILE) == expected and replace_file(store.path(FILE), cipher.seal(data, FILE), sealed)


def refresh(store: Store, people: People) -> bool:
    """Write the file, unless the user has edited it since it was written; False if so."""
    read = read_user_file(store, people)
    return (read.data is None or is_as_written(store)) and not write(store, people, read)


def is_as_written(store: Store) -> bool:
    """Whether nobody has changed the file since it was written."""
    return _bytes(store, FILE) == _bytes(store, *LAST_WRITTEN)


def read_user_file(store: Store, known: People) -> UserFile:
    """The file, and the user's changes since it was written. `known` are the people with their present names.

    Raises:
        InputError: the file is not a table with these columns.
    """
    path = store.path(FILE) if store.is_local else f"{store.url.rstrip('/')}/{FILE}"
    if store.is_local:
        recover(path)
        tidy(store.root)
    data, written = _bytes(store, FILE), _bytes(store, *LAST_WRITTEN)
    if data is None or not data.strip() or (data == written and data.startswith(_OURS)):
        return UserFile(data)
    sheet = sheet_of(decoded(data), path)
    rows, base = _rows(sheet), _rows(sheet_of(decoded(written), path)) if written else {}
    since = _named_since(store, rows, base)
    kept = [base[person][0] or f"none for {person}" for person, was in sorted(since.items()) if was[0] != base[person][0]]
    hidden = any(base[person][1] and not was[1] for person, was in since.items())
    base, past = base | since, {r.person_id: (r.name or "", r.ignored) for r in known.retired}
    own = [i for i, name in enumerate(sheet.header) if name.lower() not in COLUMNS and name]
    key = sheet.find("person_id")
    cells = {row[key]: [row[i] for i in own] for row in sheet.rows if key is not None}
    found, homeless = [], []
    # a row of a retired id, in a file that was open during a run, comes first: what the person's own row says counts
    for person, (name, ignored) in sorted(rows.items(), key=lambda row: row[0] in known.person_ids):
        was, i = base.get(person, past.get(person, ("", False))), known.index(person)
        if i is None:
            if (name, ignored) != was or any(cells[person]):
                homeless.append(person)
            continue
        new_name = name if name != was[0] and name != (known.names[i] or "") else None
        new_ignored = ignored if ignored != was[1] and ignored != known.ignored[i] else None
        if new_name is not None or new_ignored is not None:
            found.append(Edit(person, new_name, new_ignored))
    some = listed(kept[:5]) + (", ..." if len(kept) > 5 else "")
    note = f"{FILE} is from before the last run, and lacks names given since: they stay ({some}); 'facecluster name' takes a name away"
    note += "; whom you ignore since stays ignored" if hidden else ""
    return UserFile(data, found, [sheet.header[i] for i in own], cells, homeless, [note] if kept else [])


def _named_since(store: Store, rows: Rows, base: Rows) -> Rows:
    """What an earlier run wrote of the people who have other names since, or are ignored since or no longer; nothing if the file has one of
    these names.

    A file that lacks one change may be an edit of today's. One that lacks all of several is taken for one of that time.
    """
    lacking = [person for person in rows.keys() & base.keys() if rows[person][0] != base[person][0]]
    if len(lacking) < 2:
        return {}
    for run in reversed(all_runs(store)[-_RUNS:]):
        try:
            then = read_people(store, run)
        except StoreError:  # 'check' says so
            continue
        old = {person: (name or "", ignored) for person, name, ignored in zip(then.person_ids, then.names, then.ignored, strict=True)}
        since = {person: old[person] for person in rows.keys() & base.keys() & old.keys() if old[person] != base[person]}
        named = [p for p, was in since.items() if was[0] != base[p][0]]
        if sum(rows[p][0] == since[p][0] for p in named) >= 2 and all(rows[p][0] != base[p][0] for p in named):
            return since
    return {}


def _rows(sheet: Sheet) -> Rows:
    """person_id -> (name, ignored)."""
    key, name, ignored = (sheet.find(column) for column in ("person_id", "name", "ignored"))
    if key is None or name is None:
        raise InputError(
            f"expected the columns person_id and name in {sheet.source}, found {listed(sheet.header)}: put them back, or delete the file"
        )
    rows: Rows = {}
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
    return clean_name(cell)


def _flag(cell: str, sheet: Sheet, line: int) -> bool:
    if cell.casefold() not in (*_YES, *_NO):
        raise InputError(f"expected yes or nothing as ignored in line {line} of {sheet.source}, found {cell!r}: correct it")
    return cell.casefold() in _YES


def _bytes(store: Store, *parts: str) -> bytes | None:
    try:
        return store.read_bytes(*parts)
    except FileNotFoundError:
        return None
