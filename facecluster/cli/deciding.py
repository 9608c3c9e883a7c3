"""What the commands that take decisions share: people and faces as the user names them, one decision or a file of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from facecluster.cli import common
from facecluster.errors import InputError

if TYPE_CHECKING:
    from facecluster.decisions import Decision
    from facecluster.people import Register

csv_option = click.option("--csv", "path", help="Do it for each row of a CSV file; all rows are checked before any counts.")
AGAIN = "it counts with the next 'facecluster cluster'"
Cells = dict[str, str]


def decide(store: str, make: Callable[[Register], Sequence[Decision]]) -> tuple[Register, list[Decision]]:
    """Append what `make` makes of the people of a store to its journal; the people, and the decisions as they stand there."""
    from facecluster.decisions import append
    from facecluster.people import register
    from facecluster.store import Store

    place = Store(store)
    place.check()
    known, _, notes = register(place)
    made = append(place, make(known))
    for note in notes:
        click.echo(f"note: {common.shown(note)}", err=True)
    return known, made


def rows(path: str, columns: Sequence[str], make: Callable[[Cells], Decision | None]) -> list[Decision]:
    """A decision for each row of a CSV file; `columns` must be there, written as 'person_id|person' where one of several will do.

    Raises:
        InputError: a column is missing, or a row can't be used; then no decision counts.
    """
    from facecluster.evaluation.sheet import listed, read_sheet

    sheet = read_sheet(path)
    places: dict[str, int] = {}
    for column in columns:
        at = sheet.find(*column.rstrip("?").split("|"))
        if at is not None:
            places[column.rstrip("?").split("|")[-1]] = at
        elif not column.endswith("?"):
            wanted = ", ".join(c.split("|")[0] for c in columns if not c.endswith("?"))
            raise InputError(f"expected the columns {wanted} in {path}, found {listed(sheet.header)}: rename or add them")
    batch, made = uuid.uuid4().hex[:8], []
    for row, line in zip(sheet.rows, sheet.lines, strict=True):
        try:
            decision = make({name: row[at] for name, at in places.items()})
        except InputError as e:
            raise InputError(f"in line {line} of {path}: {e}. No row was taken over") from e
        if decision is not None:
            made.append(replace(decision, batch=batch))
    return made


def bulk(store: str, path: str, make: Callable[[Register], Sequence[Decision]], effect: str) -> None:
    """Take over a file and say so."""
    _, made = decide(store, make)
    undo = f"; 'facecluster undo {store} {made[0].batch}' takes all of them back" if made else ""
    click.echo(common.shown(f"{len(made)} decisions from {path}: {effect}{undo}"))


def said(store: str, made: Sequence[Decision], text: str) -> None:
    """Say what was decided."""
    click.echo(common.shown(f"{text}; 'facecluster undo {store} {made[-1].id}' takes it back"))


def one_way(path: str | None, given: bool, what: str) -> None:
    """Raise InputError unless either a file or arguments were given."""
    if (path is None) != given:
        raise InputError(f"expected {what}, or --csv FILE, found {'both' if given else 'neither'}: give one of them")
