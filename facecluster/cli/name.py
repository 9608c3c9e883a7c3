"""facecluster name: what a person is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from facecluster.cli.decisions import decide, decision_command, each_row
from facecluster.cli.printing import printable
from facecluster.language.english import plural

if TYPE_CHECKING:
    from facecluster.decisions import Decision
    from facecluster.people import CurrentPeople


@decision_command("name", click.argument("person", required=False), click.argument("name", required=False))
def command(store: str, person: str | None, name: str | None, path: str | None) -> None:
    """Give PERSON of STORE the name NAME; an empty NAME ('') removes the name. PERSON is a name, an id (p-...), a number of this run, or
    a face_id. A face that is nobody's becomes a person with this name, also if there is no other face of them.

    A CSV file needs the columns person (or person_id) and name; rows without a name are skipped. Two people with the same name become one
    person with the next 'facecluster cluster'.

    \b
    Example: facecluster name ~/people p-0d4f21aa 'Ada Lovelace'
    """
    decide(
        store, path, given=person is not None and name is not None, expected="a person and a name",
        from_arguments=lambda known: [_name(known, str(person), str(name))],
        from_file=each_row(
            "person_id|person", "name", make=lambda known, cells: _name(known, cells["person"], cells["name"]) if cells["name"] else None
        ),
        text=lambda known, made: _text(known, str(person), made[0]),
        effect=_effect,
    )  # fmt: skip


def _text(known: CurrentPeople, person: str, made: Decision) -> str:
    """What was decided, in words."""
    from facecluster.cli.decisions import NEXT_RUN

    if known.is_nobodys(person):
        return f"{person} is called {made.name!r}: {NEXT_RUN}"
    who = known.people.person_ids[known.find(person)]
    return f"{who} {f'is called {made.name!r}' if made.name else 'has no name any more'}"


def _effect(known: CurrentPeople, made: Sequence[Decision]) -> str:
    """What the names of a file bring about."""
    alone = sum(all(known.is_nobodys(face) for face in d.faces) for d in made)
    whose = plural(alone, "face that is nobody's", "faces that are nobody's")
    return "the report shows the names" + (f"; 'facecluster cluster' makes people of {whose}" if alone else "")


def _name(known: CurrentPeople, person: str, name: str) -> Decision:
    """The decision; a note on stderr if someone else has the name."""
    alone = known.is_nobodys(person) and bool(name.strip())
    who = -1 if alone else known.find(person)
    made = known.name_faces([person.strip()], name) if alone else known.name(who, name)
    called = enumerate(known.people.names)
    twin = next((known.people.person_ids[i] for i, n in called if n and n.casefold() == str(made.name).casefold() and i != who), None)
    if twin is not None:
        click.echo(printable(f"note: {twin} is called {made.name!r} too: the next 'facecluster cluster' makes them one"), err=True)
    return made
