"""facecluster split: faces that are not of the person they are with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from facecluster.cli.decisions import NEXT_RUN, decide, decision_command, read_rows
from facecluster.errors import InputError
from facecluster.language.english import plural

if TYPE_CHECKING:
    from facecluster.decisions import Decision
    from facecluster.people import CurrentPeople


@decision_command("split", click.argument("person", required=False), click.argument("faces", nargs=-1))
def command(store: str, person: str | None, faces: tuple[str, ...], path: str | None) -> None:
    """Say that FACES (face_ids) are not of PERSON of STORE, but all of one other person. PERSON is a name, an id
    (p-...), a number of this run, or a face_id.

    A CSV file needs the columns person (or person_id) and face_id. All faces of a person go to one other person; with a column part, the
    faces of each part go to a person of their own.

    \b
    Example: facecluster split ~/people 'Ada Lovelace' 0b1a0f0e9d1c4f6b8a7e5d3c-0001
    """
    decide(
        store, path, given=bool(person and faces), expected="a person and faces",
        from_arguments=lambda known: [known.split(known.find(str(person)), faces)], from_file=_parts,
        text=lambda known, made: f"{plural(len(made[0].faces), 'face leaves', 'faces leave')} this person: {NEXT_RUN}",
    )  # fmt: skip


def _parts(known: CurrentPeople, path: str) -> Sequence[Decision]:
    """A split for each person and part of a file."""
    parts: dict[tuple[int, str], list[str]] = {}

    def check(cells: dict[str, str]) -> Decision:
        person = known.find(cells["person"])
        parts.setdefault((person, cells.get("part", "")), []).append(cells["face_id"])
        return known.split(person, [cells["face_id"]])

    checked = read_rows(path, ("person_id|person", "face_id", "part?"), check)
    made = []
    for (person, part), faces in parts.items():
        try:
            made.append(replace(known.split(person, faces), batch=checked[0].batch))
        except InputError as e:
            raise InputError(f"in {path}, of {known.people.label(person)} {part}: {e}. No row was taken over") from e
    return made
