"""facecluster name: what a person is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from facecluster.cli import common, deciding

if TYPE_CHECKING:
    from facecluster.decisions import Decision
    from facecluster.people import Register


@click.command("name")
@click.argument("store")
@click.argument("person", required=False)
@click.argument("name", required=False)
@deciding.csv_option
@common.tidy
def command(store: str, person: str | None, name: str | None, path: str | None) -> None:
    """Call PERSON of STORE by NAME; an empty NAME ('') takes the name away. PERSON is an id (p-...), a name, or a face_id.

    A file has the columns person (or person_id) and name; rows without a name are passed over. Two people with one name become one
    person with the next 'facecluster cluster'.

    Example: facecluster name ~/people p-0d4f21aa 'Ada Lovelace'
    """
    deciding.one_way(path, person is not None and name is not None, "a person and a name")

    def one(known: Register, who: str, text: str) -> Decision:
        made = known.name(known.find(who), text)
        called = zip(known.people.person_ids, known.people.names, strict=True)
        twin = next((p for p, n in called if n and n.casefold() == str(made.name).casefold() and p != made.person), None)
        if twin is not None:
            click.echo(common.shown(f"note: {twin} is called {made.name!r} too: the next 'facecluster cluster' makes them one"), err=True)
        return made

    if path is not None:
        source = path
        deciding.bulk(
            store,
            path,
            lambda known: deciding.rows(
                source, ("person_id|person", "name"), lambda c: one(known, c["person"], c["name"]) if c["name"] else None
            ),
            "the report shows the names",
        )
        return
    _, made = deciding.decide(store, lambda known: [one(known, str(person), str(name))])
    what = f"is called {made[0].name!r}" if made[0].name else "has no name any more"
    deciding.said(store, made, f"{made[0].person} {what}")
