"""What the commands that take decisions share (name, merge, split, same, not-same, ignore): their options, and one decision or a file of
them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.printing import printable
from facecluster.errors import InputError, shell
from facecluster.language.english import plural

if TYPE_CHECKING:
    from facecluster.decisions import Decision
    from facecluster.people import CurrentPeople

NEXT_RUN = "it takes effect with the next 'facecluster cluster'"
Cells = dict[str, str]
FromFile = Callable[["CurrentPeople", str], "Sequence[Decision]"]


def decision_command(name: str, *arguments: Callable[..., Any]) -> Callable[[Callable[..., None]], click.Command]:
    """A command of this name that takes a store, these click arguments, and --csv (the parameter `path`)."""

    def decorate(function: Callable[..., None]) -> click.Command:
        text = "Read the decisions from a CSV file, one a row. All rows are checked before any takes effect."
        csv = click.option("--csv", "path", metavar="FILE", help=text)
        function = handle_errors(function)
        for option in (csv, *reversed(arguments), click.argument("store")):
            function = option(function)
        return click.command(name)(function)

    return decorate


def decide(
    store: str, path: str | None, *, given: bool, expected: str, from_arguments: Callable[[CurrentPeople], Sequence[Decision]],
    from_file: FromFile, text: Callable[[CurrentPeople, Sequence[Decision]], str],
    effect: str | Callable[[CurrentPeople, Sequence[Decision]], str] = NEXT_RUN,
) -> None:  # fmt: skip
    """Append decisions to the journal of a store, from the command's arguments or from a file, and print what was decided.

    Args:
        store: path or address of the store.
        path: of the CSV file, or None.
        given: whether the command got the arguments that it needs when there is no file.
        expected: these arguments in words.
        from_arguments: makes the decisions of the arguments.
        from_file: makes the decisions of the file, for instance `each_row`.
        text: says what the decisions of the arguments are.
        effect: what the decisions of a file bring about, or a function that says so.

    Raises:
        InputError: there are both arguments and a file, or neither.
    """
    from facecluster.decisions import SHORT_ID

    if (path is None) != given:
        raise InputError(f"expected {expected}, or --csv FILE, found {'both' if given else 'neither'}: give one of them")
    if path is None:
        known, made = _append(store, from_arguments, by_number=True)
        of = (made[0].batch or made[0].id)[:SHORT_ID]
        click.echo(printable(f"{text(known, made)}; 'facecluster undo {shell(store)} {of}' takes it back"))
        return
    known, made = _append(store, lambda known: from_file(known, path))
    undo = f"; 'facecluster undo {shell(store)} {str(made[0].batch)[:SHORT_ID]}' takes all of them back" if made else ""
    said = effect if isinstance(effect, str) else effect(known, made)
    click.echo(printable(f"{plural(len(made), 'decision')} from {path}: {said}{undo}"))


def _append(
    store: str, make: Callable[[CurrentPeople], Sequence[Decision]], *, by_number: bool = False
) -> tuple[CurrentPeople, list[Decision]]:
    """Append what `make` makes of the people of a store to its journal; the people, and the decisions as they stand there.

    `by_number`: whether a number of this run names a person. In a file it could be of an earlier run.
    """
    from facecluster.decisions import append, new_id
    from facecluster.people import read_current_people
    from facecluster.store import Store

    place = Store(store)
    place.check()
    known, _, notes = read_current_people(place)
    known = replace(known, by_number=by_number)
    decisions = list(make(known))
    if len(decisions) > 1 and decisions[0].batch is None:
        batch = new_id()
        decisions = [replace(d, batch=batch) for d in decisions]
    made = append(place, decisions)
    for note in notes:
        click.echo(f"note: {printable(note)}", err=True)
    return known, made


def each_row(*columns: str, make: Callable[[CurrentPeople, Cells], Decision | None]) -> FromFile:
    """Make a decision of each row of a file; `columns` and errors as in `read_rows`."""
    return lambda known, path: read_rows(path, columns, lambda cells: make(known, cells))


def read_rows(path: str, columns: Sequence[str], make: Callable[[Cells], Decision | None]) -> list[Decision]:
    """Make a decision of each row of a CSV file; None stands for no decision.

    Args:
        path: of the file.
        columns: that are needed. 'person_id|person' takes the first of the two that is there, and `make` gets it by its last name; 'part?'
            may be missing.
        make: gets the cells of a row by column.

    Raises:
        InputError: a column is missing, or a row can't be used; then no decision counts.
    """
    from facecluster.decisions import new_id
    from facecluster.evaluation.csv_file import listed, read_sheet

    sheet = read_sheet(path)
    places: dict[str, int] = {}
    for column in columns:
        at = sheet.find(*column.rstrip("?").split("|"))
        if at is not None:
            places[column.rstrip("?").split("|")[-1]] = at
        elif not column.endswith("?"):
            wanted = ", ".join(c.split("|")[0] for c in columns if not c.endswith("?"))
            raise InputError(f"expected the columns {wanted} in {path}, found {listed(sheet.header)}: rename or add them")
    batch, made = new_id(), []
    for row, line in zip(sheet.rows, sheet.lines, strict=True):
        try:
            decision = make({name: row[at] for name, at in places.items()})
        except InputError as e:
            raise InputError(f"in line {line} of {path}: {e}. No row was taken over") from e
        if decision is not None:
            made.append(replace(decision, batch=batch))
    return made
