"""facecluster merge: people who are one."""

from __future__ import annotations

import click

from facecluster.cli import common, deciding


@click.command("merge")
@click.argument("store")
@click.argument("person", required=False)
@click.argument("others", nargs=-1)
@deciding.csv_option
@common.tidy
def command(store: str, person: str | None, others: tuple[str, ...], path: str | None) -> None:
    """Say that OTHERS of STORE are PERSON, who keeps id and name. People are ids (p-...), names, or face_ids.

    A file has the columns person (or person_id) and other.

    Example: facecluster merge ~/people 'Ada Lovelace' p-77c0ffee
    """
    deciding.one_way(path, bool(person and others), "a person and others")
    if path is not None:
        source = path
        deciding.bulk(
            store,
            path,
            lambda known: deciding.rows(
                source, ("person_id|person", "other"), lambda c: known.merge(known.find(c["person"]), known.find(c["other"]))
            ),
            deciding.AGAIN,
        )
        return
    known, made = deciding.decide(store, lambda known: [known.merge(known.find(str(person)), known.find(other)) for other in others])
    deciding.said(store, made, f"{' and '.join(others)} will be {known.people.label(known.find(str(person)))}: {deciding.AGAIN}")
