"""facecluster not-same: faces of different people."""

from __future__ import annotations

import click

from facecluster.cli import common, deciding
from facecluster.cli.same import link


@click.command("not-same")
@click.argument("store")
@click.argument("faces", nargs=-1)
@deciding.csv_option
@common.tidy
def command(store: str, faces: tuple[str, ...], path: str | None) -> None:
    """Say that FACES (face_ids) of STORE are of different people, each of another.

    A file has the columns face_a and face_b.

    Example: facecluster not-same ~/people 0b1a0f0e9d1c4f6b8a7e5d3c-0001 4c5d0f0e9d1c4f6b8a7e5d3c-0000
    """
    link(store, "not-same", faces, path)
