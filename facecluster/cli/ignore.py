"""facecluster ignore: people who are shown apart."""

from __future__ import annotations

import click

from facecluster.cli.decisions import decide, decision_command, each_row


@decision_command("ignore", click.argument("people", nargs=-1))
def command(store: str, people: tuple[str, ...], path: str | None) -> None:
    """Ignore PEOPLE of STORE (passers-by, statues, things that are no faces): reports show them apart. Give each as a name, an id
    (p-...), a number of this run, or a face_id.

    A CSV file needs the column person (or person_id).

    \b
    Example: facecluster ignore ~/people p-77c0ffee p-0d4f21aa
    """
    decide(
        store, path, given=bool(people), expected="people",
        from_arguments=lambda known: [known.ignore(known.find(who)) for who in people],
        from_file=each_row("person_id|person", make=lambda known, cells: known.ignore(known.find(cells["person"]))),
        text=lambda known, made: f"{', '.join(str(d.person) for d in made)} will be shown apart",
        effect="the report shows them apart",
    )  # fmt: skip
