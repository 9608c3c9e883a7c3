"""facecluster same: faces of one person."""

from __future__ import annotations

import click

from facecluster.cli.decisions import NEXT_RUN, decide, decision_command, each_row


@decision_command("same", click.argument("faces", nargs=-1))
def command(store: str, faces: tuple[str, ...], path: str | None) -> None:
    """Say that FACES (face_ids) of STORE are of one person.

    A CSV file needs the columns face_a and face_b.

    \b
    Example: facecluster same ~/people 0b1a0f0e9d1c4f6b8a7e5d3c-0001 4c5d0f0e9d1c4f6b8a7e5d3c-0000
    """
    decide_on_faces(store, "same", faces, path)


def decide_on_faces(store: str, act: str, faces: tuple[str, ...], path: str | None) -> None:
    """Say that faces are of one person (`act` "same"), or of different people ("not-same")."""
    what = "are of one person" if act == "same" else "are of different people"
    decide(
        store, path, given=bool(faces), expected="faces",
        from_arguments=lambda known: [known.link(act, faces)],
        from_file=each_row("face_a", "face_b", make=lambda known, cells: known.link(act, (cells["face_a"], cells["face_b"]))),
        text=lambda known, made: f"{len(made[0].faces)} faces {what}: {NEXT_RUN}",
    )  # fmt: skip
