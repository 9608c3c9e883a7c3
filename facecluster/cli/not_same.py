"""facecluster not-same: faces of different people."""

from __future__ import annotations

import click

from facecluster.cli.decisions import decision_command
from facecluster.cli.same import decide_on_faces


@decision_command("not-same", click.argument("faces", nargs=-1))
def command(store: str, faces: tuple[str, ...], path: str | None) -> None:
    """Say that FACES (face_ids) of STORE are of different people: no two of them are of the same person.

    A CSV file needs the columns face_a and face_b.

    \b
    Example: facecluster not-same ~/people 0b1a0f0e9d1c4f6b8a7e5d3c-0001 4c5d0f0e9d1c4f6b8a7e5d3c-0000
    """
    decide_on_faces(store, "not-same", faces, path)
