"""facecluster split: faces that are not of the person they are with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from facecluster.cli import common, deciding
from facecluster.errors import InputError

if TYPE_CHECKING:
    from facecluster.decisions import Decision
    from facecluster.people import Register


@click.command("split")
@click.argument("store")
@click.argument("person", required=False)
@click.argument("faces", nargs=-1)
@deciding.csv_option
@common.tidy
def command(store: str, person: str | None, faces: tuple[str, ...], path: str | None) -> None:
    """Say that FACES (face_ids) are not of PERSON of STORE, but of one other person. PERSON is an id (p-...), a name, or a face_id.

    A file has the columns person (or person_id) and face_id; faces of one person go together, or, with a column part, those of one part.

    Example: facecluster split ~/people 'Ada Lovelace' 0b1a0f0e9d1c4f6b8a7e5d3c-0001
    """
    deciding.one_way(path, bool(person and faces), "a person and faces")
    if path is not None:
        source = path
        deciding.bulk(store, path, lambda known: _parts(known, source), deciding.AGAIN)
        return
    _, made = deciding.decide(store, lambda known: [known.split(known.find(str(person)), faces)])
    deciding.said(store, made, f"{len(made[0].faces)} faces go their own way: {deciding.AGAIN}")


def _parts(known: Register, path: str) -> Sequence[Decision]:
    """A split for each person and part of a file."""
    from dataclasses import replace

    parts: dict[tuple[int, str], list[str]] = {}

    def check(cells: dict[str, str]) -> Decision:
        person = known.find(cells["person"])
        parts.setdefault((person, cells.get("part", "")), []).append(cells["face_id"])
        return known.split(person, [cells["face_id"]])

    checked = deciding.rows(path, ("person_id|person", "face_id", "part?"), check)
    made = []
    for (person, part), faces in parts.items():
        try:
            made.append(replace(known.split(person, faces), batch=checked[0].batch))
        except InputError as e:
            raise InputError(f"in {path}, of {known.people.label(person)} {part}: {e}. No row was taken over") from e
    return made
