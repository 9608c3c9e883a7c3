"""STORE/people.csv: a row for each person, where the user may write names.

The file is compared with the copy of what was written last, runs/people.csv. A row whose name differs from the copy is a decision to name
the person; an emptied name removes the name; `ignored` set to yes ignores the person. An unchanged row is no decision, even if the person
was renamed elsewhere meanwhile; neither is a deleted row. A file that was open elsewhere while a run took names in, and was saved over the
newer one, is compared with what that earlier run wrote, which the column of_run names: the names and ignorings since stay. After the edits
are read, the file is written again, with the columns that the user added. A file that was saved since it was read stays as it is: the next
run takes its changes over.

Odd inputs: a row of a retired id, in a file that was saved over a newer one, is compared with what the last run with that id wrote. A
row of an unknown person that was changed, or has something in the user's own columns, is skipped, and the file is kept as
people.csv.theirs, with a note. A file without the columns person_id and name is an InputError and
stays as it is. If the copy is missing or damaged, the file is compared with the people of the current run. Rows without of_run, as earlier
versions wrote them, are of an earlier run if they lack all of several names given since.
"""

from __future__ import annotations

import csv
import io
import re
from contextlib import suppress
from dataclasses import dataclass, field

from facecluster.decisions import clean_name
from facecluster.errors import InputError, StoreError
from facecluster.evaluation.csv_file import Sheet, decoded, listed, sheet_of, unguarded
from facecluster.people.runs import People, Run, all_runs, current_run, read_people
from facecluster.store import Store
from facecluster.store.replace_file import recover, replace_file, tidy

FILE = "people.csv"
THEIRS = "people.csv.theirs"  # a file of the user's with rows of people who are no more
LAST_WRITTEN = ("runs", "people.csv")
COLUMNS = ("person_id", "name", "faces", "ignored", "of_run")
_RUNS = 20  # earlier runs whose names rows without of_run may have
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")  # text that a spreadsheet could run as a formula gets an apostrophe before it
_OURS = ("\ufeff" + ",".join(COLUMNS) + "\r\n").encode()  # beginning of a file without columns of the user's
Rows = dict[str, tuple[str, bool]]  # person_id -> name, whether ignored
OfRun = dict[str, int]  # person_id -> the run whose name and ignoring the row was written with
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


def render(people: People, read: UserFile, of_run: OfRun) -> bytes:
    """The bytes of the file for these people, with the user's own columns of the file that was read; ignored people come last."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*COLUMNS, *read.own])
    later = {people.former.get(person, person): cells for person, cells in read.cells.items()}
    for i in sorted(range(len(people.faces)), key=lambda i: people.ignored[i]):
        person, name = people.person_ids[i], people.names[i] or ""
        guarded = "'" + name if name.startswith(_FORMULA) else name
        cells = read.cells.get(person) or later.get(person) or [""] * len(read.own)
        writer.writerow([person, guarded, people.faces[i], "yes" if people.ignored[i] else "", of_run.get(person, ""), *cells])
    return ("\ufeff" + out.getvalue()).encode("utf-8", "surrogateescape")  # without a mark Excel reads UTF-8 as another encoding


def write(store: Store, people: People, read: UserFile, run: Run) -> list[str]:
    """Write the file for the people of the current run, then the copy that it is compared with.

    In this order a crash between the two leaves no row that looks edited.
    A file that has these bytes already is not written; neither is one that no longer holds what was `read`. Gives notes.
    """
    data, notes = render(people, read, _of_run(store, people, run)), []
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


def refresh(store: Store, people: People, run: Run) -> bool:
    """Write the file, unless the user has edited it since it was written; False if so."""
    read = read_user_file(store, people)
    return (read.data is None or is_as_written(store)) and not write(store, people, read, run)


def _of_run(store: Store, people: People, run: Run) -> OfRun:
    """The run's number for those people who are in it with the name and the ignoring that they have."""
    then = _written_by(store, run)
    now = zip(people.person_ids, people.names, people.ignored, strict=True)
    return {person: run.number for person, name, ignored in now if then.get(person) == (name or "", ignored)}


def _written_by(store: Store, run: Run) -> Rows:
    """What a run wrote of its people; nothing if its table can't be read, which 'check' says."""
    try:
        then = read_people(store, run)
    except StoreError:
        return {}
    return {person: (name or "", ignored) for person, name, ignored in zip(then.person_ids, then.names, then.ignored, strict=True)}


def _last_written(store: Store, written: bytes | None) -> tuple[Rows, OfRun]:
    """What the file said when it was written: by its copy; of people who are not there, or without a whole copy, by the current run."""
    run = current_run(store)
    rows, of_run = {} if run is None else _written_by(store, run), OfRun()
    with suppress(InputError):
        if written and written.strip():
            found, of_run = _rows(sheet_of(decoded(written), "/".join(LAST_WRITTEN), as_is=True))
            rows |= found
    return rows, of_run


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
    sheet = sheet_of(decoded(data), path, as_is=True)
    rows, of_run = _rows(sheet)
    base, base_run = _last_written(store, written)
    stale = {person: n for person, n in of_run.items() if base_run.get(person, n) != n and person in base and rows[person] != base[person]}
    unknown = {person: row for person, row in rows.items() if person not in of_run or person not in base_run}
    since = _named_since(store, unknown, base) | _as_of_runs(store, rows, base, stale)
    stay = sorted(p for p, was in since.items() if was[0] == rows[p][0] != base[p][0])
    kept = [base[person][0] or f"none for {person}" for person in stay]
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
        old = _written_by(store, run)
        since = {person: old[person] for person in rows.keys() & base.keys() & old.keys() if old[person] != base[person]}
        named = [p for p, was in since.items() if was[0] != base[p][0]]
        if sum(rows[p][0] == since[p][0] for p in named) >= 2 and all(rows[p][0] != base[p][0] for p in named):
            return since
    return {}


def _as_of_runs(store: Store, rows: Rows, base: Rows, stale: OfRun) -> Rows:
    """What the rows `stale`, written with other runs than the copy's, are compared with.

    A name that some run since wrote is nothing that was typed now, and no name that was given since is removed.
    """
    if not stale:
        return {}
    runs = {run.number: _written_by(store, run) for run in all_runs(store) if run.number >= min(stale.values())}
    since: Rows = {}
    for person, number in stale.items():
        name = rows[person][0]
        then = runs.get(number, {}).get(person, ("", base[person][1]))
        seen = {old[person][0] for n, old in runs.items() if n >= number and person in old}
        since[person] = (name if name in seen or (not name and then[0] != base[person][0]) else then[0], then[1])
    return since


def _rows(sheet: Sheet) -> tuple[Rows, OfRun]:
    """What the rows say, and of which run they are, where that is known."""
    key, name, ignored, of_run = (sheet.find(column) for column in ("person_id", "name", "ignored", "of_run"))
    if key is None or name is None:
        raise InputError(
            f"expected the columns person_id and name in {sheet.source}, found {listed(sheet.header)}: put them back, or delete the file"
        )
    rows: Rows = {}
    runs: OfRun = {}
    for row, line in zip(sheet.rows, sheet.lines, strict=True):
        if row[key] in rows and row[key]:
            raise InputError(f"expected each person once in {sheet.source}, found {row[key]} again in line {line}: delete one of the rows")
        if row[key]:
            rows[row[key]] = (_name(row[name]), _flag(row[ignored], sheet, line) if ignored is not None else False)
            if of_run is not None and (number := re.match(r"\d{1,9}", row[of_run])):  # of 7.0 too, as some programs save it
                runs[row[key]] = int(number[0])
    return rows, runs


def _name(cell: str) -> str:
    try:
        cell.encode()
    except UnicodeEncodeError:  # spreadsheets on Windows may save as cp1252
        cell = cell.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return clean_name(unguarded(cell))


def _flag(cell: str, sheet: Sheet, line: int) -> bool:
    if cell.casefold() not in (*_YES, *_NO):
        raise InputError(f"expected yes or nothing as ignored in line {line} of {sheet.source}, found {cell!r}: correct it")
    return cell.casefold() in _YES


def _bytes(store: Store, *parts: str) -> bytes | None:
    try:
        return store.read_bytes(*parts)
    except FileNotFoundError:
        return None
