"""facecluster embed: photos to vectors."""

from __future__ import annotations

from typing import Any

import click

from facecluster.cli import common


@click.command("embed")
@common.photo_options
@common.tidy
def command(**options: Any) -> None:
    """Find the faces of PHOTOS (folders, globs, files) and turn them into vectors.

    Example: facecluster embed ~/Pictures '/mnt/**/*.jpg' -o ~/people
    """
    common.embed(**options)
