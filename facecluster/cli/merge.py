"""facecluster merge: people who are one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from facecluster.cli.decisions import NEXT_RUN, decide, decision_command, each_row

if TYPE_CHECKING:
    from facecluster.people import CurrentPeople


@decision_command("merge", click.argument("person", required=False), click.argument("others", nargs=-1))
def command(store: str, person: str | None, others: tuple[str, ...], path: str | None) -> None:
    """Say that OTHERS of STORE are PERSON, who keeps id and name. Give each as a name, an id (p-...), a number of this run, or a face_id.

    A CSV file needs the columns person (or person_id) and other.

    \b
    Example: facecluster merge ~/people 'Ada Lovelace' p-77c0ffee
    """
    one = str(person)
    decide(
        store, path, given=bool(person and others), expected="a person and others",
        from_arguments=lambda known: [known.merge(known.find(one), known.find(other)) for other in others],
        from_file=each_row(
            "person_id|person", "other", make=lambda known, cells: known.merge(known.find(cells["person"]), known.find(cells["other"]))
        ),
        text=lambda known, made: _text(known, one, others),
    )  # fmt: skip


def _text(known: CurrentPeople, person: str, others: Sequence[str]) -> str:
    """What was decided, with the people's names and ids: a number is only of this run."""
    said = " and ".join(known.people.label(known.find(other)) for other in others)
    return f"{said} will be {known.people.label(known.find(person))}: {NEXT_RUN}"
