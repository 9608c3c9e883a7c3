"""facecluster born: when a person was born."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from facecluster.cli.decisions import decide, decision_command, each_row

if TYPE_CHECKING:
    from facecluster.decisions import Decision
    from facecluster.people import CurrentPeople


@decision_command(
    "born", click.argument("person", required=False), click.argument("day", required=False),
    click.option("--unknown", is_flag=True, help="Take the date of birth away."),
)  # fmt: skip
def command(store: str, person: str | None, day: str | None, unknown: bool, path: str | None) -> None:
    """Say that PERSON of STORE was born on DAY (year-month-day): the report and the review page then say how old the person is on
    each photo. PERSON is a name, an id (p-...), a number of this run, or a face_id.

    A CSV file needs the columns person (or person_id) and born; rows without a date are skipped. Dates of birth are used for nothing else:
    nobody is grouped by age.

    \b
    Example: facecluster born ~/people 'Ada Lovelace' 1815-12-10
    """
    from facecluster.errors import InputError

    if unknown and (day is not None or path is not None):
        raise InputError("expected a date or --unknown, found both: give one of them")
    decide(
        store, path, given=person is not None and (day is not None or unknown), expected="a person and a date of birth, or --unknown",
        from_arguments=lambda known: [_born(known, str(person), None if unknown else str(day))],
        from_file=each_row(
            "person_id|person", "born", make=lambda known, cells: _born(known, cells["person"], cells["born"]) if cells["born"] else None
        ),
        text=lambda known, made: (
            f"{known.people.label(known.find(str(person)))} "
            f"{f'was born on {made[0].date}' if made[0].date else 'has no date of birth any more'}"
        ),
        effect="pages say ages",
    )  # fmt: skip


def _born(known: CurrentPeople, person: str, day: str | None) -> Decision:
    from facecluster.decisions.birth import read_birth

    return known.born(known.find(person), "" if day is None else read_birth(day))
