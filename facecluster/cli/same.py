"""facecluster same: faces of one person."""

from __future__ import annotations

import click

from facecluster.cli import common, deciding


@click.command("same")
@click.argument("store")
@click.argument("faces", nargs=-1)
@deciding.csv_option
@common.tidy
def command(store: str, faces: tuple[str, ...], path: str | None) -> None:
    """Say that FACES (face_ids) of STORE are of one person.

    A file has the columns face_a and face_b.

    Example: facecluster same ~/people 0b1a0f0e9d1c4f6b8a7e5d3c-0001 4c5d0f0e9d1c4f6b8a7e5d3c-0000
    """
    link(store, "same", faces, path)


def link(store: str, act: str, faces: tuple[str, ...], path: str | None) -> None:
    """Say that faces are, or are not, of one person."""
    deciding.one_way(path, bool(faces), "faces")
    if path is not None:
        source = path
        deciding.bulk(
            store,
            path,
            lambda known: deciding.rows(source, ("face_a", "face_b"), lambda c: known.link(act, (c["face_a"], c["face_b"]))),
            deciding.AGAIN,
        )
        return
    _, made = deciding.decide(store, lambda known: [known.link(act, faces)])
    what = "are of one person" if act == "same" else "are of different people"
    deciding.said(store, made, f"{len(made[0].faces)} faces {what}: {deciding.AGAIN}")
