"""facecluster ignore: people nobody wants to hear of."""

from __future__ import annotations

import click

from facecluster.cli import common, deciding


@click.command("ignore")
@click.argument("store")
@click.argument("people", nargs=-1)
@deciding.csv_option
@common.tidy
def command(store: str, people: tuple[str, ...], path: str | None) -> None:
    """Ignore PEOPLE of STORE (passers-by, statues, no faces at all): reports show them apart. They are ids (p-...), names, or face_ids.

    A file has the column person (or person_id).

    Example: facecluster ignore ~/people p-77c0ffee p-0d4f21aa
    """
    deciding.one_way(path, bool(people), "people")
    if path is not None:
        source = path
        deciding.bulk(
            store,
            path,
            lambda known: deciding.rows(source, ("person_id|person",), lambda c: known.ignore(known.find(c["person"]))),
            "the report shows them apart",
        )
        return
    _, made = deciding.decide(store, lambda known: [known.ignore(known.find(who)) for who in people])
    deciding.said(store, made, f"{', '.join(str(d.person) for d in made)} will be shown apart")
